//! What is sent, the same to every subject, and what must come back.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// The size of a record's value in bytes.
pub(crate) const VALUE_BYTES: usize = 1024;
/// Keys and values repeat after so many records.
pub(crate) const DISTINCT_RECORDS: usize = 1600;
/// Partitions of the consumer's events.
const PARTITIONS: usize = 6;
/// An event as API Gateway sends it; its path, headers and body are replaced.
const EVENT: &str = include_str!("../../events/apigw-records-text.json");
pub(crate) const CONTENT_TYPE: &str = "application/vnd.kafka.json.v2+json";

/// The key of a record as Kafka gets it: JSON, as everything of this content type.
pub(crate) fn key(number: usize) -> String {
    format!("\"c-{:05}\"", number % DISTINCT_RECORDS)
}

/// The value of a record: an order of [`VALUE_BYTES`].
pub(crate) fn value(number: usize) -> String {
    let number = number % DISTINCT_RECORDS;
    let item = |item| json!({"sku": format!("sku-{item}"), "quantity": item + 1, "unit_price": 995 + number});
    let items: Vec<Value> = (0..8).map(item).collect();
    let order = |note: &str| {
        let id = format!("o-{number:05}");
        json!({"id": id, "customer_id": key(number).trim_matches('"'), "currency": "EUR", "items": items, "note": note,
            "placed_at": "2025-10-09T08:53:20Z", "total": 19_900 + number})
        .to_string()
    };
    let padding = VALUE_BYTES.saturating_sub(order("").len());
    order(&"delivery after six. ".repeat(padding.div_ceil(20))[..padding])
}

