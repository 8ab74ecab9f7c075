//! Which messages of the history a result was made of. They are read twice: first to find the
//! result, then to print its messages, so no message has to be kept.

use std::io::{self, BufWriter, Write as _};

use weir_core::MessageParts;
use weir_rules::{Plan, Step};

use super::super::super::{Answer, CliError, check::count};
use super::super::trial::append_line;
use super::player::Player;
use super::{Histories, Range};

/// The step in which a result was sent, and how many steps there were before it.
struct Made {
    step: Step,
    before: usize,
}

/// Prints a result, and under it the messages that it was made of.
pub(super) fn show(
    histories: &Histories<'_>,
    range: Range,
    plan: &Plan,
    (rule, id): (&str, u128),
) -> Result<Answer, CliError> {
    let Some(made) = find(histories, range, plan, (rule, id))? else {
        eprintln!(
            "rule `{rule}` sends no result with the id {id:032x} over the messages from then on; \
             begin earlier with --since, and with the rule as it was when it sent that"
        );
        return Ok(Answer::No);
    };
    let outcome = made.step.outcome_of(id).expect("it was found by that");
    let mut terminal = BufWriter::new(io::stdout());
    let mut print = |text: &[u8]| terminal.write_all(text).map_err(CliError::Output);
    if let Ok(emission) = &outcome.sent {
        let mut line = Vec::new();
        append_line(emission, &mut line);
        print(&line)?;
    }
    let (mut seen, mut parts) = (0, 0);
    walk(histories, range, plan, rule, |message, steps| {
        for step in steps {
            let is_part = match &outcome.window {
                Some(window) => step.is_part_of(&made.step, window),
                // It was made of the message of its step, if there is one.
                None => seen == made.before && step.topic.is_some(),
            };
            if is_part && seen <= made.before {
                parts += 1;
                print(&line_of(step, message))?;
            }
            seen += 1;
        }
        Ok(seen <= made.before)
    })?;
    terminal.flush().map_err(CliError::Output)?;
    eprintln!("made of {}", count(parts, "message"));
    Ok(Answer::Yes)
}

fn line_of(step: &Step, message: Option<&MessageParts<'_>>) -> Vec<u8> {
    let mut line = format!("  {}", step.at).into_bytes();
    let topic = step.topic.as_deref().unwrap_or_default();
    line.extend_from_slice(format!(" {topic}").as_bytes());
    if let Some((word, number)) = step.part {
        line.extend_from_slice(format!(" {word} {number}").as_bytes());
    }
    // A result of another rule is in no history.
    if let Some(message) = message.filter(|message| message.topic == topic) {
        line.push(b' ');
        line.extend_from_slice(message.payload);
    }
    line.push(b'\n');
    line
}

fn find(
    histories: &Histories<'_>,
    range: Range,
    plan: &Plan,
    (rule, id): (&str, u128),
) -> Result<Option<Made>, CliError> {
    let (mut made, mut before) = (None, 0);
    walk(histories, range, plan, rule, |_, steps| {
        for step in steps {
            if step.outcome_of(id).is_some() {
                made = Some(Made { step: step.clone(), before });
                return Ok(false);
            }
            before += 1;
        }
        Ok(true)
    })?;
    Ok(made)
}

/// Gives the steps of a rule with the message of each, until `visit` wants no more.
fn walk(
    histories: &Histories<'_>,
    range: Range,
    plan: &Plan,
    rule: &str,
    mut visit: impl FnMut(Option<&MessageParts<'_>>, &[Step]) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    let mut player = Player::new(plan.clone(), rule);
    player.trace();
    let mut steps = Vec::new();
    let mut goes_on = true;
    histories.read(range, &player.filters(), |message| {
        player.handle(message, &mut |_| Ok(()))?;
        player.take_steps(&mut steps);
        goes_on = visit(Some(message), &steps)?;
        steps.clear();
        Ok(goes_on)
    })?;
    if goes_on {
        player.advance(range.until_ms, &mut |_| Ok(()))?;
        player.take_steps(&mut steps);
        visit(None, &steps)?;
    }
    Ok(())
}
