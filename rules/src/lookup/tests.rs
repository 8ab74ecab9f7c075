use proptest::prelude::*;

use super::{LookupTable, TableProblem, read_csv, read_toml};
use crate::boxed;
use crate::value::{Texts, Value};

/// The row of a text, as text.
fn row(table: &LookupTable, key: &str) -> Option<Vec<String>> {
    let mut texts = Texts::default();
    let key = texts.store(key);
    let found = table.find(key, &texts)?;
    let cell = |(bits, text): &(u64, Option<Box<str>>)| {
        let mut texts = Texts::default();
        match boxed::value(*bits, text.as_deref().unwrap_or_default(), &mut texts) {
            Value::Text(text) => format!("'{}'", texts.resolve(text)),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Composite | Value::Json(_) | Value::Null => "null".to_owned(),
        }
    };
    Some(found.iter().map(cell).collect())
}

fn messages(problems: Result<LookupTable, Vec<TableProblem>>, text: &str) -> Vec<String> {
    let told = |problem: TableProblem| {
        format!("{} at {:?}", problem.message, text.get(problem.span).unwrap_or("?"))
    };
    problems.expect_err("it is wrong").into_iter().map(told).collect()
}

#[test]
fn cells_have_the_kind_that_they_look_like() {
    let text = "\u{feff}tag,number,on,name,nothing\r\n\
                a,-1.5e3,TRUE,007,\r\n\
                \"b \"\"2\"\"\",0.5,false,\"12\",\"\"\r\n\
                \n\
                c, 4 ,yes,1 m,x";
    let table = read_csv(text, None).expect("it can be read");
    let row = |key| row(&table, key).expect("there is a row");
    assert_eq!(row("a"), ["'a'", "-1500", "true", "'007'", "null"]);
    assert_eq!(row("b \"2\""), ["'b \"2\"'", "0.5", "false", "'12'", "''"]);
    assert_eq!(row("c"), ["'c'", "4", "'yes'", "'1 m'", "'x'"]);
    assert_eq!(super::tests::row(&table, "d"), None);
}

#[test]
fn numbers_are_found_however_they_are_written() {
    let table = read_csv("id;x\n7.0;1\n08;2\n1e3;3\n", None).expect("it can be read");
    let find = |number: f64| {
        let cells = table.find(Value::Number(number), &Texts::default())?;
        boxed::number(cells[1].0)
    };
    assert_eq!((find(7.0), find(8.0), find(1000.0)), (Some(1.0), Some(2.0), Some(3.0)));
    assert_eq!(find(9.0), None);
    assert_eq!(row(&table, "7"), row(&table, "7.0"));
    assert_eq!(table.find(Value::Null, &Texts::default()), None);
}

#[test]
fn separators_and_the_column_of_the_keys_can_be_others() {
    let table = read_csv("name\tid\nhall\t1\n", Some("id")).expect("it can be read");
    assert_eq!(row(&table, "1"), Some(vec!["'hall'".to_owned(), "1".to_owned()]));
    let text = "a;b\n1;\"x;y\"\n";
    let table = read_csv(text, None).expect("it can be read");
    assert_eq!(row(&table, "1"), Some(vec!["1".to_owned(), "'x;y'".to_owned()]));
}

#[test]
fn toml_has_a_table_for_each_row() {
    let text = "[PT101]\noffset = 1.5\narea = \"north\"\n[\"8\"]\noffset = -2\nspare = true\n";
    let table = read_toml(text).expect("it can be read");
    assert_eq!(table.columns, ["offset", "area", "spare"]);
    assert_eq!(row(&table, "PT101").expect("a row"), ["1.5", "'north'", "null"]);
    assert_eq!(row(&table, "8").expect("a row"), ["-2", "null", "true"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        ("", "the file is empty at \"\""),
        ("a,a\n", "two columns are named `a` at \"a\""),
        ("a,\n", "a column has no name at \"\""),
        ("a,b\n1\n", "the row has 1 cells, the header has 2 at \"1\""),
        ("a,b\n1,2\n1,3\n", "two rows have the key `1` at \"1\""),
        ("a,b\n,2\n", "a key has 1 to 1024 bytes at \"\""),
        ("a,b\n\"1,2\n", "a quote is not closed at \"\\\"\""),
        ("a,b\n\"1\"x,2\n", "text stands behind a closing quote at \"x\""),
    ] {
        assert_eq!(messages(read_csv(text, None), text), [expected], "{text:?}");
    }
    let text = "a,b\n";
    assert_eq!(messages(read_csv(text, Some("c")), text), ["no column of this name at \"a,b\""]);
    let text = "a,b\n1\n2\n";
    assert_eq!(messages(read_csv(text, None), text).len(), 2);
    for (text, expected) in [
        ("x = 1\n", "this is not a row at \"x\""),
        ("[a]\nb = [1]\n", "`b` is not one value at \"[1]\""),
    ] {
        assert_eq!(messages(read_toml(text), text), [expected], "{text:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_files_never_panic(text in "(\\PC|[\",;\t\r\n]){0,200}") {
        let _ = read_csv(&text, None);
        let _ = read_csv(&text, Some("a"));
        let _ = read_toml(&text);
    }

    #[test]
    fn every_row_that_was_written_is_found(
        cells in proptest::collection::vec("\\PC{0,6}[\",;\n]{0,2}", 1..20),
    ) {
        let mut text = "key,value\n".to_owned();
        for (number, cell) in cells.iter().enumerate() {
            text.push_str(&format!("k{number},\"{}\"\n", cell.replace('"', "\"\"")));
        }
        let table = read_csv(&text, None).expect("it can be read");
        for (number, cell) in cells.iter().enumerate() {
            let found = row(&table, &format!("k{number}")).expect("there is a row");
            prop_assert_eq!(&found[1], &format!("'{cell}'"));
        }
    }
}
