//! What a run has found, in its order: an aligned table for people, one line of JSON for programs.

use std::fmt::Write as _;

use serde_json::Value;

use super::ledger::Balance;

/// Facts with their names.
#[derive(Debug)]
pub(crate) struct Report {
    facts: Vec<(String, Value)>,
}

impl Report {
    pub(crate) fn new(scenario: &str) -> Self {
        Self { facts: vec![("scenario".to_owned(), scenario.into())] }
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.facts.push((name.to_owned(), value.into()));
    }

    pub(crate) fn count(&mut self, name: &str, value: u64) {
        self.facts.push((name.to_owned(), value.into()));
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.facts.push((name.to_owned(), value.into()));
    }

    /// Three digits behind the point, none from a hundred on. What cannot be computed is left out.
    pub(crate) fn number(&mut self, name: &str, value: f64) {
        let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
        let rounded = (value * digits).round() / digits;
        if rounded.is_finite() {
            self.facts.push((name.to_owned(), rounded.into()));
        }
    }

    pub(crate) fn balance(&mut self, balance: &Balance) {
        self.count("expected", balance.expected);
        self.count("received", balance.received);
        self.count("lost", balance.lost);
        self.count("surplus", balance.surplus);
        self.count("disordered", balance.disordered);
        self.count("misdirected", balance.misdirected);
    }

    /// Whether everything is as it must be; always the last fact.
    pub(crate) fn is_right(&self) -> bool {
        self.facts.iter().any(|(name, value)| name == "ok" && value == true)
    }

    pub(crate) fn json(&self) -> String {
        let fact = |(name, value): &(String, Value)| format!("\"{name}\":{value}");
        let facts: Vec<String> = self.facts.iter().map(fact).collect();
        format!("{{{}}}\n", facts.join(","))
    }

    pub(crate) fn table(&self) -> String {
        let width = self.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.facts {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(true) => "yes".to_owned(),
                Value::Bool(false) => "no".to_owned(),
                Value::Number(number) => grouped(&number.to_string()),
                other => other.to_string(),
            };
            let name = name.replace('_', " ");
            writeln!(text, "{name:<width$}  {value}").expect("a String takes everything");
        }
        text
    }
}

/// With a comma after every three digits before the point.
fn grouped(number: &str) -> String {
    let number = number.strip_suffix(".0").unwrap_or(number);
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("fanin");
        report.text("version", "5.0");
        report.number("broker_cpu_us_per_message", 0.123_456);
        report.number("messages_per_s", 1_234_567.8);
        report.number("never", f64::NAN);
        report.count("received", 1_000);
        report.flag("ok", true);
        report
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
scenario                   fanin
version                    5.0
broker cpu us per message  0.123
messages per s             1,234,568
received                   1,000
ok                         yes
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn json_is_one_line_in_the_same_order() {
        let expected = "{\"scenario\":\"fanin\",\"version\":\"5.0\",\
                        \"broker_cpu_us_per_message\":0.123,\"messages_per_s\":1234568.0,\
                        \"received\":1000,\"ok\":true}\n";
        assert_eq!(report().json(), expected);
        assert!(serde_json::from_str::<Value>(expected).is_ok());
    }

    #[test]
    fn large_numbers_are_grouped() {
        let numbers = ["0", "999", "1000", "-1234567.25", "12.0"].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "-1,234,567.25", "12"]);
    }
}
