//! The gateway's own session: what it says about itself and about its devices.
//!
//! | topic | content |
//! |---|---|
//! | `<root>/<gateway>/bridge/state` | `online`, `offline`; the will is `offline`. Beside an agent, it is the agent's |
//! | `<root>/<gateway>/bridge/metrics` | all counters and gauges as one JSON object |
//! | `<root>/<gateway>/<device>/availability` | `online`, `sleeping`, `offline` |
//! | `<root>/<gateway>/<device>/info` | how the device is connected, as JSON |
//! | `<root>/<gateway>/<device>/event` | what went wrong, how often, as JSON |
//!
//! What is retained is sent again whenever the broker is found again, so that it is true even if
//! the broker has lost it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::Gateway;
use super::client::{Client, ClientKey, Phase, SessionState};
use super::counters::Counter;
use super::events::{EventKind, Events};
use super::outbox::Effect;
use super::topic::level;
use crate::questions::Numbers;
use crate::session::{Command, Event, QoS, SessionId, SessionOptions, Ticket, Will};

/// The session of the gateway itself.
#[derive(Debug)]
pub(super) struct Bridge {
    session: SessionId,
    state: SessionState,
    end: End,
    next_ticket: u64,
    /// What is to be announced about devices: at most one announcement for each.
    announcements: BTreeMap<Arc<str>, Announcement>,
    /// What the broker has not acknowledged, and about whom it is; `None` is the gateway.
    in_flight: BTreeMap<Ticket, Option<Arc<str>>>,
    events: Events,
    metrics_at: u64,
    /// Nothing is sent, or the session is not opened, before this.
    paused_until: Option<u64>,
}

#[derive(Debug, Default)]
struct Announcement {
    availability: &'static str,
    info: Option<Bytes>,
}

/// How far the end of the gateway has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on.
    No,
    /// The devices are announced as offline.
    Devices,
    /// The gateway is.
    Gateway,
}

impl Bridge {
    pub(super) fn new(metrics_at: u64) -> Self {
        Self {
            session: SessionId(0),
            state: SessionState::None,
            end: End::No,
            next_ticket: 0,
            announcements: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            events: Events::default(),
            metrics_at,
            paused_until: None,
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == SessionState::Open && !self.is_closing()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.end != End::No
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closing() && self.state == SessionState::None
    }

    pub(super) fn due_at(&self) -> Option<u64> {
        if self.paused_until.is_some() || !self.is_open() {
            return self.paused_until;
        }
        [self.events.due_at(), Some(self.metrics_at)].into_iter().flatten().min()
    }

    fn ticket(&mut self, about: Option<Arc<str>>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.in_flight.insert(ticket, about);
        ticket
    }
}

impl Gateway {
    /// Opens the gateway's session.
    pub(super) fn open_bridge(&mut self) {
        let session = self.new_session();
        self.bridge.session = session;
        self.bridge.state = SessionState::Opening;
        let will = self.options.tells_state.then(|| Will {
            topic: self.bridge_topic("state"),
            payload: Bytes::from_static(OFFLINE.as_bytes()),
            qos: QoS::AtLeastOnce,
            retain: true,
        });
        let options = SessionOptions {
            client_id: self.options.own_client_id().into(),
            clean_session: true,
            keep_alive_s: self.options.broker_keep_alive_s,
            will,
            credentials: self.options.credentials.clone(),
        };
        self.out.effects.push(Effect::Open { session, options });
    }

    /// Says that everything is offline, as far as the broker listens, and closes.
    pub(super) fn close_bridge(&mut self) {
        self.bridge.end = End::Devices;
        self.bridge.paused_until = None;
        match self.bridge.state {
            SessionState::Closing | SessionState::None | SessionState::Open => {}
            SessionState::Lost | SessionState::Opening => self.disconnect_bridge(),
        }
    }

