//! The numbered behaviours of the bridge, and the tests that name them.

use std::collections::BTreeSet;

use crate::{files, read};

const PAGE: &str = "docs/devices-behaviours.md";

#[test]
fn each_behaviour_of_the_bridge_has_a_test_and_the_other_way() {
    let rows = read(PAGE);
    let numbers = rows.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let listed: BTreeSet<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
    assert_eq!(listed, (1..=50).collect());
    let sources = files(&[".rs"]).into_iter().filter(|name| name.starts_with("firmware-bridge/"));
    let named: BTreeSet<u32> = sources
        .flat_map(|name| read(&name).lines().flat_map(named_in).collect::<Vec<_>>())
        .collect();
    assert_eq!(named, listed, "left: what tests name, right: {PAGE}");
}

#[test]
fn numbers_are_read_as_they_are_written() {
    let numbers = |line| named_in(line).collect::<Vec<_>>();
    assert_eq!(numbers("/// Behaviour 13, the other way."), [13]);
    assert_eq!(numbers("//! Wills: behaviours 1 to 3, 22 and 32."), [1, 2, 3, 22, 32]);
    let none = ["/// The behaviour of 7 devices.", "let behaviour = 7;"];
    assert!(none.into_iter().all(|line| numbers(line).is_empty()));
}

/// The numbers that follow the word in a comment, until another word comes.
fn named_in(line: &str) -> impl Iterator<Item = u32> {
    let comment = line.trim().strip_prefix("//").unwrap_or_default();
    let list = comment.split_once("ehaviour").map_or("", |(_, list)| list.trim_start_matches('s'));
    let mut words = list.split_whitespace().peekable();
    let mut numbers = Vec::new();
    while let Some(word) = words.next() {
        match (word, word.trim_matches([',', '.', ':']).parse::<u32>()) {
            (_, Ok(number)) => numbers.push(number),
            ("and", _) => {}
            ("to", _) => {
                let end = words.peek().and_then(|end| end.trim_matches([',', '.']).parse().ok());
                let start = numbers.last().map_or(0, |last| last + 1);
                numbers.extend(start..end.unwrap_or(start));
            }
            _ => break,
        }
    }
    numbers.into_iter()
}
