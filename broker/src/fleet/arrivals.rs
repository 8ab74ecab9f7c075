//! Messages of other boxes: which are published here, and when each is acknowledged.
//!
//! Pure. A message of the stream is acknowledged once it is durable here, and how far this box is
//! in the stream becomes durable together with it. So one that comes again because its
//! acknowledgement was lost is known, over restarts too. One that its sender has stored twice is
//! known by its identifier, as far as this process remembers. What is published and not durable yet
//! is bounded.

use std::collections::{BTreeSet, VecDeque};

use weir_core::{Change, Message, ReaderId, Route, Sequence};

use super::bucket::Bucket;
use super::envelope::{self, Malformed};
use super::recipients::Recipients;
use crate::inner_turn::{InnerTurn, OwnedPublication};

/// Messages on their way into this box.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Who brings them.
    fleet: ReaderId,
    /// Under whose number the position in the stream is kept.
    position: ReaderId,
    /// The topics that are taken.
    shared: Recipients,
    /// The last position that was handed over.
    handed: Sequence,
    /// The last one that is durable.
    done: Sequence,
    /// Which of the streams that there were one after the other.
    stream: u64,
    recent: Recent,
    gathered: Gathered,
    /// Messages that are not durable yet, and their bytes.
    waiting: (usize, usize),
}

/// What goes to the shard in one turn.
#[derive(Debug, Default)]
struct Gathered {
    publications: Vec<OwnedPublication>,
    receipt: Receipt,
}

/// What is to be done once a turn is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipt {
    /// Where to acknowledge.
    pub(super) replies: Vec<String>,
    last: Sequence,
    stream: u64,
    bytes: usize,
}

/// What becomes of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It will be acknowledged when it is durable. `removal` takes it away again, if it is flagged
    /// and was removed before it came.
    Kept { removal: Option<Message> },
    /// It is not taken, and acknowledged with the others.
    Malformed(Malformed),
    /// It has come before. It is to be acknowledged at once if it is durable here already, and will
    /// be otherwise.
    Repeated { is_durable: bool },
    /// It is not one of the topics that this box shares, and acknowledged with the others.
    Unshared,
}

impl Arrivals {
    pub(super) fn new(fleet: ReaderId, position: ReaderId, shared: &[String]) -> Self {
        Self {
            fleet,
            position,
            shared: Recipients::new(std::iter::once(shared)),
            handed: Sequence(0),
            done: Sequence(0),
            stream: 0,
            recent: Recent::default(),
            gathered: Gathered::default(),
            waiting: (0, 0),
        }
    }

    /// The stream is another one than before, or this process has just begun: nothing behind this
    /// position has come. What is on its way to be durable stays known otherwise.
    pub(super) fn begin(&mut self, done: Sequence) {
        self.done = done;
        self.handed = done;
        self.stream += 1;
    }

    /// A message of the stream, at this position, with its identifier. `reply` is where it is
    /// acknowledged, and `bucket` knows what was removed.
    pub(super) fn handle_message(
        &mut self,
        sequence: Sequence,
        id: &str,
        bytes: &[u8],
        reply: String,
        bucket: &Bucket,
    ) -> Verdict {
        if sequence <= self.done {
            return Verdict::Repeated { is_durable: true };
        }
        if sequence <= self.handed {
            // The server has lost patience; it is acknowledged when it is durable.
            return Verdict::Repeated { is_durable: false };
        }
        self.handed = sequence;
        let receipt = &mut self.gathered.receipt;
        receipt.replies.push(reply);
        receipt.last = sequence;
        receipt.stream = self.stream;
        receipt.bytes += bytes.len();
        self.waiting.0 += 1;
        self.waiting.1 += bytes.len();
        if !self.recent.is_new(id) {
            return Verdict::Repeated { is_durable: false };
        }
        match self.message(bytes) {
            Ok(Some(message)) => {
                let publication = self.publication(&message);
                self.gathered.publications.push(publication);
                let is_retained = message.parts().retain;
                let removal = is_retained.then(|| bucket.removal_after(&message)).flatten();
                Verdict::Kept { removal }
            }
            Ok(None) => Verdict::Unshared,
            Err(malformed) => Verdict::Malformed(malformed),
        }
    }

    /// Whether messages of a topic are taken.
    pub(super) fn is_shared(&self, topic: &str) -> bool {
        !self.shared.of(topic).is_empty()
    }

    /// A message that does not wait.
    pub(super) fn live(&self, bytes: &[u8]) -> Result<Option<OwnedPublication>, Malformed> {
        Ok(self.message(bytes)?.map(|message| self.publication(&message)))
    }

