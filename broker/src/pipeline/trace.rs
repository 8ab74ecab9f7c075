//! Tells those who ask what becomes of the messages of a rule.
//!
//! The rules never wait for a listener: one that does not keep up misses steps, and is told how
//! many.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use weir_rules::Step;

use super::{Pipeline, UnknownRule};

/// Listeners at a time: each costs the rules the time to write down what they do.
const LISTENERS_MAX: usize = 4;
/// Steps on their way to a listener.
const STEPS_WAITING_MAX: usize = 1024;

/// Steps of one turn of a rule: a payload of many rows has more, and so has a turn in which the
/// windows of many groups end.
const TURN_STEPS_MAX: usize = 4096;

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum Traced {
    /// So many steps that it was too slow for.
    Missed(u64),
    Step(Arc<Step>),
}

/// Somebody who wants to know what a rule does.
#[derive(Debug)]
pub(crate) struct Listener {
    rule: String,
    /// Only messages and results of this group, and messages whose group is not known.
    key: Option<String>,
    sender: Sender<Traced>,
    missed: u64,
}

/// Why nobody more can listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// There are as many as can be.
    #[error("{LISTENERS_MAX} traces run already; end one of them first")]
    TooMany,
    /// There is no such rule.
    #[error(transparent)]
    UnknownRule(#[from] UnknownRule),
}

impl Listener {
    /// A listener, and where it hears. It ends when the receiver is dropped.
    pub(crate) fn new(rule: String, key: Option<String>) -> (Self, Receiver<Traced>) {
        let (sender, receiver) = channel(STEPS_WAITING_MAX);
        (Self { rule, key, sender, missed: 0 }, receiver)
    }

    fn tell(&mut self, step: &Arc<Step>) {
        if *step.rule != *self.rule {
            return;
        }
        let step = match &self.key {
            None => Some(step.clone()),
            Some(key) => step.of_group(key).map(Arc::new),
        };
        let Some(step) = step else { return };
        self.tell_missed();
        if self.missed > 0 || self.sender.try_send(Traced::Step(step)).is_err() {
            self.missed += 1;
        }
    }

    fn tell_missed(&mut self) {
        if self.missed > 0 && self.sender.try_send(Traced::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
    }
}

impl Pipeline {
    /// Lets somebody listen from the next message on.
    pub(crate) fn listen(&mut self, listener: Listener) -> Result<(), TraceError> {
        self.drop_listeners();
        if self.listeners.len() >= LISTENERS_MAX {
            return Err(TraceError::TooMany);
        }
        if !self.engine.set_traced(&listener.rule, TURN_STEPS_MAX) {
            return Err(UnknownRule::new(&listener.rule, &self.engine.status()).into());
        }
        self.listeners.push(listener);
        Ok(())
    }

    /// Passes on what rules have written down.
    pub(super) fn tell_listeners(&mut self) {
        if self.listeners.is_empty() {
            return;
        }
        let mut steps = Vec::new();
        let missed = self.engine.take_steps(&mut steps);
        let steps: Vec<Arc<Step>> = steps.into_iter().map(Arc::new).collect();
        for listener in &mut self.listeners {
            steps.iter().for_each(|step| listener.tell(step));
            listener.missed += missed;
            listener.tell_missed();
        }
    }

    /// Lets listeners go on with rules that are others now; where theirs is gone, they end.
    pub(super) fn keep_listeners(&mut self) {
        let engine = &mut self.engine;
        let goes_on = |one: &Listener| engine.set_traced(&one.rule, TURN_STEPS_MAX);
        self.listeners.retain(goes_on);
    }

