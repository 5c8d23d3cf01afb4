//! Compressed requests: they become what the same request does uncompressed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_test_kit::content_coding::{CODINGS, brotli_bomb, coded, noise};
use proptest::prelude::*;
use proptest::sample::select;

use crate::arbitrary::{damage, damaged, json_text, judge, router, run};
use crate::calls::{Call, JSON_V2, Scripted, app, app_with};
use crate::cloud_events::{BATCH, LEAST, binary};
use crate::formats::{BYTES, NDJSON};

/// `{"records":[{"value":"compressed bodies are decoded, ..."}]}` by node's encoder.
const BROTLI: &str =
    "G/EEuBwHdqPPRZwZCGvfLGGESi+dPTddqoxsbCYVwsNH9sl1OcaRDoTXwNd8jaaXgQXpos0pZxTqQuPln8JG78yB2ZAvsgpKAQ==";

#[tokio::test]
async fn each_format_may_be_compressed() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let calls = [
        Call::records(r#"{"records":[{"key":"k","value":{"a":1}},{"value":null}]}"#),
        Call::post("/topics/orders/partitions/1", "application/json", r#"{"records":[{"value":1}]}"#),
        Call::post("/topics/orders", NDJSON, "1\n2"),
        Call::post("/topics/orders", BYTES, b"\0\xff"),
        Call::post("/topics/orders", BYTES, ""),
        Call::post("/topics/orders", BATCH, format!("[{LEAST}]")),
        binary("x"),
        Call::post("/messages", "application/json", "{ }"),
    ];
    for call in calls {
        publisher.clear();
        assert_eq!(call.send(&router).await.status, 200);
        let plain = publisher.records();
        for coding in CODINGS {
            let call = call.clone().header("content-encoding", coding).body(coded(coding, &call.body));
            publisher.clear();
            let answer = call.send(&router).await;
            assert_eq!(answer.status, 200, "{coding}: {:?}", answer.body);
            assert_eq!(call.invoke(&router, true).await.status, 200);
            assert_eq!(publisher.records(), [&plain[..], &plain].concat(), "{coding}");
        }
    }
    publisher.clear();
    let brotli = Call::records(STANDARD.decode(BROTLI).unwrap()).header("content-encoding", "br");
    assert_eq!(brotli.send(&router).await.status, 200);
    let text = format!("\"{}\"", "compressed bodies are decoded, ".repeat(40));
    assert_eq!(publisher.records()[0].value.as_deref(), Some(text.as_bytes()));
}

#[tokio::test]
async fn what_is_no_such_coding_is_refused_and_nothing_is_written() {
    let publisher = Scripted::default();
    let router = app(publisher.clone());
    let good = coded("gzip", br#"{"records":[{"value":1}]}"#);
    let truncated = &good[..good.len() - 1];
    let cases = [
        ("gzip", truncated, 400, "the body is not valid gzip (gzip is its Content-Encoding): it ends too early"),
        ("gzip", b"", 400, "not valid gzip"),
        ("gzip", br#"{"records":[{"value":1}]}"#, 400, "not valid gzip"),
        ("zstd", &good, 400, "not valid zstd"),
        ("br", &good, 400, "not valid br"),
        ("deflate", &good, 400, "not valid deflate"),
        ("compress", &good, 415, "Accept-Encoding lists those that are"),
        ("gzip, br", &good, 415, "more than once"),
        ("gzip, gzip", &good, 415, "more than once"),
    ];
    for (coding, body, status, says) in cases {
        let call = Call::records(body).header("content-encoding", coding);
        for answer in [call.send(&router).await, call.invoke(&router, true).await] {
            assert_eq!(answer.problem().0, status, "{coding}: {:?}", answer.body);
            assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{coding}: {:?}", answer.body);
            let accepted = (status == 415).then_some("gzip, zstd, br, deflate");
            assert_eq!(answer.header("accept-encoding"), accepted, "RFC 9110, 15.5.16");
        }
    }
    assert_eq!(publisher.records(), []);
}

#[tokio::test]
async fn a_413_has_the_numbers_of_what_was_decoded() {
    let router = app_with(&[("MAX_REQUEST_BYTES", "2097152")], Scripted::default());
    let json = |bytes: usize| format!(r#"{{"records":[{{"value":"{}"}}]}}"#, " ".repeat(bytes - 26)).into_bytes();
    let noise = noise(30_000);
    // Stored blocks have no ratio to speak of: brotli's bomb follows.
    for coding in CODINGS.into_iter().filter(|coding| *coding != "br") {
        let call = |body: &[u8]| Call::records(coded(coding, body)).header("content-encoding", coding);
        // Within the ratio, and over the limit.
        let answer = call(&[&noise[..], &json(2_097_153 - noise.len())].concat()).send(&router).await;
        let body = answer.json();
        assert_eq!(answer.problem(), (413, 413), "{coding}: {body}");
        assert_eq!((&body["limit_bytes"], &body["actual_bytes"]), (&2_097_152.into(), &2_097_153.into()), "{body}");
        assert!(body["detail"].as_str().unwrap().contains("MAX_REQUEST_BYTES"), "{body}");
        // Within the limit, and over the ratio.
        let answer = call(&json(1_048_577)).send(&router).await;
        let body = answer.json();
        assert_eq!(answer.problem(), (413, 413), "{coding}: {body}");
        assert_eq!((&body["limit_bytes"], &body["actual_bytes"]), (&1_048_576.into(), &1_048_577.into()), "{body}");
        assert!(body["detail"].as_str().unwrap().contains("100 times the "), "{body}");
        // Within both, but the record is too large.
        let answer = call(&json(1_048_576)).send(&router).await;
        assert_eq!((answer.problem(), &answer.json()["index"]), ((413, 413), &0.into()), "{coding}");
    }
    for (bomb, limit) in [(brotli_bomb(&noise), 2_097_152), (brotli_bomb(b""), 1_048_576)] {
        let answer = Call::records(bomb).header("content-encoding", "br").send(&router).await;
        let body = answer.json();
        assert_eq!((&body["limit_bytes"], &body["actual_bytes"]), (&limit.into(), &(limit + 1).into()), "{body}");
    }
    let answer = Call::post("/topics/orders", JSON_V2, vec![0; 2_097_153]).header("content-encoding", "gzip");
    let body = answer.send(&router).await.json();
    assert_eq!((&body["limit_bytes"], &body["actual_bytes"]), (&2_097_152.into(), &2_097_153.into()), "before: {body}");
}

#[test]
fn arbitrary_compressed_bodies() {
    let (publisher, router) = router();
    let body = json_text().prop_map(|value| format!(r#"{{"records":[{{"value":{value}}}]}}"#).into_bytes());
    let case =
        (select(CODINGS.to_vec()), select(vec!["gzip", "zstd", "deflate", "br", "", "", "", ""]), body, damage());
    run("compressed bodies", 12_000, case, |runtime, (coding, said, body, damage), shares| {
        publisher.clear();
        let said = if said.is_empty() { coding } else { said };
        let sent = damaged(coded(coding, &body), &damage);
        let answer = runtime.block_on(Call::records(sent).header("content-encoding", said).send(&router));
        shares.note(Some(&answer));
        judge(&answer)?;
        prop_assert!(answer.status == 200 || publisher.records().is_empty());
        if damage.is_empty() && said == coding {
            prop_assert_eq!(answer.status, runtime.block_on(Call::records(body).send(&router)).status);
        }
        Ok(())
    });
}
