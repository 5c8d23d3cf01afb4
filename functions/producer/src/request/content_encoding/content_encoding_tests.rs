use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_test_kit::content_coding::{self, bare_deflate, brotli_bomb, noise};
use proptest::prelude::{ProptestConfig, prop_assert};

const LIMIT: usize = 4 << 20;

fn coded(coding: ContentEncoding, body: &[u8]) -> Vec<u8> {
    content_coding::coded(coding.name(), body)
}

const CODINGS: [ContentEncoding; 4] =
    [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Brotli, ContentEncoding::Deflate];

fn decoded(coding: ContentEncoding, body: Vec<u8>, limit_bytes: usize) -> Result<Vec<u8>, (FaultKind, String)> {
    let decoded = coding.decode(Bytes::from(body), limit_bytes);
    decoded.map(|body| body.to_vec()).map_err(|faults| (faults.kind, faults.summary()))
}

/// 1266 bytes by another implementation (node's), each for a window of another size.
const BROTLI_TEXT: [&str; 4] = [
    "oYgnwOU4sBt9LuLMQFj7ZgkjVHrp7LnpUmVkYzOpEB4+sk+uyzGOdCC8Br7mazS9DCxIF21OOaNQFxov/xQ2emcOzIZ8kVVQCg==",
    "gYgnwOU4sBt9LuLMQFj7ZgkjVHrp7LnpUmVkYzOpEB4+sk+uyzGOdCC8Br7mazS9DCxIF21OOaNQFxov/xQ2emcOzIZ8kVVQCg==",
    "G/EEuBwHdqPPRZwZCGvfLGGESi+dPTddqoxsbCYVwsNH9sl1OcaRDoTXwNd8jaaXgQXpos0pZxTqQuPln8JG78yB2ZAvsgpKAQ==",
    "H/EEuBwHdqPPRZwZCGvfLGGESi+dPTddqoxsbCYVwsNH9sl1OcaRDoTXwNd8jaaXgQXpos0pZxTqQuPln8JG78yB2ZAvsgpKAQ==",
];

/// 5 MiB of zeros by node, for windows of 256 KiB, 4 MiB and 16 MiB.
const BROTLI_BOMBS: [&str; 3] = [
    "o///g38CIB4LBHLvD/T/f/BPAMRhEYDu/YH+/w/+CYA4LADQvT/Q///BPwEQhwUAuvcH+v8/+CcA4rAAQPf+QP//B/8EQBwWAOjeH+j//+CfAIjDAgDd+wP9/x/8EwBxWACge3+g//+DfwIgDgsAdO8P6v//8E8AxGEBgO79AQ==",
    "m///T/gnAOKxQCD3/gk=",
    "n///T/gnAOKxQCD3/gk=",
];

#[test]
fn bodies_are_decoded_up_to_the_limit() {
    for coding in CODINGS {
        for size in [0, 1, 65_536, 65_537, LIMIT - 1, LIMIT] {
            let body = noise(size);
            // Not coded more tightly, noise is larger than it was.
            assert!(decoded(coding, coded(coding, &body), LIMIT).unwrap() == body, "{coding:?} {size}");
        }
        let over = coded(coding, &noise(LIMIT + 1));
        let (kind, detail) = decoded(coding, over, LIMIT).unwrap_err();
        assert_eq!(kind, FaultKind::TooLarge);
        assert!(detail.contains("more than 4194304 bytes, which is the limit (MAX_REQUEST_BYTES)"), "{detail}");
    }
}

#[test]
fn text_of_another_implementation_is_decoded() {
    let text = format!(r#"{{"records":[{{"value":"{}"}}]}}"#, "compressed bodies are decoded, ".repeat(40));
    for base64 in BROTLI_TEXT {
        let body = decoded(ContentEncoding::Brotli, STANDARD.decode(base64).unwrap(), LIMIT).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), text);
    }
}

#[test]
fn bombs_are_refused_with_numbers() {
    let zeros = vec![0; 5 << 20];
    let mut bombs: Vec<_> = CODINGS.map(|coding| (coding, coded(coding, &zeros))).to_vec();
    bombs.extend(BROTLI_BOMBS.map(|base64| (ContentEncoding::Brotli, STANDARD.decode(base64).unwrap())));
    bombs.push((ContentEncoding::Brotli, brotli_bomb(&noise(60_000))));
    for (coding, bomb) in bombs {
        let size = bomb.len();
        let room = LIMIT.min(1_048_576.max(100 * size));
        let faults = coding.decode(Bytes::from(bomb), LIMIT).unwrap_err();
        assert_eq!(faults.kind, FaultKind::TooLarge, "{coding:?}");
        let oversize = faults.oversize.unwrap();
        assert_eq!((oversize.limit_bytes, oversize.actual_bytes), (room, room + 1), "{coding:?} of {size} bytes");
        if room < LIMIT {
            assert!(faults.summary().contains(&format!("100 times the {size} bytes")), "{}", faults.summary());
        }
    }
}

