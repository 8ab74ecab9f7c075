use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::payload::Decode;
use crate::payload::tests::{
    PATHS, bytes, damage_is_harmless, documents, read_with, reads_like_json,
};

fn read(hex: &str, paths: &[&str]) -> Vec<String> {
    try_read(hex, paths).unwrap_or_else(|error| panic!("{hex}: {error}"))
}

fn try_read(hex: &str, paths: &[&str]) -> Result<Vec<String>, DecodeError> {
    let payload = bytes(hex);
    read_with("", paths, |slots| read_message_pack(&payload, slots))
}

fn value(hex: &str) -> String {
    read(hex, &["value"]).remove(0)
}

/// One of each form of the specification.
#[test]
fn every_form_is_read() {
    for (hex, expected) in [
        ("00", "Number(0.0)"),
        ("7f", "Number(127.0)"),
        ("e0", "Number(-32.0)"),
        ("ff", "Number(-1.0)"),
        ("c0", "Null"),
        ("c2", "Bool(false)"),
        ("c3", "Bool(true)"),
        ("cc80", "Number(128.0)"),
        ("cd0100", "Number(256.0)"),
        ("ce00010000", "Number(65536.0)"),
        ("cf0000000100000000", "Number(4294967296.0)"),
        ("cfffffffffffffffff", "Number(1.8446744073709552e19)"),
        ("d080", "Number(-128.0)"),
        ("d1ff7f", "Number(-129.0)"),
        ("d2ffff7fff", "Number(-32769.0)"),
        ("d3ffffffff7fffffff", "Number(-2147483649.0)"),
        ("ca41ac0000", "Number(21.5)"),
        ("cb3ff199999999999a", "Number(1.1)"),
        ("cb7ff8000000000000", "Null"),
        ("a0", ""),
        ("a3c3bc61", "üa"),
        ("d90161", "a"),
        ("da000161", "a"),
        ("db0000000161", "a"),
        ("c402cafe", "cafe"),
        ("c50001ca", "ca"),
        ("c600000000", ""),
        ("d405ab", "ab"),
        ("d505abcd", "abcd"),
        ("c70305aabbcc", "aabbcc"),
        ("c8000105aa", "aa"),
        ("c90000000105aa", "aa"),
    ] {
        assert_eq!(value(hex), expected, "{hex}");
    }
}

#[test]
fn timestamps_are_milliseconds() {
    assert_eq!(value("d6ff514b67b0"), "Number(1363896240000.0)");
    // 500 ms: 500,000,000 nanoseconds in the upper 30 bits.
    let both: u64 = 500_000_000 << 34 | 1_363_896_240;
    assert_eq!(value(&format!("d7ff{both:016x}")), "Number(1363896240500.0)");
    assert_eq!(value("c70cff1dcd6500ffffffffffffffff"), "Number(-500.0)");
    assert!(try_read("d7ffffffffffffffffff", &["value"]).is_err());
    assert!(try_read("d5ff0000", &["value"]).is_err());
}

#[test]
fn lists_and_maps_of_every_length_are_read() {
    for head in ["93", "dc0003", "dd00000003"] {
        assert_eq!(read(&format!("{head}01c0a161"), &["0", "2"]), ["Number(1.0)", "a"]);
    }
    for head in ["82", "de0002", "df00000002"] {
        let hex = format!("{head}a161820102a162c3a16207");
        assert_eq!(read(&hex, &["a.'1", "b"]), ["Number(2.0)", "Number(7.0)"]);
    }
    assert_eq!(
        read("83ff01c401ab02c305", &["'-1", "ab", "true"])[..2],
        ["Number(1.0)", "Number(2.0)"]
    );
}

#[test]
fn damaged_payloads_say_where() {
    for (hex, expected) in [
        ("", "payload is not MessagePack: ends too early at byte 0"),
        ("c1", "payload is not MessagePack: a reserved byte at byte 0"),
        ("a261", "payload is not MessagePack: ends too early at byte 1"),
        ("c0c0", "payload is not MessagePack: more after the end at byte 1"),
        ("ddffffffff", "payload is not MessagePack: ends too early at byte 5"),
        ("c6ffffffff", "payload is not MessagePack: ends too early at byte 5"),
    ] {
        let found = try_read(hex, &["value", "0"]).unwrap_err().to_string();
        assert_eq!(found, expected, "{hex}");
    }
    let deep = "91".repeat(PAYLOAD_DEPTH_MAX + 1) + "00";
    assert!(try_read(&deep, &["0"]).unwrap_err().to_string().contains("nested too deeply"));
}

proptest! {
    #[test]
    fn what_another_encoder_writes_reads_like_json(document in documents()) {
        let binary = rmp_serde::to_vec_named(&document).unwrap();
        reads_like_json(&document, &binary, &Decode::MessagePack)?;
    }

    #[test]
    fn damaged_documents_never_panic(document in documents(), at: Index, bit in 0u8..8) {
        let binary = rmp_serde::to_vec_named(&document).unwrap();
        damage_is_harmless(binary, at, bit, &Decode::MessagePack);
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_with("", &PATHS, |slots| read_message_pack(&payload, slots));
    }
}
