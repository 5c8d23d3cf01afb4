//! The reader against examples, and against `serde_json` as an independent reader.

use super::*;
use proptest::prelude::*;

fn compact(text: &str) -> Result<String, SyntaxError> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let mut reader = Reader::new(&body)?;
    let value = reader.compact()?;
    reader.end()?;
    Ok(String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn white_space_and_needless_escapes_go_and_the_rest_stays() {
    let cases = [
        ("0", "0"),
        (" -0.10e+05 ", "-0.10e+05"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("{\"b\" : 1 ,\n\t\"a\":[ 1 , 2,3 ]}", "{\"b\":1,\"a\":[1,2,3]}"),
        ("[ ]", "[]"),
        ("{ }", "{}"),
        (r#""\u00e9\/\u0022\u005c\u000A\u0001\u001F""#, "\"é/\\\"\\\\\\n\\u0001\\u001f\""),
        (r#""\uD83D\uDE00""#, "\"😀\""),
        (r#"{"\u0061" : {"b" : "\u0062"} }"#, r#"{"a":{"b":"b"}}"#),
        ("\" a  b \"", "\" a  b \""),
        ("null", "null"),
        ("\"null\"", "\"null\""),
        ("\u{feff}{ \"a\": 1 }", "{\"a\":1}"),
        ("\u{feff} \"\u{feff}\"", "\"\u{feff}\""),
        ("1e308", "1e308"),
        ("-1.7976931348623157e+308", "-1.7976931348623157e+308"),
        ("1e-999", "1e-999"),
        ("0e999", "0e999"),
    ];
    for (text, kept) in cases {
        assert_eq!(compact(text).as_deref(), Ok(kept), "{text}");
    }
}

#[test]
fn a_value_that_is_compact_already_is_a_slice_of_the_body() {
    let body = Bytes::from_static(b" {\"a\":[1,\"x\"]} ");
    let value = Reader::new(&body).unwrap().compact().unwrap();
    assert_eq!(value.as_ptr(), body[1..].as_ptr());
}

#[test]
fn text_that_is_not_json_is_refused_with_its_place() {
    let cases = [
        ("", "the text ends where a value is expected at byte 0"),
        ("  ", "the text ends where a value is expected at byte 2"),
        ("{\"a\":1", "the text ends within an array or object at byte 6"),
        ("{\"a\"", "expected `:` at byte 4"),
        ("{\"a\":1,}", "expected a string at byte 7"),
        ("{a:1}", "expected a string at byte 1"),
        ("[1,]", "expected a value at byte 3"),
        ("[1 2]", "expected `,` or the end of the array or object at byte 3"),
        ("01", "unexpected text after the value at byte 1"),
        ("1.", "expected a digit at byte 2"),
        ("-", "expected a digit at byte 1"),
        ("1e", "expected a digit at byte 2"),
        ("1e400", "a number is out of range: it must fit a 64-bit float, up to about 1.8e308, at byte 0"),
        ("{\"a\":-1e999}", "a number is out of range: it must fit a 64-bit float, up to about 1.8e308, at byte 5"),
        ("[1.8e+308]", "a number is out of range: it must fit a 64-bit float, up to about 1.8e308, at byte 1"),
        ("1E99999999999", "a number is out of range: it must fit a 64-bit float, up to about 1.8e308, at byte 0"),
        ("NaN", "expected a value at byte 0"),
        ("nul", "expected a value at byte 0"),
        ("'a'", "expected a value at byte 0"),
        ("\"a", "the text ends within a string at byte 2"),
        ("\"a\nb\"", "a control character in a string must be escaped at byte 2"),
        ("\"\\x\"", "an unknown escape in a string at byte 1"),
        ("\"\\u12\"", "\\u needs four hexadecimal digits at byte 1"),
        ("\"\\u+123\"", "\\u needs four hexadecimal digits at byte 1"),
        ("\"\\ud800\"", "an unpaired surrogate in a string at byte 7"),
        ("\"\\ud800\\u0041\"", "an unpaired surrogate in a string at byte 13"),
        ("\"\\udc00\"", "an unpaired surrogate in a string at byte 7"),
        ("{\"a\":1,\"a\":2}", "a member name appears twice in one object at byte 7"),
        ("{\"a\":1,\"\\u0061\":2}", "a member name appears twice in one object at byte 7"),
        ("[{\"x\":{\"k\":1,\"k\":1}}]", "a member name appears twice in one object at byte 13"),
        ("1 1", "unexpected text after the value at byte 2"),
        ("\u{feff}", "the text ends where a value is expected at byte 3"),
        ("\u{feff}\u{feff}1", "expected a value at byte 3"),
        ("[\u{feff}1]", "expected a value at byte 1"),
    ];
    for (text, error) in cases {
        assert_eq!(compact(text).map_err(|e| e.to_string()), Err(error.to_owned()), "{text}");
    }
}

#[test]
fn a_long_number_is_judged_by_its_size() {
    assert!(compact(&"9".repeat(308)).is_ok());
    for text in ["9".repeat(400), format!("-{}", "1".repeat(310)), format!("{}e9", "1".repeat(301))] {
        assert!(compact(&text).unwrap_err().what.contains("out of range"), "{text}");
    }
    assert!(compact(&format!("{}e-90", "9".repeat(390))).is_ok());
    assert!(compact(&format!("0.{}1", "0".repeat(400))).is_ok());
}

#[test]
fn the_same_name_in_different_objects_is_no_duplicate() {
    assert!(compact(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#).is_ok());
}

#[test]
fn a_duplicate_among_many_members_is_found() {
    let members: Vec<String> = (0..5_000).map(|n| format!("\"m{n}\":{n}")).collect();
    assert!(compact(&format!("{{{}}}", members.join(","))).is_ok());
    let doubled = format!("{{{},\"m7\":0}}", members.join(","));
    assert_eq!(compact(&doubled).unwrap_err().what, "a member name appears twice in one object");
}

#[test]
fn nesting_is_bounded_at_128() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(compact(&nested(128)).is_ok());
    for depth in [129, 10_000, 1_000_000] {
        assert_eq!(compact(&nested(depth)).unwrap_err().what, "nesting deeper than 128 levels", "{depth}");
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(compact(&objects).unwrap_err().what, "nesting deeper than 128 levels");
    // Siblings are not depth.
    assert!(compact(&format!("[{}[]]", "[[]],".repeat(1_000))).is_ok());
}

/// JSON text with white space, escapes and numbers of every form.
fn json_text() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec!["", " ", "\n", "\t \r"]);
    let string = prop::collection::vec(
        prop_oneof![
            "[a-zA-Z0-9 가é😀/]{0,4}".prop_map(|s| s),
            prop::sample::select(vec![r#"\""#, r"\\", r"\/", r"\n", r"\u0041", r"\u0007", r"\uD83D\uDE00", r"\u00e9"])
                .prop_map(str::to_owned),
        ],
        0..4,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let number = "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
        number.prop_map(|n| n),
        string.clone(),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let item = (space.clone(), inner.clone(), space.clone()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = (space.clone(), string.clone(), space.clone(), inner, space.clone());
        let member = member.prop_map(|(a, n, b, v, c)| format!("{a}{n}{b}:{v}{c}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is kept means the same to another reader, and keeping it once more changes nothing.
    #[test]
    fn a_kept_value_means_what_was_written(text in json_text()) {
        match compact(&text) {
            Ok(kept) => {
                let before: serde_json::Value = serde_json::from_str(&text).unwrap();
                let after: serde_json::Value = serde_json::from_str(&kept).unwrap();
                prop_assert_eq!(before, after);
                prop_assert!(kept.len() <= text.len());
                let again = compact(&kept);
                prop_assert_eq!(again.as_ref(), Ok(&kept));
            }
            Err(error) if error.what.contains("twice") => {}
            Err(error) => {
                prop_assert!(error.what.contains("out of range"), "{}", error);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text);
            }
        }
    }

    /// Damage of one byte: whatever is accepted, `serde_json` accepts too, and the other way round but for duplicates.
    #[test]
    fn damaged_text_is_judged_as_serde_json_judges_it(text in json_text(), at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let mut bytes = text.into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(text) = String::from_utf8(bytes) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            match compact(&text) {
                Ok(_) => prop_assert!(theirs.is_ok(), "{}", text),
                Err(error) if error.what.contains("twice") => {}
                Err(error) if error.what.contains("surrogate") || error.what.contains("out of range") => {}
                Err(error) => prop_assert!(theirs.is_err(), "{text}: {error}"),
            }
        }
    }
}
