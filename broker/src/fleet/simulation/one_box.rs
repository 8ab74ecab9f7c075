//! A box of the simulation: what is on its disk, what its process knows, and its connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use weir_core::{
    Destination, Instant, LogRecord, Message, MessageParts, Now, ReaderId, RetainedVersion, Route,
    Sequence, ShardId, Target,
};
use weir_mqtt::QoS;

use super::matches;
use super::server::{Request, Said, Server};
use crate::fleet::arrivals::{Arrivals, Verdict};
use crate::fleet::boxes::{Boxes, Wants};
use crate::fleet::bucket::{Bucket, Done};
use crate::fleet::dispatch::{Dispatch, DispatchOptions, Order};

const FLEET: ReaderId = ReaderId(1);
const POSITION: ReaderId = ReaderId(2);
/// How long a server without room is left alone, and for how long messages go one by one then.
const ROOM_MS: u64 = 20;
const ONE_BY_ONE_MS: u64 = 600;

pub(super) struct OneBox {
    pub(super) name: String,
    /// How far its clock is ahead.
    skew_ms: u64,
    disk: Disk,
    process: Process,
    pub(super) link: Option<Link>,
    /// How often its subscriber has got each message, and which one after the other first.
    got: BTreeMap<String, u32>,
    order: Vec<String>,
    /// The newest value of each topic that its subscriber has seen.
    seen: BTreeMap<String, RetainedVersion>,
}

/// What a restart leaves.
#[derive(Default)]
struct Disk {
    log: Vec<LogRecord>,
    done: Sequence,
    position: Sequence,
    retained: BTreeMap<String, Message>,
    filters: BTreeSet<String>,
    known: BTreeMap<String, (Wants, u64)>,
    in_step_until_ms: u64,
}

struct Process {
    boxes: Boxes,
    dispatch: Dispatch,
    arrivals: Arrivals,
    bucket: Bucket,
    /// When topics were removed, as the core remembers it.
    removals: BTreeMap<String, u64>,
    /// Values that the subscriber was handed, as the core remembers it.
    handed: BTreeMap<String, RetainedVersion>,
    is_compared: bool,
    told: Option<Wants>,
    /// When sending goes on after the server had no room.
    goes_on_at_ms: Option<u64>,
    one_by_one_until_ms: u64,
}

/// A connection, what is on it, and what the server has given.
#[derive(Default)]
pub(super) struct Link {
    pub(super) up: VecDeque<Request>,
    pub(super) down: VecDeque<Said>,
    /// Answers that are to come, and how many of them belong to what was given up.
    owed: usize,
    ignored: usize,
    pub(super) wants: u64,
    pub(super) messages: u64,
    pub(super) entries: u64,
    pub(super) turn: bool,
}

impl Process {
    fn new(name: &str, disk: &Disk) -> Self {
        let shared = vec!["#".to_owned()];
        let options = DispatchOptions {
            reader: FLEET,
            shard: ShardId(0),
            own: name.to_owned(),
            shared: shared.clone(),
            backlog_bytes_max: 1 << 30,
            backlog_age_max_ms: None,
        };
        let away_max = Duration::from_secs(3_600);
        let boxes = Boxes::new(name, (String::new(), 0), None, away_max, disk.known.clone());
        let mut dispatch = Dispatch::new(options, disk.done);
        dispatch.set_boxes(boxes.wanting());
        let mut arrivals = Arrivals::new(FLEET, POSITION, &shared);
        arrivals.begin(disk.position);
        let bucket = Bucket::default();
        Self {
            boxes,
            dispatch,
            arrivals,
            bucket,
            removals: BTreeMap::new(),
            handed: BTreeMap::new(),
            is_compared: false,
            told: None,
            goes_on_at_ms: None,
            one_by_one_until_ms: 0,
        }
    }
}

