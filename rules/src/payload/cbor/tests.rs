use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::payload::Decode;
use crate::payload::tests::{
    PATHS, bytes, damage_is_harmless, documents, read_with, reads_like_json,
};

/// The fields of a payload that is written as digits.
fn read(hex: &str, paths: &[&str]) -> Vec<String> {
    try_read(hex, paths).unwrap_or_else(|error| panic!("{hex}: {error}"))
}

fn try_read(hex: &str, paths: &[&str]) -> Result<Vec<String>, DecodeError> {
    let payload = bytes(hex);
    read_with("", paths, |slots| read_cbor(&payload, slots))
}

fn value(hex: &str) -> String {
    read(hex, &["value"]).remove(0)
}

/// RFC 8949, appendix A.
#[test]
fn numbers_of_the_standard_are_read() {
    let numbers = [
        ("00", 0.0),
        ("01", 1.0),
        ("0a", 10.0),
        ("17", 23.0),
        ("1818", 24.0),
        ("1819", 25.0),
        ("1864", 100.0),
        ("1903e8", 1000.0),
        ("1a000f4240", 1_000_000.0),
        ("1b000000e8d4a51000", 1_000_000_000_000.0),
        ("1bffffffffffffffff", 18_446_744_073_709_551_615.0),
        ("c249010000000000000000", 18_446_744_073_709_551_616.0),
        ("3bffffffffffffffff", -18_446_744_073_709_551_616.0),
        ("c349010000000000000000", -18_446_744_073_709_551_617.0),
        ("20", -1.0),
        ("29", -10.0),
        ("3863", -100.0),
        ("3903e7", -1000.0),
        ("f90000", 0.0),
        ("f98000", -0.0),
        ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1),
        ("f93e00", 1.5),
        ("f97bff", 65504.0),
        ("fa47c35000", 100_000.0),
        ("fa7f7fffff", 3.402_823_466_385_288_6e38),
        ("fb7e37e43c8800759c", 1.0e300),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f90400", 0.000_061_035_156_25),
        ("f9c400", -4.0),
        ("fbc010666666666666", -4.1),
    ];
    for (hex, number) in numbers {
        assert_eq!(value(hex), format!("Number({number:?})"), "{hex}");
    }
    for hex in ["f97c00", "f97e00", "f9fc00", "fa7f800000", "fa7fc00000", "fb7ff0000000000000"] {
        assert_eq!(value(hex), "Null", "{hex}");
    }
}

#[test]
fn other_values_of_the_standard_are_read() {
    for (hex, expected) in [
        ("f4", "Bool(false)"),
        ("f5", "Bool(true)"),
        ("f6", "Null"),
        ("f7", "Null"),
        ("f0", "Null"),
        ("f8ff", "Null"),
        ("4401020304", "01020304"),
        ("40", ""),
        ("60", ""),
        ("6161", "a"),
        ("6449455446", "IETF"),
        ("62225c", "\"\\"),
        ("62c3bc", "ü"),
        ("63e6b0b4", "水"),
        ("64f0908591", "𐅑"),
        ("5f42010243030405ff", "0102030405"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("d74401020304", "01020304"),
        ("d818456449455446", "6449455446"),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "http://www.example.com"),
        ("d9d9f7f5", "Bool(true)"),
    ] {
        assert_eq!(value(hex), expected, "{hex}");
    }
}

#[test]
fn lists_and_maps_of_the_standard_are_read() {
    assert_eq!(read("83010203", &["1", "2", "3"]), ["Number(2.0)", "Number(3.0)", "Null"]);
    for hex in
        ["8301820203820405", "9f018202039f0405ffff", "9f01820203820405ff", "83018202039f0405ff"]
    {
        assert_eq!(read(hex, &["0", "1.1", "2.0"]), ["Number(1.0)", "Number(3.0)", "Number(4.0)"]);
    }
    assert_eq!(read("a201020304", &["'1", "'3"]), ["Number(2.0)", "Number(4.0)"]);
    assert_eq!(read("a26161016162820203", &["a", "b.1", "b"])[..2], ["Number(1.0)", "Number(3.0)"]);
    assert_eq!(read("bf61610161629f0203ffff", &["a", "b.0"]), ["Number(1.0)", "Number(2.0)"]);
    assert_eq!(read("826161bf61626163ff", &["0", "1.b"]), ["a", "c"]);
    assert_eq!(read("bf6346756ef563416d7421ff", &["Fun", "Amt"]), ["Bool(true)", "Number(-2.0)"]);
    assert_eq!(read("80", &["0", "value"]), ["Null", "Null"]);
}

