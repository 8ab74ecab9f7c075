//! Every normative statement about a server is shown by a test or a vector, or there is a reason
//! for none; `docs/conformance.md` is the table of all of them.
//!
//! A test names statements in its doc comment: `[MQTT-3.1.0-1]` is one of 5.0, and what follows
//! `of 3.1.1` is of 3.1.1, also as `[MQTT-3.1.0-1 of 3.1.1]`; `[MQTT-3.1.2-11] to
//! [MQTT-3.1.2-13]` names three. A row of `tests/vectors` has them as data. After a change of
//! either, write the page again: `WEIR_WRITE_CONFORMANCE=1 cargo test -p weir-tests --test
//! conformance`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PAGE: &str = "docs/conformance.md";

/// Statements without a test, and why.
const REASONS: [(Standard, &str, &str); 15] = [
    (V5, "MQTT-3.2.2-20", NO_USER_PROPERTIES),
    (V5, "MQTT-3.4.2-3", NO_USER_PROPERTIES),
    (V5, "MQTT-3.5.2-3", NO_USER_PROPERTIES),
    (V5, "MQTT-3.6.2-3", NO_USER_PROPERTIES),
    (V5, "MQTT-3.7.2-3", NO_USER_PROPERTIES),
    (V5, "MQTT-3.9.2-2", NO_USER_PROPERTIES),
    (V5, "MQTT-3.11.2-1", "UNSUBACK never has a Reason String: no UNSUBSCRIBE is refused."),
    (V5, "MQTT-3.11.2-2", NO_USER_PROPERTIES),
    (V5, "MQTT-3.14.2-4", NO_USER_PROPERTIES),
    (V5, "MQTT-3.15.2-2", "AUTH of the broker has no Reason String: it only asks on."),
    (V5, "MQTT-3.15.2-3", NO_USER_PROPERTIES),
    (V311, "MQTT-3.8.3-2", "Wildcards are supported, so no filter is refused for one."),
    (
        V311,
        "MQTT-4.8.0-2",
        "No packet fails for a while: when the store does, the answers wait until it is healthy.",
    ),
    (
        V311,
        "MQTT-7.0.0-1",
        "Upstreams speak MQTT through a client library; `broker/src/upstream/tests.rs` holds them \
         to mosquitto as the other end.",
    ),
    (
        V311,
        "MQTT-7.0.0-2",
        "A thing that is not there; `tests/tests/foreign` connects the clients of others.",
    ),
];

const NO_USER_PROPERTIES: &str = "The broker adds no user properties to this packet.";

use Standard::{V5, V311};

/// One of the two standards with numbered statements.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standard {
    V5,
    V311,
}

impl Standard {
    const ALL: [Self; 2] = [V5, V311];

    fn name(self) -> &'static str {
        match self {
            V5 => "5.0",
            V311 => "3.1.1",
        }
    }

    /// Number and gist of each statement.
    fn statements(self) -> Vec<(String, String)> {
        let file = match self {
            V5 => "tests/vectors/statements/mqtt5.tsv",
            V311 => "tests/vectors/statements/mqtt311.tsv",
        };
        let text = read(&root().join(file));
        let rows = text.lines().filter(|line| line.starts_with("MQTT-"));
        rows.map(|row| {
            let (number, gist) = row.split_once('\t').expect("two columns");
            (number.to_owned(), gist.to_owned())
        })
        .collect()
    }
}

/// What shows a statement: the file, then the tests in it or the number of rows.
type Evidence = BTreeMap<(Standard, String), BTreeMap<String, Shown>>;

#[derive(Default)]
struct Shown {
    tests: BTreeSet<String>,
    rows: usize,
}