    /// A value of the bucket that those who subscribe here have not got as a message.
    pub(super) fn handed(&self, value: &Message) -> OwnedPublication {
        let route = Route::RetainedNews { origin: self.fleet };
        OwnedPublication { record: value.as_record().to_vec(), route }
    }

    /// What has gathered for the shard.
    pub(super) fn take_turn(&mut self) -> Option<(InnerTurn, Receipt)> {
        let Gathered { publications, receipt } = std::mem::take(&mut self.gathered);
        if receipt.replies.is_empty() {
            return None;
        }
        let moved = Change::ReaderMoved { reader: self.position, done: receipt.last };
        let turn = InnerTurn { publications, changes: vec![moved], ..InnerTurn::default() };
        Some((turn, receipt))
    }

    /// A turn is durable. Answers whether it is to be acknowledged: a stream that was made anew has
    /// other messages at the same positions.
    pub(super) fn handle_durable(&mut self, receipt: &Receipt) -> bool {
        self.waiting.0 = self.waiting.0.saturating_sub(receipt.replies.len());
        self.waiting.1 = self.waiting.1.saturating_sub(receipt.bytes);
        let is_of_this_stream = receipt.stream == self.stream;
        if is_of_this_stream {
            self.done = self.done.max(receipt.last);
        }
        is_of_this_stream
    }

    /// Whether no more is to be fetched for now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.0 >= MESSAGES_MAX || self.waiting.1 >= BYTES_MAX
    }

    /// The message of these bytes, if its topic is shared.
    fn message(&self, bytes: &[u8]) -> Result<Option<Message>, Malformed> {
        let message = envelope::open(bytes)?;
        Ok(self.is_shared(message.topic()).then_some(message))
    }

    fn publication(&self, message: &Message) -> OwnedPublication {
        let route = Route::Subscribers { origin: Some(self.fleet) };
        OwnedPublication { record: message.as_record().to_vec(), route }
    }
}

/// Identifiers that have come before.
#[derive(Debug, Default)]
struct Recent {
    known: BTreeSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Recent {
    fn is_new(&mut self, id: &str) -> bool {
        if id.is_empty() {
            return true;
        }
        if self.known.contains(id) {
            return false;
        }
        if self.order.len() >= RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(id.into());
        self.order.push_back(id.into());
        true
    }
}

/// Messages that wait for a commit.
const MESSAGES_MAX: usize = 1024;
/// Their bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Identifiers that are remembered.
const RECENT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::MessageParts;
    use weir_mqtt::QoS;

    const FLEET: ReaderId = ReaderId(3);
    const POSITION: ReaderId = ReaderId(4);

    fn arrivals() -> Arrivals {
        let mut arrivals = Arrivals::new(FLEET, POSITION, &["t/#".to_owned()]);
        arrivals.begin(Sequence(10));
        arrivals
    }