impl OneBox {
    pub(super) fn new(name: &str, skew_ms: u64) -> Self {
        let disk = Disk::default();
        let process = Process::new(name, &disk);
        Self {
            name: name.to_owned(),
            skew_ms,
            disk,
            process,
            link: None,
            got: BTreeMap::new(),
            order: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn subscribe(&mut self, filter: &str) {
        self.disk.filters.insert(filter.to_owned());
        for (topic, message) in &self.disk.retained {
            if matches(filter, topic) {
                self.seen.insert(topic.clone(), message.version());
            }
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.link = None;
        self.process.dispatch.pause();
    }

    pub(super) fn restart(&mut self) {
        self.link = None;
        self.process = Process::new(&self.name, &self.disk);
    }

    pub(super) fn connect(&mut self, server: &Server) {
        if self.link.is_some() {
            return;
        }
        let mut link = Link::default();
        let Process { boxes, bucket, dispatch, .. } = &mut self.process;
        boxes.connected();
        bucket.connected();
        for (at, name, wants) in server.said() {
            boxes.handle_wants(name, at, wants.clone());
            link.wants = at;
        }
        if server.is_without_values() {
            bucket.read();
        }
        dispatch.set_boxes(boxes.wanting());
        dispatch.connected(usize::MAX);
        self.disk.known = boxes.to_keep();
        (self.process.is_compared, self.process.told) = (false, None);
        self.process.goes_on_at_ms = None;
        self.link = Some(link);
    }

    /// The boxes that are known to want a topic.
    pub(super) fn wanting(&self, topic: &str) -> Vec<String> {
        let wants = |filters: &[String]| filters.iter().any(|filter| matches(filter, topic));
        let boxes = self.process.boxes.wanting().filter(|(_, filters)| wants(filters));
        boxes.map(|(name, _)| name.to_owned()).collect()
    }

    /// A client publishes here.
    pub(super) fn publish(
        &mut self,
        now_ms: u64,
        topic: &str,
        payload: &str,
        retain: bool,
    ) -> RetainedVersion {
        let before = self.disk.retained.get(topic).map(Message::received_at_ms);
        let before = before.max(self.process.removals.get(topic).copied());
        let mut received_at_ms = now_ms + self.skew_ms;
        if retain {
            received_at_ms = received_at_ms.max(before.map_or(0, |before| before + 1));
        }
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain,
            expires_at_ms: None,
            received_at_ms,
            publisher: "",
            topic,
            properties: &[],
            payload: payload.as_bytes(),
        };
        let message = Message::new(&parts, &mut Vec::new());
        if retain {
            self.retain(&message);
            if payload.is_empty() {
                self.process.removals.insert(topic.to_owned(), received_at_ms);
            }
        }
        if retain || !self.wanting(topic).is_empty() {
            let sequence = Sequence(self.disk.log.len() as u64 + 1);
            let target = Target {
                destination: Destination::Reader(FLEET),
                qos: QoS::AtLeastOnce,
                retain: false,
                packet_id: None,
                subscription_identifiers: Default::default(),
            };
            let targets = vec![target];
            self.disk.log.push(LogRecord { sequence, message: message.clone(), targets });
        }
        self.deliver(&message);
        message.version()
    }

    /// Does what is due; false when there is nothing.
    pub(super) fn work(&mut self, now_ms: u64) -> bool {
        let now = Now { monotonic: Instant(now_ms), unix_ms: now_ms + self.skew_ms };
        let Process { dispatch, bucket, boxes, told, goes_on_at_ms, one_by_one_until_ms, .. } =
            &mut self.process;
        let log = &self.disk.log;
        let read: Result<_, Infallible> = dispatch.read(|after, _, out| {
            let records = log.iter().skip(after.0 as usize).take(64);
            out.extend(records.cloned());
            Ok(out.last().map_or(after, |record| record.sequence))
        });
        let mut has_worked = read == Ok(crate::upstream::Read::More);
        let Some(link) = &mut self.link else { return has_worked };
        if boxes.take_changed() {
            dispatch.set_boxes(boxes.wanting());
            self.disk.known = boxes.to_keep();
        }
        if goes_on_at_ms.is_some_and(|at| now_ms >= at) {
            *goes_on_at_ms = None;
            dispatch.go_on();
        }
        let mut orders = Vec::new();
        dispatch.send_one_by_one(now_ms < *one_by_one_until_ms);
        dispatch.send(now, bucket, &mut orders);
        for order in orders {
            let Order::Copy { record, to, id, bytes } = order else { continue };
            let (to, bytes) = (to.to_string(), bytes.to_vec());
            link.up.push_back(Request::Copy { record, to, id, bytes });
            link.owed += 1;
            has_worked = true;
        }
        let mut done = Done::default();
        // As the shell, which sends nothing while the server has no room for messages.
        while goes_on_at_ms.is_none()
            && let Some(put) = bucket.take_put(&mut done)
        {
            link.up.push_back(Request::Put(put));
            link.owed += 1;
            has_worked = true;
        }
        dispatch.handle_done(done, now.unix_ms);
        let filters = self.disk.filters.iter().cloned().collect();
        let wants = Wants { filters, is_cut: false };
        if told.as_ref() != Some(&wants) {
            link.up.push_back(Request::Wants(wants.clone()));
            *told = Some(wants);
            has_worked = true;
        }
        self.compare(now.unix_ms);
        has_worked
    }

    fn compare(&mut self, unix_ms: u64) {
        let Process { dispatch, bucket, is_compared, .. } = &mut self.process;
        let log_is_read = dispatch.depth() == 0 && !dispatch.is_behind();
        if !bucket.is_read() || !log_is_read || bucket.depth() > 0 {
            return;
        }
        if !std::mem::replace(is_compared, true) {
            let (here, until_ms) = (&self.disk.retained, self.disk.in_step_until_ms);
            let copied_to = dispatch.copied_to_nobody();
            let removals = bucket.reconcile(here.values(), &copied_to, until_ms);
            removals.iter().for_each(|removal| self.retain_elsewhere(unix_ms, removal));
        } else if self.disk.done.0 == self.disk.log.len() as u64 {
            self.disk.in_step_until_ms = unix_ms.saturating_sub(10_000);
        }
    }

    /// How far it is becomes durable.
    pub(super) fn report(&mut self) {
        if let Some(turn) = self.process.dispatch.take_turn(Instant(u64::MAX), true) {
            self.disk.done = turn.done.map_or(self.disk.done, |(_, done)| done);
        }
    }

    /// Takes the next thing that the server has said.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let Some(said) = self.link.as_mut().and_then(|link| link.down.pop_front()) else {
            return false;
        };
        let unix_ms = now_ms + self.skew_ms;
        let link = self.link.as_mut().expect("something has come on it");
        if said.is_answer() {
            link.owed -= 1;
            if link.ignored > 0 {
                link.ignored -= 1;
                return true;
            }
        }
        let Process { dispatch, arrivals, bucket, boxes, .. } = &mut self.process;
        match said {
            Said::CopyStored(record) => dispatch.handle_stored(record, bucket),
            Said::Entry { revision, message, copied_to, is_last } => {
                let is_handed = !copied_to.includes(&self.name);
                let is_news = bucket.handle_entry(revision, &message);
                if is_last {
                    bucket.read();
                }
                match (is_news, is_handed) {
                    (true, true) => {
                        let handed = arrivals.handed(&message);
                        assert_eq!(handed.route, Route::RetainedNews { origin: FLEET });
                        if self.is_news(unix_ms, &message) {
                            self.retain(&message);
                            self.deliver(&message);
                            let handed = &mut self.process.handed;
                            handed.insert(message.topic().to_owned(), message.version());
                        }
                    }
                    (true, false) => self.retain_elsewhere(unix_ms, &message),
                    (false, _) => {}
                }
            }
            Said::Message { sequence, id, bytes } => {
                let reply = sequence.to_string();
                let verdict =
                    arrivals.handle_message(Sequence(sequence), &id, &bytes, reply, bucket);
                self.take_arrivals(unix_ms, sequence, verdict);
            }
            Said::NoRoom => {
                link.ignored = link.owed;
                bucket.give_up();
                dispatch.pause();
                self.process.goes_on_at_ms = Some(now_ms + ROOM_MS);
                self.process.one_by_one_until_ms = now_ms + ONE_BY_ONE_MS;
            }
            Said::PutOutcome { topic, outcome } => {
                let mut done = Done::default();
                bucket.handle_outcome(&topic, outcome, &mut done);
                let removal = done.removal.take();
                dispatch.handle_done(done, unix_ms);
                removal.iter().for_each(|removal| self.retain_elsewhere(unix_ms, removal));
            }
            Said::Wants { name, at, wants } => boxes.handle_wants(&name, at, wants),
        }
        true
    }

