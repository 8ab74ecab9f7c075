//! Which messages of the history a result was made of. They are read twice: first to find the
//! result, then to print its messages, so no message has to be kept.

use std::io::{self, BufWriter, Write as _};

use weir_core::MessageParts;
use weir_rules::{Emission, Plan, Step};

use super::super::super::{Answer, CliError, check::count};
use super::super::trial::append_line;
use super::player::{Player, Sent};
use super::{Histories, Range};

/// A result, the step in which it was sent, and how many steps there were before it.
struct Made {
    emission: Emission,
    step: Step,
    before: usize,
}

/// What a message or a timer has brought.
struct Moment<'m> {
    message: Option<&'m MessageParts<'m>>,
    sent: &'m [Sent],
    steps: &'m [Step],
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
    let mut line = Vec::new();
    append_line(&made.emission, &mut line);
    print(&line)?;
    let (mut seen, mut parts) = (0, 0);
    walk(histories, range, plan, rule, &mut |moment| {
        for step in moment.steps {
            let is_part = match &outcome.window {
                Some(window) => step.is_part_of(&made.step, window),
                // It was made of the message of its step, if there is one.
                None => seen == made.before && step.topic.is_some(),
            };
            if is_part && seen <= made.before {
                parts += 1;
                print(&line_of(step, moment.message))?;
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
    walk(histories, range, plan, rule, &mut |moment| {
        let sent = moment.sent.iter().find(|sent| sent.emission.id == id);
        for step in moment.steps {
            if let (Some(sent), Some(_)) = (sent, step.outcome_of(id)) {
                let (emission, step) = (sent.emission.clone(), step.clone());
                made = Some(Made { emission, step, before });
                return Ok(false);
            }
            before += 1;
        }
        Ok(true)
    })?;
    Ok(made)
}

type Visit<'v> = dyn FnMut(&Moment<'_>) -> Result<bool, CliError> + 'v;

/// Gives what a rule does moment by moment, until `visit` wants no more.
fn walk(
    histories: &Histories<'_>,
    range: Range,
    plan: &Plan,
    rule: &str,
    visit: &mut Visit<'_>,
) -> Result<(), CliError> {
    let mut player = Player::new(plan.clone(), rule);
    player.trace();
    let filters = player.filters();
    let mut walk = Walk { player, sent: Vec::new(), steps: Vec::new(), visit };
    let mut goes_on = true;
    histories.read(range, &filters, |message| {
        goes_on = walk.handle(message)?;
        Ok(goes_on)
    })?;
    if goes_on {
        walk.advance(range.until_ms)?;
    }
    Ok(())
}

/// A rule on its way through the history. What it does is taken message by message and timer by
/// timer, so that no more than that has to be kept.
struct Walk<'w, 'v> {
    player: Player,
    sent: Vec<Sent>,
    steps: Vec<Step>,
    visit: &'w mut Visit<'v>,
}

impl Walk<'_, '_> {
    fn handle(&mut self, message: &MessageParts<'_>) -> Result<bool, CliError> {
        if !self.advance(message.received_at_ms)? {
            return Ok(false);
        }
        let sent = &mut self.sent;
        self.player.handle(message, &mut |one| {
            sent.push(one);
            Ok(())
        })?;
        self.tell(Some(message))
    }

    fn advance(&mut self, unix_ms: u64) -> Result<bool, CliError> {
        loop {
            let sent = &mut self.sent;
            let is_due = self.player.advance_once(unix_ms, &mut |one| {
                sent.push(one);
                Ok(())
            })?;
            if !is_due {
                return Ok(true);
            }
            if !self.tell(None)? {
                return Ok(false);
            }
        }
    }

    fn tell(&mut self, message: Option<&MessageParts<'_>>) -> Result<bool, CliError> {
        self.player.take_steps(&mut self.steps);
        let moment = Moment { message, sent: &self.sent, steps: &self.steps };
        let goes_on = (self.visit)(&moment)?;
        self.sent.clear();
        self.steps.clear();
        Ok(goes_on)
    }
}

#[cfg(test)]
mod tests {
    use weir_mqtt::QoS;
    use weir_rules::{Source, compile};

    use super::*;

    const GROUPS: u64 = 5000;

    /// The first message of a minute ends the windows of all groups, and so does the end of the
    /// history: results were said to be sent nowhere, because only 4096 steps were kept.
    #[test]
    fn every_result_is_found_in_a_step() {
        let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nwindow = \"tumbling 1m\"\n\
                    select = { n = \"count()\" }\nto = \"out\"\n";
        let mut player = Player::new(compile(&[Source::new("r.toml", rule)]).expect("a rule"), "r");
        player.trace();
        let (mut results, mut found) = (0, 0);
        let mut visit = |moment: &Moment<'_>| {
            results += moment.sent.len();
            let ids = moment.sent.iter().map(|sent| sent.emission.id);
            found += ids
                .filter(|id| moment.steps.iter().any(|one| one.outcome_of(*id).is_some()))
                .count();
            Ok(true)
        };
        let mut walk = Walk { player, sent: Vec::new(), steps: Vec::new(), visit: &mut visit };
        let start = 1_800_000_000_000;
        for number in 0..2 * GROUPS {
            let topic = format!("in/{}", number % GROUPS);
            let message = MessageParts {
                qos: QoS::AtMostOnce,
                retain: false,
                expires_at_ms: None,
                received_at_ms: start + number / GROUPS * 60_000,
                publisher: "",
                topic: &topic,
                properties: &[],
                payload: b"{}",
            };
            assert!(walk.handle(&message).expect("nothing is printed"));
        }
        assert!(walk.advance(start + 200_000).expect("nothing is printed"));
        assert_eq!((results, found), (2 * GROUPS as usize, 2 * GROUPS as usize));
    }
}
