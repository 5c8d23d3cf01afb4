//! Each range of AWS's with its lowest and highest value, the values beside it, and what is said of them. The numbers are written
//! here once more, from the source that each row names.

use serde_json::{Value, json};

use super::super::document::MappingDocument;
use super::{InvalidMapping, Strictness, validate};

const API: &str = "docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html";
const POLLERS: &str = "docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html";
const GROUP: &str = "docs.aws.amazon.com/lambda/latest/api/API_AmazonManagedKafkaEventSourceConfig.html";
const FILTERING: &str = "docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html";
const MSK: &str = "docs.aws.amazon.com/lambda/latest/dg/with-msk-configure.html";
/// No limit of AWS's.
const OWN: &str = "the emulator";
const NAMES: &str = "org.apache.kafka.common.internals.Topic";

/// A member, the values that it takes, those that it does not and what is said of all of them, and the source.
type Row = (&'static str, Vec<Value>, Vec<Value>, &'static str, &'static str);

/// The smallest mapping with everything that needs provisioned mode allowed, and this member.
fn mapping(member: &str, value: &Value) -> MappingDocument {
    let mut document = json!({
        "FunctionName": "fn", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "ProvisionedPollerConfig": {},
    });
    let mut place = &mut document;
    for part in member.split('.') {
        place = &mut place[part];
    }
    *place = value.clone();
    MappingDocument::from_object(document.as_object().unwrap().clone())
}

/// What is said of the member.
fn told(member: &str, value: &Value, strictness: Strictness) -> Vec<String> {
    match validate(&mapping(member, value), strictness) {
        Ok(_) => Vec::new(),
        Err(InvalidMapping(problems)) => problems,
    }
}

fn texts(lengths: &[usize]) -> Vec<Value> {
    lengths.iter().map(|length| "x".repeat(*length).into()).collect()
}

fn lists(lengths: &[usize], of: &Value) -> Vec<Value> {
    lengths.iter().map(|length| vec![of.clone(); *length].into()).collect()
}

fn numbers() -> Vec<Row> {
    let row = |member, takes: &[i64], refuses: &[i64], told, source| {
        (member, takes.iter().map(|n| json!(n)).collect(), refuses.iter().map(|n| json!(n)).collect(), told, source)
    };
    vec![
        row("BatchSize", &[1, 10_000], &[-1, 0, 10_001, i64::MAX], "must be from 1 to 10000", API),
        row("MaximumBatchingWindowInSeconds", &[0, 300], &[-1, 301], "must be from 0 to 300", API),
        row("MaximumRetryAttempts", &[-1, 0, 10_000], &[-2, 10_001], "must be from -1 to 10000", API),
        row(
            "MaximumRecordAgeInSeconds",
            &[-1, 60, 604_800],
            &[-2, 0, 59, 604_801],
            "must be -1 (no limit) or from 60 to 604800",
            API,
        ),
        row("ProvisionedPollerConfig.MinimumPollers", &[1, 200], &[0, 201], "must be from 1 to 200", POLLERS),
        row("ProvisionedPollerConfig.MaximumPollers", &[1, 2000], &[0, 2001], "must be from 1 to 2000", POLLERS),
    ]
}

fn others() -> Vec<Row> {
    let pattern = |length: usize| {
        let without_text = r#"{"value":[""]}"#.len();
        json!({"Filters": [{"Pattern": format!(r#"{{"value":["{}"]}}"#, "x".repeat(length - without_text))}]})
    };
    let filters = |count| json!({"Filters": lists(&[count], &json!({"Pattern": r#"{"value":["a"]}"#}))[0]});
    let seconds = |values: &[f64]| values.iter().map(|n| json!(n)).collect();
    let group = "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId";
    vec![
        ("FunctionName", texts(&[1, 64]), texts(&[0, 65]), "1 to 64 letters", API),
        ("Topics", lists(&[1], &json!("t")), lists(&[0, 2], &json!("t")), "exactly one topic", API),
        (
            "Topics",
            vec![texts(&[1]).into(), texts(&[249]).into()],
            vec![texts(&[250]).into()],
            "the limit is 249",
            NAMES,
        ),
        (group, texts(&[1, 200]), texts(&[0, 201]), "must be 1 to 200 characters", GROUP),
        (
            group,
            vec![json!("aZ09-/*:_+=.@ ")],
            vec![json!("a,b"), json!("a#b"), json!("grüße")],
            "of [a-zA-Z0-9-/*:_+=.@ ]",
            GROUP,
        ),
        (
            "ProvisionedPollerConfig.PollerGroupName",
            vec![json!("aZ09-_")],
            vec![json!("a.b"), json!("a b")],
            "letters, digits, `-` and `_`",
            POLLERS,
        ),
        (
            "ProvisionedPollerConfig.PollerGroupName",
            texts(&[0, 128]),
            texts(&[129]),
            "must be at most 128 letters, digits",
            POLLERS,
        ),
        (
            "SelfManagedEventSource.Endpoints.KAFKA_BOOTSTRAP_SERVERS",
            lists(&[1, 10], &json!("b:9092")),
            lists(&[0, 11], &json!("b:9092")),
            "a list of 1 to 10 brokers",
            API,
        ),
        ("FilterCriteria", vec![filters(0), filters(10)], vec![filters(11)], "Lambda takes 10 at most", FILTERING),
        (
            "FilterCriteria",
            vec![pattern(4096)],
            vec![pattern(4097)],
            "has 4097 characters, and Lambda takes 4096",
            FILTERING,
        ),
        (
            "Local.functionTimeoutSeconds",
            seconds(&[0.001, 840.0]),
            seconds(&[840.001, 5400.0]),
            "840 seconds that AWS",
            MSK,
        ),
        (
            "Local.functionTimeoutSeconds",
            Vec::new(),
            seconds(&[0.0, -1.0, 5400.001]),
            "must be from 0.001 to 5400 seconds",
            "botocore's model of Invoke",
        ),
        (
            "Local.firstInvocationTimeoutSeconds",
            seconds(&[0.001, 86_400.0]),
            seconds(&[0.0, -1.0, 86_400.001, 1e20]),
            "must be from 0.001 to 86400 seconds",
            OWN,
        ),
        (
            "Local.startupGraceSeconds",
            seconds(&[0.0, 86_400.0]),
            seconds(&[-0.001, 86_400.001, 1e20]),
            "must be from 0 to 86400 seconds",
            OWN,
        ),
    ]
}

#[test]
fn each_range_takes_its_ends_and_refuses_what_lies_beside_them() {
    for (member, takes, refuses, expected, source) in numbers().into_iter().chain(others()) {
        let shown = |value: &Value| value.to_string().chars().take(80).collect::<String>();
        for value in takes {
            let problems = told(member, &value, Strictness::Strict);
            assert!(problems.is_empty(), "{member} = {}, see {source}: {problems:?}", shown(&value));
        }
        for value in refuses {
            let problems = told(member, &value, Strictness::Strict);
            let [problem] = problems.as_slice() else { panic!("{member} = {}: {problems:?}", shown(&value)) };
            assert!(problem.contains(expected), "{member} = {}, see {source}: {problem}", shown(&value));
            let (first, flag) = (member.split('.').next().unwrap(), problem.contains(" (--"));
            assert!(problem.starts_with(first) || member.ends_with(".ConsumerGroupId"), "{problem} names its member");
            assert!(flag, "{problem} names the flag");
        }
    }
}

#[test]
fn what_aws_may_have_raised_is_a_warning_in_a_lenient_run() {
    let member = "Local.functionTimeoutSeconds";
    let lenient = validate(&mapping(member, &json!(1800)), Strictness::Lenient).unwrap();
    assert_eq!(lenient.local.function_timeout.as_secs(), 1800);
    assert!(lenient.warnings.iter().any(|warning| warning.contains("840 seconds")), "{:?}", lenient.warnings);
    assert!(!told(member, &json!(5401), Strictness::Lenient).is_empty(), "no invocation lasts longer");
    for (member, _, refuses, ..) in numbers() {
        assert!(!told(member, &refuses[0], Strictness::Lenient).is_empty(), "{member}: a range is no mode rule");
    }
}

#[test]
fn the_fewest_pollers_are_not_more_than_the_most() {
    let pollers = |minimum, maximum| json!({"MinimumPollers": minimum, "MaximumPollers": maximum});
    assert!(told("ProvisionedPollerConfig", &pollers(3, 3), Strictness::Strict).is_empty());
    let problems = told("ProvisionedPollerConfig", &pollers(4, 3), Strictness::Strict);
    assert!(problems[0].contains("MinimumPollers (4) must not be above MaximumPollers (3)"), "{problems:?}");
}