#[test]
fn every_statement_is_shown_or_has_a_reason() {
    let evidence = evidence();
    let mut problems = String::new();
    for standard in Standard::ALL {
        for (number, gist) in standard.statements() {
            let is_shown = evidence.contains_key(&(standard, number.clone()));
            match (is_shown, reason(standard, &number)) {
                (false, None) => {
                    writeln!(problems, "{} {number} is not shown: {gist}", standard.name())
                }
                (true, Some(_)) => {
                    writeln!(problems, "{} {number} is shown and excused", standard.name())
                }
                _ => Ok(()),
            }
            .expect("a text takes text");
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn every_reason_is_for_a_statement() {
    for (standard, number, _) in REASONS {
        let known = standard.statements().iter().any(|(known, _)| known == number);
        assert!(known, "{} has no {number}", standard.name());
    }
}

#[test]
fn the_page_is_up_to_date() {
    let (page, file) = (page(), root().join(PAGE));
    if env::var_os("WEIR_WRITE_CONFORMANCE").is_some() {
        fs::write(&file, &page).expect("the page can be written");
    }
    let is_new = fs::read_to_string(&file).is_ok_and(|stored| stored == page);
    assert!(is_new, "{PAGE} is old: run this test with WEIR_WRITE_CONFORMANCE=1");
}

#[test]
fn statements_are_found_in_doc_comments() {
    let named = |text| {
        let mut found = Vec::new();
        statements_of(text, |standard, number| found.push(format!("{} {number}", standard.name())));
        found
    };
    assert_eq!(named("[MQTT-1.5.4-1]: text"), ["5.0 MQTT-1.5.4-1"]);
    assert_eq!(
        named("[MQTT-1.5.4-9] to [MQTT-1.5.4-10]"),
        ["5.0 MQTT-1.5.4-9", "5.0 MQTT-1.5.4-10"]
    );
    assert_eq!(
        named("[MQTT-1.5.4-1], and of 3.1.1 [MQTT-1.5.3-1] [MQTT-1.5.3-2]"),
        ["5.0 MQTT-1.5.4-1", "3.1.1 MQTT-1.5.3-1", "3.1.1 MQTT-1.5.3-2"]
    );
    assert_eq!(
        named("Of 3.1.1 [MQTT-2.3.1-7], and of 5.0 [MQTT-2.2.1-6]"),
        ["3.1.1 MQTT-2.3.1-7", "5.0 MQTT-2.2.1-6"]
    );
    assert_eq!(
        named("[MQTT-4.8.0-1 of 3.1.1] [MQTT-4.13.1-1]"),
        ["3.1.1 MQTT-4.8.0-1", "5.0 MQTT-4.13.1-1"]
    );
}

fn reason(standard: Standard, number: &str) -> Option<&'static str> {
    let found = REASONS.iter().find(|(of, known, _)| *of == standard && *known == number);
    found.map(|(_, _, reason)| *reason)
}

fn page() -> String {
    let evidence = evidence();
    let mut page = String::from(
        "# Conformance\n\n\
         Every normative statement about a server of MQTT 5.0 (OASIS Standard, 7 March 2019) and \
         MQTT 3.1.1 (OASIS Standard, 29 October 2014), by its number, in our own words, with the \
         tests that show it or the reason why there is none. This page is generated from the \
         statements in `tests/vectors/statements`, the doc comments of the tests and the rows of \
         `tests/vectors`; `tests/tests/conformance.rs` keeps it up to date.\n",
    );
    for standard in Standard::ALL {
        let statements = standard.statements();
        let is_shown = |number: &String| evidence.contains_key(&(standard, number.clone()));
        let shown = statements.iter().filter(|(number, _)| is_shown(number)).count();
        write!(
            page,
            "\n## MQTT {}\n\n{} statements: {shown} shown, {} with a reason.\n\n\
             | statement | gist | shown by |\n|---|---|---|\n",
            standard.name(),
            statements.len(),
            statements.len() - shown,
        )
        .expect("a text takes text");
        for (number, gist) in statements {
            let by = match evidence.get(&(standard, number.clone())) {
                Some(files) => described(files),
                None => format!("none: {}", reason(standard, &number).unwrap_or("open")),
            };
            writeln!(page, "| {number} | {gist} | {by} |").expect("a text takes text");
        }
    }
    page
}

fn described(files: &BTreeMap<String, Shown>) -> String {
    let described = files.iter().map(|(file, shown)| {
        let short = file.trim_start_matches("broker/").trim_start_matches("tests/");
        let link = format!("[{short}](../{file})");
        if shown.rows > 0 {
            let plural = if shown.rows == 1 { "" } else { "s" };
            return format!("{link}: {} row{plural}", shown.rows);
        }
        let tests: Vec<String> = shown.tests.iter().map(|test| format!("`{test}`")).collect();
        format!("{link}: {}", tests.join(", "))
    });
    described.collect::<Vec<_>>().join("<br>")
}

fn evidence() -> Evidence {
    let mut evidence = Evidence::new();
    for file in files_under(&["broker", "tests"]) {
        let name = file.strip_prefix(root()).expect("a file of this tree").display().to_string();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("json") if name.starts_with("tests/vectors/") => {
                add_rows(&name, &read(&file), &mut evidence);
            }
            Some("rs") => add_tests(&name, &read(&file), &mut evidence),
            _ => {}
        }
    }
    evidence
}

/// Rows stand one to a line.
fn add_rows(file: &str, text: &str, evidence: &mut Evidence) {
    for row in text.lines() {
        let Some((_, statements)) = row.split_once("\"statements\": [") else { continue };
        let standard = Standard::ALL
            .into_iter()
            .find(|standard| row.contains(&format!("\"version\": \"{}\"", standard.name())));
        let (Some(standard), Some((statements, _))) = (standard, statements.split_once(']')) else {
            continue;
        };
        for number in statements.split(',').map(|number| number.trim().trim_matches('"')) {
            let files = evidence.entry((standard, number.to_owned())).or_default();
            files.entry(file.to_owned()).or_default().rows += 1;
        }
    }
}

fn add_tests(file: &str, text: &str, evidence: &mut Evidence) {
    let (mut doc, mut is_test) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            doc.push_str(words);
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else if !line.is_empty() && !line.starts_with("//") {
            let signature = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((test, _)) = signature.and_then(|rest| rest.split_once('('))
                && is_test
            {
                statements_of(&doc, |standard, number| {
                    let files = evidence.entry((standard, number)).or_default();
                    files.entry(file.to_owned()).or_default().tests.insert(test.to_owned());
                });
            }
            doc.clear();
            is_test = false;
        }
    }
}