/// Up to 1 MiB any ratio is right, and up to 100 any size.
#[test]
fn the_ratio_counts_beyond_a_mebibyte() {
    for coding in [ContentEncoding::Gzip, ContentEncoding::Zstd, ContentEncoding::Deflate] {
        let mebibyte = coded(coding, &vec![0; 1 << 20]);
        assert_eq!(decoded(coding, mebibyte, LIMIT).unwrap().len(), 1 << 20, "{coding:?}");
        let more = coded(coding, &vec![0; (1 << 20) + 1]);
        assert_eq!(decoded(coding, more, LIMIT).unwrap_err().0, FaultKind::TooLarge, "{coding:?}");
        let body = [noise(1 << 16), vec![0; 3 << 20]].concat();
        assert!(decoded(coding, coded(coding, &body), LIMIT).unwrap() == body, "{coding:?}");
    }
}

#[test]
fn what_is_broken_is_named() {
    let expect = |coding: ContentEncoding, body: Vec<u8>, says: &str| {
        let (kind, detail) = decoded(coding, body, LIMIT).unwrap_err();
        assert_eq!(kind, FaultKind::Malformed, "{coding:?}: {detail}");
        assert!(detail.contains(coding.name()) && detail.contains(says), "{coding:?}: {detail}");
    };
    for coding in CODINGS {
        let good = coded(coding, &noise(1000));
        for end in [0, 1, 2, 5, good.len() / 2, good.len() - 1] {
            expect(coding, good[..end].to_vec(), "ends too early");
        }
        expect(coding, br#"{"records":[{"value":1}]}"#.to_vec(), "");
        let behind = [&good[..], b"{}more"].concat();
        expect(coding, behind, if coding == ContentEncoding::Gzip { "corrupt" } else { "bytes follow" });
    }
    for coding in [ContentEncoding::Gzip, ContentEncoding::Deflate] {
        let mut body = coded(coding, &noise(1000));
        let checksum = body.len() - 6;
        body[checksum] ^= 1;
        expect(coding, body, "corrupt");
    }
    // Frames of zstd 0.1 to 0.7, which the library would read.
    for magic in [0xFD2F_B51E_u32, 0xFD2F_B522, 0xFD2F_B527] {
        expect(ContentEncoding::Zstd, [&magic.to_le_bytes()[..], &[0; 20]].concat(), "corrupt");
    }
}

#[test]
fn series_of_streams_and_bare_deflate_are_decoded() {
    let (one, two) = (noise(70_000), b"two".to_vec());
    let both = [&one[..], &two].concat();
    for coding in [ContentEncoding::Gzip, ContentEncoding::Zstd] {
        let series = [coded(coding, &one), coded(coding, b""), coded(coding, &two)].concat();
        assert!(decoded(coding, series, LIMIT).unwrap() == both, "{coding:?}");
    }
    let skippable =
        [&0x184D_2A5A_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc", &coded(ContentEncoding::Zstd, &two)]
            .concat();
    assert_eq!(decoded(ContentEncoding::Zstd, skippable, LIMIT).unwrap(), two);
    assert!(decoded(ContentEncoding::Deflate, bare_deflate(&one), LIMIT).unwrap() == one);
    let over = [coded(ContentEncoding::Gzip, &noise(LIMIT)), coded(ContentEncoding::Gzip, b"x")].concat();
    assert_eq!(decoded(ContentEncoding::Gzip, over, LIMIT).unwrap_err().0, FaultKind::TooLarge);
}

#[test]
fn one_coding_is_read_from_the_headers() {
    let read = |values: &[&'static str]| {
        let headers = values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap())).collect();
        ContentEncoding::from_headers(&headers).map_err(|faults| faults.kind)
    };
    let cases = [
        (&["gzip"][..], ContentEncoding::Gzip),
        (&["X-GZIP"], ContentEncoding::Gzip),
        (&[" ZStd "], ContentEncoding::Zstd),
        (&["br"], ContentEncoding::Brotli),
        (&["deflate"], ContentEncoding::Deflate),
        (&["identity, gzip"], ContentEncoding::Gzip),
        (&["identity"], ContentEncoding::Identity),
        (&[""], ContentEncoding::Identity),
        (&[], ContentEncoding::Identity),
    ];
    for (values, coding) in cases {
        assert_eq!(read(values), Ok(coding), "{values:?}");
    }
    for values in [&["compress"][..], &["x"], &["gzip, gzip"], &["br", "gzip"], &["gzip;q=1"], &["\u{e9}"]] {
        assert_eq!(read(values), Err(FaultKind::ContentEncoding), "{values:?}");
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing panics, and nothing comes to more than is allowed; without damage it comes to what it was.
    #[test]
    fn damaged_bodies_of_each_coding(
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        at in proptest::collection::vec((0_usize..400, proptest::num::u8::ANY), 0..4),
        which in 0_usize..4,
    ) {
        let coding = CODINGS[which];
        let mut sent = coded(coding, &body);
        for (at, byte) in &at {
            if let Some(place) = sent.get_mut(*at) {
                *place = *byte;
            }
        }
        match decoded(coding, sent, 1024) {
            Ok(decoded) => prop_assert!(decoded.len() <= 1024 && (!at.is_empty() || decoded == body)),
            Err(_) => prop_assert!(!at.is_empty()),
        }
    }
}
