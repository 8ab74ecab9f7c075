//! One connection from outside: what its client has said, what the core may therefore say, and
//! what it has said.
//!
//! The client's bytes are read here as the core has to read them. Where it is not known when the
//! core handles a packet, because it was held back or came together with others, the benefit of
//! the doubt goes to the core.

use std::collections::{BTreeMap, VecDeque};

use weir_core::{ConnectionId, Limits, ListenerId};
use weir_mqtt::{
    Acknowledge, Connect, Packet, PacketId, PacketKind, Publish, QoS, Version, frame_len,
};

use super::ledger::{Durable, Ledger};

/// The client's end of a connection that is open.
pub(super) struct Peer {
    pub(super) id: ConnectionId,
    pub(super) version: Version,
    pub(super) phase: Phase,
    /// The core was asked for something that ends a connection.
    pub(super) must_end: bool,
    /// The core asked not to be given more.
    pub(super) paused: bool,
    /// The core asked for its end.
    pub(super) closing: bool,
    /// The client takes what comes.
    pub(super) reads: bool,
    /// Bytes that the client has sent and the core was not given.
    pub(super) withheld: VecDeque<u8>,
    /// Bytes that were written to the client.
    pub(super) written: u64,
    /// Bytes of the core that were looked at.
    pub(super) seen: u64,
    /// CONNECT waits for nobody's judgement.
    pub(super) connect_is_handled: bool,
    /// What it has said is handled in parts, some turns after it was said.
    lags: bool,
    client_id: String,
    is_mounted: bool,
    broker_packet_bytes_max: usize,
    /// Some topics have their messages acknowledged before they are durable.
    some_are_early: bool,
    window_max: u16,
    packet_bytes_max: usize,
    window: u16,
    aliases_max: u16,
    aliases: BTreeMap<u16, String>,
    /// The start of a packet of which not all was said.
    said: Vec<u8>,
    inflight: BTreeMap<PacketId, Progress>,
    /// What the client has acknowledged since it was last certain what the core had handled.
    acknowledged: Vec<(PacketKind, PacketId, bool)>,
    questions: BTreeMap<(PacketKind, u16), VecDeque<Question>>,
    pings: usize,
    /// What was told since the last turn ended, of inputs of the same turn.
    told: Vec<(Promise, Durable)>,
}

/// How far a connection has come, as its client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// CONNECT was said.
    Asked,
    /// Nothing whole was said.
    Fresh,
    /// CONNACK was good.
    Open,
    /// The last word was said.
    Over,
}

/// A packet that wants an answer.
struct Question {
    /// What the answer promises; with the session of the client filled in when it comes.
    promises: Vec<Promise>,
    /// The batch of the turn in which it was handled, 0 for none or one that is not known.
    batch: Option<u64>,
}

#[derive(Clone, Eq, PartialEq)]
enum Promise {
    Message(Vec<u8>),
    Owed(PacketId),
    Received(PacketId),
    Released(PacketId),
    Session,
    Subscribed(String),
    Unsubscribed(String),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Progress {
    AtLeastOnce,
    ExactlyOnce,
    Released,
}

impl Peer {
    pub(super) fn new(id: ConnectionId, limits: &Limits, is_mounted: bool) -> Self {
        Self {
            id,
            version: Version::V311,
            phase: Phase::Fresh,
            must_end: false,
            paused: false,
            closing: false,
            reads: true,
            withheld: VecDeque::new(),
            written: 0,
            seen: 0,
            connect_is_handled: false,
            lags: false,
            client_id: String::new(),
            is_mounted,
            broker_packet_bytes_max: limits.packet_bytes_max,
            some_are_early: !limits.durability.filters.is_empty(),
            window_max: limits.inflight_window(ListenerId(0)),
            packet_bytes_max: usize::MAX,
            window: 0,
            aliases_max: 0,
            aliases: BTreeMap::new(),
            said: Vec::new(),
            inflight: BTreeMap::new(),
            acknowledged: Vec::new(),
            questions: BTreeMap::new(),
            pings: 0,
            told: Vec::new(),
        }
    }

