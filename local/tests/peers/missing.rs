//! Handlers that are not where their name says: an error of each invocation, as on AWS.

use msk_local::brokers::EmbeddedBrokers;
use serde_json::json;

use super::interface_emulator::InterfaceEmulator;
use super::outcomes::{ONE_RETRY, drained};
use super::runtimes::Language;
use super::support::{Written, committed, drain, finished, invocations, send};

/// A handler, and the error that says what is missing.
const MISSING: [(&str, &str); 2] = [
    ("absent.handler", "Runtime.ImportModuleError: Unable to import module 'absent'"),
    ("orders.absent", "Runtime.HandlerNotFound: Handler 'absent' missing on module 'orders'"),
];

/// Each attempt ends with this error. Then the record is given up, and a function that is there gets the next one.
fn ends_each_attempt(url: &str, error: &str) {
    let brokers = EmbeddedBrokers::start(&[]).unwrap();
    let (lines, printed, code) = drained(&brokers, url, "orders", &["ok"], ONE_RETRY);
    assert_eq!((lines.len(), code), (2, 4), "{printed}");
    for line in lines {
        assert_eq!(line["outcome"], "function_error", "{printed}");
        assert!(line["detail"].as_str().unwrap().starts_with(error), "{printed}");
    }
    assert_eq!(committed(&brokers, "orders", 1), [1]);
    send(&brokers, "orders", &[(0, Written { value: Some(br#"{"do": "ok"}"#), ..Written::default() })]);
    let function = Language::Python.endpoint();
    let (lines, code) = finished("msk-local", &mut drain(&brokers, &function.url, "orders", ONE_RETRY));
    let [line] = invocations(&lines).try_into().unwrap();
    assert_eq!((&line["outcome"], &line["offsets"], code), (&json!("done"), &json!("orders-0@1"), 0));
    assert_eq!(committed(&brokers, "orders", 1), [2]);
}

#[test]
#[ignore = "needs awslambdaric; stage `peers` runs it"]
fn a_missing_module_or_function_is_an_error_of_each_attempt() {
    for (handler, error) in MISSING {
        ends_each_attempt(&Language::Python.endpoint_for(handler).url, error);
    }
}

#[test]
#[ignore = "needs awslambdaric and AWS's runtime interface emulator; stage `peers` runs it"]
fn it_is_the_same_behind_the_runtime_interface_emulator() {
    for (handler, error) in MISSING {
        ends_each_attempt(&InterfaceEmulator::start(&Language::Python.function(handler)).url, error);
    }
}
