use proptest::prelude::*;

use super::*;
use crate::payload::tests::{show, tree};
use crate::value::Texts;

/// The lines of a payload: their numbers and values, or what is wrong with them.
fn read(payload: &str, names: &[&str]) -> Vec<(u32, Result<Vec<String>, String>)> {
    let tree = tree(names);
    let mut lines = InfluxLines::new(payload);
    let mut found = Vec::new();
    loop {
        let (mut values, mut arena) = (vec![Value::Null; tree.len()], String::new());
        let Some(line) = lines.next(&mut Slots::clear(&tree, &mut values, &mut arena)) else {
            return found;
        };
        let texts = Texts { arena, payload, ..Texts::default() };
        let list = || values.iter().map(|value| show(*value, &texts)).collect();
        found.push((line.number, line.outcome.map(|()| list()).map_err(|e| e.to_string())));
    }
}

fn one(payload: &str, names: &[&str]) -> Vec<String> {
    let mut lines = read(payload, names);
    assert_eq!(lines.len(), 1, "{payload}");
    lines.remove(0).1.unwrap_or_else(|error| panic!("{payload}: {error}"))
}

fn problem(payload: &str) -> String {
    read(payload, &["v"]).remove(0).1.unwrap_err()
}

/// The examples of the InfluxDB documentation.
#[test]
fn lines_of_the_documentation_are_read() {
    let line = "myMeasurement,tag1=value1,tag2=value2 fieldKey=\"fieldValue\" 1556813561098000000";
    let found = one(line, &["measurement", "tag1", "tag2", "fieldKey", "timestamp", "tag3"]);
    let expected =
        ["myMeasurement", "value1", "value2", "fieldValue", "Number(1.556813561098e18)", "Null"];
    assert_eq!(found, expected);
    for (value, expected) in [
        ("1.0", "Number(1.0)"),
        ("1", "Number(1.0)"),
        ("-1.234456e+78", "Number(-1.234456e78)"),
        ("1.0E10", "Number(10000000000.0)"),
        ("1i", "Number(1.0)"),
        ("12485903i", "Number(12485903.0)"),
        ("-12485903i", "Number(-12485903.0)"),
        ("1u", "Number(1.0)"),
        ("18446744073709551615u", "Number(1.8446744073709552e19)"),
        ("\"this is a string\"", "this is a string"),
        ("true", "Bool(true)"),
        ("T", "Bool(true)"),
        ("False", "Bool(false)"),
        ("f", "Bool(false)"),
    ] {
        assert_eq!(one(&format!("m v={value}"), &["v", "timestamp"]), [expected, "Null"]);
    }
}

#[test]
fn escapes_are_those_of_the_documentation() {
    let line = r#"my\ Measurement\,x,tag\ Key1=tag\ Value1,tag\=Key2=tag\,Value2 field\ Key="string field value, only \" and \\ need escaping" 1"#;
    let names = ["measurement", "tag Key1", "tag=Key2", "field Key"];
    let expected = [
        "my Measurement,x",
        "tag Value1",
        "tag,Value2",
        r#"string field value, only " and \ need escaping"#,
    ];
    assert_eq!(one(line, &names), expected);
    assert_eq!(one(r#"m v="a\nb \x" 1"#, &["v"]), [r"a\nb \x"]);
    assert_eq!(one("m v=\"two\nlines\",w=1i", &["v", "w"]), ["two\nlines", "Number(1.0)"]);
}

#[test]
fn field_wins_over_tag_and_nothing_over_measurement_and_timestamp() {
    let found = one("m,x=tag x=1,measurement=2,timestamp=3 4", &["x", "measurement", "timestamp"]);
    assert_eq!(found, ["Number(1.0)", "m", "Number(4.0)"]);
    assert_eq!(one("m timestamp=3", &["timestamp"]), ["Null"]);
}

#[test]
fn each_line_has_its_number_and_bad_ones_leave_the_others() {
    let payload = "# comment\r\nm v=1\r\n\n  m v=\nm v=\"a\nb\" 5\nm v=3 \n";
    let found = read(payload, &["v"]);
    let numbers: Vec<u32> = found.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [2, 4, 5, 7]);
    assert!(found[1].1.is_err());
    assert_eq!(found[3].1.as_deref(), Ok(&["Number(3.0)".to_owned()][..]));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    assert_eq!(problem("m"), "a field is name=value at character 2");
    assert_eq!(problem("m,t v=1"), "a tag is name=value at character 4");
    assert_eq!(problem("m,t= v=1"), "a tag has a value at character 5");
    assert_eq!(problem("m v"), "a field is name=value at character 4");
    assert_eq!(problem("m v="), "a field has a value at character 5");
    assert_eq!(problem(",t=1 v=1"), "a line begins with a measurement at character 1");
    let wrong = "not a number, true, false or a text in quotes at character 6";
    for value in ["inf", "NaN", "1x", "1.5i", "-1u", "99999999999999999999i", "1e999"] {
        assert_eq!(problem(&format!("mü v={value}")), wrong, "{value}");
    }
    assert_eq!(problem("m v=\"open"), "a quote that is not closed at character 6");
    assert_eq!(problem("m v=\"end\\"), "a quote that is not closed at character 6");
    assert_eq!(problem("m v=1 soon"), "not a timestamp at character 7");
    assert_eq!(problem("m v=1 1 2"), "not a timestamp at character 7");
}

proptest! {
    #[test]
    fn written_lines_come_back(
        words in proptest::collection::vec("[a-z,= ]{1,5}", 3), text in "[a\"\\\\ ,=ü\n]{0,8}",
        number in any::<f64>(), whole in any::<i64>(),
    ) {
        prop_assume!(number.is_finite());
        let escape = |word: &String| word.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let [measurement, tag, value] = [0, 1, 2].map(|at| escape(&words[at]));
        let line = format!("{measurement},0{tag}={value} 1n={number:?},1i={whole}i,1t=\"{quoted}\" {whole}");
        let tag = format!("0{}", words[1]);
        let tree = tree(&["measurement", "1n", "1i", "1t", "timestamp"]);
        let mut tree = tree;
        tree.slot(&[crate::payload::Step::Field(tag)]).unwrap();
        let (mut values, mut arena) = (vec![Value::Null; tree.len()], String::new());
        let mut lines = InfluxLines::new(&line);
        let record = lines.next(&mut Slots::clear(&tree, &mut values, &mut arena)).unwrap();
        prop_assert_eq!(record.outcome, Ok(()));
        prop_assert_eq!(record.payload, line.as_bytes());
        let texts = Texts { arena, payload: &line, ..Texts::default() };
        let found: Vec<String> = values.iter().map(|value| show(*value, &texts)).collect();
        let whole = format!("Number({:?})", whole as f64);
        let expected =
            [words[0].clone(), format!("Number({number:?})"), whole.clone(), text, whole, words[2].clone()];
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_texts_never_panic_and_end(payload in "[a1,= \\\\\"\r\n#ü\\PC]{0,60}") {
        let tree = tree(&["a", "measurement"]);
        let (mut values, mut arena) = (vec![Value::Null; tree.len()], String::new());
        let mut lines = InfluxLines::new(&payload);
        let mut count = 0;
        while lines.next(&mut Slots::clear(&tree, &mut values, &mut arena)).is_some() {
            count += 1;
        }
        prop_assert!(count <= payload.len());
    }
}