    /// The name of the client, once it has said or was given one.
    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The identifiers that the client has received and not given back.
    pub(super) fn inflight(&self) -> Vec<PacketId> {
        self.inflight.keys().copied().collect()
    }

    /// The core is given these bytes.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let mut said = std::mem::take(&mut self.said);
        said.extend_from_slice(bytes);
        let mut rest = &said[..];
        while !self.must_end && !rest.is_empty() {
            match frame_len(rest) {
                Ok(Some(length)) if length > self.broker_packet_bytes_max => self.must_end = true,
                Ok(Some(length)) if length <= rest.len() => {
                    self.say_frame(&rest[..length]);
                    rest = &rest[length..];
                }
                Ok(_) => break,
                Err(_) => self.must_end = true,
            }
        }
        self.said = rest.to_vec();
    }

    fn say_frame(&mut self, frame: &[u8]) {
        let is_first = self.phase == Phase::Fresh;
        match Packet::decode(frame, self.version) {
            Ok(Packet::Connect(connect)) if is_first => self.say_connect(&connect),
            Err(_) if is_first => {
                self.version = Connect::peek_version(frame).unwrap_or(self.version);
                self.must_end = true;
            }
            Err(_) => self.must_end = true,
            Ok(_) if is_first => self.must_end = true,
            Ok(packet) => self.say_packet(&packet),
        }
    }

    fn say_connect(&mut self, connect: &Connect<'_>) {
        self.phase = Phase::Asked;
        self.version = connect.version;
        self.client_id = connect.client_id.to_owned();
        let properties = &connect.properties;
        let packet_max = properties.maximum_packet_size.map(|max| max.get() as usize);
        self.packet_bytes_max = packet_max.unwrap_or(usize::MAX);
        let receive_max = properties.receive_maximum.map_or(u16::MAX, |max| max.get());
        self.window = receive_max.min(self.window_max);
        self.aliases_max = properties.topic_alias_maximum.unwrap_or(0);
        self.ask(PacketKind::Connack, 0, vec![Promise::Session]);
    }

