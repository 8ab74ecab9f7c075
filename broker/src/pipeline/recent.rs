//! What watched rules have sent last.
//!
//! Other than a trace it costs a rule nothing but a copy of what it sends, and no more than a few of
//! those are kept until they are asked for.

use std::sync::Arc;

use weir_rules::Emission;

use super::Pipeline;

/// Rules that are watched at a time; what others send is not kept.
pub(crate) const RULES_WATCHED_MAX: usize = 8;

/// Messages of a rule that are kept until somebody asks.
const KEPT_MAX: usize = 64;

/// Bytes of a payload and of a topic that are kept.
const BYTES_MAX: usize = 512;

/// What a rule has sent since somebody asked last.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentlySent {
    pub(crate) rule: String,
    /// The last ones, in their order.
    pub(crate) messages: Vec<Sent>,
    /// More that were sent before those.
    pub(crate) missed: u64,
}

/// A message that a rule has sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at_ms: u64,
    pub(crate) topic: Box<str>,
    /// Its beginning.
    pub(crate) payload: Vec<u8>,
    /// Length of the whole payload.
    pub(crate) payload_bytes: usize,
    pub(crate) upstream: Option<Arc<str>>,
    /// It is a dead letter.
    pub(crate) is_dead_letter: bool,
}

impl Pipeline {
    /// What these rules have sent since they were asked for last. From now on they are watched, and
    /// others are not.
    pub(crate) fn recently_sent(&mut self, rules: &[String]) -> Vec<RecentlySent> {
        let taken: Vec<RecentlySent> = self.recent.drain(..).collect();
        let watched = rules.iter().take(RULES_WATCHED_MAX);
        self.recent = watched
            .map(|rule| RecentlySent { rule: rule.clone(), ..RecentlySent::default() })
            .collect();
        taken
    }
}

impl RecentlySent {
    /// Keeps a message if it is of this rule.
    pub(super) fn note(&mut self, emission: &Emission, at_ms: u64) {
        if *self.rule != *emission.rule {
            return;
        }
        if self.messages.len() >= KEPT_MAX {
            self.messages.remove(0);
            self.missed += 1;
        }
        self.messages.push(Sent {
            at_ms,
            topic: cut(&emission.topic).into(),
            payload: emission.payload[..emission.payload.len().min(BYTES_MAX)].to_vec(),
            payload_bytes: emission.payload.len(),
            upstream: emission.upstream.clone(),
            is_dead_letter: emission.error.is_some(),
        });
    }
}

fn cut(topic: &str) -> &str {
    &topic[..topic.floor_char_boundary(BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use weir_core::{MessageParts, ReaderId};
    use weir_mqtt::QoS;
    use weir_rules::{Engine, Source};

    use super::*;

    const RULE: &str = "[rule.tank]\nfrom = \"tank/{id}\"\ndecode = \"number\"\nto = \"out/{id}\"\n\
                        [rule.other]\nfrom = \"tank/{id}\"\ndecode = \"number\"\nto = \"else\"\n";

    fn give(pipeline: &mut Pipeline, payload: &str) {
        let parts = MessageParts {
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 1_800_000_000_000,
            publisher: "",
            topic: "tank/7",
            properties: &[],
            payload: payload.as_bytes(),
        };
        pipeline.handle_message(1_800_000_000_000, None, &parts);
    }

    #[test]
    fn what_a_watched_rule_sends_is_told_once_and_no_more_than_the_last_of_it() {
        let plan = weir_rules::compile(&[Source::new("r.toml", RULE)]).expect("rules");
        let mut pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
        let wanted = ["tank".to_owned()];
        give(&mut pipeline, "1");
        assert!(pipeline.recently_sent(&wanted).is_empty(), "nobody has watched");
        (0..KEPT_MAX + 3).for_each(|number| give(&mut pipeline, &number.to_string()));
        let told = pipeline.recently_sent(&wanted);
        let [tank] = &told[..] else { panic!("one rule: {told:?}") };
        assert_eq!((&*tank.rule, tank.messages.len(), tank.missed), ("tank", KEPT_MAX, 3));
        let last = tank.messages.last().expect("there are some");
        assert_eq!((&*last.topic, &*last.payload), ("out/7", &b"66"[..]));
        assert!(pipeline.recently_sent(&[])[0].messages.is_empty());
        give(&mut pipeline, "1");
        assert!(pipeline.recently_sent(&[]).is_empty(), "nobody watches any more");
    }
}