/// The body of request `request` with `records` records.
pub(crate) fn body(request: usize, records: usize) -> String {
    let numbers = request * records..(request + 1) * records;
    let records: Vec<_> = numbers.map(|n| format!(r#"{{"key":{},"value":{}}}"#, key(n), value(n))).collect();
    format!(r#"{{"records":[{}]}}"#, records.join(","))
}

/// The body as API Gateway passes it on (payload format 2.0).
pub(crate) fn gateway_event(topic: &str, request: usize, records: usize) -> Result<Vec<u8>> {
    let mut event: Value = serde_json::from_str(EVENT)?;
    let body = body(request, records);
    let path = format!("/topics/{topic}");
    event["rawPath"] = path.as_str().into();
    event["requestContext"]["http"]["path"] = path.into();
    event["requestContext"]["requestId"] = format!("JKJaX{request:010}=").into();
    let headers = event["headers"].as_object_mut().context("the sample event has headers")?;
    // These would become headers of the record, which raw librdkafka does not write.
    headers.retain(|name, _| !["idempotency-key", "traceparent", "tracestate"].contains(&name.as_str()));
    headers.insert("content-length".to_owned(), body.len().to_string().into());
    headers.insert("content-type".to_owned(), CONTENT_TYPE.into());
    event["body"] = body.into();
    Ok(event.to_string().into_bytes())
}

/// Event `number` of the event source mapping. Its offsets are its own: a consumer skips what it has seen.
pub(crate) fn mapping_event(topic: &str, number: usize, records: usize) -> Vec<u8> {
    let of_partition = records.div_ceil(PARTITIONS);
    let groups = (0..PARTITIONS).map(|partition| {
        let first = partition * of_partition;
        let records = (first..records.min(first + of_partition)).map(|record| {
            format!(
                r#"{{"topic":"{topic}","partition":{partition},"offset":{},"timestamp":1767225615000,"timestampType":"CREATE_TIME","key":"{}","value":"{}","headers":[]}}"#,
                number * of_partition + record - first,
                STANDARD.encode(key(record)),
                STANDARD.encode(value(record))
            )
        });
        format!(r#""{topic}-{partition}":[{}]"#, records.collect::<Vec<_>>().join(","))
    });
    let arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/bench/751d2973-a626-431c-9d4e-d7975eb44dd7-2";
    let servers = "b-1.bench.abcdef.c2.kafka.eu-west-1.amazonaws.com:9098";
    let groups = groups.collect::<Vec<_>>().join(",");
    format!(r#"{{"eventSource":"aws:kafka","eventSourceArn":"{arn}","bootstrapServers":"{servers}","records":{{{groups}}}}}"#)
        .into_bytes()
}

/// Fails unless a response for API Gateway has status 200 and an offset for each record.
pub(crate) fn check_gateway_response(response: &[u8], records: usize) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct GatewayResponse {
        status_code: u16,
        body: String,
    }
    let parsed: GatewayResponse = serde_json::from_slice(response).with_context(|| shown(response))?;
    ensure!(parsed.status_code == 200, "status {}: {}", parsed.status_code, parsed.body);
    check_offsets(parsed.body.as_bytes(), records)
}

/// Fails unless the body of a 200 has an offset for each record.
pub(crate) fn check_offsets(body: &[u8], records: usize) -> Result<()> {
    #[derive(Deserialize)]
    struct Offsets {
        offsets: Vec<RecordOffset>,
    }
    #[derive(Deserialize)]
    struct RecordOffset {
        offset: Option<i64>,
    }
    let Offsets { offsets } = serde_json::from_slice(body).with_context(|| shown(body))?;
    let acknowledged = offsets.iter().filter(|record| record.offset.is_some_and(|offset| offset >= 0)).count();
    ensure!(
        acknowledged == records && offsets.len() == records,
        "{acknowledged} of {records} acknowledged: {}",
        shown(body)
    );
    Ok(())
}

/// Fails unless a consumer's response reports no failed record.
pub(crate) fn check_batch_response(response: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct BatchResponse {
        #[serde(rename = "batchItemFailures")]
        failures: Vec<Value>,
    }
    match serde_json::from_slice(response) {
        Ok(BatchResponse { failures }) if failures.is_empty() => Ok(()),
        _ => bail!("not every record was handled: {}", shown(response)),
    }
}

/// The beginning of a response, for an error.
fn shown(response: &[u8]) -> String {
    String::from_utf8_lossy(&response[..response.len().min(500)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_of_one_size() {
        for number in [0, 7, DISTINCT_RECORDS - 1, DISTINCT_RECORDS * 3] {
            let value = value(number);
            assert_eq!(value.len(), VALUE_BYTES, "{value}");
            assert!(serde_json::from_str::<Value>(&value).unwrap()["items"].is_array());
        }
    }

    #[test]
    fn requests_have_the_records_that_follow_those_of_the_one_before() {
        let body: Value = serde_json::from_str(&body(3, 2)).unwrap();
        assert_eq!(body["records"].as_array().unwrap().len(), 2);
        assert_eq!((&body["records"][0]["key"], &body["records"][1]["key"]), (&json!("c-00006"), &json!("c-00007")));
        let event: Value = serde_json::from_slice(&gateway_event("bench", 0, 1).unwrap()).unwrap();
        assert_eq!((&event["rawPath"], &event["version"]), (&json!("/topics/bench"), &json!("2.0")));
        assert_eq!(event["headers"]["content-length"], event["body"].as_str().unwrap().len().to_string());
        assert!(event["headers"].get("traceparent").is_none());
    }

    #[test]
    fn no_two_events_have_an_offset_in_common() {
        let offsets = |number| {
            let event: Value = serde_json::from_slice(&mapping_event("bench", number, 20)).unwrap();
            let groups = event["records"].as_object().unwrap().clone();
            let records = groups.into_iter().flat_map(|(_, records)| records.as_array().unwrap().clone());
            records.map(|record| (record["partition"].clone(), record["offset"].clone())).collect::<Vec<_>>()
        };
        let (first, second) = (offsets(0), offsets(1));
        assert_eq!((first.len(), second.len()), (20, 20));
        assert!(first.iter().all(|offset| !second.contains(offset)));
    }

    #[test]
    fn only_success_counts() {
        let response = |status: u16, body: &str| json!({"statusCode": status, "body": body}).to_string();
        let written = r#"{"offsets":[{"partition":1,"offset":5,"error_code":null}]}"#;
        assert!(check_gateway_response(response(200, written).as_bytes(), 1).is_ok());
        let failed = r#"{"offsets":[{"partition":null,"offset":null,"error_code":50301}]}"#;
        for (response, records) in [
            (response(207, written), 1),
            (response(200, written), 2),
            (response(200, failed), 1),
            (response(200, "{}"), 1),
            ("{}".to_owned(), 1),
        ] {
            assert!(check_gateway_response(response.as_bytes(), records).is_err(), "{response}");
        }
        assert!(check_batch_response(br#"{"batchItemFailures":[]}"#).is_ok());
        for response in [r#"{"batchItemFailures":[{"itemIdentifier":{}}]}"#, "{}", "null"] {
            assert!(check_batch_response(response.as_bytes()).is_err(), "{response}");
        }
    }
}
