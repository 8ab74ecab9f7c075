use proptest::prelude::*;

use super::{Column, WindowLabel, cbor, csv, influx};
use crate::value::{Texts, Value};

fn columns(names: &[&str], keys: usize) -> Vec<Column> {
    let column = |(position, name): (usize, &&str)| Column {
        name: (*name).to_owned(),
        slot: position as u16,
        is_key: position < keys,
    };
    names.iter().enumerate().map(column).collect()
}

fn hex(value: Value, texts: &Texts<'_>) -> String {
    let mut out = Vec::new();
    cbor::push_value(value, texts, &mut out);
    out.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Appendix A of RFC 8949. Half-precision floats are not written: a single is the same number.
#[test]
fn cbor_is_as_in_the_standard() {
    let mut texts = Texts::default();
    for (number, expected) in [
        (0.0, "00"),
        (1.0, "01"),
        (10.0, "0a"),
        (23.0, "17"),
        (24.0, "1818"),
        (100.0, "1864"),
        (1000.0, "1903e8"),
        (1_000_000.0, "1a000f4240"),
        (1_000_000_000_000.0, "1b000000e8d4a51000"),
        (-1.0, "20"),
        (-10.0, "29"),
        (-100.0, "3863"),
        (-1000.0, "3903e7"),
        (1.1, "fb3ff199999999999a"),
        (-4.1, "fbc010666666666666"),
        (1.0e300, "fb7e37e43c8800759c"),
        (3.402_823_466_385_288_6e38, "fa7f7fffff"),
        (-0.0, "fa80000000"),
        (1.5, "fa3fc00000"),
    ] {
        assert_eq!(hex(Value::Number(number), &texts), expected, "{number}");
    }
    assert_eq!(hex(Value::Bool(false), &texts), "f4");
    assert_eq!(hex(Value::Bool(true), &texts), "f5");
    assert_eq!(hex(Value::Null, &texts), "f6");
    for (text, expected) in [("", "60"), ("a", "6161"), ("IETF", "6449455446"), ("ü", "62c3bc")] {
        let value = texts.store(text);
        assert_eq!(hex(value, &texts), expected);
    }
}

#[test]
fn cbor_map_has_the_entries_of_the_json_object() {
    let mut texts = Texts::default();
    let locals = [texts.store("hall"), Value::Number(21.0)];
    let window = WindowLabel { late: 1, ..WindowLabel::of(0, 60_000) };
    let map = cbor::map(&columns(&["room", "temp"], 1), Some(window), &locals, &texts);
    let mut expected = vec![0xa3, 0x64];
    expected.extend_from_slice(b"room\x64hall\x64temp\x15\x66window\xa4\x65start\x78\x18");
    expected.extend_from_slice(b"1970-01-01T00:00:00.000Z\x63end\x78\x18");
    expected.extend_from_slice(b"1970-01-01T00:01:00.000Z\x64late\x01\x63rev\x00");
    assert_eq!(map, expected);
}

#[test]
fn what_was_collected_is_an_array_and_an_early_result_says_so() {
    let mut texts = Texts::default();
    let Value::Text(list) = texts.store(r#"[1,"a",null,true,-0.5]"#) else { panic!() };
    assert_eq!(hex(Value::Json(list), &texts), "85016161f6f5fabf000000");
    let window = WindowLabel { early: Some(5), ..WindowLabel::of(0, 1000) };
    let map = cbor::map(&[], Some(window), &[], &texts);
    assert!(map.ends_with(b"\x63rev\x00\x65early\xf5"));
    let row = csv::row(&columns(&["x"], 0), None, &[Value::Json(list)], &texts);
    assert_eq!(row, r#""[1,""a"",null,true,-0.5]""#);
}

#[test]
fn csv_quotes_what_needs_it() {
    let mut texts = Texts::default();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let locals = [
        texts.store("hall"),
        texts.store("a \"b\", c"),
        texts.store(""),
        Value::Null,
        Value::Number(-1.5),
        Value::Bool(true),
        texts.store("two\nlines"),
    ];
    let row = csv::row(&columns(&names, 1), None, &locals, &texts);
    assert_eq!(row, "hall,\"a \"\"b\"\", c\",\"\",,-1.5,true,\"two\nlines\"");
    let window = WindowLabel::of(0, 1000);
    let row = csv::row(&columns(&names[..1], 1), Some(window), &locals, &texts);
    assert_eq!(row, "hall,1970-01-01T00:00:00.000Z,1970-01-01T00:00:01.000Z");
}

#[test]
fn influx_line_escapes_as_the_protocol_wants() {
    let mut texts = Texts::default();
    let names = ["the room", "empty", "t", "ok", "text", "none"];
    let locals = [
        texts.store("a,b=c d"),
        texts.store(""),
        Value::Number(21.5),
        Value::Bool(false),
        texts.store("say \"x\\y\""),
        Value::Null,
    ];
    let line = influx::line("my rule", &columns(&names, 2), &locals, &texts, 1000);
    let expected =
        r#"my\ rule,the\ room=a\,b\=c\ d t=21.5,ok=false,text="say \"x\\y\"" 1000000000"#;
    assert_eq!(line.as_deref(), Ok(expected));
    let none = influx::line("m", &columns(&["x"], 0), &[Value::Null], &texts, 0);
    assert_eq!(none.map_err(|fault| fault.code), Err("R120"));
    for bad in ["a\nb", "a\\"] {
        let locals = [texts.store(bad), Value::Number(1.0)];
        let line = influx::line("m", &columns(&["k", "x"], 1), &locals, &texts, 0);
        assert_eq!(line.map_err(|fault| fault.code), Err("R120"));
    }
}

/// Reads a row again, by the grammar of RFC 4180.
fn read_row(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = row.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().expect("there is a first one");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

proptest! {
    #[test]
    fn csv_rows_read_back_as_they_were(cells in proptest::collection::vec("\\PC{0,8}[\",\r\n]{0,2}", 1..6)) {
        let mut texts = Texts::default();
        let locals: Vec<Value> = cells.iter().map(|cell| texts.store(cell)).collect();
        let names = vec!["x"; cells.len()];
        let row = csv::row(&columns(&names, 0), None, &locals, &texts);
        prop_assert_eq!(read_row(&row), cells);
    }

    #[test]
    fn cbor_floats_are_the_same_number(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let mut out = Vec::new();
        cbor::push_value(Value::Number(number), &Texts::default(), &mut out);
        let back = match (out[0], out.len()) {
            (0xfa, 5) => f64::from(f32::from_be_bytes(out[1..].try_into().unwrap())),
            (0xfb, 9) => f64::from_be_bytes(out[1..].try_into().unwrap()),
            _ => number,
        };
        prop_assert_eq!(back.to_bits(), number.to_bits());
    }
}
