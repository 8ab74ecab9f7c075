//! A client that goes by the book, and says of every message what it knows.
//!
//! It never loses its own memory. What it does besides answering is decided by its workload;
//! what is owed to it is written down in the model.

mod connect;
mod publish;
mod receive;
mod subscribe;
mod will;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use weir_mqtt::{Packet, PacketId, QoS, ReasonCode, frame_len};

use super::model::{MessageId, SessionNumber};
use super::network::{Leave, LinkId};
use super::surroundings::{Event, Surroundings};
use super::trace::About;
use super::workload::{Action, Profile, Role};

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
    /// When the broker left the connection, which the client may not know yet.
    left: Option<u64>,
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
    /// CONNECT packets since the last one that was answered.
    attempts: u32,
    /// It has connected twice at once: one of the two may have ended the other.
    pub(crate) has_twins: bool,
    /// How often the broker had crashed when the last connection began.
    crashes_at_connect: u32,
    presence: Presence,
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
    /// Its delay, of a connection whose end the client can know of.
    delay_s: Option<u32>,
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
    /// By how much the clocks of the broker had been wrong then.
    doubt_ms: u64,
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
            left: None,
            outgoing: Vec::new(),
            last_id: 0,
            incoming: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            answers: VecDeque::new(),
            subscribing: BTreeMap::new(),
            unsubscribing: BTreeMap::new(),
            will: None,
            next_will: None,
            attempts: 0,
            has_twins: false,
            crashes_at_connect: 0,
            presence: Presence::default(),
        }
    }

    /// The workload wakes it.
    ///
    /// With `happens` false it does nothing, in the same time.
    pub(crate) fn act(&mut self, around: &mut Surroundings, happens: bool) {
        let pace = around.conduct.pace_ms_max;
        let next = match self.state {
            _ if !happens && !around.is_calm => around.within(pace),
            State::Offline => {
                if around.is_calm || around.random.chance(60) {
                    self.connect(around);
                    self.connect_twice(around);
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
                let has_all = match self.profile.role {
                    Role::Mourner => around.is_mourned,
                    _ => around.is_watched,
                };
                if let Some(filter) = self.profile.role.filter().filter(|_| !has_all) {
                    self.subscribe(around, &filter, QoS::ExactlyOnce);
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
        let bytes_max = match self.profile.is_slow {
            true => around.conduct.slow_read_bytes,
            false => usize::MAX,
        };
        let (bytes, is_end) = around.network.client_read(around.now, link, bytes_max);
        if !is_end && around.network.has_for_client(around.now, link) {
            let at = around.within(SLOW_READ_MS) + 1;
            around.schedule(at, Event::Arrive(link));
        }
        self.inbox.extend_from_slice(&bytes);
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        while let Some(rest) = inbox.get(at..).filter(|rest| !rest.is_empty()) {
            let length = match frame_len(rest) {
                Ok(Some(length)) if length <= rest.len() => length,
                Ok(_) => break,
                Err(error) => return self.denounce(around, &format!("a broken frame: {error}")),
            };
            match Packet::decode(&rest[..length], self.profile.version) {
                Ok(packet) => self.receive(around, &packet),
                Err(error) => return self.denounce(around, &format!("a bad packet: {error}")),
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
                && !self.has_twins
                && matches!(self.state, State::Leaving { .. })
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
        let doubt_ms = around.doubt_ms();
        self.gone(around.now, doubt_ms);
        if self.link == Some(link) {
            self.will_is_due(around);
            self.left = Some(around.model.moment());
        }
    }

    /// The process of the broker is gone.
    pub(crate) fn broker_died(&mut self, around: &mut Surroundings) {
        let gone_max = self.presence.gone_max;
        let doubt_ms = around.doubt_ms();
        self.gone(around.now, doubt_ms);
        self.presence.gone_max = gone_max;
        if self.link.is_some() {
            self.will_is_due(around);
        }
    }

    /// The broker is back, and takes the session's connection as ended at its start or before.
    pub(crate) fn broker_started(&mut self, around: &mut Surroundings, was_connected: bool) {
        if was_connected || self.presence.gone_max.is_none() {
            let doubt_ms = around.doubt_ms();
            self.gone(around.now, doubt_ms);
        }
    }

    /// Whether its session ends with the connection.
    pub(crate) fn has_unkept_session(&self) -> bool {
        self.session.is_some() && !self.keeps_session
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
            Action::Partition { ms, ways } => {
                around.note(
                    About::client(self.number),
                    format_args!("client {} is cut off for {ms} ms: {ways:?}", self.number),
                );
                around.network.cut_off(self.number, around.now + ms, ways);
            }
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
                let expected = [
                    ReasonCode::SessionTakenOver,
                    ReasonCode::KeepAliveTimeout,
                    ReasonCode::AdministrativeAction,
                ];
                if !expected.contains(&disconnect.reason) {
                    self.blame(around, format!("was sent away: {}", disconnect.reason));
                }
            }
            other => self.blame(around, format!("got {}", other.kind())),
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

    fn denounce(&self, around: &mut Surroundings, text: &str) {
        let text = format!("client {} got {text}", self.number);
        around.model.denounce(About::client(self.number), text);
    }

    fn blame(&self, around: &mut Surroundings, text: String) {
        let text = format!("client {} {text}", self.number);
        around.model.blame(About::client(self.number), text);
    }
}

/// How long a client waits for CONNACK, and for the answer to DISCONNECT.
const PATIENCE_MS: u64 = 4_000;
/// Between two reads of a slow client.
const SLOW_READ_MS: u64 = 20;
/// How late a session may end: timers are looked at in turns.
const SLACK_MS: u64 = 50;
