//! The page `GET /docs` in a browser, which `WebDriver` (<https://www.w3.org/TR/webdriver2/>) steers.

use std::process::Command;

use msk_test_kit::Process;
use serde_json::{Value, json};

use crate::support::{brokers, exchange, server};

/// The driver, which ends its browser when it ends.
struct Browser {
    _driver: Process,
    address: String,
    session: String,
}

impl Browser {
    fn start(folder: &std::path::Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let log = folder.join("driver.log");
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", address.port())).arg(format!("--log-path={}", log.display()));
        let driver = Process::start("chromedriver", &mut command);
        driver.text_line("ChromeDriver was started successfully");
        let mut browser = Self { _driver: driver, address: address.to_string(), session: String::new() };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let options = json!({"args": arguments, "perfLoggingPrefs": {"enableNetwork": true}});
        let wanted =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}});
        let session = browser.ask("", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "POST /session{}{path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}",
            self.session,
            self.address,
            body.len()
        );
        let (status, _, answer) = exchange(&self.address, &format!("{head}\r\n\r\n{body}"));
        assert_eq!(status, 200, "{path}: {answer}");
        answer["value"].clone()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.ask("/se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }
}

/// Waits until the page shows something for each operation, at most 20 s; then the texts of their headings.
const SHOWN: &str = "
    const done = arguments[arguments.length - 1], until = Date.now() + 20000;
    const look = () => {
        const root = document.querySelector('rapi-doc').shadowRoot;
        const found = root ? [...root.querySelectorAll('[id^=get-], [id^=post-]')].map(it => it.id) : [];
        if (found.length >= arguments[0] || Date.now() > until) done(found); else setTimeout(look, 50);
    };
    look();";

#[test]
#[ignore = "needs Chromium; stage `docs-page` runs it"]
#[allow(clippy::print_stdout, reason = "a test prints its figures")]
fn the_page_shows_every_operation_and_asks_no_other_site() {
    let folder = tempfile::tempdir().unwrap();
    let brokers = brokers();
    let (_producer, address) = server(&brokers, &[]);
    let document: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
    let operations: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            ["get", "post"].into_iter().filter(|it| item.get(it).is_some()).map(move |it| format!("{it}-{path}"))
        })
        .collect();
    let browser = Browser::start(folder.path());
    browser.ask("/url", &json!({"url": format!("http://{address}/docs")}));
    let shown = browser.ask("/execute/async", &json!({"script": SHOWN, "args": [operations.len()]}));
    let shown: Vec<&str> = shown.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(shown.len() >= operations.len(), "{shown:#?} of {operations:#?}");

    let own = format!("http://{address}/");
    let mut asked = Vec::new();
    for entry in browser.log("performance") {
        let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        if event["message"]["method"] == "Network.requestWillBeSent" {
            asked.push(event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned());
        }
    }
    println!("{} operations shown; asked for {asked:?}", shown.len());
    for url in ["docs", "docs/rapidoc.js", "openapi.json"] {
        assert!(asked.contains(&format!("{own}{url}")), "{url} is not in {asked:?}");
    }
    let elsewhere: Vec<&String> =
        asked.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let complaints: Vec<Value> = browser
        .log("browser")
        .into_iter()
        .filter(|entry| !entry["message"].to_string().contains("favicon.ico"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
