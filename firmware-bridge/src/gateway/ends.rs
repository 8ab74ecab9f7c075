//! How clients and their sessions end: lost, disconnected, forgotten, and the gateway's own end.

use weir_node::mqtt_sn_1_2::{Packet, ReturnCode};

use super::Gateway;
use super::client::{ClientKey, Phase, SessionState};
use super::counters::Counter;
use super::events::EventKind;
use super::outbox::{Refusal, RefusalReason};
use crate::session::Command;

impl Gateway {
    /// The node is gone without a word: its will is published.
    pub(super) fn lose_silent(&mut self, now: u64, key: ClientKey) {
        self.out.count(Counter::NodesLost);
        self.report(now, key, EventKind::Lost, "the node is silent");
        self.go_away(now, key, true);
    }

    /// The node is not there any more. A kept session waits for it; a clean one ends.
    pub(super) fn go_away(&mut self, now: u64, key: ClientKey, publish_will: bool) {
        let client = &mut self.clients[key];
        let was_away = matches!(client.phase, Phase::Away);
        client.phase = Phase::Away;
        // From when on it is away.
        client.heard_at = now;
        client.unreachable = false;
        if self.by_address.get(&client.address) == Some(&key) {
            self.by_address.remove(&client.address);
        }
        if !was_away {
            self.announce(key);
            self.save(key);
        }
        self.close_session(key, publish_will);
        if self.clients[key].session.state == SessionState::None {
            self.forget_if_clean(key);
        }
    }

    /// Closes the session, if there is one. Answered by [`Gateway::handle_closed`].
    pub(super) fn close_session(&mut self, key: ClientKey, publish_will: bool) {
        let client = &mut self.clients[key];
        client.requests.clear();
        client.downlink.end_session();
        match client.session.state {
            SessionState::None | SessionState::Closing => {}
            SessionState::Lost | SessionState::Open | SessionState::Opening => {
                client.session.state = SessionState::Closing;
                self.out.command(client.session.id, Command::Disconnect { publish_will });
            }
        }
    }

    pub(super) fn handle_closed(&mut self, now: u64, key: ClientKey) {
        let asked = self.end_session(key) == SessionState::Closing;
        match &self.clients[key].phase {
            Phase::Connecting(_) if asked => self.open_session(key),
            Phase::Away => self.forget_if_clean(key),
            _ => self.leave_without_session(now, key),
        }
    }

    /// The broker has changed its mind, or never was of it.
    pub(super) fn handle_session_refused(&mut self, now: u64, key: ClientKey) {
        self.out.count(Counter::BrokerLost);
        self.refuse(key, RefusalReason::Broker, None);
        self.end_session(key);
        match &self.clients[key].phase {
            Phase::Connecting(_) => self.abort_connect(now, key, ReturnCode::NotSupported),
            Phase::Away => self.forget_if_clean(key),
            _ => self.leave_without_session(now, key),
        }
    }

    pub(super) fn handle_session_lost(&mut self, now: u64, key: ClientKey) {
        self.out.count(Counter::BrokerLost);
        let client = &mut self.clients[key];
        if client.session.state == SessionState::Closing {
            return;
        }
        client.session.state = SessionState::Lost;
        match client.phase {
            Phase::Connecting(_) => self.abort_connect(now, key, ReturnCode::Congestion),
            Phase::Awake(_) => self.settle(now, key),
            _ => {}
        }
    }

    /// Makes room by forgetting the client that is away for longest; `None` if none is.
    pub(super) fn forget_longest_away(&mut self) -> Option<()> {
        let away = self.clients.iter().filter(|(_, client)| {
            matches!(client.phase, Phase::Away) && client.session.state == SessionState::None
        });
        let (key, _) = away.min_by_key(|(_, client)| client.heard_at)?;
        self.forget(key);
        Some(())
    }

    /// Ends all sessions: nodes are told to connect anew, devices and gateway are announced as
    /// offline. Kept sessions stay at the broker, and wills are not published, because no node is
    /// lost.
    pub fn shut_down(&mut self, now: u64) {
        let keys: Vec<_> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            let client = &self.clients[key];
            let sleeps = client.sleeps();
            if matches!(client.phase, Phase::Active | Phase::Connecting(_)) {
                self.out.send(&client.address, Packet::Disconnect(None));
            }
            if sleeps {
                // It comes back to the next gateway as a sleeper, so its record stays as it is.
                self.announce_offline(key);
                self.close_session(key, false);
            } else {
                self.go_away(now, key, false);
            }
        }
        self.close_bridge();
    }

    /// Whether everything is closed after [`Gateway::shut_down`].
    pub fn is_closed(&self) -> bool {
        self.by_session.is_empty() && self.bridge.is_closed()
    }

    pub(super) fn refuse(&mut self, key: ClientKey, reason: RefusalReason, topic: Option<&str>) {
        let client = &self.clients[key];
        let (address, client_id) = (client.address.clone(), Some((*client.id).into()));
        self.out.refuse(Refusal { address, client_id, topic: topic.map(Box::from), reason });
    }

    /// The node is connected, and is to begin anew because the broker no longer has its session.
    fn leave_without_session(&mut self, now: u64, key: ClientKey) {
        if self.bridge.is_closing() {
            return;
        }
        if !self.clients[key].sleeps() {
            self.out.send(&self.clients[key].address, Packet::Disconnect(None));
        }
        self.go_away(now, key, false);
    }

    /// Forgets the session, and gives the state that it was in.
    fn end_session(&mut self, key: ClientKey) -> SessionState {
        let session = &mut self.clients[key].session;
        self.by_session.remove(&session.id);
        std::mem::replace(&mut session.state, SessionState::None)
    }

    fn forget_if_clean(&mut self, key: ClientKey) {
        if self.clients[key].clean_session {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: ClientKey) {
        let client = self.clients.remove(key);
        self.by_id.remove(&client.id);
        self.by_session.remove(&client.session.id);
        if self.by_address.get(&client.address) == Some(&key) {
            self.by_address.remove(&client.address);
        }
        if let Some(at) = client.timer_at {
            self.timers.remove(&(at, key));
        }
        if client.saved.is_some() {
            self.unsaved.insert(client.id);
        }
    }
}
