//! A client that goes by the book, and says of every message what it knows.
//!
//! It never loses its own memory. What it does besides answering is decided by its workload;
//! what is owed to it is written down in the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;

use weir_core::ListenerId;
use weir_mqtt::{
    Acknowledge, Connack, Connect, ConnectProperties, Packet, PacketId, Publish, QoS, ReasonCode,
    Suback, Subscribe, SubscribeFilter, SubscribeProperties, SubscriptionOptions, TopicFilter,
    Unsubscribe, UserProperties, Version, Will, WillProperties, frame_len,
};

use super::model::{
    Delivered, MessageId, Published, Publisher, SessionNumber, message_of, payload,
};
use super::network::{Leave, LinkId};
use super::surroundings::{Event, Surroundings};
use super::trace::About;
use super::workload::{Action, Draft, Profile, Role};

/// A client and all it remembers.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) profile: Profile,
    state: State,
    pub(crate) link: Option<LinkId>,
    inbox: Vec<u8>,
    pub(crate) session: Option<SessionNumber>,
    /// The broker may have a session for it that was never announced.
    may_have_session: bool,
    /// It has asked for a new session and was not answered yet.
    wants_clean: bool,
    /// The session outlives the connection at hand: in 3.1.1 a clean one does not.
    keeps_session: bool,
    outgoing: Vec<Outgoing>,
    last_id: u16,
    /// QoS 2 messages that it has and that are not released.
    incoming: BTreeSet<PacketId>,
    /// Messages of this connection that it has not answered for good.
    unanswered: BTreeSet<PacketId>,
    answers: VecDeque<Answer>,
    subscribing: BTreeMap<PacketId, usize>,
    unsubscribing: BTreeMap<PacketId, (String, u64)>,
    will: Option<WillState>,
    /// The will of the CONNECT that is not answered yet.
    next_will: Option<MessageId>,
    /// How often the broker had crashed when the last connection began.
    crashes_at_connect: u32,
    presence: Presence,
    /// Crashes of the broker before the connection at hand.
    life: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Connecting {
        since: u64,
        clean: bool,
    },
    /// DISCONNECT is sent; nothing that comes is heard any more.
    Leaving {
        since: u64,
    },
    Offline,
    Online,
}

/// A message that the broker has not taken over for good.
#[derive(Clone, Debug)]
struct Outgoing {
    packet_id: PacketId,
    message: MessageId,
    payload: Vec<u8>,
    stage: Stage,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Puback,
    Pubcomp,
    Pubrec,
}

#[derive(Clone, Debug)]
struct Answer {
    due: u64,
    bytes: Vec<u8>,
    /// The exchange that it ends.
    ends: Option<PacketId>,
}

/// The will of the last connection.
#[derive(Clone, Copy, Debug)]
struct WillState {
    message: MessageId,
    /// Also a crash does not keep the broker from publishing it, and at once.
    is_promised: bool,
    /// DISCONNECT was sent, on a connection that began at this number of crashes: a broker that
    /// has crashed since did not hear it.
    goodbye: Option<u32>,
    /// The broker has answered that.
    is_cancelled: bool,
    /// The connection has ended.
    is_due: bool,
}

/// Since when the broker has had no connection of the client's session: it lives until its
/// expiry after that. None while it may have one.
#[derive(Clone, Copy, Debug, Default)]
struct Presence {
    gone_min: Option<u64>,
    gone_max: Option<u64>,
    calendar_moved_ms: u64,
}