    /// Forgets listeners that have gone; a rule that nobody listens to writes down nothing.
    pub(crate) fn drop_listeners(&mut self) {
        let gone = self.listeners.extract_if(.., |one| one.sender.is_closed());
        let gone: Vec<String> = gone.map(|listener| listener.rule).collect();
        for rule in gone {
            if !self.listeners.iter().any(|listener| listener.rule == rule) {
                self.engine.set_traced(&rule, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{MessageParts, ReaderId};
    use weir_mqtt::QoS;
    use weir_rules::{Engine, Source};

    use super::*;

    const RULE: &str = "[rule.tank]\nfrom = \"tank/{id}\"\ndecode = \"number\"\nby = [\"id\"]\n\
                        where = \"value > 5\"\nto = \"out\"\n";

    fn pipeline() -> Pipeline {
        let plan = weir_rules::compile(&[Source::new("r.toml", RULE)]).expect("a rule");
        Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new())
    }

    fn give(pipeline: &mut Pipeline, topic: &str, payload: &str) {
        let parts = MessageParts {
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 1_800_000_000_000,
            publisher: "",
            topic,
            properties: &[],
            payload: payload.as_bytes(),
        };
        pipeline.handle_message(1_800_000_000_000, None, &parts);
    }

    fn heard(receiver: &mut Receiver<Traced>) -> Vec<String> {
        let all = std::iter::from_fn(|| receiver.try_recv().ok());
        all.map(|traced| match traced {
            Traced::Missed(count) => format!("{count} missed"),
            Traced::Step(step) => {
                let text = step.to_string();
                text.split_once(' ').map(|(_, text)| text.to_owned()).expect("a time first")
            }
        })
        .collect()
    }

    #[test]
    fn a_listener_hears_of_its_group_and_of_what_has_none() {
        let mut pipeline = pipeline();
        let (all, mut all_steps) = Listener::new("tank".to_owned(), None);
        let (one, mut one_steps) = Listener::new("tank".to_owned(), Some("7".to_owned()));
        pipeline.listen(all).expect("the rule runs");
        pipeline.listen(one).expect("the rule runs");
        give(&mut pipeline, "tank/7", "3");
        give(&mut pipeline, "tank/8", "9");
        let passed = "tank/8 [8]: passed\n  -> out 9";
        assert_eq!(heard(&mut all_steps), ["tank/7 [7]: `where` is not true", passed]);
        assert_eq!(heard(&mut one_steps), ["tank/7 [7]: `where` is not true"]);
    }

    /// A message of another group can bring them, where groups share the watermark of a client.
    #[test]
    fn a_listener_hears_of_every_result_of_its_group() {
        let rule = "[rule.tank]\nfrom = \"tank/{id}\"\nby = [\"id\"]\nwindow = \"tumbling 10s\"\n\
                    time = { field = \"ts\", unit = \"s\", per = \"source\" }\nto = \"out\"\n\
                    select = { n = \"count()\" }\n";
        let plan = weir_rules::compile(&[Source::new("r.toml", rule)]).expect("a rule");
        let mut pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
        let (listener, mut steps) = Listener::new("tank".to_owned(), Some("7".to_owned()));
        pipeline.listen(listener).expect("the rule runs");
        for (topic, second) in [("tank/7", 0), ("tank/8", 1), ("tank/8", 12)] {
            give(&mut pipeline, topic, &format!("{{\"ts\":{}}}", 1_800_000_000 + second));
        }
        let heard = heard(&mut steps);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].starts_with("tank/7 [7]: into the window"), "{}", heard[0]);
        assert!(heard[1].starts_with("tank/8 [8]: into the window"), "{}", heard[1]);
        let results = heard[1].matches("\n  -> ").count();
        assert_eq!((results, heard[1].contains("\"id\":\"7\"")), (1, true), "{}", heard[1]);
    }

    /// Also one that begins anew is traced on; with a rule that is gone the trace ends.
    #[test]
    fn a_listener_stays_with_a_rule_that_is_changed() {
        let mut pipeline = pipeline();
        let (listener, mut steps) = Listener::new("tank".to_owned(), None);
        pipeline.listen(listener).expect("the rule runs");
        let exchange = |pipeline: &mut Pipeline, text: &str| {
            let plan = weir_rules::compile(&[Source::new("r.toml", text)]).expect("rules");
            pipeline.exchange(plan);
        };
        exchange(&mut pipeline, &RULE.replace("> 5", "> 6"));
        give(&mut pipeline, "tank/7", "6");
        assert_eq!(heard(&mut steps), ["tank/7 [7]: `where` is not true"]);
        exchange(&mut pipeline, &RULE.replace("by = [\"id\"]", "by = [\"id\", \"value\"]"));
        give(&mut pipeline, "tank/7", "6");
        assert_eq!(heard(&mut steps), ["tank/7 [7/6]: passed\n  -> out 6"]);
        exchange(&mut pipeline, &RULE.replace("rule.tank", "rule.other"));
        assert!(steps.is_closed());
    }

    #[test]
    fn a_slow_listener_is_told_what_it_has_missed() {
        let mut pipeline = pipeline();
        let (slow, mut steps) = Listener::new("tank".to_owned(), None);
        pipeline.listen(slow).expect("the rule runs");
        (0..STEPS_WAITING_MAX + 3).for_each(|_| give(&mut pipeline, "tank/7", "3"));
        assert_eq!(heard(&mut steps).len(), STEPS_WAITING_MAX);
        give(&mut pipeline, "tank/7", "9");
        let passed = "tank/7 [7]: passed\n  -> out 9";
        assert_eq!(heard(&mut steps), ["3 missed", passed]);
    }

    #[test]
    fn listeners_are_few_and_rules_are_known() {
        let mut pipeline = pipeline();
        let (other, _steps) = Listener::new("tnak".to_owned(), None);
        let unknown = pipeline.listen(other).expect_err("no such rule");
        assert!(unknown.to_string().contains("did you mean `tank`?"), "{unknown}");
        let mut receivers = Vec::new();
        for number in 0..=LISTENERS_MAX {
            let (listener, receiver) = Listener::new("tank".to_owned(), None);
            receivers.push(receiver);
            assert_eq!(pipeline.listen(listener).is_ok(), number < LISTENERS_MAX);
        }
        // Whoever goes makes room, and what nobody hears is not written down.
        receivers.clear();
        pipeline.drop_listeners();
        give(&mut pipeline, "tank/7", "9");
        let mut steps = Vec::new();
        assert_eq!((pipeline.engine.take_steps(&mut steps), steps.len()), (0, 0));
        let (listener, _receiver) = Listener::new("tank".to_owned(), None);
        assert!(pipeline.listen(listener).is_ok());
    }
}
