//! CONNECT: who is let in, and how a session is set up (6.2, 6.3).
//!
//! A will is asked for first, because MQTT has it in its CONNECT. Then the session with the broker
//! is opened, and only what the broker answers is what the node is told.

use std::sync::Arc;

use weir_node::mqtt_sn_1_2::{Connect, Packet, ReturnCode};

use super::Gateway;
use super::address::{Address, Peer};
use super::client::{Client, ClientKey, Connecting, Phase, SessionState, Step};
use super::counters::Counter;
use super::outbox::{Effect, Refusal, RefusalReason};
use crate::session::{Command, SessionOptions};

impl Gateway {
    pub(super) fn handle_connect(&mut self, now: u64, from: Address, connect: &Connect<'_>) {
        if let Err(reason) = self.admit(&from, connect.client_id) {
            self.out.send(&from, Packet::Connack(ReturnCode::NotSupported));
            let client_id = Some(shortened(connect.client_id).into());
            return self.out.refuse(Refusal { address: from, client_id, topic: None, reason });
        }
        if !self.bridge.is_open() {
            return self.answer_congested(&from);
        }
        let Some(key) = self.client_for(now, &from, connect.client_id) else {
            return self.answer_congested(&from);
        };
        self.move_client(now, key, from);
        if !self.repeats(key, connect) {
            self.begin_connect(now, key, connect);
        } else {
            self.out.count(Counter::Duplicates);
            self.ask_for_will(key);
        }
        if self.clients.contains(key) {
            self.schedule(key);
        }
    }

    /// Whether a node may be at an address; a client id that is not listed has only the ranges of
    /// the link.
    pub(super) fn is_address_allowed(&self, from: &Address, client_id: Option<&str>) -> bool {
        let Peer::Udp(socket) = from.peer else { return true };
        let node = client_id.and_then(|id| self.options.nodes.get(id));
        let of_link = self.options.links.get(usize::from(from.link.0));
        let of_node = node.map_or(&[][..], |node| &node.allow_from);
        [of_link.map_or(&[][..], |link| &link.allow_from), of_node].into_iter().all(|ranges| {
            ranges.is_empty() || ranges.iter().any(|range| range.contains(socket.ip()))
        })
    }

    /// All that the client was asked for is there.
    pub(super) fn begin_session(&mut self, now: u64, key: ClientKey) {
        let due_at = now + self.options.connect_timeout_ms;
        let client = &mut self.clients[key];
        let Phase::Connecting(connecting) = &mut client.phase else { return };
        connecting.step = Step::Session;
        connecting.due_at = due_at;
        let (resumes, will_changed) = (connecting.resumes, connecting.will_changed);
        match client.session.state {
            SessionState::Open if resumes => {
                if will_changed {
                    let will = client.will.as_deref().cloned();
                    self.out.command(client.session.id, Command::SetWill(will));
                }
                self.complete_connect(now, key);
            }
            SessionState::Opening if resumes && !will_changed => {}
            SessionState::None => self.open_session(key),
            SessionState::Closing => {}
            SessionState::Lost | SessionState::Open | SessionState::Opening => {
                self.close_session(key, false);
            }
        }
    }

    /// Opens the session of a client that has none.
    pub(super) fn open_session(&mut self, key: ClientKey) {
        let session = self.new_session();
        let client = &mut self.clients[key];
        client.session.id = session;
        client.session.state = SessionState::Opening;
        let node = self.options.nodes.get(&*client.id);
        let own = node.and_then(|node| node.credentials.clone());
        let options = SessionOptions {
            client_id: (*client.id).into(),
            clean_session: client.clean_session,
            keep_alive_s: self.options.broker_keep_alive_s,
            will: client.will.as_deref().cloned(),
            credentials: own.or_else(|| self.options.credentials.clone()),
        };
        self.by_session.insert(session, key);
        self.out.effects.push(Effect::Open { session, options });
    }

    pub(super) fn handle_connected(&mut self, now: u64, key: ClientKey, session_present: bool) {
        let client = &mut self.clients[key];
        if client.session.state == SessionState::Closing {
            return;
        }
        client.session.state = SessionState::Open;
        client.resubscribe_from = if session_present { client.subscriptions.len() } else { 0 };
        self.resubscribe(key);
        match &mut self.clients[key].phase {
            Phase::Connecting(connecting) if connecting.step == Step::Session => {
                self.complete_connect(now, key);
            }
            Phase::Awake(awake) => {
                // What the broker has kept is on its way.
                awake.quiet_at = now + self.options.linger_ms;
                self.pump(now, key);
            }
            _ => self.pump(now, key),
        }
    }

    /// The set-up of the connection is given up, and the node is told.
    pub(super) fn abort_connect(&mut self, now: u64, key: ClientKey, code: ReturnCode) {
        if code == ReturnCode::Congestion {
            self.out.count(Counter::Congested);
        }
        self.out.send(&self.clients[key].address, Packet::Connack(code));
        self.go_away(now, key, false);
    }