impl Client {
    pub(crate) fn new(number: usize, profile: Profile) -> Self {
        Self {
            number,
            profile,
            state: State::Offline,
            link: None,
            inbox: Vec::new(),
            session: None,
            may_have_session: false,
            wants_clean: false,
            keeps_session: false,
            outgoing: Vec::new(),
            last_id: 0,
            incoming: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            answers: VecDeque::new(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
            will: None,
            next_will: None,
            crashes_at_connect: 0,
            presence: Presence::default(),
            life: 0,
        }
    }

    /// The workload wakes it.
    pub(crate) fn act(&mut self, around: &mut Surroundings) {
        let pace = around.conduct.pace_ms_max;
        let next = match self.state {
            State::Offline => {
                if around.is_calm || around.random.chance(60) {
                    self.connect(around);
                    around.within(pace)
                } else {
                    // Now and then for long enough to let a session expire.
                    let is_long = around.random.chance(25);
                    around.within(if is_long { 12_000 } else { pace })
                }
            }
            State::Connecting { since, .. } | State::Leaving { since } => {
                if around.now > since + PATIENCE_MS {
                    self.leave(around, Leave::Reset);
                }
                around.within(pace)
            }
            State::Online if around.is_calm => {
                self.send(around, &Packet::Pingreq);
                around.now + 2_000
            }
            State::Online => {
                if self.profile.role == Role::Watcher && !around.is_watched {
                    self.subscribe(around, "out/#", QoS::ExactlyOnce);
                }
                let action =
                    Action::draw(&mut around.random, &around.conduct, self.number, &self.profile);
                self.carry_out(around, action);
                around.within(pace)
            }
        };
        around.schedule(next + 1, Event::Act(self.number));
    }

    /// Bytes or the end of the connection have arrived.
    pub(crate) fn arrive(&mut self, around: &mut Surroundings, link: LinkId) {
        if self.link != Some(link) {
            return;
        }
        let (bytes, is_end) = around.network.client_read(around.now, link);
        self.inbox.extend_from_slice(&bytes);
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        while let Some(rest) = inbox.get(at..).filter(|rest| !rest.is_empty()) {
            let length = match frame_len(rest) {
                Ok(Some(length)) if length <= rest.len() => length,
                Ok(_) => break,
                Err(error) => return self.blame(around, format!("got a broken frame: {error}")),
            };
            match Packet::decode(&rest[..length], self.profile.version) {
                Ok(packet) => self.receive(around, &packet),
                Err(error) => return self.blame(around, format!("got a bad packet: {error}")),
            }
            at += length;
            if self.link != Some(link) {
                return;
            }
        }
        inbox.drain(..at);
        self.inbox = inbox;
        if is_end {
            if let Some(will) = &mut self.will
                && will.goodbye == Some(around.model.crashes)
                // Otherwise the broker may have closed before it heard the goodbye.
                && self.profile.keep_alive_s == 0
            {
                will.is_cancelled = true;
            }
            around.note(
                About::client(self.number),
                format_args!("client {} sees the end", self.number),
            );
            around.network.hang_up(around.now, link, Leave::Finish);
            self.lost(around);
        }
    }

    /// Sends the answers whose time has come.
    pub(crate) fn answer(&mut self, around: &mut Surroundings) {
        while self.answers.front().is_some_and(|answer| answer.due <= around.now) {
            let Some(answer) = self.answers.pop_front() else { return };
            if let Some(packet_id) = answer.ends {
                self.unanswered.remove(&packet_id);
            }
            self.send_bytes(around, &answer.bytes);
        }
    }

    /// The broker has closed a connection of this client.
    pub(crate) fn broker_left(&mut self, around: &mut Surroundings, link: LinkId) {
        self.gone(around.now, around.calendar_moved_ms);
        if self.link == Some(link) {
            self.will_is_due(around);
        }
    }

    /// The process of the broker is gone.
    pub(crate) fn broker_died(&mut self, around: &mut Surroundings) {
        let gone_max = self.presence.gone_max;
        self.gone(around.now, around.calendar_moved_ms);
        self.presence.gone_max = gone_max;
        if self.link.is_some() {
            self.will_is_due(around);
        }
    }

    /// The broker is back, and takes the session's connection as ended at its start or before.
    pub(crate) fn broker_started(&mut self, around: &mut Surroundings, was_connected: bool) {
        if was_connected || self.presence.gone_max.is_none() {
            self.gone(around.now, around.calendar_moved_ms);
        }
    }

    /// The message that an acknowledgement with this identifier is about.
    pub(crate) fn message_of(&self, packet_id: PacketId) -> Option<MessageId> {
        self.outgoing.iter().find(|o| o.packet_id == packet_id).map(|o| o.message)
    }

    /// The filter that a SUBACK with this identifier is about, unless there will be another one
    /// for the same filter.
    pub(crate) fn filter_of(&self, around: &Surroundings, packet_id: PacketId) -> Option<String> {
        let subscriptions = &around.model.sessions[self.session?].subscriptions;
        let subscription = *self.subscribing.get(&packet_id)?;
        let filter = &subscriptions[subscription].filter;
        let of_filter = self.subscribing.values().filter(|s| subscriptions[**s].filter == *filter);
        (of_filter.count() == 1).then(|| filter.clone())
    }

    /// What it still waits for; none when it is connected and all is done.
    pub(crate) fn unrest(&self) -> Option<String> {
        if self.state != State::Online {
            return Some(format!("client {} is not connected", self.number));
        }
        let outgoing = self.outgoing.first().map(|o| {
            format!("client {} waits for {:?} of message {}", self.number, o.stage, o.message)
        });
        let incoming = self
            .incoming
            .first()
            .map(|id| format!("client {} has PUBREL of {} due", self.number, id.get()));
        let answers =
            self.answers.front().map(|_| format!("client {} has answers to send", self.number));
        let subscribing = (!self.subscribing.is_empty() || !self.unsubscribing.is_empty())
            .then(|| format!("client {} waits for SUBACK or UNSUBACK", self.number));
        outgoing.or(incoming).or(answers).or(subscribing)
    }

    /// Subscribes; the answer will be noted.
    pub(crate) fn subscribe(&mut self, around: &mut Surroundings, filter: &str, qos: QoS) {
        let Some(session) = self.session else { return };
        let packet_id = self.next_id();
        let subscription = around.model.subscribe(session, filter, qos);
        self.subscribing.insert(packet_id, subscription);
        around.note(
            About::client(self.number),
            format_args!("client {} subscribes to {filter} at {}", self.number, qos as u8),
        );
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        let options = SubscriptionOptions::new(qos);
        let list = [SubscribeFilter { filter, options }];
        self.send(
            around,
            &Packet::Subscribe(Subscribe {
                packet_id,
                properties: SubscribeProperties::default(),
                filters: (&list[..]).into(),
            }),
        );
    }

    fn carry_out(&mut self, around: &mut Surroundings, action: Action) {
        match action {
            Action::Goodbye => {
                around.note(
                    About::client(self.number),
                    format_args!("client {} says goodbye", self.number),
                );
                if let Some(will) = &mut self.will {
                    will.goodbye = Some(self.crashes_at_connect);
                }
                self.send_bytes(around, &[0xe0, 0]);
                self.state = State::Leaving { since: around.now };
                self.answers.clear();
            }
            Action::Nothing => {}
            Action::Ping => self.send(around, &Packet::Pingreq),
            Action::Publish(drafts) => {
                for draft in drafts {
                    self.publish(around, draft);
                }
            }
            Action::Reset => {
                let leaves = [Leave::Finish, Leave::Reset, Leave::Silence];
                let leave = leaves[around.random.below(3) as usize];
                self.leave(around, leave);
            }
            Action::Stall { ms } => {
                if let Some(link) = self.link {
                    around.network.stall(link, around.now + ms);
                }
            }
            Action::Subscribe { filter, qos } => self.subscribe(around, &filter, qos),
            Action::Takeover => {
                self.leave(around, Leave::Silence);
                self.connect(around);
            }
            Action::Unsubscribe => self.unsubscribe(around),
        }
    }

    fn connect(&mut self, around: &mut Surroundings) {
        self.crashes_at_connect = around.model.crashes;
        let begins_anew = around.random.chance(self.profile.clean_percent) && !around.is_calm;
        let clean = !self.profile.is_kept || self.wants_clean || begins_anew;
        if clean {
            self.forget_session(around);
        }
        self.wants_clean = clean && self.profile.is_kept;
        let is_v5 = self.profile.version == Version::V5;
        self.keeps_session = self.profile.is_kept && (is_v5 || !clean);
        self.may_have_session = self.keeps_session || (self.may_have_session && !clean);
        let stamp_ms = around.true_unix_ms();
        let will = self.profile.will.map(|will| {
            let message = around.model.publish(Published {
                publisher: Publisher::Will(self.number),
                topic: format!("will/{}", self.number),
                qos: will.qos,
                retain: false,
                stamp_ms,
                is_removal: false,
                first_sent: u64::MAX,
                sends: 0,
                acknowledged: None,
                is_cancelled: false,
            });
            around.model.sent(message);
            (message, will)
        });
        let link = around.network.dial(around.now, self.number, &around.conduct);
        around.note(
            About::client(self.number),
            format_args!(
                "client {} connects on link {link}, {} {}{}",
                self.number,
                if clean { "clean" } else { "to go on" },
                if self.keeps_session { "kept" } else { "not kept" },
                will.map_or_else(String::new, |(message, _)| format!(", will {message}"))
            ),
        );
        self.link = Some(link);
        self.inbox.clear();
        self.state = State::Connecting { since: around.now, clean };
        let will_topic = format!("will/{}", self.number);
        let will_payload =
            will.map(|(message, _)| payload(message, stamp_ms, 0)).unwrap_or_default();
        let name = self.profile.name.clone();
        let connect = Connect {
            clean_start: clean,
            keep_alive_s: self.profile.keep_alive_s,
            will: will.map(|(_, will)| Will {
                topic: &will_topic,
                payload: &will_payload,
                qos: will.qos,
                retain: false,
                properties: WillProperties {
                    will_delay_interval_s: (will.delay_s > 0).then_some(will.delay_s),
                    ..WillProperties::default()
                },
            }),
            properties: ConnectProperties {
                session_expiry_interval_s: is_v5.then_some(self.profile.expiry_s),
                receive_maximum: self.profile.receive_max.and_then(NonZeroU16::new),
                ..ConnectProperties::default()
            },
            ..Connect::new(self.profile.version, &name)
        };
        self.send(around, &Packet::Connect(connect));
        self.next_will = will.map(|(message, _)| message);
    }

    fn publish(&mut self, around: &mut Surroundings, draft: Draft) {
        if draft.qos > QoS::AtMostOnce && self.outgoing.len() >= self.quota(around) {
            return;
        }
        // Otherwise nobody would see what comes of it.
        if self.profile.role == Role::Sensor && !around.is_watched {
            return;
        }
        let stamp_ms = around.true_unix_ms();
        let message = around.model.publish(Published {
            publisher: Publisher::Client(self.number),
            topic: draft.topic,
            qos: draft.qos,
            retain: draft.retain,
            stamp_ms,
            is_removal: draft.is_removal,
            first_sent: u64::MAX,
            sends: 0,
            acknowledged: None,
            is_cancelled: false,
        });
        let payload =
            if draft.is_removal { Vec::new() } else { payload(message, stamp_ms, draft.padding) };
        if draft.qos == QoS::AtMostOnce {
            return self.send_publish(around, message, None, &payload, false);
        }
        let packet_id = self.next_id();
        let stage = if draft.qos == QoS::ExactlyOnce { Stage::Pubrec } else { Stage::Puback };
        self.send_publish(around, message, Some(packet_id), &payload, false);
        self.outgoing.push(Outgoing { packet_id, message, payload, stage });
    }

    fn send_publish(
        &mut self,
        around: &mut Surroundings,
        message: MessageId,
        packet_id: Option<PacketId>,
        payload: &[u8],
        dup: bool,
    ) {
        around.model.sent(message);
        let published = around.model.message(message);
        let (topic, qos, retain) = (published.topic.clone(), published.qos, published.retain);
        around.note(
            About::message(self.number, message),
            format_args!(
                "client {} publishes message {message} to {topic} at {}{}{}",
                self.number,
                qos as u8,
                if retain { ", retained" } else { "" },
                if dup { ", again" } else { "" },
            ),
        );
        let publish = Publish { dup, qos, retain, packet_id, ..Publish::new(&topic, payload) };
        self.send(around, &Packet::Publish(publish));
    }

    fn unsubscribe(&mut self, around: &mut Surroundings) {
        let Some(session) = self.session else { return };
        let subscriptions = &around.model.sessions[session].subscriptions;
        let wanted: Vec<String> = subscriptions
            .iter()
            .filter(|subscription| subscription.drop_asked.is_none())
            .map(|subscription| subscription.filter.clone())
            .collect();
        if wanted.is_empty() {
            return;
        }
        let filter = wanted[around.random.below(wanted.len() as u64) as usize].clone();
        let packet_id = self.next_id();
        let asked = around.model.unsubscribe(session, &filter);
        around.note(
            About::client(self.number),
            format_args!("client {} unsubscribes from {filter}", self.number),
        );
        let list = [TopicFilter::parse(&filter).expect("a valid filter")];
        self.send(
            around,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties: UserProperties::default(),
                filters: (&list[..]).into(),
            }),
        );
        self.unsubscribing.insert(packet_id, (filter, asked));
    }

    fn receive(&mut self, around: &mut Surroundings, packet: &Packet<'_>) {
        match packet {
            _ if matches!(self.state, State::Leaving { .. }) => {}
            Packet::Connack(connack) => self.receive_connack(around, connack),
            Packet::Publish(publish) => self.receive_publish(around, publish),
            Packet::Puback(acknowledge) => self.receive_puback(around, acknowledge),
            Packet::Pubrec(acknowledge) => self.receive_pubrec(around, acknowledge),
            Packet::Pubrel(acknowledge) => self.receive_pubrel(around, acknowledge),
            Packet::Pubcomp(acknowledge) => {
                let id = acknowledge.packet_id;
                self.outgoing.retain(|o| o.packet_id != id || o.stage != Stage::Pubcomp);
            }
            Packet::Suback(suback) => self.receive_suback(around, suback),
            Packet::Unsuback(unsuback) => {
                let filter = self.unsubscribing.remove(&unsuback.packet_id);
                match (filter, self.session) {
                    (Some((filter, asked)), Some(session)) => {
                        around.model.unsubscribed(session, &filter, asked);
                    }
                    _ => self.blame(around, "got an UNSUBACK for nothing".to_owned()),
                }
            }
            Packet::Pingresp => {}
            Packet::Disconnect(disconnect) => {
                let expected = [ReasonCode::SessionTakenOver, ReasonCode::KeepAliveTimeout];
                if !expected.contains(&disconnect.reason) {
                    self.blame(around, format!("was sent away: {}", disconnect.reason));
                }
            }
            other => self.blame(around, format!("got {}", other.kind())),
        }
    }

    fn receive_connack(&mut self, around: &mut Surroundings, connack: &Connack<'_>) {
        let State::Connecting { since, clean } = self.state else {
            return self.blame(around, "got a second CONNACK".to_owned());
        };
        let present = connack.session_present;
        around.note(
            About::client(self.number),
            format_args!("client {} is connected, session present: {present}", self.number),
        );
        if connack.reason != ReasonCode::Success {
            return self.blame(around, format!("was refused: {}", connack.reason));
        }
        if present && clean {
            return self.blame(around, "got an old session for a clean start".to_owned());
        }
        if let Some(text) = self.check_presence(around, present, since) {
            return self.blame(around, text);
        }
        if !present {
            self.forget_session(around);
        }
        self.settle_will(around);
        self.wants_clean = false;
        self.presence = Presence::default();
        self.life = around.model.crashes;
        self.state = State::Online;
        if self.session.is_none() {
            self.session = Some(around.model.begin_session(self.number));
        }
        for again in self.outgoing.clone() {
            if again.stage == Stage::Pubcomp {
                let pubrel = Packet::Pubrel(Acknowledge::success(again.packet_id));
                self.send(around, &pubrel);
            } else {
                let packet_id = Some(again.packet_id);
                self.send_publish(around, again.message, packet_id, &again.payload, true);
            }
        }
    }

    /// A session must be there until its time is over, and not after that. The broker has seen
    /// the CONNECT, which was sent at `asked`, at any moment since.
    fn check_presence(&self, around: &Surroundings, present: bool, asked: u64) -> Option<String> {
        let expiry_ms = self.expiry_ms();
        let moved_ms = around.calendar_moved_ms - self.presence.calendar_moved_ms;
        if present {
            if self.session.is_none() && !self.may_have_session {
                return Some("got a session that it never had".to_owned());
            }
            let overdue = self.presence.gone_max.map(|gone| asked.saturating_sub(gone));
            let overdue = overdue.filter(|ms| *ms > expiry_ms + moved_ms + SLACK_MS);
            return overdue.map(|ms| {
                format!("got its session after {ms} ms, though it expires after {expiry_ms} ms")
            });
        }
        self.session?;
        match self.presence.gone_min.map(|gone| around.now - gone) {
            _ if self.may_have_expired(around) => None,
            Some(ms) => Some(format!(
                "lost its session after {ms} ms, though it expires after {expiry_ms} ms"
            )),
            None => Some("lost its session while it was connected".to_owned()),
        }
    }

    fn may_have_expired(&self, around: &Surroundings) -> bool {
        let moved_ms = around.calendar_moved_ms - self.presence.calendar_moved_ms;
        self.presence
            .gone_min
            .is_some_and(|gone| around.now - gone + moved_ms + SLACK_MS >= self.expiry_ms())
    }

    fn expiry_ms(&self) -> u64 {
        u64::from(self.profile.expiry_s) * 1000
    }

    fn receive_publish(&mut self, around: &mut Surroundings, publish: &Publish<'_>) {
        let Some(session) = self.session.filter(|_| self.state == State::Online) else {
            return self.blame(around, "got a message before CONNACK".to_owned());
        };
        let id = message_of(publish.payload);
        let about = About { client: Some(self.number), message: id };
        around.note(
            about,
            format_args!(
                "client {} gets message {} from {} at {}{}{}, identifier {}",
                self.number,
                id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                publish.topic,
                publish.qos as u8,
                if publish.dup { ", again" } else { "" },
                if publish.retain { ", retained" } else { "" },
                publish.packet_id.map_or(0, PacketId::get),
            ),
        );
        let is_new = match (publish.qos, publish.packet_id) {
            (QoS::ExactlyOnce, Some(packet_id)) => self.incoming.insert(packet_id),
            _ => true,
        };
        if self.profile.role == Role::Watcher && id.is_none() {
            let text = String::from_utf8_lossy(publish.payload);
            around.note(about, format_args!("  result {text}"));
        }
        if is_new
            && self.profile.role == Role::Watcher
            && let Some(text) = receive_result(around, publish)
        {
            self.blame(around, format!("got a result of a rule: {text}"));
        }
        if is_new && let Some(message) = id {
            let delivered = Delivered {
                message,
                topic: publish.topic,
                qos: publish.qos,
                dup: publish.dup,
                retain: publish.retain,
                life: self.life,
            };
            around.model.delivered(session, &delivered);
        }
        let Some(packet_id) = publish.packet_id else { return };
        self.unanswered.insert(packet_id);
        let max = self.profile.receive_max.unwrap_or(u16::MAX);
        if self.unanswered.len() > usize::from(max) {
            self.blame(around, format!("got more than {max} messages at a time"));
        }
        let acknowledge = Acknowledge::success(packet_id);
        if publish.qos == QoS::ExactlyOnce {
            self.say_later(around, &Packet::Pubrec(acknowledge), None);
        } else {
            self.say_later(around, &Packet::Puback(acknowledge), Some(packet_id));
        }
    }

    fn receive_puback(&mut self, around: &mut Surroundings, acknowledge: &Acknowledge<'_>) {
        let place = self
            .outgoing
            .iter()
            .position(|o| o.packet_id == acknowledge.packet_id && o.stage == Stage::Puback);
        let Some(place) = place else {
            return self
                .blame(around, format!("got PUBACK {} for nothing", acknowledge.packet_id.get()));
        };
        let message = self.outgoing.remove(place).message;
        self.acknowledged(around, message, acknowledge);
    }

    fn receive_pubrec(&mut self, around: &mut Surroundings, acknowledge: &Acknowledge<'_>) {
        let id = acknowledge.packet_id;
        let known = self.outgoing.iter_mut().find(|o| o.packet_id == id);
        match known {
            Some(known) if known.stage == Stage::Pubrec => {
                known.stage = Stage::Pubcomp;
                let message = known.message;
                self.acknowledged(around, message, acknowledge);
            }
            Some(known) if known.stage == Stage::Pubcomp => {}
            _ => return self.blame(around, format!("got PUBREC {} for nothing", id.get())),
        }
        self.send(around, &Packet::Pubrel(Acknowledge::success(id)));
    }

    fn receive_pubrel(&mut self, around: &mut Surroundings, acknowledge: &Acknowledge<'_>) {
        let id = acknowledge.packet_id;
        let reason = if self.incoming.remove(&id) || self.profile.version != Version::V5 {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        let pubcomp = Packet::Pubcomp(Acknowledge::with_reason(id, reason));
        self.say_later(around, &pubcomp, Some(id));
    }

    fn receive_suback(&mut self, around: &mut Surroundings, suback: &Suback<'_>) {
        let subscription = self.subscribing.remove(&suback.packet_id);
        let (Some(subscription), Some(session)) = (subscription, self.session) else {
            return self.blame(around, "got a SUBACK for nothing".to_owned());
        };
        let wanted = around.model.sessions[session].subscriptions[subscription].qos;
        let granted: Vec<u8> = suback.reasons.iter().map(u8::from).collect();
        if granted != [wanted as u8] {
            return self.blame(around, format!("was granted {granted:?}, not {wanted:?}"));
        }
        around.model.granted(session, subscription);
        around.is_watched |= self.profile.role == Role::Watcher;
        around.note(
            About::client(self.number),
            format_args!("client {} has SUBACK {}", self.number, suback.packet_id.get()),
        );
    }

    fn acknowledged(
        &mut self,
        around: &mut Surroundings,
        message: MessageId,
        acknowledge: &Acknowledge<'_>,
    ) {
        around.note(
            About::message(self.number, message),
            format_args!("message {message} is acknowledged to client {}", self.number),
        );
        if acknowledge.reason.is_error() {
            let text = format!("message {message} was refused: {}", acknowledge.reason);
            return self.blame(around, text);
        }
        around.model.acknowledged(message);
    }

    /// Leaves the connection in one of the rude ways.
    fn leave(&mut self, around: &mut Surroundings, leave: Leave) {
        let Some(link) = self.link else { return };
        around.note(
            About::client(self.number),
            format_args!("client {} leaves link {link}: {leave:?}", self.number),
        );
        around.network.hang_up(around.now, link, leave);
        self.lost(around);
    }

    /// The connection is over, for the client.
    fn lost(&mut self, around: &mut Surroundings) {
        self.will_is_due(around);
        if let (State::Connecting { .. }, Some(link)) = (self.state, self.link)
            && around.network.was_accepted(link)
        {
            // The broker may have begun another session, and the CONNACK that says so is lost.
            self.wants_clean |= self.profile.is_kept && self.may_have_expired(around);
        }
        self.link = None;
        self.state = State::Offline;
        self.answers.clear();
        self.unanswered.clear();
        self.subscribing.clear();
        self.unsubscribing.clear();
        if !self.keeps_session {
            self.forget_session(around);
        }
    }

    /// The session is over, for the client: it begins anew, and so do its messages.
    fn forget_session(&mut self, around: &mut Surroundings) {
        if let Some(session) = self.session.take() {
            around.model.end_session(session);
        }
        self.outgoing.clear();
        self.incoming.clear();
    }

    fn gone(&mut self, now: u64, calendar_moved_ms: u64) {
        if self.presence.gone_min.is_none() {
            self.presence.calendar_moved_ms = calendar_moved_ms;
        }
        self.presence.gone_min.get_or_insert(now);
        self.presence.gone_max = Some(now);
    }

    /// From now on the broker may publish the will.
    fn will_is_due(&mut self, around: &mut Surroundings) {
        let Some(will) = &mut self.will else { return };
        if will.goodbye.is_none() && !std::mem::replace(&mut will.is_due, true) {
            let moment = around.model.moment();
            around.model.message_mut(will.message).first_sent = moment;
        }
    }

    /// The broker has taken the next CONNECT, so it is done with the last connection.
    fn settle_will(&mut self, around: &mut Surroundings) {
        if let Some(will) = self.will.take() {
            if will.is_due && will.is_promised {
                around.model.acknowledged(will.message);
            }
            if will.is_cancelled && !will.is_due && will.goodbye == Some(around.model.crashes) {
                around.model.message_mut(will.message).is_cancelled = true;
            }
        }
        let has_delay = self.profile.will.is_some_and(|will| will.delay_s > 0);
        let is_promised = self.keeps_session && !has_delay;
        self.will = self.next_will.take().map(|message| WillState {
            message,
            is_promised,
            goodbye: None,
            is_cancelled: false,
            is_due: false,
        });
    }

    fn quota(&self, around: &Surroundings) -> usize {
        match self.profile.version {
            Version::V5 => usize::from(around.conduct.limits.inflight_window(ListenerId(0))),
            _ => 20,
        }
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id).expect("one or more");
            let in_use = self.outgoing.iter().any(|o| o.packet_id == id)
                || self.subscribing.contains_key(&id)
                || self.unsubscribing.contains_key(&id);
            if !in_use {
                return id;
            }
        }
    }

    /// Answers after a while, but in order.
    fn say_later(
        &mut self,
        around: &mut Surroundings,
        packet: &Packet<'_>,
        ends: Option<PacketId>,
    ) {
        let mut bytes = Vec::new();
        packet.encode(self.profile.version, &mut bytes).expect("a valid packet");
        let wait = if around.is_calm { 0 } else { self.profile.answer_ms_max };
        let last = self.answers.back().map_or(0, |answer| answer.due);
        let due = around.within(wait).max(last);
        self.answers.push_back(Answer { due, bytes, ends });
        around.schedule(due, Event::Answer(self.number));
    }

    fn send(&mut self, around: &mut Surroundings, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.profile.version, &mut bytes).expect("a valid packet");
        self.send_bytes(around, &bytes);
    }

    fn send_bytes(&mut self, around: &mut Surroundings, bytes: &[u8]) {
        if let Some(link) = self.link {
            around.network.client_write(around.now, link, bytes, &around.conduct);
        }
    }

    fn blame(&self, around: &mut Surroundings, text: String) {
        let text = format!("client {} {text}", self.number);
        around.model.blame(About::client(self.number), text);
    }
}

fn receive_result(around: &mut Surroundings, publish: &Publish<'_>) -> Option<String> {
    let mut properties = publish.properties.user_properties.iter();
    let id = properties.find(|(name, _)| *name == "id").map(|(_, id)| id);
    around.outputs.receive(id, publish.topic, publish.payload)
}

/// How long a client waits for CONNACK, and for the answer to DISCONNECT.
const PATIENCE_MS: u64 = 4_000;
/// How late a session may end: timers are looked at in turns.
const SLACK_MS: u64 = 50;