    pub(super) fn handle_bridge_event(&mut self, now: u64, event: Event) {
        match event {
            Event::Closed => {
                self.bridge.state = SessionState::None;
                if !self.bridge.is_closing() {
                    self.bridge.paused_until = Some(now + REOPEN_MS);
                }
            }
            Event::Connected { .. } => self.handle_bridge_connected(now),
            Event::Delivered(delivery) => {
                // It has no subscriptions.
                self.out.command(self.bridge.session, Command::Acknowledge(delivery.id));
            }
            Event::Lost(_) => {
                self.out.count(Counter::BrokerLost);
                self.bridge.in_flight.clear();
                if self.bridge.state != SessionState::Closing {
                    self.bridge.state = SessionState::Lost;
                }
                if self.bridge.is_closing() {
                    self.disconnect_bridge();
                }
            }
            // What is refused once is refused again.
            Event::Published(ticket) | Event::PublishRefused { ticket, .. } => {
                self.bridge.in_flight.remove(&ticket);
            }
            Event::PublishFailed(ticket) => self.announce_again(ticket),
            Event::Refused(_) => {
                self.out.count(Counter::BrokerLost);
                self.bridge.in_flight.clear();
                self.bridge.state = SessionState::None;
                self.bridge.paused_until = Some(now + REOPEN_MS);
            }
            Event::Subscribed { .. } | Event::Unsubscribed(_) => {}
        }
    }

    /// There is less room than the session promises, or none for the session at all.
    pub(super) fn handle_bridge_full(&mut self, now: u64, ticket: Option<Ticket>) {
        self.bridge.paused_until = Some(now + REOPEN_MS);
        match ticket {
            Some(ticket) => self.announce_again(ticket),
            None if self.bridge.state == SessionState::Opening => {
                self.bridge.state = SessionState::None;
            }
            None => self.out.count(Counter::QoS0Lost),
        }
    }

    /// Sends what waits, as much of it as the session takes.
    pub(super) fn pump_bridge(&mut self, now: u64) {
        if self.bridge.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.bridge.paused_until = None;
        if self.bridge.state == SessionState::None && !self.bridge.is_closing() {
            self.open_bridge();
        }
        if self.bridge.state != SessionState::Open {
            return;
        }
        self.pump_announcements();
        if self.bridge.is_closing() {
            return self.pump_end();
        }
        for report in self.bridge.events.take_due(now, self.options.event_interval_ms) {
            let text =
                json!({"kind": report.kind.name(), "count": report.count, "text": report.text});
            let topic = self.device_topic(&report.client_id, "event");
            self.publish_bridge(None, topic, text.to_string().into(), false);
        }
        if self.bridge.metrics_at <= now {
            self.bridge.metrics_at = now + self.options.metrics_interval_ms.max(1);
            let topic = self.bridge_topic("metrics");
            let metrics = self.metrics();
            self.publish_bridge(None, topic, metrics, false);
        }
    }

    /// Announces what a client is now.
    pub(super) fn announce(&mut self, key: ClientKey) {
        let client = &self.clients[key];
        let announcement = self.bridge.announcements.entry(Arc::clone(&client.id)).or_default();
        announcement.availability = availability(client);
    }

    /// Announces a client that has just been connected.
    pub(super) fn announce_with_info(&mut self, key: ClientKey) {
        self.announce(key);
        let client = &self.clients[key];
        let link = self.options.links.get(usize::from(client.address.link.0));
        let info = json!({
            "client_id": &*client.id,
            "protocol": "MQTT-SN 1.2",
            "link": link.map_or("", |link| &link.name),
            "address": client.address.to_string(),
            "clean_session": client.clean_session,
            "keep_alive_s": client.keep_alive_s,
        });
        if let Some(announcement) = self.bridge.announcements.get_mut(&client.id) {
            announcement.info = Some(info.to_string().into());
        }
    }

    /// Announces that the gateway no longer reaches a client.
    pub(super) fn announce_offline(&mut self, key: ClientKey) {
        let id = Arc::clone(&self.clients[key].id);
        self.bridge.announcements.entry(id).or_default().availability = OFFLINE;
    }

    /// Tells the operator what happened to a device.
    pub(super) fn report(&mut self, now: u64, key: ClientKey, kind: EventKind, text: &'static str) {
        self.bridge.events.add(now, &self.clients[key].id, kind, text);
    }

    /// Publishes a message of QoS 0 for someone without a session.
    pub(super) fn publish_as_bridge(&mut self, topic: Box<str>, payload: Bytes, retain: bool) {
        if !self.bridge.is_open() {
            return self.out.count(Counter::QoS0Lost);
        }
        self.out.count(Counter::Published);
        self.publish_bridge(None, topic, payload, retain);
    }

