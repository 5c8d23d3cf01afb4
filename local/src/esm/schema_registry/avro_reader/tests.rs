//! Data of every type, and data that is wrong.

use proptest::prelude::*;

use super::super::avro_schema::AvroSchema;
use super::*;

const LIMIT: usize = 100_000;
const NODE: &str =
    r#"{"type":"record","name":"Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","Node"]}]}"#;
const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"z","type":"long"},
    {"name":"a","type":["null","string"],"default":null},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"span","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}}]}"#;
const ORDER_DATA: &str = "0e0202780404d280a0abfef962b8b3024837663030303030312d303030302d343030302d383030302d\
                          303030303030303030303031010000000200000003000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn json(schema: &str, data: &[u8]) -> Result<String, AvroError> {
    let schema = AvroSchema::parse([], schema).unwrap();
    to_json(&schema, data, LIMIT).map(|json| String::from_utf8(json).unwrap())
}

/// The data is what Apache Avro 1.12.0 for Java writes for these values.
#[test]
fn every_type_becomes_standard_json() {
    let cases = [
        (r#""null""#, "", "null"),
        (r#""boolean""#, "01", "true"),
        (r#""int""#, "ffffffff0f", "-2147483648"),
        (r#""int""#, "feffffff0f", "2147483647"),
        (r#""long""#, "ffffffffffffffffff01", "-9223372036854775808"),
        (r#""long""#, "feffffffffffffffff01", "9223372036854775807"),
        (r#""long""#, "d804", "300"),
        (r#""float""#, "cdcccc3d", "0.1"),
        (r#""float""#, "b11a02e1", "-1.5e+20"),
        (r#""double""#, "9a9999999999b93f", "0.1"),
        (r#""double""#, "9c7500883ce4377e", "1e+300"),
        (r#""string""#, "226772c3bcc39f6520002220e697a5e69cac", r#""grüße \u0000\" 日本""#),
        (r#"{"type":"array","items":"bytes"}"#, "040800ff22610000", r#"["\u0000ÿ\"a",""]"#),
        (r#"{"type":"fixed","name":"F","size":3}"#, "0180e9", "\"\\u0001\u{80}é\""),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, "02", r#""B""#),
        (r#"["null","string","long"]"#, "00", "null"),
        (r#"["null","string","long"]"#, "020278", r#""x""#),
        (r#"["null","string","long"]"#, "0401", "-1"),
        (r#"{"type":"array","items":["null","int"]}"#, "0402020000", "[1,null]"),
        (r#"{"type":"map","values":"long"}"#, "0402610402620200", r#"{"a":2,"b":1}"#),
        (
            r#"{"type":"map","values":{"type":"array","items":"string"}}"#,
            "0404c3a902023100027a0000",
            r#"{"é":["1"],"z":[]}"#,
        ),
        (r#"{"type":"record","name":"R","fields":[]}"#, "", "{}"),
        (NODE, "02020400", r#"{"v":1,"next":{"v":2,"next":null}}"#),
        (
            ORDER,
            ORDER_DATA,
            concat!(
                r#"{"z":7,"a":"x","price":"\u0004Ò","at":1700000000000,"day":19676,"#,
                r#""id":"7f000001-0000-4000-8000-000000000001","#,
                r#""span":"\u0001\u0000\u0000\u0000\u0002\u0000\u0000\u0000\u0003\u0000\u0000\u0000"}"#
            ),
        ),
    ];
    for (schema, data, expected) in cases {
        assert_eq!(json(schema, &bytes(data)).as_deref(), Ok(expected), "{schema} {data}");
    }
}

#[test]
fn blocks_may_say_their_length_and_come_in_pieces() {
    // [1, 2] as a block of -2 items in 2 bytes, and as two blocks of one item.
    for data in ["0304020400", "0202020400"] {
        assert_eq!(json(r#"{"type":"array","items":"int"}"#, &bytes(data)).as_deref(), Ok("[1,2]"), "{data}");
    }
}

#[test]
fn numbers_that_json_lacks_are_texts() {
    let float = |number: f64| json(r#""double""#, &number.to_le_bytes()).unwrap();
    assert_eq!(
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(float),
        [r#""NaN""#, r#""Infinity""#, r#""-Infinity""#]
    );
    assert_eq!(json(r#""float""#, &f32::NAN.to_le_bytes()).as_deref(), Ok(r#""NaN""#));
}

/// What Confluent's serialisers do.
#[test]
fn a_schema_that_is_bytes_alone_has_no_length_before_its_data() {
    assert_eq!(json(r#""bytes""#, b"\x06ab").as_deref(), Ok(r#""\u0006ab""#));
}

#[test]
fn data_that_is_not_what_its_schema_says_is_refused() {
    let cases: [(&str, &[u8], AvroError); 12] = [
        (r#""boolean""#, &[2], AvroError::Boolean(0)),
        (r#""int""#, &bytes("feffffffffffffffff01"), AvroError::Number(0)),
        (r#""long""#, &[0xff; 11], AvroError::Number(0)),
        (r#""long""#, &bytes("ffffffffffffffffff03"), AvroError::Number(0)),
        (r#""string""#, &[4, 0xff, 0xfe], AvroError::Utf8(1)),
        (r#""string""#, &[1], AvroError::Length(0)),
        (r#""string""#, &[6, b'a'], AvroError::Truncated("string")),
        (r#""string""#, &bytes("feffffffffffffffff01"), AvroError::Length(9)),
        (r#"["null","int"]"#, &[4], AvroError::Index { what: "branches of the union", index: 2, known: 2 }),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#,
            &[1],
            AvroError::Index { what: "symbols of the enum", index: -1, known: 1 },
        ),
        (r#""int""#, &[2, 2], AvroError::Trailing(1)),
        (r#"{"type":"array","items":"null"}"#, &bytes("feffffffffffffffff0100"), AvroError::TooLarge(LIMIT)),
    ];
    for (schema, data, expected) in cases {
        match (json(schema, data).unwrap_err(), &expected) {
            // Whether a length is longer than the data or than memory.
            (AvroError::Truncated(_), AvroError::Length(9)) => {}
            (error, expected) => assert_eq!(error, *expected, "{schema} {data:?}"),
        }
    }
}

#[test]
fn every_shorter_piece_of_a_value_is_truncated() {
    let data = bytes(ORDER_DATA);
    for length in 0..data.len() {
        assert!(matches!(json(ORDER, &data[..length]), Err(AvroError::Truncated(_))), "{length} bytes");
    }
}

#[test]
fn depth_has_a_bound_and_needs_no_data() {
    let deep = |nodes: usize| [[2, 2].repeat(nodes), vec![2, 0]].concat();
    assert!(json(NODE, &deep(100)).is_ok());
    assert_eq!(json(NODE, &deep(1_000_000)), Err(AvroError::TooDeep));
    let endless = r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#;
    assert_eq!(json(endless, &[]), Err(AvroError::TooDeep));
}

proptest! {
    #[test]
    fn any_data_is_json_or_refused(data in prop::collection::vec(any::<u8>(), 0..200), which in 0_usize..5) {
        let schema = [
            ORDER,
            NODE,
            r#"{"type":"map","values":{"type":"array","items":["null","double","string"]}}"#,
            r#"{"type":"array","items":{"type":"map","values":"float"}}"#,
            r#"["bytes","boolean","int"]"#,
        ][which];
        if let Ok(text) = json(schema, &data) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }
}