    fn say_packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.say_publish(publish),
            Packet::Puback(said) => self.acknowledge(PacketKind::Puback, said),
            Packet::Pubrec(said) => {
                self.acknowledge(PacketKind::Pubrec, said);
                let promises = vec![Promise::Owed(said.packet_id)];
                self.ask(PacketKind::Pubrel, said.packet_id.get(), promises);
            }
            Packet::Pubrel(said) => {
                let promises = vec![Promise::Released(said.packet_id)];
                self.ask(PacketKind::Pubcomp, said.packet_id.get(), promises);
            }
            Packet::Pubcomp(said) => self.acknowledge(PacketKind::Pubcomp, said),
            Packet::Subscribe(said) => {
                let filters = said.filters.iter().map(|wanted| wanted.filter.as_str().to_owned());
                let promises = filters.map(Promise::Subscribed).collect();
                self.ask(PacketKind::Suback, said.packet_id.get(), promises);
            }
            Packet::Unsubscribe(said) => {
                let filters = said.filters.iter().map(|filter| filter.as_str().to_owned());
                let promises = filters.map(Promise::Unsubscribed).collect();
                self.ask(PacketKind::Unsuback, said.packet_id.get(), promises);
            }
            Packet::Pingreq => self.pings += 1,
            Packet::Auth(_) => {}
            _ => self.must_end = true,
        }
    }

    fn say_publish(&mut self, publish: &Publish<'_>) {
        let Some(packet_id) = publish.packet_id else { return };
        // Messages without payload are all alike.
        let payload = Some(publish.payload).filter(|payload| !payload.is_empty());
        let mut promises: Vec<_> =
            payload.map(|payload| Promise::Message(payload.to_vec())).into_iter().collect();
        let answer = match publish.qos {
            QoS::ExactlyOnce => {
                if !self.some_are_early {
                    promises.push(Promise::Received(packet_id));
                }
                PacketKind::Pubrec
            }
            _ => PacketKind::Puback,
        };
        self.ask(answer, packet_id.get(), promises);
    }

    fn ask(&mut self, answer: PacketKind, packet_id: u16, promises: Vec<Promise>) {
        // Before the turn is over, what the batch holds may belong to either of two questions.
        let is_other = |promise: &Promise| !promises.contains(promise);
        self.told.retain(|(promise, _)| is_other(promise));
        let open = self.questions.values_mut().flatten().filter(|open| open.batch.is_none());
        open.for_each(|open| open.promises.retain(is_other));
        let question = Question { promises, batch: None };
        self.questions.entry((answer, packet_id)).or_default().push_back(question);
    }

    fn acknowledge(&mut self, kind: PacketKind, said: &Acknowledge<'_>) {
        let acknowledged = (kind, said.packet_id, said.reason.is_error());
        self.acknowledged.push(acknowledged);
        self.give_back(acknowledged);
    }

    fn give_back(&mut self, (kind, packet_id, is_error): (PacketKind, PacketId, bool)) {
        let progress = self.inflight.get_mut(&packet_id);
        match (kind, progress) {
            (PacketKind::Pubrec, Some(progress @ Progress::ExactlyOnce)) if !is_error => {
                *progress = Progress::Released;
            }
            // An earlier PUBREC may have come before the message, and have counted for nothing.
            (PacketKind::Pubrec, Some(Progress::ExactlyOnce | Progress::Released)) if is_error => {
                self.inflight.remove(&packet_id);
            }
            (PacketKind::Puback, Some(Progress::AtLeastOnce))
            | (PacketKind::Pubcomp, Some(Progress::Released)) => {
                self.inflight.remove(&packet_id);
            }
            _ => {}
        }
    }

    /// The core says these bytes.
    pub(super) fn hear(&mut self, mut bytes: &[u8], ledger: &Ledger) {
        while !bytes.is_empty() {
            let length = frame_len(bytes).expect("a valid header").expect("a whole header");
            let frame = bytes.get(..length).expect("the core appends whole packets");
            self.hear_frame(frame, ledger);
            bytes = &bytes[length..];
        }
        let acknowledged = std::mem::take(&mut self.acknowledged);
        // In doubt the one that ended the exchange was the one that counted.
        let refused = acknowledged.iter().filter(|(_, _, is_error)| *is_error);
        refused.chain(&acknowledged).for_each(|one| self.give_back(*one));
        self.acknowledged = acknowledged;
        let window = usize::from(self.window);
        assert!(self.inflight.len() <= window, "{} of {window} in flight", self.inflight.len());
    }

    fn hear_frame(&mut self, frame: &[u8], ledger: &Ledger) {
        let packet = Packet::decode(frame, self.version).expect("the core sends valid packets");
        assert!(frame.len() <= self.packet_bytes_max, "too long for the client: {packet:?}");
        match (self.phase, &packet) {
            (Phase::Fresh | Phase::Asked, Packet::Connack(connack)) => {
                if connack.reason.is_error() {
                    self.phase = Phase::Over;
                    return;
                }
                assert_eq!(self.phase, Phase::Asked, "accepted without CONNECT");
                self.phase = Phase::Open;
                let assigned = connack.properties.assigned_client_identifier;
                self.client_id =
                    assigned.map_or(std::mem::take(&mut self.client_id), str::to_owned);
                self.hear_answer(PacketKind::Connack, 0, ledger);
            }
            (Phase::Asked, Packet::Auth(_)) | (Phase::Open, Packet::Auth(_)) => {}
            (Phase::Open, _) => self.hear_packet(&packet, ledger),
            (phase, _) => panic!("{packet:?} in phase {phase:?}"),
        }
    }

    fn hear_packet(&mut self, packet: &Packet<'_>, ledger: &Ledger) {
        let kind = packet.kind();
        match packet {
            Packet::Publish(publish) => self.hear_publish(publish),
            Packet::Puback(said) | Packet::Pubrec(said) | Packet::Pubcomp(said) => {
                assert!(self.hear_answer(kind, said.packet_id.get(), ledger), "{said:?} unasked");
            }
            // One that is owed since an earlier connection comes unasked.
            Packet::Pubrel(said) => {
                self.hear_answer(kind, said.packet_id.get(), ledger);
            }
            Packet::Suback(said) => {
                assert!(self.hear_answer(kind, said.packet_id.get(), ledger), "{said:?} unasked");
            }
            Packet::Unsuback(said) => {
                assert!(self.hear_answer(kind, said.packet_id.get(), ledger), "{said:?} unasked");
            }
            Packet::Pingresp => {
                self.pings = self.pings.checked_sub(1).expect("PINGRESP without PINGREQ");
            }
            Packet::Disconnect(_) => {
                assert_eq!(self.version, Version::V5, "only 5.0 has it");
                self.phase = Phase::Over;
            }
            _ => panic!("no server sends {packet:?}"),
        }
    }

    fn hear_publish(&mut self, publish: &Publish<'_>) {
        if let Some(alias) = publish.properties.topic_alias {
            assert!(alias.get() <= self.aliases_max, "alias {alias} of {}", self.aliases_max);
            if publish.topic.is_empty() {
                assert!(self.aliases.contains_key(&alias.get()), "alias {alias} is not known");
            } else {
                self.aliases.insert(alias.get(), publish.topic.to_owned());
            }
        } else {
            assert!(!publish.topic.is_empty(), "neither topic nor alias");
        }
        let Some(packet_id) = publish.packet_id else { return };
        let progress = match publish.qos {
            QoS::ExactlyOnce => Progress::ExactlyOnce,
            _ => Progress::AtLeastOnce,
        };
        let before = self.inflight.insert(packet_id, progress);
        assert!(before.is_none(), "{packet_id} is in flight already");
    }

    /// Holds an answer against what it promises; false when it was not asked for.
    fn hear_answer(&mut self, kind: PacketKind, packet_id: u16, ledger: &Ledger) -> bool {
        let Some(waiting) = self.questions.get_mut(&(kind, packet_id)) else { return false };
        let Some(question) = waiting.pop_front() else { return false };
        // Not every question is answered, so with more than one it is not known which this was.
        let promises = if waiting.is_empty() { question.promises } else { Vec::new() };
        for promise in promises {
            let Some(durable) = self.durable(promise.clone(), ledger) else { continue };
            match question.batch {
                Some(batch) => ledger.check_told(&durable, batch),
                // It may have been handled some turns ago.
                None if self.paused || !self.connect_is_handled => {}
                None => self.told.push((promise, durable)),
            }
        }
        true
    }

    fn durable(&self, promise: Promise, ledger: &Ledger) -> Option<Durable> {
        let session = ledger.session(&self.client_id);
        Some(match promise {
            Promise::Message(payload) => Durable::Message(payload),
            Promise::Owed(packet_id) => Durable::Owed(session?, packet_id),
            Promise::Received(packet_id) => Durable::Received(session?, packet_id),
            Promise::Released(packet_id) => Durable::Released(session?, packet_id),
            Promise::Session => Durable::Session(self.client_id.clone()),
            // In the store a mounted filter has its whole name.
            Promise::Subscribed(_) | Promise::Unsubscribed(_) if self.is_mounted => return None,
            Promise::Subscribed(filter) => Durable::Subscribed(session?, filter),
            Promise::Unsubscribed(filter) => Durable::Unsubscribed(session?, filter),
        })
    }

    /// A turn is over; `batch` is its number, 0 when it has changed nothing durable.
    pub(super) fn turn_ended(&mut self, batch: u64, ledger: &Ledger) {
        // Whoever has taken its session over in the same turn may have a record of that name.
        self.told.retain(|(promise, _)| !(self.closing && *promise == Promise::Session));
        self.told.drain(..).for_each(|(_, durable)| ledger.check_told(&durable, batch));
        let handled_all = self.phase == Phase::Open && !self.paused;
        for ((answer, _), questions) in &mut self.questions {
            let is_handled =
                handled_all || (*answer == PacketKind::Connack && self.connect_is_handled);
            for question in questions.iter_mut().filter(|_| is_handled) {
                question.batch.get_or_insert(if self.lags { 0 } else { batch });
            }
        }
        if handled_all {
            self.acknowledged.clear();
        }
        self.lags = self.phase == Phase::Open && self.paused;
        let is_obeyed = self.closing || self.paused || self.phase == Phase::Asked;
        assert!(is_obeyed || !self.must_end, "what it said ends a connection");
    }
}
