//! The page `GET /docs`: what it is made of, and that nothing of it comes from elsewhere.

use std::io::Read;

use crate::calls::{Call, HttpAnswer, Scripted, app, respond};
use crate::front_doors::ALL;

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test]
async fn the_page_and_its_script_come_from_here_under_a_strict_policy() {
    let router = app(Scripted::default());
    let page = Call::get("/docs").send(&router).await;
    let text = std::str::from_utf8(&page.body).unwrap();
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(!text.contains("//") && text.contains("src=\"docs/rapidoc.js\""), "{text}");
    assert!(
        text.contains("spec-url=\"openapi.json\"") && !text.contains("<style") && !text.contains("onload"),
        "{text}"
    );

    let plain = Call::get("/docs/rapidoc.js").send(&router).await;
    let coded = Call::get("/docs/rapidoc.js").header(GZIP.0, GZIP.1).send(&router).await;
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    assert_eq!((coded.status, coded.header("content-encoding")), (200, Some("gzip")));
    let mut script = Vec::new();
    flate2::read::GzDecoder::new(coded.body.as_ref()).read_to_end(&mut script).unwrap();
    assert!(script == plain.body && script.len() > 500_000, "{} bytes", script.len());
    println!(
        "GET /docs: {} bytes of page, {} of script, {} compressed",
        page.body.len(),
        script.len(),
        coded.body.len()
    );

    for answer in [&page, &plain, &coded] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        for allowed in ["http:", "https:", "*", "'unsafe-eval'", "script-src 'unsafe-inline'"] {
            assert!(!policy.contains(allowed), "{policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

/// Through a gateway the script travels as base64, and is the same bytes behind it.
#[tokio::test]
async fn every_front_door_hands_the_page_on() {
    let router = app(Scripted::default());
    for (target, front_door) in ["/docs", "/docs/rapidoc.js"].into_iter().flat_map(|it| ALL.map(|door| (it, door))) {
        let direct = Call::get(target).send(&router).await;
        let payload = front_door.event(&Call::get(target), false).to_string();
        let response = respond(&router, payload, std::time::Duration::from_secs(30)).await.unwrap();
        let answer = HttpAnswer::from_function(&response);
        assert!(answer.status == 200 && answer.body == direct.body, "{target} through {front_door:?}");
    }
}

#[tokio::test]
async fn other_methods_are_told_from_other_paths() {
    let router = app(Scripted::default());
    let call = |method, target: &str| Call::new(method, target);
    for (method, target, status) in [
        ("HEAD", "/docs", 200),
        ("OPTIONS", "/docs", 204),
        ("POST", "/docs", 405),
        ("GET", "/docs/", 404),
        ("GET", "/docs/../docs", 404),
    ] {
        assert_eq!(call(method, target).send(&router).await.status, status, "{method} {target}");
    }
}