    /// A step that the node or the broker has not answered.
    pub(super) fn retry_connect(&mut self, now: u64, key: ClientKey) {
        let due_at = now + self.options.retry_ms;
        let Phase::Connecting(connecting) = &mut self.clients[key].phase else { return };
        if connecting.step == Step::Session {
            return self.abort_connect(now, key, ReturnCode::Congestion);
        }
        if connecting.tries_left == 0 {
            return self.go_away(now, key, false);
        }
        connecting.tries_left -= 1;
        connecting.due_at = due_at;
        self.out.count(Counter::Retries);
        self.ask_for_will(key);
    }

    /// Sends the request that the set-up of the connection is at, if it is at one.
    pub(super) fn ask_for_will(&mut self, key: ClientKey) {
        let client = &self.clients[key];
        let Phase::Connecting(connecting) = &client.phase else { return };
        match connecting.step {
            Step::Session => {}
            Step::WillMessage => self.out.send(&client.address, Packet::WillMsgReq),
            Step::WillTopic => self.out.send(&client.address, Packet::WillTopicReq),
        }
    }

    fn admit(&self, from: &Address, client_id: &str) -> Result<(), RefusalReason> {
        let characters = client_id.chars().count();
        if characters == 0 || characters > self.options.client_id_characters_max {
            return Err(RefusalReason::ClientIdLength);
        }
        let reserved = self.options.reserved_client_ids.iter().any(|id| **id == *client_id);
        if reserved || client_id == self.options.own_client_id() {
            return Err(RefusalReason::ClientIdReserved);
        }
        if !self.options.unlisted_nodes && !self.options.nodes.contains_key(client_id) {
            return Err(RefusalReason::ClientIdUnlisted);
        }
        if self.is_address_allowed(from, Some(client_id)) {
            Ok(())
        } else {
            Err(RefusalReason::Address)
        }
    }

    fn answer_congested(&mut self, to: &Address) {
        self.out.count(Counter::Congested);
        self.out.send(to, Packet::Connack(ReturnCode::Congestion));
    }

    /// The client of this id, a new one if there is none; `None` if there is no room for it.
    fn client_for(&mut self, now: u64, from: &Address, id: &str) -> Option<ClientKey> {
        if let Some(key) = self.by_id.get(id) {
            return Some(*key);
        }
        if self.clients.len() >= self.options.clients_max {
            self.forget_longest_away()?;
        }
        let id: Arc<str> = id.into();
        let key = self.clients.insert(Client::new(Arc::clone(&id), from.clone(), now));
        self.by_id.insert(id, key);
        Some(key)
    }

    /// Only CONNECT leads an address to a client: whoever was there before is no longer.
    fn move_client(&mut self, now: u64, key: ClientKey, to: Address) {
        if let Some(other) = self.by_address.get(&to).copied().filter(|other| *other != key) {
            self.lose_silent(now, other);
        }
        let client = &mut self.clients[key];
        if client.address != to {
            if self.by_address.get(&client.address) == Some(&key) {
                self.by_address.remove(&client.address);
            }
            client.address = to.clone();
        }
        client.heard_at = now;
        client.unreachable = false;
        self.by_address.insert(to, key);
    }

    /// Whether this is the CONNECT that is being answered.
    fn repeats(&self, key: ClientKey, connect: &Connect<'_>) -> bool {
        let client = &self.clients[key];
        matches!(&client.phase, Phase::Connecting(connecting)
            if connecting.clean_session == connect.clean_session
                && connecting.wants_will == connect.will
                && client.keep_alive_s == connect.duration_s)
    }

    fn begin_connect(&mut self, now: u64, key: ClientKey, connect: &Connect<'_>) {
        let client = &mut self.clients[key];
        let was_clean = client.clean_session;
        let slept = client.sleeps();
        client.keep_alive_s = connect.duration_s;
        client.clean_session = connect.clean_session;
        let resumes = !connect.clean_session && !was_clean;
        if !resumes {
            client.forget_session();
        } else if !slept {
            // It may have begun anew without what it knew.
            client.topics.forget_knowledge();
        }
        client.phase = Phase::Connecting(Box::new(Connecting {
            step: Step::WillTopic,
            clean_session: connect.clean_session,
            wants_will: connect.will,
            resumes,
            will_changed: false,
            will_topic: None,
            tries_left: self.options.retries,
            due_at: now + self.options.retry_ms,
        }));
        if connect.will {
            self.ask_for_will(key);
        } else {
            self.begin_session(now, key);
        }
    }

    fn complete_connect(&mut self, now: u64, key: ClientKey) {
        self.out.count(Counter::Connected);
        let client = &mut self.clients[key];
        client.phase = Phase::Active;
        client.heard_at = now;
        self.out.send(&client.address, Packet::Connack(ReturnCode::Accepted));
        self.save(key);
        self.announce_with_info(key);
        self.restart_current(now, key);
        self.pump(now, key);
    }
}

/// As much of a client id as a log can bear.
fn shortened(client_id: &str) -> &str {
    client_id.char_indices().nth(64).map_or(client_id, |(end, _)| &client_id[..end])
}
