//! The page and the table of the README, as Markdown.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::peer::Peer;
use crate::results::Results;
use crate::runs::Run;
use crate::sections::{ALL, Row, SHORT};

const BEGIN: &str = "<!-- benchmarks -->\n";
const END: &str = "<!-- /benchmarks -->";

/// How it was measured.
#[derive(Debug)]
pub(crate) struct How<'a> {
    pub(crate) rounds: u8,
    pub(crate) runs: &'a [Run],
    pub(crate) machine: Machine,
    pub(crate) is_quick: bool,
}

pub(crate) fn page(how: &How<'_>, peers: &[Peer], results: &Results) -> String {
    let mut text = String::from(HEAD);
    if how.is_quick {
        text.push_str("**A quick run, to try the tools: these are no figures.**\n\n");
    }
    text.push_str(&machine(how, peers));
    for section in ALL {
        let words = section.text;
        push(&mut text, format_args!("\n## {}\n\n{words}\n\n", section.title));
        text.push_str(&table(section.rows, peers, results));
    }
    text.push_str(
        "\n## Runs\n\nThe options of `weir bench` for each.\n\n| run | options |\n|---|---|\n",
    );
    for run in how.runs {
        push(&mut text, format_args!("| {} | `{}` |\n", run.name, run.arguments));
    }
    let failures: Vec<String> = results.failures().map(|line| format!("- {line}\n")).collect();
    if !failures.is_empty() {
        push(&mut text, format_args!("\nWithout a report:\n\n{}", failures.concat()));
    }
    text
}

/// The table of the README.
pub(crate) fn short_table(peers: &[Peer], results: &Results) -> String {
    table(SHORT, peers, results)
}

/// The README with the table between its two marks.
pub(crate) fn with_table(readme: &str, table: &str) -> Result<String, String> {
    let parts = readme
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    let (before, after) = parts.ok_or_else(|| format!("README.md has no {BEGIN}{END}"))?;
    Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

fn machine(how: &How<'_>, peers: &[Peer]) -> String {
    let Machine { processor, cores, memory_gb, kernel, file_system, load, date } = &how.machine;
    let mut text = String::from("| | |\n|---|---|\n");
    let mut line = |name: &str, value: &str| {
        push(&mut text, format_args!("| {name} | {value} |\n"));
    };
    line("date", date);
    line("processor", &format!("{processor}, {cores} cores, {memory_gb} GB"));
    line("kernel", &format!("Linux {kernel}"));
    line("file system of the brokers' data", file_system);
    line("load of the machine at the end", load);
    line("rounds", &format!("{}, of which the median", how.rounds));
    for peer in peers {
        line(&format!("{} {}", peer.name, peer.version()), peer.settings);
    }
    text
}

/// One column for each broker.
fn table(rows: &[Row], peers: &[Peer], results: &Results) -> String {
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for row in rows {
        let cells = names.iter().map(|peer| results.cell(row.run, peer, row.figure));
        let cells: Vec<String> = cells.collect();
        push(&mut text, format_args!("| {} | {} |\n", row.label, cells.join(" | ")));
    }
    text
}

fn push(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a String takes everything");
}

const HEAD: &str = "\
# Benchmarks

Written by `tests/load/run`, which measures weir beside the other brokers that are installed: each
is started for one run at a time, in turns, and stopped again; load and broker share the machine.
Payloads have 64 bytes where nothing else is said; MQTT 3.1.1.

```sh
tests/load/run
```

`weir bench` keeps account of every message of every run. Where one was lost, came twice, out of
order or not as it was sent, or where the broker closed a connection, the cell says so instead of a
figure that would mean nothing. At QoS 0 a broker may lose messages; with so few under way it need
not.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_between_its_marks() {
        let readme = "# Weir\n\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\n\nend\n";
        let new = with_table(readme, "| a |\n").unwrap();
        let expected = "# Weir\n\n<!-- benchmarks -->\n\n| a |\n\n<!-- /benchmarks -->\n\nend\n";
        assert_eq!(new, expected);
        assert_eq!(with_table(&new, "| a |\n").unwrap(), expected);
        assert!(with_table("# Weir\n", "| a |\n").is_err());
    }
}
