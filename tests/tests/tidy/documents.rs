//! Links of documents, and files that are generated.

use std::fs;

use weir_broker::cli::commands_page;
use weir_broker::config::{reference_page, sample_file};
use weir_tests::harness::weir::workspace;

use crate::{assert_none, files, read};

#[test]
fn generated_files_are_up_to_date() {
    let how = "run the tests of weir-broker with WEIR_WRITE_REFERENCE=1";
    assert!(read("config/weir.toml") == sample_file(), "config/weir.toml is old: {how}");
    let page = "docs/configuration.md";
    assert!(read(page) == reference_page(), "{page} is old: {how}");
    let page = "docs/commands.md";
    assert!(read(page) == commands_page(), "{page} is old: {how}");
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for name in files(&[".md"]) {
        let text = read(&name);
        for (number, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let from = workspace().join(&name);
            let to = if path.is_empty() { from } else { from.parent().unwrap().join(path) };
            if !to.exists() {
                problems.push(format!("{name}:{number}: {target} is not there"));
            } else if !anchor.is_empty()
                && !anchors(&fs::read_to_string(&to).unwrap()).any(|a| a == anchor)
            {
                problems.push(format!("{name}:{number}: {target} has no such heading"));
            }
        }
    }
    assert_none(&problems);
}

/// The book has them all, so that its search finds everything.
#[test]
fn every_page_is_in_the_book() {
    let summary = "docs/SUMMARY.md";
    let text = read(summary);
    let listed: Vec<String> =
        links(&text).into_iter().map(|(_, target)| format!("docs/{target}")).collect();
    let pages = files(&[".md"]);
    let pages = pages.iter().filter(|name| name.starts_with("docs/") && *name != summary);
    let mut problems: Vec<String> = Vec::new();
    for page in pages {
        match listed.iter().filter(|name| *name == page).count() {
            1 => {}
            count => problems.push(format!("{page} is in {summary} {count} times, not once")),
        }
        // The title in the book is that of the page.
        let title =
            read(page).lines().next().unwrap_or_default().trim_start_matches("# ").to_owned();
        if !text.contains(&format!("[{title}](")) {
            problems.push(format!("{page}: its title `{title}` is another one in {summary}"));
        }
    }
    assert_none(&problems);
}

/// The targets of links outside of code, with the number of the line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Every second piece is inside of backquotes.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        for after in prose.split("](").skip(1) {
            let target = after.split(')').next().unwrap().split(' ').next().unwrap();
            found.push((number + 1, target.to_owned()));
        }
    }
    found
}

/// The anchors of the headings, as the usual renderers make them.
fn anchors(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