    fn handle_bridge_connected(&mut self, now: u64) {
        if self.bridge.state == SessionState::Closing {
            return;
        }
        self.bridge.state = SessionState::Open;
        self.bridge.in_flight.clear();
        self.tell_state("online");
        let keys: Vec<_> = self.clients.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.announce(key));
        // Those that were late are advertised now, but not all links at each loss of the broker.
        self.handle_discovery_timer(now);
    }

    /// The newest of what was to be said, unless something newer is to be said already.
    fn announce_again(&mut self, ticket: Ticket) {
        let Some(Some(id)) = self.bridge.in_flight.remove(&ticket) else { return };
        let key = self.by_id.get(&id).copied();
        let now_is = key.map_or(OFFLINE, |key| availability(&self.clients[key]));
        let announcement = self.bridge.announcements.entry(id).or_default();
        if announcement.availability.is_empty() {
            announcement.availability = now_is;
        }
    }

    fn pump_announcements(&mut self) {
        while self.bridge.in_flight.len() < IN_FLIGHT_MAX
            && let Some((id, announcement)) = self.bridge.announcements.pop_first()
        {
            if let Some(info) = announcement.info {
                let ticket = self.bridge.ticket(None);
                let topic = self.device_topic(&id, "info");
                self.publish_bridge(Some(ticket), topic, info, true);
            }
            let topic = self.device_topic(&id, "availability");
            let ticket = self.bridge.ticket(Some(id));
            let payload = Bytes::from_static(announcement.availability.as_bytes());
            self.publish_bridge(Some(ticket), topic, payload, true);
        }
    }

    /// The last words, each when those before it have arrived.
    fn pump_end(&mut self) {
        if !self.bridge.in_flight.is_empty() {
            return;
        }
        if self.bridge.end == End::Gateway {
            return self.disconnect_bridge();
        }
        self.bridge.end = End::Gateway;
        self.tell_state(OFFLINE);
        if self.bridge.in_flight.is_empty() {
            self.disconnect_bridge();
        }
    }

    fn tell_state(&mut self, state: &'static str) {
        if self.options.tells_state {
            let ticket = self.bridge.ticket(None);
            let topic = self.bridge_topic("state");
            self.publish_bridge(Some(ticket), topic, Bytes::from_static(state.as_bytes()), true);
        }
    }

    fn disconnect_bridge(&mut self) {
        if self.bridge.state != SessionState::Closing {
            self.bridge.state = SessionState::Closing;
            let command = Command::Disconnect { publish_will: false };
            self.out.command(self.bridge.session, command);
        }
    }

    fn publish_bridge(
        &mut self,
        ticket: Option<Ticket>,
        topic: Box<str>,
        payload: Bytes,
        retain: bool,
    ) {
        let qos = if ticket.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let command = Command::Publish { ticket, topic, payload, qos, retain };
        self.out.command(self.bridge.session, command);
    }

    /// All counters and gauges by their names.
    pub(crate) fn numbers(&self) -> Numbers {
        let gauges = self.gauges();
        let gauges = [
            ("clients", gauges.clients as u64),
            ("sleepers", gauges.sleepers as u64),
            ("queued", gauges.queued as u64),
        ];
        self.counters().iter().chain(gauges).collect()
    }

    fn metrics(&self) -> Bytes {
        let numbers = self.numbers().into_iter();
        let metrics: serde_json::Map<_, _> =
            numbers.map(|(name, value)| (name.to_owned(), value.into())).collect();
        serde_json::Value::Object(metrics).to_string().into()
    }

    fn bridge_topic(&self, leaf: &str) -> Box<str> {
        format!("{}/{}/bridge/{leaf}", self.options.root, level(&self.options.id)).into()
    }

    fn device_topic(&self, client_id: &str, leaf: &str) -> Box<str> {
        let (gateway, device) = (level(&self.options.id), level(client_id));
        format!("{}/{gateway}/{device}/{leaf}", self.options.root).into()
    }
}

fn availability(client: &Client) -> &'static str {
    match client.phase {
        _ if client.unreachable => OFFLINE,
        Phase::Active => "online",
        Phase::Asleep { .. } | Phase::Awake(_) => "sleeping",
        Phase::Away | Phase::Connecting(_) => OFFLINE,
    }
}

const OFFLINE: &str = "offline";
/// Messages that the broker has not acknowledged; an announcement may go beyond by one.
const IN_FLIGHT_MAX: usize = 16;
const REOPEN_MS: u64 = 5_000;
