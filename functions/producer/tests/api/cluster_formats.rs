//! Formats other than Kafka REST v2's, and formats of single records: what a second client reads back, byte by byte.

use crate::calls::{Call, JSON_V2};
use crate::cloud_events::{BATCH, binary, structured};
use crate::cluster::Cluster;
use crate::formats::{BYTES, NDJSON, PLAIN};

type Bytes = Option<Vec<u8>>;
/// Key, value and headers.
type ReadBack = (Bytes, Bytes, Vec<(String, Bytes)>);
/// Content type, body, and the values it becomes.
type Case<'a> = (&'a str, &'a [u8], Vec<Option<&'a [u8]>>);

async fn written(cluster: &Cluster, call: Call) {
    let answer = cluster.send(call).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

/// Partition 1 throughout: a record without key would go anywhere, and order says which is which.
fn to_partition_1(call: Call) -> Call {
    Call { target: "/topics/orders/partitions/1".to_owned(), ..call }
}

#[tokio::test]
async fn lines_and_raw_bodies_are_read_back_byte_by_byte() {
    let cluster = Cluster::start(&[]).await;
    let cases: Vec<Case<'_>> = vec![
        (
            NDJSON,
            b"null\n\"\"\r\n\"null\"\n\n0\nfalse\n{ }\n[]",
            vec![None, Some(b"\"\""), Some(b"\"null\""), Some(b"0"), Some(b"false"), Some(b"{}"), Some(b"[]")],
        ),
        (BYTES, b"", vec![Some(b"")]),
        (BYTES, b"null", vec![Some(b"null")]),
        (BYTES, b"\0\xff\r\n", vec![Some(b"\0\xff\r\n")]),
        (PLAIN, b"", vec![Some(b"")]),
        (PLAIN, b"null", vec![Some(b"null")]),
        (PLAIN, b"0", vec![Some(b"0")]),
        (PLAIN, b"false\n", vec![Some(b"false\n")]),
    ];
    let mut expected = Vec::new();
    for (media, body, values) in cases {
        for key in [None, Some(""), Some("null"), Some("0")] {
            let mut call = Call::post("/topics/orders/partitions/1", media, body);
            if let Some(key) = key {
                call = call.header("kafka-key", key);
            }
            let answer = cluster.send(call).await;
            assert_eq!(answer.status, 200, "{media} {key:?}: {:?}", answer.body);
            let key = key.map(|key| key.as_bytes().to_vec());
            expected.extend(values.iter().map(|value| (key.clone(), value.map(<[u8]>::to_vec))));
        }
    }
    let read: Vec<_> = cluster.read(expected.len()).into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(read, expected);
}

/// What each way of writing a key or value becomes, by the record's own format; both words for strings.
const FIELDS: [(&str, &str, Option<&[u8]>); 16] = [
    ("json", "null", None),
    ("json", "\"\"", Some(b"\"\"")),
    ("json", "\"null\"", Some(b"\"null\"")),
    ("json", "0", Some(b"0")),
    ("json", "false", Some(b"false")),
    ("json", "{}", Some(b"{}")),
    ("json", "[]", Some(b"[]")),
    ("binary", "null", None),
    ("binary", "\"\"", Some(b"")),
    ("binary", "\"AA==\"", Some(b"\0")),
    ("string", "null", None),
    ("string", "\"\"", Some(b"")),
    ("string", "\"null\"", Some(b"null")),
    ("text", "\"0\"", Some(b"0")),
    ("text", "\"false\"", Some(b"false")),
    ("text", "\"\"", Some(b"")),
];

#[tokio::test]
async fn keys_and_values_of_one_record_may_have_different_formats() {
    let cluster = Cluster::start(&[]).await;
    let mut expected: Vec<(Bytes, Bytes)> = Vec::new();
    for media in [JSON_V2, "application/vnd.kafka.binary.v2+json", "application/vnd.kafka.text.v2+json"] {
        let mut records = Vec::new();
        for (key_format, key, key_bytes) in FIELDS {
            for (value_format, value, value_bytes) in FIELDS {
                let formats = format!(r#""key_format":"{key_format}","value_format":"{value_format}""#);
                // The formats stand before what they are of, or behind it.
                records.push(match records.len() % 2 {
                    0 => format!(r#"{{{formats},"key":{key},"value":{value},"partition":1}}"#),
                    _ => format!(r#"{{"key":{key},"value":{value},"partition":1,{formats}}}"#),
                });
                expected.push((key_bytes.map(<[u8]>::to_vec), value_bytes.map(<[u8]>::to_vec)));
            }
        }
        let body = format!(r#"{{"records":[{}]}}"#, records.join(","));
        written(&cluster, Call::post("/topics/orders", media, body)).await;
    }
    let read: Vec<_> = cluster.read(expected.len()).into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn cloudevents_are_read_back_byte_by_byte() {
    let cluster = Cluster::start(&[]).await;
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let mut expected: Vec<ReadBack> = Vec::new();
    for data in ["", "null", "\"\"", "0", "false", "{ }", "\0\u{7f}\r\n"] {
        for key in [None, Some("null"), Some("0")] {
            let call = to_partition_1(binary(data));
            let call = match key {
                Some(key) => call.header("ce-partitionkey", key),
                None => call,
            };
            written(&cluster, call).await;
            let mut headers = vec![
                header("ce_id", "1"),
                header("ce_source", "/s"),
                header("ce_specversion", "1.0"),
                header("ce_type", "t"),
            ];
            headers.splice(1..1, key.map(|key| header("ce_partitionkey", key)));
            let value = (!data.is_empty()).then(|| data.as_bytes().to_vec());
            expected.push((key.map(|key| key.as_bytes().to_vec()), value, headers));
        }
    }
    let headers = vec![header("content-type", "application/cloudevents+json; charset=UTF-8")];
    for data in ["null", "\"\"", "\"null\"", "0", "false", "{}", "[]"] {
        let event =
            format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"0","data":{data}}}"#);
        written(&cluster, to_partition_1(structured(event.replace(':', " : ")))).await;
        written(&cluster, to_partition_1(Call::post("", BATCH, format!("[{event}]")))).await;
        let record = (Some(b"0".to_vec()), Some(event.into_bytes()), headers.clone());
        expected.extend([record.clone(), record]);
    }
    let read: Vec<_> =
        cluster.read(expected.len()).into_iter().map(|record| (record.key, record.value, record.headers)).collect();
    assert_eq!(read, expected);
}