#[test]
fn tagged_numbers_are_numbers() {
    // A time in seconds, whole and with a fraction: milliseconds.
    assert_eq!(value("c11a514b67b0"), "Number(1363896240000.0)");
    assert_eq!(value("c1fb41d452d9ec200000"), "Number(1363896240500.0)");
    // 273.15 and 1.5, from section 3.4.4.
    assert_eq!(value("c48221196ab3"), "Number(273.15)");
    assert_eq!(value("c5822003"), "Number(1.5)");
    assert_eq!(value("c48201c24101"), "Number(10.0)");
    assert!(try_read("c16161", &["value"]).is_err());
    assert!(try_read("c40a", &["value"]).is_err());
}

#[test]
fn keys_that_are_no_texts_are_named_by_their_digits() {
    // SenML: name, unit and value have whole numbers.
    let hex = "81 a3 21 67 6465762f3a3131 01 63 43656c 02 fb4035800000000000";
    assert_eq!(read(hex, &["0.'-2", "0.'1", "0.'2"]), ["dev/:11", "Cel", "Number(21.5)"]);
    assert_eq!(read("a242cafe01f402", &["cafe", "false"]), ["Number(1.0)", "Null"]);
    assert_eq!(read("a1 8102 6161", &["a"]), ["Null"]);
}

#[test]
fn damaged_payloads_say_where() {
    for (hex, expected) in [
        ("", "payload is not CBOR: ends too early at byte 0"),
        ("1903", "payload is not CBOR: ends too early at byte 1"),
        ("6261", "payload is not CBOR: ends too early at byte 1"),
        ("0000", "payload is not CBOR: more after the end at byte 1"),
        ("1c", "payload is not CBOR: a reserved length at byte 0"),
        ("ff", "payload is not CBOR: an end without a beginning at byte 0"),
        ("62c328", "payload is not CBOR: a text is not UTF-8 at byte 1"),
        ("7f01ff", "payload is not CBOR: a part of another kind at byte 2"),
        ("9bffffffffffffffff", "payload is not CBOR: ends too early at byte 9"),
        ("5bffffffffffffffff00", "payload is not CBOR: ends too early at byte 9"),
        ("f818", "payload is not CBOR: a reserved value at byte 2"),
    ] {
        let found = try_read(hex, &["value", "0"]).unwrap_err().to_string();
        assert_eq!(found, expected, "{hex}");
    }
    let deep = "81".repeat(PAYLOAD_DEPTH_MAX + 1) + "00";
    assert!(try_read(&deep, &["0"]).unwrap_err().to_string().contains("nested too deeply"));
    assert!(try_read(&deep[2..], &["0"]).is_ok());
}

/// The other decoder does not know values without a meaning, and some tags.
fn known_to_another() -> impl Strategy<Value = u8> {
    let begins = (0u8..8).prop_filter("known", |kind| !matches!(*kind, TAG | SIMPLE));
    (begins, 0u8..32).prop_map(|(kind, rest)| kind << 5 | rest)
}

proptest! {
    #[test]
    fn what_another_encoder_writes_reads_like_json(document in documents()) {
        let mut binary = Vec::new();
        ciborium::into_writer(&document, &mut binary).unwrap();
        reads_like_json(&document, &binary, &Decode::Cbor)?;
    }

    #[test]
    fn damaged_documents_never_panic(document in documents(), at: Index, bit in 0u8..8) {
        let mut binary = Vec::new();
        ciborium::into_writer(&document, &mut binary).unwrap();
        damage_is_harmless(binary, at, bit, &Decode::Cbor);
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_with("", &PATHS, |slots| read_cbor(&payload, slots));
    }

    #[test]
    fn whatever_is_read_another_decoder_reads_too(
        payload in proptest::collection::vec(known_to_another(), 0..12),
    ) {
        if read_with("", &PATHS, |slots| read_cbor(&payload, slots)).is_ok() {
            let other = ciborium::from_reader::<ciborium::Value, _>(payload.as_slice());
            prop_assert!(other.is_ok(), "{payload:02x?}: {other:?}");
        }
    }
}
