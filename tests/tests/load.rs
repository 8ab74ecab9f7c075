//! The benchmark of `tests/load/run`, in a hurry: whether what it writes is whole, and whether weir
//! has delivered everything. Its figures are not looked at.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::Command;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::weir::{binary, workspace};

/// Rows of a table without its head, each with its cells.
fn rows(table: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &&str| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    table.iter().skip(2).map(cells).collect()
}

/// The tables of a page, below their headings.
fn tables(page: &str) -> Vec<(&str, Vec<&str>)> {
    let sections = page.split("\n## ").skip(1);
    sections
        .map(|section| {
            let title = section.lines().next().unwrap();
            (title, section.lines().filter(|line| line.starts_with('|')).collect())
        })
        .collect()
}

fn is_number(cell: &str) -> bool {
    cell.replace(',', "").parse::<f64>().is_ok()
}

#[test]
fn the_comparison_fills_every_row_and_weir_loses_nothing() {
    let has_mosquitto = program("load", "mosquitto").is_some();
    let folder = Folder::new("load");
    let output = Command::new(env!("CARGO_BIN_EXE_weir-load"))
        .args(["--quick", "--output"])
        .arg(folder.path())
        .env("WEIR_BIN", binary())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(folder.path().join("benchmarks.md")).unwrap();
    let short = fs::read_to_string(folder.path().join("readme.md")).unwrap();

    let mut tables = tables(&page);
    let (last, _) = tables.pop().unwrap();
    assert_eq!(last, "Runs", "{page}");
    let titles: Vec<&str> = tables.iter().map(|(title, _)| *title).collect();
    let expected = ["Processor time", "Rates", "Latency", "Memory", "Durability"];
    assert_eq!(titles[..5], expected, "{page}");
    tables.push(("README", short.lines().collect()));
    for (title, table) in tables {
        let names: Vec<&str> = table[0].split('|').map(str::trim).skip(2).collect();
        assert_eq!(names[0], "weir", "{title}");
        assert_eq!(names.contains(&"mosquitto"), has_mosquitto, "{title}");
        assert!(table.len() > 6, "{title}: {table:?}");
        for row in rows(&table) {
            // The name of the row, and a cell for each broker; the last of the names is empty.
            assert_eq!(row.len(), names.len(), "{title}: {row:?}");
            assert!(is_number(&row[1]), "{title}: weir has no figure: {row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{title}: {row:?}");
        }
    }
}

/// Where the table of the README goes must be there when somebody measures for minutes.
#[test]
fn the_readme_has_a_place_for_the_table() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- benchmarks -->\n").unwrap();
    assert!(rest.contains("<!-- /benchmarks -->"));
}
