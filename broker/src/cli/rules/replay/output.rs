//! Where what is sent goes: to the terminal at once, or to the comparison and then to the terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write as _};

use serde_json::{Value, json};

use super::super::super::{Answer, CliError, check::count};
use super::super::trial::append_line;
use super::difference::{DIFFERENT_MAX, Difference, Side};
use super::player::Sent;

/// What was sent so far.
pub(super) struct Output {
    is_json: bool,
    difference: Option<Difference>,
    results: usize,
    errors: usize,
    terminal: BufWriter<io::Stdout>,
}

impl Output {
    pub(super) fn new(is_json: bool, compares: bool) -> Self {
        let difference = compares.then(Difference::default);
        let terminal = BufWriter::new(io::stdout());
        Self { is_json, difference, results: 0, errors: 0, terminal }
    }

    pub(super) fn take(&mut self, side: Side, sent: Sent) -> Result<(), CliError> {
        let Some(difference) = &mut self.difference else {
            let is_error = sent.emission.error.is_some();
            self.errors += usize::from(is_error);
            self.results += usize::from(!is_error);
            return self.print(&sent, None);
        };
        let mut text = Vec::new();
        append_line(&sent.emission, &mut text);
        if difference.take(side, sent, text) {
            return Ok(());
        }
        Err(CliError::Argument {
            argument: "--with",
            reason: format!("more than {DIFFERENT_MAX} results differ"),
            help: "compare a shorter time with --since and --until".to_owned(),
        })
    }

    /// Prints what differs, and sums up.
    pub(super) fn end(mut self, read: usize) -> Result<Answer, CliError> {
        let read = count(read, "message");
        let Some(difference) = self.difference.take() else {
            let (results, errors) = (count(self.results, "result"), count(self.errors, "error"));
            self.terminal.flush().map_err(CliError::Output)?;
            eprintln!("{read} read, {results}, {errors}");
            return Ok(Answer::Yes);
        };
        for (side, sent) in difference.rest() {
            self.print(sent, Some(side))?;
        }
        self.terminal.flush().map_err(CliError::Output)?;
        let ([before, after], same) = (difference.counts(), difference.same());
        eprintln!("{read} read, {same} the same, {before} only before, {after} only after");
        Ok(if before + after == 0 { Answer::Yes } else { Answer::No })
    }

    fn print(&mut self, sent: &Sent, side: Option<Side>) -> Result<(), CliError> {
        let mut text = Vec::new();
        if self.is_json {
            text.extend_from_slice(json_of(sent, side).to_string().as_bytes());
            text.push(b'\n');
        } else {
            text.extend_from_slice(side.map_or("", Side::mark).as_bytes());
            append_line(&sent.emission, &mut text);
        }
        self.terminal.write_all(&text).map_err(CliError::Output)
    }
}

fn json_of(sent: &Sent, side: Option<Side>) -> Value {
    let emission = &sent.emission;
    let payload = String::from_utf8_lossy(&emission.payload);
    let mut line = json!({
        "at_ms": sent.at.0,
        "rule": *emission.rule,
        "id": format!("{:032x}", emission.id),
        "topic": emission.topic,
        "payload": payload,
        "is_text": matches!(payload, Cow::Borrowed(_)),
    });
    if let Some(upstream) = &emission.upstream {
        line["upstream"] = json!(**upstream);
    }
    if let Some(error) = &emission.error {
        line["error"] = json!({
            "code": error.code,
            "message": error.message,
            "topic": error.topic,
        });
    }
    if let Some(side) = side {
        line["change"] = json!(if side == Side::Before { "-" } else { "+" });
    }
    line
}