    fn take_arrivals(&mut self, unix_ms: u64, sequence: u64, verdict: Verdict) {
        if let Some((turn, receipt)) = self.process.arrivals.take_turn() {
            for publication in &turn.publications {
                let parts = publication.borrow().message;
                let message = Message::new(&parts, &mut Vec::new());
                let handed = self.process.handed.get(parts.topic);
                if parts.retain && handed == Some(&message.version()) {
                    self.process.handed.remove(parts.topic);
                    continue;
                }
                if parts.retain && self.is_newer(&message) {
                    self.retain(&message);
                }
                self.deliver(&message);
            }
            self.disk.position = Sequence(sequence);
            assert!(self.process.arrivals.handle_durable(&receipt), "there is one stream");
            let link = self.link.as_mut().expect("it has just come");
            let sequences = receipt.replies.iter().map(|reply| reply.parse().expect("ours"));
            link.up.extend(sequences.map(Request::Acknowledge));
        }
        match verdict {
            Verdict::Kept { removal } => {
                removal.iter().for_each(|removal| self.retain_elsewhere(unix_ms, removal));
            }
            Verdict::Repeated { is_durable: true } => {
                let link = self.link.as_mut().expect("it has just come");
                link.up.push_back(Request::Acknowledge(sequence));
            }
            Verdict::Repeated { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    // What the core does with retained messages.

    fn is_newer(&self, message: &Message) -> bool {
        let version = message.version();
        let before = self.disk.retained.get(message.topic()).map(Message::version);
        let removed = self.process.removals.get(message.topic());
        before.is_none_or(|before| version > before)
            && removed.is_none_or(|at| (version.time_ms, version.is_removal) >= (*at, true))
    }

    fn is_news(&mut self, unix_ms: u64, message: &Message) -> bool {
        let (topic, version) = (message.topic(), message.version());
        if self.process.removals.get(topic).is_some_and(|removed| *removed <= version.time_ms) {
            self.process.removals.remove(topic);
        }
        let here = self.disk.retained.get(topic);
        let is_newest = here.is_none_or(|before| before.version() < version);
        if version.is_removal && is_newest && version.time_ms > unix_ms {
            self.process.removals.insert(topic.to_owned(), version.time_ms);
        }
        let is_nothing = version.is_removal && !self.disk.retained.contains_key(topic);
        !is_nothing && self.is_newer(message)
    }

    fn retain_elsewhere(&mut self, unix_ms: u64, message: &Message) {
        if self.is_news(unix_ms, message) {
            self.retain(message);
        }
    }

    fn retain(&mut self, message: &Message) {
        if message.payload().is_empty() {
            self.disk.retained.remove(message.topic());
        } else {
            self.disk.retained.insert(message.topic().to_owned(), message.clone());
        }
    }

    fn deliver(&mut self, message: &Message) {
        if !self.wants(message.topic()) {
            return;
        }
        let payload = String::from_utf8_lossy(message.payload()).into_owned();
        let count = self.got.entry(payload.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.order.push(payload);
        }
        if message.parts().retain {
            let seen = self.seen.entry(message.topic().to_owned()).or_insert(message.version());
            *seen = message.version().max(*seen);
        }
    }

    // What is to be true when all is quiet.

    pub(super) fn check_rest(&self) {
        let Process { dispatch, bucket, .. } = &self.process;
        assert_eq!((dispatch.depth(), bucket.depth()), (0, 0), "{} rests", self.name);
        assert!(bucket.is_read(), "{} has read everything", self.name);
    }

    pub(super) fn wants(&self, topic: &str) -> bool {
        self.disk.filters.iter().any(|filter| matches(filter, topic))
    }

    pub(super) fn retained_version(&self, topic: &str) -> Option<RetainedVersion> {
        self.disk.retained.get(topic).map(Message::version)
    }

    pub(super) fn seen(&self, topic: &str) -> Option<RetainedVersion> {
        self.seen.get(topic).copied()
    }

    pub(super) fn order(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    pub(super) fn has_got(&self, payload: &str) -> bool {
        self.got.contains_key(payload)
    }

    /// Deliveries, and those that were repeated; removals have no names.
    pub(super) fn counts(&self) -> (u32, u32) {
        let named = self.got.iter().filter(|(payload, _)| !payload.is_empty());
        named.fold((0, 0), |(all, more), (_, count)| (all + count, more + count - 1))
    }
}
