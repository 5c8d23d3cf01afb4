//! `docs/API.md`: each example is run as it stands, and gives the answer that stands below it; and the clients of
//! `examples/clients`, which do what the page says.

use std::process::{Command, Output};

use msk_test_kit::Process;
use serde_json::Value;

use crate::support::{Brokers, brokers, listening, producer_of};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The commands of the page, each with its answer.
fn examples() -> Vec<(String, Value)> {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/API.md")).unwrap();
    let example = |rest: &str| {
        let (command, rest) = rest.split_once("\n```\n\n```json\n").unwrap_or_else(|| panic!("no answer: {rest}"));
        let answer = rest.split("\n```").next().unwrap();
        (command.to_owned(), serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}")))
    };
    page.split("\n```sh\n").skip(1).map(example).collect()
}

/// Whether an answer is the documented one: `...` stands for any text, and offsets and times for any.
fn is_as_documented(name: &str, seen: &Value, documented: &Value) -> bool {
    match (seen, documented) {
        (Value::String(_), Value::String(any)) if any == "..." => true,
        (Value::Number(_), Value::Number(_)) if matches!(name, "offset" | "timestamp") => true,
        (Value::Object(seen), Value::Object(documented)) => {
            let same = |name: &str, value| seen.get(name).is_some_and(|own| is_as_documented(name, own, value));
            seen.len() == documented.len() && documented.iter().all(|(name, value)| same(name, value))
        }
        (Value::Array(seen), Value::Array(documented)) => {
            seen.len() == documented.len()
                && seen.iter().zip(documented).all(|(own, value)| is_as_documented(name, own, value))
        }
        _ => seen == documented,
    }
}

#[test]
fn every_example_of_the_page_has_its_answer() {
    let brokers = brokers();
    let mut producer = producer_of(&brokers);
    producer.env("TOPICS", r#"{"orders":{},"payments":{"schema":"payments.v1"}}"#);
    let (_process, address) = listening(producer.env("SCHEMAS", format!("{ROOT}/events/schemas")));
    let examples = examples();
    assert!(examples.len() >= 11, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for (command, documented) in examples {
        let Output { status, stdout, .. } =
            Command::new("sh").args(["-c", &command]).env("API", format!("http://{address}")).output().unwrap();
        let seen = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{command}\n{seen}");
        let seen = serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{error}: {command}\n{seen}"));
        if !is_as_documented("", &seen, &documented) {
            wrong.push(format!("{command}\n{seen}\nis not\n{documented}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn another_answer_is_noticed() {
    let documented = serde_json::json!({"topic": "orders", "request_id": "...", "offsets": [{"offset": 1}]});
    let with = |name: &str, value: Value| {
        let mut answer = documented.clone();
        answer[name] = value;
        is_as_documented("", &answer, &documented)
    };
    assert!(with("request_id", "r-7".into()) && with("offsets", serde_json::json!([{"offset": 9}])));
    assert!(!with("request_id", Value::Null) && !with("topic", "other".into()) && !with("more", 1.into()));
    assert!(!with("offsets", serde_json::json!([{"offset": null}])) && !with("offsets", serde_json::json!([])));
}

/// A client, and two records as it reads them.
const CLIENTS: [(&str, &str, &str); 2] = [
    ("python3", "publish.py", "{\"key\": \"c-17\", \"value\": 1}\n{\"key\": \"c-17\", \"value\": 2}\n"),
    ("sh", "publish.sh", r#"{"records": [{"key": "c-17", "value": 1}, {"key": "c-17", "value": 2}]}"#),
];

/// A client's process, with the records at its standard input.
fn start((program, script, input): (&str, &str, &str), address: &str, topic: &str, seconds: &str) -> Process {
    let script = format!("{ROOT}/examples/clients/{script}");
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"printf %s "$INPUT" | "$0" "$@""#,
        program,
        &script,
        &format!("http://{address}"),
        topic,
        seconds,
    ]);
    Process::start(program, command.env("INPUT", input))
}

/// The exit code and the answer that the client prints.
fn end(mut client: Process) -> (Option<i32>, Value) {
    let answer = client.line(|_| true);
    (client.end().code(), answer)
}

fn all(brokers: &Brokers, change: impl Fn(&Brokers, i32)) {
    (1..=3).for_each(|id| change(brokers, id));
}

/// In the compatible mode failed records come with a 200.
#[test]
fn the_clients_publish_and_repeat_what_may_be_repeated() {
    for (client, (compatibility, status)) in
        CLIENTS.into_iter().flat_map(|client| [("strict", 503), ("confluent", 200)].map(|mode| (client, mode)))
    {
        let brokers = brokers();
        let (process, address) = listening(producer_of(&brokers).env("COMPATIBILITY", compatibility));
        let publish = || start(client, &address, "orders", "120");
        let is_published = |client: Process| {
            let (code, answer) = end(client);
            assert_eq!((code, answer["offsets"].as_array().map(Vec::len)), (Some(0), Some(2)), "{answer}");
            let offsets = answer["offsets"].as_array().unwrap();
            assert!(offsets.iter().all(|result| result["offset"].is_u64()), "{compatibility}: {answer}");
        };
        is_published(publish());
        process.line(|line| line["message"] == "request");

        all(&brokers, |brokers, id| brokers.broker_down(id).unwrap());
        let client = publish();
        process.line(|line| line["status"] == status && line["failed"] == 2);
        all(&brokers, |brokers, id| brokers.broker_up(id).unwrap());
        is_published(client);
    }
}

#[test]
fn the_clients_say_what_can_never_be_written_and_when_time_is_over() {
    for client in CLIENTS {
        let brokers = brokers();
        let (_process, address) = listening(producer_of(&brokers).env("MAX_RECORD_BYTES", "4"));
        let (code, answer) = end(start(client, &address, "elsewhere", "60"));
        assert_eq!((code, &answer["error_code"]), (Some(1), &Value::from(40401)), "{client:?}: {answer}");
        let (code, answer) = end(start(client, &address, "orders", "60"));
        assert_eq!((code, &answer["error_code"]), (Some(1), &Value::from(413)), "{client:?}: {answer}");
        // Nobody listens there: no answer at all.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert_eq!(start(client, &nobody, "orders", "1").end().code(), Some(3), "{client:?}");
    }
}