    fn bytes(topic: &str) -> Vec<u8> {
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 1,
            publisher: "",
            topic,
            properties: &[],
            payload: b"x",
        };
        envelope::seal(&Message::new(&parts, &mut Vec::new()))
    }

    fn handle(arrivals: &mut Arrivals, sequence: u64, id: &str) -> Verdict {
        let reply = sequence.to_string();
        arrivals.handle_message(Sequence(sequence), id, &bytes("t/1"), reply, &Bucket::default())
    }

    #[test]
    fn a_message_is_acknowledged_when_it_is_durable_with_the_position() {
        let mut arrivals = arrivals();
        assert_eq!(handle(&mut arrivals, 11, "a"), Verdict::Kept { removal: None });
        assert_eq!(handle(&mut arrivals, 13, "b"), Verdict::Kept { removal: None });
        let (turn, receipt) = arrivals.take_turn().expect("two have come");
        assert_eq!(turn.publications.len(), 2);
        let moved = Change::ReaderMoved { reader: POSITION, done: Sequence(13) };
        assert_eq!(turn.changes, [moved]);
        assert_eq!(turn.publications[0].route, Route::Subscribers { origin: Some(FLEET) });
        assert_eq!(receipt.replies, ["11", "13"]);
        assert!(arrivals.take_turn().is_none());
        let repeated = |is_durable| Verdict::Repeated { is_durable };
        assert_eq!(handle(&mut arrivals, 13, "b"), repeated(false), "it is on its way");
        assert!(arrivals.take_turn().is_none());
        assert!(arrivals.handle_durable(&receipt));
        assert_eq!(handle(&mut arrivals, 13, "b"), repeated(true));
        assert_eq!(arrivals.waiting, (0, 0));
    }

    /// The acknowledgement was lost, or the box was killed before it.
    #[test]
    fn what_was_durable_before_a_restart_is_not_published_again() {
        let mut arrivals = arrivals();
        let repeated = Verdict::Repeated { is_durable: true };
        assert_eq!(handle(&mut arrivals, 10, "z"), repeated);
        assert!(arrivals.take_turn().is_none());
    }

    #[test]
    fn what_its_sender_has_stored_twice_is_published_once() {
        let mut arrivals = arrivals();
        assert_eq!(handle(&mut arrivals, 11, "a"), Verdict::Kept { removal: None });
        let repeated = Verdict::Repeated { is_durable: false };
        assert_eq!(handle(&mut arrivals, 12, "a"), repeated);
        let (turn, receipt) = arrivals.take_turn().expect("they have come");
        assert_eq!((turn.publications.len(), receipt.replies.len()), (1, 2));
        for n in 0..RECENT_MAX {
            assert!(arrivals.recent.is_new(&format!("n{n}")));
        }
        assert_eq!(arrivals.recent.known.len(), RECENT_MAX);
    }

    /// What it knows of the stream before would be taken for messages of the new one.
    #[test]
    fn what_becomes_durable_of_a_stream_that_is_gone_says_nothing_about_the_next() {
        let mut arrivals = arrivals();
        assert_eq!(handle(&mut arrivals, 12, "a"), Verdict::Kept { removal: None });
        let (_, before) = arrivals.take_turn().expect("one has come");
        arrivals.begin(Sequence(0));
        assert_eq!(handle(&mut arrivals, 1, "b"), Verdict::Kept { removal: None });
        let (_, after) = arrivals.take_turn().expect("one has come");
        assert!(!arrivals.handle_durable(&before), "the server has another message there");
        assert_eq!(handle(&mut arrivals, 2, "c"), Verdict::Kept { removal: None });
        assert!(arrivals.handle_durable(&after));
        let (_, receipt) = arrivals.take_turn().expect("one has come");
        assert!(arrivals.handle_durable(&receipt));
        assert_eq!(arrivals.waiting, (0, 0));
    }

    #[test]
    fn what_was_removed_before_it_comes_is_taken_away_again() {
        let (mut arrivals, mut bucket) = (arrivals(), Bucket::default());
        let parts = |received_at_ms, payload: &'static [u8]| MessageParts {
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms,
            publisher: "",
            topic: "t/1",
            properties: &[],
            payload,
        };
        let message = |at, payload| Message::new(&parts(at, payload), &mut Vec::new());
        bucket.handle_entry(1, &message(5, b""));
        let mut handle = |sequence, at| {
            let bytes = envelope::seal(&message(at, b"x"));
            arrivals.handle_message(Sequence(sequence), "", &bytes, String::new(), &bucket)
        };
        assert_eq!(handle(11, 4), Verdict::Kept { removal: Some(message(5, b"")) });
        assert_eq!(handle(12, 6), Verdict::Kept { removal: None }, "it is newer");
    }

    #[test]
    fn what_is_not_taken_is_acknowledged_all_the_same() {
        let mut arrivals = arrivals();
        let handle = |arrivals: &mut Arrivals, at, bytes: &[u8]| {
            arrivals.handle_message(Sequence(at), "", bytes, String::new(), &Bucket::default())
        };
        assert_eq!(handle(&mut arrivals, 11, &bytes("u")), Verdict::Unshared);
        assert_eq!(handle(&mut arrivals, 12, &[]), Verdict::Malformed(Malformed::Empty));
        let (turn, receipt) = arrivals.take_turn().expect("they have come");
        assert_eq!((turn.publications.len(), receipt.replies.len()), (0, 2));
        assert!(arrivals.live(&bytes("u")).expect("it is well").is_none());
        assert!(arrivals.live(&bytes("t")).expect("it is well").is_some());
    }

    #[test]
    fn what_is_not_durable_is_bounded() {
        let mut arrivals = arrivals();
        for n in 0..MESSAGES_MAX as u64 {
            assert!(!arrivals.is_full());
            handle(&mut arrivals, 11 + n, &n.to_string());
        }
        assert!(arrivals.is_full());
        let (_, receipt) = arrivals.take_turn().expect("they have come");
        assert!(arrivals.handle_durable(&receipt));
        assert!(!arrivals.is_full());
    }
}
