use proptest::prelude::*;

use super::*;
use crate::payload::tests::{bytes, read_with};

/// The metrics of a payload: name, kind, value, time, alias, and whether it is null.
fn read(payload: &[u8]) -> Result<Vec<String>, DecodeError> {
    let paths = ["metric", "datatype", "value", "timestamp", "alias", "is_null"];
    let show = |metric: Metric<'_>| {
        let fields = read_with("", &paths, |slots| {
            metric.fill(slots);
            Ok::<(), ()>(())
        });
        fields.unwrap().join(" ")
    };
    Metrics::new(payload).map(|metrics| metrics.map(show).collect())
}

/// A metric of a payload, with its length before it.
fn wrap(metric: &str) -> Vec<u8> {
    let metric = bytes(metric);
    [&[0x12, metric.len() as u8], metric.as_slice()].concat()
}

fn one(metric: &str) -> String {
    read(&wrap(metric)).unwrap().remove(0)
}

#[test]
fn metrics_of_a_payload_are_read() {
    // A timestamp, two metrics as in the standard's example of NBIRTH, and the number 0.
    let mut payload = bytes("08 eaa8dab6a02b");
    payload.extend(wrap("0a 05 6264536571 18eaa8dab6a02b 20 04 58 00"));
    payload.extend(wrap("0a 01 41 10 07 20 0a 69 0000000000803540"));
    payload.extend(bytes("18 00"));
    let expected = [
        "bdSeq Int64 Number(0.0) Number(1486173410410.0) Null Bool(false)",
        "A Double Number(21.5) Number(1486173410410.0) Number(7.0) Bool(false)",
    ];
    assert_eq!(read(&payload), Ok(expected.map(str::to_owned).into()));
}

#[test]
fn kinds_say_what_the_bits_mean() {
    for (metric, expected) in [
        ("20 01 50 ffffffff0f", "Int8 Number(-1.0)"),
        ("20 01 50 fe01", "Int8 Number(-2.0)"),
        ("20 02 50 ffff03", "Int16 Number(-1.0)"),
        ("20 03 50 ffffffff0f", "Int32 Number(-1.0)"),
        ("20 07 50 ffffffff0f", "UInt32 Number(4294967295.0)"),
        ("20 04 58 ffffffffffffffffff01", "Int64 Number(-1.0)"),
        ("20 08 58 ffffffffffffffffff01", "UInt64 Number(1.8446744073709552e19)"),
        ("20 09 65 0000ac41", "Float Number(21.5)"),
        ("20 09 65 0000c07f", "Float Null"),
        ("20 0b 70 01", "Boolean Bool(true)"),
        ("20 0c 7a 02 6f6e", "String on"),
        ("20 0d 58 eaa8dab6a02b", "DateTime Number(1486173410410.0)"),
        ("20 11 8201 02 cafe", "Bytes cafe"),
        ("20 10 8a01 00", "DataSet Composite"),
        ("20 13 9201 00", "Template Composite"),
        ("20 1e 8201 04 0000ac41", "FloatArray Composite"),
        ("20 63 50 01", "Null Number(1.0)"),
    ] {
        let found = one(metric);
        let found: Vec<&str> = found.split(' ').skip(1).take(2).collect();
        assert_eq!(found.join(" "), expected, "{metric}");
    }
    assert_eq!(
        one("0a 01 41 20 0a 38 01 69 0000000000803540"),
        "A Double Null Null Null Bool(true)"
    );
    assert_eq!(one("0a 01 41 20 0a"), "A Double Null Null Null Bool(true)");
}

#[test]
fn damaged_payloads_are_refused_as_a_whole() {
    for payload in [
        "12",
        "1205 0a01",
        "12 03 0a 05 41",
        "00",
        "0f",
        "12 03 0a 01 ff",
        "08 ffffffffffffffffffffff",
    ] {
        assert!(read(&bytes(payload)).is_err(), "{payload}");
    }
    // A good metric before a broken one.
    let payload = [wrap("0a 01 41 50 01"), bytes("12 02 0a 05")].concat();
    assert!(read(&payload).is_err());
    assert_eq!(read(&[]), Ok(Vec::new()));
    // Fields that are not known are passed over.
    assert!(read(&bytes("22 03 616263 a206 01 00")).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&payload);
    }

    #[test]
    fn damaged_payloads_never_panic(at: prop::sample::Index, bit in 0u8..8, end in 0usize..60) {
        let mut payload = bytes("08 eaa8dab6a02b");
        payload.extend(wrap("0a 01 41 10 07 20 0a 69 0000000000803540"));
        payload.extend(wrap("0a 01 42 20 0c 7a 02 6f6e 4a 03 0a 01 78"));
        *at.get_mut(&mut payload) ^= 1 << bit;
        let _ = read(payload.get(..end).unwrap_or(&payload));
    }
}
