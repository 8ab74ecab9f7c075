//! CONNECT and what it finds, and the end of a connection: what a client may expect of its session.

use std::num::NonZeroU16;

use weir_mqtt::{
    Acknowledge, Connack, Connect, ConnectProperties, Packet, ReasonCode, Version, Will,
    WillProperties,
};

use super::{Client, Presence, SLACK_MS, Stage, State};
use crate::sim::model::{Published, Publisher, payload};
use crate::sim::network::Leave;
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;

impl Client {
    pub(super) fn connect(&mut self, around: &mut Surroundings) {
        self.crashes_at_connect = around.model.crashes;
        self.attempts += 1;
        let begins_anew = around.random.chance(self.profile.clean_percent) && !around.is_calm;
        let clean = !self.profile.is_kept || self.wants_clean || begins_anew;
        if clean {
            self.forget_session(around);
        }
        self.wants_clean = clean && self.profile.is_kept;
        let is_v5 = self.profile.version == Version::V5;
        self.keeps_session = self.profile.is_kept && (is_v5 || !clean);
        self.left = None;
        self.may_have_session = self.keeps_session || (self.may_have_session && !clean);
        let stamp_ms = around.true_unix_ms();
        let will = self.profile.will.map(|will| {
            let topic = format!("will/{}", self.number);
            let publisher = Publisher::Will(self.number);
            let published = Published::new(publisher, topic, will.qos, stamp_ms);
            let message = around.model.publish(published);
            around.model.sent(message, around.now);
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

    /// Sometimes gives up its attempt at once, unseen by the broker, and makes another. The two
    /// may overtake each other, so it must not matter which one is the later.
    pub(super) fn connect_twice(&mut self, around: &mut Surroundings) {
        let is_other = self.wants_clean
            || self.profile.is_kept && self.may_have_expired_within(around, DIALLING_MS)
            || around.network.is_cut_off(around.now, self.number);
        if !around.is_calm && !is_other && around.random.chance(around.conduct.twin_percent) {
            self.has_twins = true;
            let keeps_session = self.keeps_session;
            if let Some(will) = self.next_will {
                around.model.message_mut(will).is_unordered = true;
            }
            self.leave(around, Leave::Abandon);
            self.connect(around);
            self.may_have_session |= keeps_session;
        }
    }

    pub(super) fn receive_connack(&mut self, around: &mut Surroundings, connack: &Connack<'_>) {
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
        self.settle_will(around, since, present);
        self.wants_clean = false;
        self.presence = Presence::default();
        self.state = State::Online;
        if self.session.is_none() {
            self.session = Some(around.model.begin_session(self.number, self.keeps_session));
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
    pub(super) fn check_presence(
        &self,
        around: &Surroundings,
        present: bool,
        asked: u64,
    ) -> Option<String> {
        let expiry_ms = self.expiry_ms();
        let moved_ms = around.doubt_ms() - self.presence.doubt_ms;
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

    pub(super) fn may_have_expired(&self, around: &Surroundings) -> bool {
        self.may_have_expired_within(around, 0)
    }

    fn may_have_expired_within(&self, around: &Surroundings, ms: u64) -> bool {
        let moved_ms = around.doubt_ms() - self.presence.doubt_ms;
        self.presence
            .gone_min
            .is_some_and(|gone| around.now + ms - gone + moved_ms + SLACK_MS >= self.expiry_ms())
    }

    pub(super) fn expiry_ms(&self) -> u64 {
        u64::from(self.profile.expiry_s) * 1000
    }

    /// Leaves the connection in one of the rude ways.
    pub(super) fn leave(&mut self, around: &mut Surroundings, leave: Leave) {
        let Some(link) = self.link else { return };
        around.note(
            About::client(self.number),
            format_args!("client {} leaves link {link}: {leave:?}", self.number),
        );
        around.network.hang_up(around.now, link, leave);
        self.lost(around);
    }

    /// The connection is over, for the client.
    pub(super) fn lost(&mut self, around: &mut Surroundings) {
        self.will_is_due(around);
        if let (State::Connecting { .. }, Some(link)) = (self.state, self.link)
            && around.network.may_be_accepted(link)
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
    pub(super) fn forget_session(&mut self, around: &mut Surroundings) {
        if let Some(session) = self.session.take() {
            around.model.end_session(session);
        }
        self.outgoing.clear();
        self.incoming.clear();
    }

    pub(super) fn gone(&mut self, now: u64, doubt_ms: u64) {
        if self.presence.gone_min.is_none() {
            self.presence.doubt_ms = doubt_ms;
        }
        self.presence.gone_min.get_or_insert(now);
        self.presence.gone_max = Some(now);
    }
}

/// Until then what was dialled is taken, whatever the network and a sleeping broker do.
const DIALLING_MS: u64 = 7_000;
