//! What goes to the other boxes: which of them get a record of the log, and when it is done with.
//!
//! Pure. A record is one more message of the backlog of this reader, as for an upstream. Each box
//! that wants its topic gets a copy in the stream; what is retained goes into the bucket behind the
//! copies, so that a box has the message before it hears of the value in another way. A record is
//! done with when all of that is stored, or dropped and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use weir_core::{Instant, LogRecord, Message, Now, ReaderId, Records, Sequence, ShardId};
use weir_mqtt::QoS;

use super::bucket::{Bucket, Done};
use super::copied_to::CopiedTo;
use super::envelope;
use super::recipients::Recipients;
use crate::inner_turn::InnerTurn;
use crate::upstream::{Figures, MaxAge, Outbox, Read, Record, Refused, Report, Sender};

/// How a box sends.
#[derive(Clone, Debug)]
pub(super) struct DispatchOptions {
    pub(super) reader: ReaderId,
    pub(super) shard: ShardId,
    /// The name of this box.
    pub(super) own: String,
    /// The topics that are shared.
    pub(super) shared: Vec<String>,
    pub(super) backlog_bytes_max: u64,
    pub(super) backlog_age_max_ms: Option<u64>,
}

/// Records on their way to other boxes.
#[derive(Debug)]
pub(super) struct Dispatch {
    own: String,
    shard: ShardId,
    shared: Recipients,
    backlog_bytes_max: u64,
    outbox: Outbox,
    max_age: Option<MaxAge>,
    sender: Sender,
    report: Report,
    figures: Figures,
    boxes: Vec<Arc<str>>,
    recipients: Recipients,
    /// Who got the records that are not done with: one that is sent again goes to nobody else, to
    /// whom later ones may have come already.
    sent_to: BTreeMap<Sequence, Vec<Arc<str>>>,
    /// Records that are with the server, by their number.
    under_way: BTreeMap<u16, UnderWay>,
    last: u16,
    /// The longest message that the server takes.
    bytes_max: usize,
    /// Copies under way at a time, besides those of one record more: many boxes may want the same.
    copies_max: usize,
    is_open: bool,
    /// Whether the operator was told that the backlog is full.
    is_full: bool,
}

#[derive(Debug)]
struct UnderWay {
    message: Message,
    /// Who gets it, to be said beside its value if it is retained.
    copied_to: CopiedTo,
    /// Copies that are not stored yet.
    copies: usize,
}

/// Something to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// A copy for a box, which is to be stored and then told by this number.
    Copy { record: u16, to: Arc<str>, id: String, bytes: Bytes },
    /// A message for a box, now or never.
    Live { to: Arc<str>, bytes: Bytes },
}

impl Dispatch {
    /// Goes on behind `done`.
    pub(super) fn new(options: DispatchOptions, done: Sequence) -> Self {
        let DispatchOptions { reader, shard, own, shared, .. } = options;
        let max_age = options.backlog_age_max_ms;
        Self {
            own,
            shard,
            shared: Recipients::new(std::iter::once(shared.as_slice())),
            backlog_bytes_max: options.backlog_bytes_max,
            outbox: Outbox::new(reader, done),
            max_age: max_age.map(|max_ms| MaxAge { max_ms, wrong_ms: 0..0 }),
            sender: Sender::new(done, WINDOW),
            report: Report::new(reader, "fleet", done),
            figures: Figures::default(),
            boxes: Vec::new(),
            recipients: Recipients::default(),
            sent_to: BTreeMap::new(),
            under_way: BTreeMap::new(),
            last: 0,
            bytes_max: usize::MAX,
            copies_max: COPIES_MAX,
            is_open: false,
            is_full: false,
        }
    }

