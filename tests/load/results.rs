//! All outcomes, and what a cell of a table says of them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::measure::Outcome;

/// The outcomes of all rounds.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(&'static str, &'static str), Vec<Outcome>>);

/// A fact of a report, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Its name in the report.
    pub(crate) key: &'static str,
    /// One of what is written, in what is reported.
    pub(crate) unit: f64,
}

impl Results {
    pub(crate) fn add(&mut self, run: &'static str, peer: &'static str, outcome: Outcome) {
        self.0.entry((run, peer)).or_default().push(outcome);
    }

    /// The median of the rounds, or what was wrong in the worst of them.
    pub(crate) fn cell(&self, run: &'static str, peer: &'static str, figure: Figure) -> String {
        let Some(outcomes) = self.0.get(&(run, peer)) else { return "not run".to_owned() };
        let mut values = Vec::new();
        let mut wrong: Option<(u64, String)> = None;
        for outcome in outcomes {
            match outcome {
                Outcome::NoSuchSetting => return "no such setting".to_owned(),
                Outcome::Failed(_) => return "failed".to_owned(),
                Outcome::Report(report) if report["ok"] != true => {
                    wrong = wrong.max(Some(fault(report)));
                }
                Outcome::Report(report) => values.extend(report[figure.key].as_f64()),
            }
        }
        if let Some((_, words)) = wrong {
            return words;
        }
        median(values).map_or("not known".to_owned(), |value| number(value / figure.unit))
    }

    /// Why runs have no report.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|((run, peer), outcomes)| {
            outcomes.iter().find_map(|outcome| match outcome {
                Outcome::Failed(reason) => Some(format!("{peer}, {run}: {reason}")),
                _ => None,
            })
        })
    }
}

/// What is wrong in a report, and how much of it.
fn fault(report: &Value) -> (u64, String) {
    let count = |key: &str| report[key].as_u64().unwrap_or(0);
    let kinds = [
        (count("lost"), "lost"),
        (count("plus_expected").saturating_sub(count("plus_received")), "lost"),
        (count("disordered"), "out of order"),
        (count("misdirected"), "wrong"),
        (count("surplus"), "surplus"),
        (count("refused"), "refused"),
        (count("closed"), "closed"),
    ];
    let found = kinds.into_iter().find(|(number, _)| *number > 0);
    found.map_or((0, "not right".to_owned()), |(count, kind)| {
        (count, format!("{kind} {}", grouped(&count.to_string())))
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Three digits or all before the point, in groups.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    grouped(&format!("{value:.digits$}"))
}

/// With a comma after every three digits before the point.
fn grouped(text: &str) -> String {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CPU: Figure = Figure { key: "cpu", unit: 1.0 };

    fn cell(reports: &[Value]) -> String {
        let mut results = Results::default();
        for report in reports {
            results.add("run", "peer", Outcome::Report(report.clone()));
        }
        results.cell("run", "peer", CPU)
    }

    #[test]
    fn a_cell_has_the_median() {
        let right = |cpu: f64| json!({ "ok": true, "cpu": cpu });
        assert_eq!(cell(&[right(0.3), right(1234.5), right(2.0)]), "2.00");
        assert_eq!(cell(&[right(1234.5)]), "1,234");
    }

    #[test]
    fn a_figure_of_a_run_that_lost_something_is_not_shown() {
        let right = json!({ "ok": true, "cpu": 1.0 });
        let lost = json!({ "ok": false, "cpu": 1.0, "lost": 1234 });
        let more = json!({ "ok": false, "cpu": 1.0, "lost": 5678 });
        assert_eq!(cell(&[right.clone(), lost, more]), "lost 5,678");
        let disordered = json!({ "ok": false, "cpu": 1.0, "lost": 0, "disordered": 3 });
        assert_eq!(cell(&[right, disordered]), "out of order 3");
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.0, 0.0123, 0.5, 1.234, 56.78, 987.6, 1_234_567.8, -8.0].map(number);
        let expected = ["0", "0.012", "0.500", "1.23", "56.8", "988", "1,234,568", "-8.00"];
        assert_eq!(numbers, expected);
    }
}
