//! What comes from inside the broker and becomes durable as a whole: messages, the state they
//! came from, and how far their reader is.
//!
//! While the store has no room, turns that need some wait in a [`TurnQueue`]. It is bounded by
//! those who fill it: each source has only so many turns that are not durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use weir_core::{Change, Core, Input, Message, Now, Publication, ReaderId, Route, Sequence};

/// Messages and changes of one turn.
#[derive(Default)]
pub struct InnerTurn {
    /// Messages to publish, in order.
    pub publications: Vec<OwnedPublication>,
    /// Changes that go with them.
    pub changes: Vec<Change>,
    /// What other boxes have retained and those who subscribe here get otherwise.
    pub retained: Vec<Message>,
    /// A reader is done with the log up to a position.
    pub done: Option<(ReaderId, Sequence)>,
    /// The rules that have made its messages.
    pub(crate) made: Made,
    /// Called on the shard's thread once all of it is durable; must not wait.
    pub committed: Option<Box<dyn FnOnce() + Send>>,
}

impl InnerTurn {
    /// Hands all but `committed` to a core. What comes later rests on what comes before.
    pub fn give(&mut self, core: &mut Core, now: Now) {
        let done = self.done.map(|(reader, sequence)| Input::ReaderDone { reader, sequence });
        let (done_first, done_last) = if self.is_report() { (None, done) } else { (done, None) };
        for change in self.changes.drain(..) {
            core.handle(now, Input::Record(change));
        }
        done_first.into_iter().for_each(|done| core.handle(now, done));
        for publication in &self.publications {
            core.handle(now, Input::Publish(publication.borrow()));
        }
        if !self.retained.is_empty() {
            core.handle(now, Input::RetainedElsewhere(&self.retained));
        }
        done_last.into_iter().for_each(|done| core.handle(now, done));
    }

    /// Whether it tells how far a reader is, and what has become of messages that it could not
    /// pass on. Such a dead letter goes before the position: whoever waits for the reader waits
    /// until the letter is durable. In any other turn the messages rest on the position.
    fn is_report(&self) -> bool {
        let has_origin = |publication: &OwnedPublication| {
            !matches!(publication.route, Route::Reader(_) | Route::Subscribers { origin: None })
        };
        self.changes.is_empty() && self.publications.iter().all(has_origin)
    }
}

/// The rules that have made the messages of a turn, each with the arrival of the oldest message
/// that they were made from, in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Made(pub(crate) BTreeMap<Arc<str>, u64>);

impl Made {
    /// Adds a message of a rule.
    pub(crate) fn add(&mut self, rule: &Arc<str>, since_ms: u64) {
        match self.0.get_mut(rule) {
            Some(since) => *since = since_ms.min(*since),
            None => _ = self.0.insert(rule.clone(), since_ms),
        }
    }
}

/// A message from inside the broker on its way to a shard.
#[derive(Clone, Debug)]
pub struct OwnedPublication {
    /// The message as a record, see `weir_core::Message`.
    pub record: Vec<u8>,
    /// Where it goes.
    pub route: Route,
}

/// Turns on their way to a core, in the order in which they came.
#[derive(Default)]
pub struct TurnQueue {
    waiting: VecDeque<InnerTurn>,
}

impl TurnQueue {
    /// Appends a turn.
    pub fn put(&mut self, turn: InnerTurn) {
        self.waiting.push_back(turn);
    }

    /// The next turn that need not wait for room. The turns of one source keep their order;
    /// those of another may overtake them.
    pub fn next(&mut self, core: &mut Core) -> Option<InnerTurn> {
        let mut held_back: Vec<Option<ReaderId>> = Vec::new();
        for index in 0..self.waiting.len() {
            let turn = &self.waiting[index];
            let source = turn.source();
            // Whoever moves on in the log makes room. Of the rules everything before that goes
            // too, because they are behind until it has.
            let moves_on = turn.done.is_some_and(|(reader, _)| core.is_behind(reader));
            let mut messages = turn.publications.iter();
            let must_wait = held_back.contains(&source)
                || messages.any(|one| core.must_wait_for_room(&one.borrow()));
            if moves_on || !must_wait {
                return self.waiting.remove(index);
            }
            held_back.push(source);
        }
        None
    }
}

impl InnerTurn {
    /// Where its messages come from: an upstream, or none of them, which means the rules.
    fn source(&self) -> Option<ReaderId> {
        match self.publications.first()?.route {
            Route::Reader(_) => None,
            Route::RetainedNews { origin } => Some(origin),
            Route::Subscribers { origin } => origin,
        }
    }
}