    /// The other boxes want this from now on.
    pub(super) fn set_boxes<'a>(&mut self, boxes: impl Iterator<Item = (&'a str, &'a [String])>) {
        let (names, filters): (Vec<&str>, Vec<&[String]>) = boxes.unzip();
        self.boxes = names.into_iter().map(Arc::from).collect();
        self.recipients = Recipients::new(filters.into_iter());
    }

    /// Reads one batch of the log; see `Forwarder::read`.
    pub(super) fn read<E>(
        &mut self,
        read_log: impl FnOnce(Sequence, usize, &mut Vec<LogRecord>) -> Result<Sequence, E>,
    ) -> Result<Read, E> {
        let read = self.outbox.read(&mut self.sender, read_log);
        let dropped = self.outbox.drop_old(&mut self.sender, self.backlog_bytes_max);
        self.settle();
        self.figures.drop("backlog_full", dropped);
        if dropped > 0 && !self.is_full {
            self.is_full = true;
            tracing::warn!(
                help = "raise `backlog_max_bytes` in [fleet] or make its server reachable",
                "the backlog of the fleet is full, the oldest messages are dropped"
            );
        }
        read
    }

    /// A connection is open, to a server that takes so long messages.
    pub(super) fn connected(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.is_full = false;
        self.go_on();
    }

    /// What was sent and not answered is sent again.
    pub(super) fn go_on(&mut self) {
        self.under_way.clear();
        self.sender.connected(WINDOW);
        self.is_open = true;
    }

    /// The next record is sent once all copies of the one before are stored, or several are under way
    /// as usual. Those behind one that finds no room may find some, and would overtake it.
    pub(super) fn send_one_by_one(&mut self, one_by_one: bool) {
        self.copies_max = if one_by_one { 1 } else { COPIES_MAX };
    }

    /// Nothing is sent for now.
    pub(super) fn pause(&mut self) {
        self.under_way.clear();
        self.sender.disconnected();
        self.is_open = false;
    }

    /// Sends what the window has room for; what is retained goes to the bucket.
    pub(super) fn send(&mut self, now: Now, bucket: &mut Bucket, orders: &mut Vec<Order>) {
        if !self.is_open {
            return;
        }
        while self.copies() < self.copies_max
            && let Some(Record { sequence, message, .. }) = self.sender.next()
        {
            let (sequence, message) = (*sequence, message.clone());
            if let Some(reason) = self.refusal(&message, now.unix_ms) {
                self.figures.drop(reason, 1);
                let record = self.sender.skip();
                if reason == TOO_LARGE {
                    let text = "it is larger than the server takes (`max_payload`)";
                    self.report.dead_letter(&record.message, text, now.unix_ms);
                }
                continue;
            }
            let parts = message.parts();
            let mut recipients = self.recipients_of(parts.topic);
            if let Some(before) = self.sent_to.get(&sequence) {
                recipients.retain(|to| before.contains(to));
            }
            let is_shared = !self.shared.of(parts.topic).is_empty();
            let is_retained = parts.retain && is_shared;
            let copied_to = match is_retained {
                true => self.copied_to(&message, &recipients),
                false => CopiedTo::UNSAID,
            };
            let copies = if parts.qos > QoS::AtMostOnce { recipients.len() } else { 0 };
            let bytes = match recipients.is_empty() {
                true => Bytes::new(),
                false => Bytes::from(envelope::seal(&message)),
            };
            if copies == 0 {
                for to in &recipients {
                    orders.push(Order::Live { to: to.clone(), bytes: bytes.clone() });
                    self.figures.sent += 1;
                }
                if !is_retained {
                    self.sender.skip();
                    continue;
                }
                let value = retained(&message);
                self.sent_to.entry(sequence).or_insert(recipients);
                let record = self.hand_over(message, copied_to.clone(), 0);
                bucket.put(value, copied_to, Some(record));
                continue;
            }
            let id = self.id(sequence, parts.received_at_ms);
            self.sent_to.entry(sequence).or_insert_with(|| recipients.clone());
            let record = self.hand_over(message, copied_to, copies);
            for to in recipients {
                let id = format!("{id}-{to}");
                orders.push(Order::Copy { record, to, id, bytes: bytes.clone() });
                self.figures.sent += 1;
            }
        }
        self.settle();
    }

    /// Sends messages that are not in the log. What is retained among them goes to the bucket.
    pub(super) fn send_live(
        &mut self,
        records: &Records,
        bucket: &mut Bucket,
        orders: &mut Vec<Order>,
    ) {
        for (_, parts) in records.iter() {
            if self.shared.of(parts.topic).is_empty() {
                continue;
            }
            let message = Message::new(&parts, &mut Vec::new());
            if message.len() >= self.bytes_max {
                self.figures.drop(TOO_LARGE, 1);
                continue;
            }
            let bytes = Bytes::from(envelope::seal(&message));
            let recipients = self.recipients_of(parts.topic);
            if parts.retain {
                let copied_to = self.copied_to(&message, &recipients);
                bucket.put(retained(&message), copied_to, None);
            }
            for to in recipients {
                orders.push(Order::Live { to, bytes: bytes.clone() });
                self.figures.sent += 1;
            }
        }
    }

    /// A copy of a record is stored.
    pub(super) fn handle_stored(&mut self, record: u16, bucket: &mut Bucket) {
        let Some(under_way) = self.under_way.get_mut(&record) else { return };
        self.figures.acknowledged += 1;
        under_way.copies = under_way.copies.saturating_sub(1);
        if under_way.copies > 0 {
            return;
        }
        if under_way.message.parts().retain && !self.shared.of(under_way.message.topic()).is_empty()
        {
            let value = retained(&under_way.message);
            bucket.put(value, under_way.copied_to.clone(), Some(record));
            return;
        }
        self.end(record);
    }

    /// A copy of a record, or its value in the bucket, will never be stored.
    pub(super) fn handle_refused(&mut self, record: u16, reason: &str, unix_ms: u64) {
        if self.under_way.remove(&record).is_none() {
            return;
        }
        if let Refused::DeadLetter(record) = self.sender.handle_refused(record, true) {
            self.figures.drop("refused", 1);
            self.report.dead_letter(&record.message, reason, unix_ms);
        }
        self.settle();
    }

    /// The values of these records are in the bucket, or something newer is.
    pub(super) fn handle_done(&mut self, done: Done, unix_ms: u64) {
        for record in done.records {
            if done.is_refused {
                self.handle_refused(record, "the server does not take it", unix_ms);
            } else {
                self.end(record);
            }
        }
    }

    /// What the shard is to be told now; see `Forwarder::take_turn`.
    pub(super) fn take_turn(&mut self, now: Instant, at_once: bool) -> Option<InnerTurn> {
        self.report.take(now, self.sender.done(), at_once)
    }

    /// When [`take_turn`](Self::take_turn) will have something.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.report.due()
    }

    /// Whether records that are known to wait are to be read, although the log has not grown.
    pub(super) fn is_behind(&self) -> bool {
        self.outbox.is_behind(&self.sender)
    }

    /// Records that wait.
    pub(super) fn depth(&self) -> u64 {
        self.outbox.records()
    }

    pub(super) fn figures(&mut self) -> &mut Figures {
        self.figures.depth = self.outbox.records();
        self.figures.depth_bytes = self.outbox.bytes();
        let oldest = self.sender.oldest();
        self.figures.oldest_at_ms = oldest.map(|record| record.message.parts().received_at_ms);
        &mut self.figures
    }

    /// What was received at these times has no age; see `Forwarder::distrust_clock`.
    pub(super) fn distrust_clock(&mut self, wrong_ms: std::ops::Range<u64>) {
        if let Some(age) = &mut self.max_age {
            age.wrong_ms = wrong_ms;
        }
    }

    /// Drops what has waited too long.
    pub(super) fn drop_aged(&mut self, unix_ms: u64) {
        let Some(age) = &self.max_age else { return };
        let dropped = self.outbox.drop_aged(&mut self.sender, age, unix_ms);
        self.figures.drop("backlog_age", dropped);
        self.settle();
    }

    /// Why a record is not sent, if it is not.
    fn refusal(&self, message: &Message, unix_ms: u64) -> Option<&'static str> {
        let received_at_ms = message.received_at_ms();
        if message.is_expired(unix_ms) {
            return Some("expired");
        }
        if self.max_age.as_ref().is_some_and(|age| age.is_over(received_at_ms, unix_ms)) {
            return Some("backlog_age");
        }
        // One byte says the form, and the headers count too.
        (message.len().saturating_add(HEADERS_BYTES) > self.bytes_max).then_some(TOO_LARGE)
    }

    fn recipients_of(&self, topic: &str) -> Vec<Arc<str>> {
        if self.shared.of(topic).is_empty() {
            return Vec::new();
        }
        self.recipients.of(topic).into_iter().map(|place| self.boxes[place].clone()).collect()
    }

    /// Who has a message that this box has and sends to these, as far as there is room to say it.
    fn copied_to(&self, message: &Message, recipients: &[Arc<str>]) -> CopiedTo {
        let room = self.bytes_max.saturating_sub(message.len().saturating_add(HEADERS_BYTES));
        CopiedTo::new(&self.own, recipients.iter().map(AsRef::as_ref), room)
    }

    /// What nobody has got as a message: it was retained here before others could want it. Nothing
    /// is said while what waits may still be sent as one.
    pub(super) fn copied_to_nobody(&self) -> CopiedTo {
        match self.depth() {
            0 => CopiedTo::new(&self.own, [], usize::MAX),
            _ => CopiedTo::UNSAID,
        }
    }

    /// Copies that are with the server.
    fn copies(&self) -> usize {
        self.under_way.values().map(|under_way| under_way.copies).sum()
    }

    fn hand_over(&mut self, message: Message, copied_to: CopiedTo, copies: usize) -> u16 {
        // They come round again only after more than are ever under way.
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.sender.hand_over();
        self.sender.handle_sent(Some(self.last));
        self.under_way.insert(self.last, UnderWay { message, copied_to, copies });
        self.last
    }

    fn end(&mut self, record: u16) {
        if self.under_way.remove(&record).is_some() {
            self.sender.handle_acknowledged(record);
            self.settle();
        }
    }

    /// The same for a record however often it is sent. The time of receipt is part of it because a
    /// box whose data were deleted counts its positions from one again.
    fn id(&self, sequence: Sequence, received_at_ms: u64) -> String {
        format!("{}-{:02x}-{:016x}-{received_at_ms:x}", self.own, self.shard.0, sequence.0)
    }

    fn settle(&mut self) {
        for (sequence, bytes) in self.sender.drain_settled() {
            self.sent_to.remove(&sequence);
            self.outbox.settle(sequence, bytes);
        }
    }
}

/// What is retained does not say who has published it.
fn retained(message: &Message) -> Message {
    let parts = weir_core::MessageParts { publisher: "", ..message.parts() };
    Message::new(&parts, &mut Vec::new())
}

/// Records under way at a time.
const WINDOW: u16 = 256;
/// Copies under way at a time, unless they go one by one.
const COPIES_MAX: usize = 1024;
/// About what the headers of a message take.
const HEADERS_BYTES: usize = 256;
const TOO_LARGE: &str = "too_large";

#[cfg(test)]
mod tests;