/// Calls `found` for each statement that a text names.
fn statements_of(text: &str, mut found: impl FnMut(Standard, String)) {
    let mut standard = V5;
    let mut pieces = text.split('[');
    let mut before = pieces.next().unwrap_or_default();
    let mut last: Option<(String, u32)> = None;
    for piece in pieces {
        let words = before.rsplit(']').next().unwrap_or_default().to_ascii_lowercase();
        if words.contains("of 3.1.1") {
            standard = V311;
        } else if words.contains("of 5.0") {
            standard = V5;
        }
        let is_range = words.trim() == "to";
        before = piece;
        let Some((inside, _)) = piece.split_once(']') else { continue };
        let (number, of) = match inside.strip_suffix(" of 3.1.1") {
            Some(number) => (number, V311),
            None => (inside, standard),
        };
        let Some((section, number)) = number.rsplit_once('-') else { continue };
        let (true, Ok(number)) = (section.starts_with("MQTT-"), number.parse::<u32>()) else {
            continue;
        };
        let first = last.take().filter(|(known, _)| is_range && known == section);
        let first = first.map_or(number, |(_, first)| first + 1);
        (first..=number).for_each(|number| found(of, format!("{section}-{number}")));
        last = Some((section.to_owned(), number));
    }
}

fn files_under(folders: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of this tree") {
            let path = entry.expect("the folder can be read").path();
            if !path.is_dir() {
                files.push(path);
            } else if path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