impl OwnedPublication {
    /// The message and its route, borrowed.
    ///
    /// # Panics
    /// When `record` was not made from the parts of a message.
    #[must_use]
    pub fn borrow(&self) -> Publication<'_> {
        let message = weir_core::parse_message(&self.record)
            .expect("a record that was made from parts is whole");
        Publication { message, route: self.route }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::{
        Input, Instant, Limits, MessageParts, Now, ReaderConfig, ReaderKind, Recovered, StoreRoom,
    };
    use weir_mqtt::QoS;

    const NOW: Now = Now { monotonic: Instant(0), unix_ms: 0 };
    const RULES: ReaderId = ReaderId(1);
    const CLOUD: ReaderId = ReaderId(2);
    const PLANT: ReaderId = ReaderId(3);

    fn core() -> Core {
        let reader = |reader, filter: &str| ReaderConfig {
            reader,
            filters: vec![filter.to_owned()],
            kind: if reader == RULES { ReaderKind::Rules } else { ReaderKind::Upstream },
            names_publishers: false,
        };
        let readers = vec![reader(RULES, "in/#"), reader(CLOUD, "up/#"), reader(PLANT, "down/#")];
        let recovered = Recovered::default();
        Core::new(Limits::default(), readers, recovered, 1, NOW)
    }

    fn publication(qos: QoS, topic: &str, payload: &str, route: Route) -> OwnedPublication {
        let parts = MessageParts {
            qos,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic,
            properties: &[],
            payload: payload.as_bytes(),
        };
        let mut record = Vec::new();
        parts.append_to(&mut record);
        OwnedPublication { record, route }
    }

    fn turn(publication: OwnedPublication) -> InnerTurn {
        InnerTurn { publications: vec![publication], ..InnerTurn::default() }
    }

    /// The payloads of the turns that go.
    fn go(queue: &mut TurnQueue, core: &mut Core) -> Vec<String> {
        let mut gone = Vec::new();
        while let Some(turn) = queue.next(core) {
            let payloads = turn.publications.iter().map(|one| one.borrow().message.payload);
            let payload: Vec<u8> = payloads.flatten().copied().collect();
            gone.push(String::from_utf8(payload).expect("text"));
            if let Some((reader, sequence)) = turn.done {
                core.handle(NOW, Input::ReaderDone { reader, sequence });
            }
            for one in &turn.publications {
                core.handle(NOW, Input::Publish(one.borrow()));
            }
        }
        gone
    }

    #[test]
    fn a_turn_that_needs_room_waits_and_those_behind_it_from_the_same_source() {
        let (mut core, mut queue) = (core(), TurnQueue::default());
        core.handle(NOW, Input::StoreRoom(StoreRoom::Full));
        let rules = Route::Subscribers { origin: None };
        let plant = Route::Subscribers { origin: Some(PLANT) };
        for (qos, topic, payload, route) in [
            (QoS::AtMostOnce, "up/1", "a", rules),
            (QoS::AtLeastOnce, "up/1", "b", rules),
            (QoS::AtMostOnce, "up/1", "c", rules),
            (QoS::AtMostOnce, "up/1", "d", plant),
            (QoS::AtLeastOnce, "up/1", "e", plant),
            (QoS::AtLeastOnce, "nobody", "f", plant),
        ] {
            queue.put(turn(publication(qos, topic, payload, route)));
        }
        assert_eq!(go(&mut queue, &mut core), ["a", "d"]);
        assert_eq!(go(&mut queue, &mut core), [""; 0]);
        core.handle(NOW, Input::StoreRoom(StoreRoom::Ample));
        assert_eq!(go(&mut queue, &mut core), ["b", "c", "e", "f"]);
    }

    /// Otherwise a store that is full of what the rules have to read would stay full for ever.
    #[test]
    fn whoever_moves_on_in_the_log_does_not_wait() {
        let (mut core, mut queue) = (core(), TurnQueue::default());
        for reader in [RULES, CLOUD] {
            let one = publication(QoS::AtLeastOnce, "t", "x", Route::Reader(reader));
            core.handle(NOW, Input::Publish(one.borrow()));
        }
        let [first, second] = [Sequence(1), Sequence(2)];
        core.handle(NOW, Input::StoreRoom(StoreRoom::Full));
        let result = |payload| publication(QoS::AtLeastOnce, "up/1", payload, Route::Reader(CLOUD));
        let done = |payload, done| InnerTurn { done: Some(done), ..turn(result(payload)) };
        queue.put(turn(result("a")));
        queue.put(done("b", (RULES, first)));
        // The same position again says nothing new.
        queue.put(done("c", (RULES, first)));
        queue.put(InnerTurn { done: Some((CLOUD, second)), ..InnerTurn::default() });
        assert_eq!(go(&mut queue, &mut core), ["a", "b", ""]);
        assert!(!core.is_behind(RULES));
        core.handle(NOW, Input::StoreRoom(StoreRoom::Ample));
        assert_eq!(go(&mut queue, &mut core), ["c"]);
    }
}
