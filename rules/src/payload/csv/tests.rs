use proptest::prelude::*;

use super::*;
use crate::payload::tests::{show, tree};
use crate::value::Texts;

fn form(columns: Option<&[&str]>) -> CsvForm {
    let columns = columns.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
    CsvForm { columns, separator: b',', decimal_comma: false }
}

/// The rows of a payload: their numbers and cells, or what is wrong with them.
fn read(payload: &str, form: &CsvForm, names: &[&str]) -> Vec<(u32, Result<Vec<String>, String>)> {
    let tree = tree(names);
    let mut rows = CsvRows::new(payload, form, &tree).expect("a row of names");
    let mut found = Vec::new();
    loop {
        let (mut values, mut arena) = (vec![Value::Null; tree.len()], String::new());
        let Some(row) = rows.next(&mut Slots::clear(&tree, &mut values, &mut arena)) else {
            return found;
        };
        assert!(payload.as_bytes().windows(row.payload.len().max(1)).any(|w| w == row.payload));
        let texts = Texts { arena, payload, ..Texts::default() };
        let cells = || values.iter().map(|value| show(*value, &texts)).collect();
        found.push((row.number, row.outcome.map(|()| cells()).map_err(|e| e.to_string())));
    }
}

fn cells(payload: &str, form: &CsvForm, names: &[&str]) -> Vec<Vec<String>> {
    let rows = read(payload, form, names).into_iter();
    rows.map(|(_, cells)| cells.expect("a good row")).collect()
}

#[test]
fn columns_are_named_by_the_rule_or_by_the_first_row() {
    let named = form(Some(&["t", "", "hum"]));
    assert_eq!(cells("1,2,3\r\n", &named, &["hum", "t"]), [["Number(3.0)", "Number(1.0)"]]);
    let payload = "\u{feff} t ,\"odd, name\"\n1,2\n\n3,4\n";
    let expected = [["Number(2.0)", "Number(1.0)"], ["Number(4.0)", "Number(3.0)"]];
    assert_eq!(cells(payload, &form(None), &["odd, name", "t"]), expected);
    assert!(cells("t,u\r\n", &form(None), &["t"]).is_empty());
    assert!(cells("\n\r\n", &form(None), &["t"]).is_empty());
}

/// RFC 4180, section 2.
#[test]
fn quotes_and_line_breaks_are_those_of_the_standard() {
    let form = form(Some(&["a", "b", "c"]));
    let names = ["a", "b", "c"];
    for payload in ["aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n", "aaa,bbb,ccc\r\nzzz,yyy,xxx"] {
        assert_eq!(cells(payload, &form, &names), [["aaa", "bbb", "ccc"], ["zzz", "yyy", "xxx"]]);
    }
    let payload = "\"aaa\",\"b\r\nbb\",\"ccc\"\r\nzzz,yyy,xxx";
    assert_eq!(cells(payload, &form, &names), [["aaa", "b\r\nbb", "ccc"], ["zzz", "yyy", "xxx"]]);
    assert_eq!(cells("\"aaa\",\"b\"\"bb\",\"\"", &form, &names), [["aaa", "b\"bb", ""]]);
}

#[test]
fn cells_are_what_they_are_written_as() {
    let form = form(Some(&["a", "b", "c", "d", "e", "f", "g"]));
    let payload = "1e3, -.5 ,\"7\",,TRUE, 21 C,inf\n+3,NaN,00042,1.2.3,false,-,0x10\n";
    let rows = cells(payload, &form, &["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(
        rows[0],
        ["Number(1000.0)", "Number(-0.5)", "7", "Null", "Bool(true)", " 21 C", "inf"]
    );
    let expected = ["Number(3.0)", "NaN", "Number(42.0)", "1.2.3", "Bool(false)", "-", "0x10"];
    assert_eq!(rows[1], expected);
    let comma = CsvForm { separator: b';', decimal_comma: true, ..form };
    let rows = cells("1,5;2.5;;;;;", &comma, &["a", "b", "c"]);
    assert_eq!(rows, [["Number(1.5)", "2.5", "Null"]]);
}

#[test]
fn bad_row_leaves_the_others() {
    let form = form(Some(&["a", "b"]));
    let payload = "1,2\n3\n4,5,6\n\"x\"y,7\n8,9\n\"open,1\n10,11\n";
    let rows = read(payload, &form, &["a"]);
    let found: Vec<String> = rows
        .into_iter()
        .map(|(number, row)| match row {
            Ok(cells) => format!("{number} {}", cells[0]),
            Err(error) => format!("{number} {error}"),
        })
        .collect();
    let expected = [
        "1 Number(1.0)",
        "2 1 cells, but 2 columns",
        "3 3 cells, but 2 columns",
        "4 more after a closing quote at character 4",
        "5 Number(8.0)",
        "6 a quote that is not closed at character 1",
        "7 Number(10.0)",
    ];
    assert_eq!(found, expected);
    assert!(CsvRows::new("\"a", &self::form(None), &tree(&["a"])).is_err());
    let wide = "a,".repeat(COLUMNS_MAX) + "a\n";
    assert!(CsvRows::new(&wide, &self::form(None), &tree(&["a"])).is_err());
}

proptest! {
    #[test]
    fn what_is_quoted_comes_back(
        table in proptest::collection::vec(proptest::collection::vec("[a\"\r\n,;ü ]{0,6}", 3), 0..6),
    ) {
        let line = |row: &Vec<String>| {
            let cells = row.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            cells.collect::<Vec<_>>().join(",") + "\r\n"
        };
        let payload: String = table.iter().map(line).collect();
        let found = cells(&payload, &form(Some(&["a", "b", "c"])), &["a", "b", "c"]);
        prop_assert_eq!(found, table);
    }

    #[test]
    fn arbitrary_texts_never_panic_and_end(payload in "[a1,.;\"\r\nü \\PC]{0,60}") {
        let tree = tree(&["a", "b"]);
        for form in [form(None), form(Some(&["a", "b"]))] {
            let Ok(mut rows) = CsvRows::new(&payload, &form, &tree) else { continue };
            let (mut values, mut arena) = (vec![Value::Null; tree.len()], String::new());
            let mut count = 0;
            while rows.next(&mut Slots::clear(&tree, &mut values, &mut arena)).is_some() {
                count += 1;
            }
            prop_assert!(count <= payload.len());
        }
    }
}
