//! A broker as far as the gateway needs one: kept sessions, subscriptions, retained messages,
//! wills; and switches for what goes wrong.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::topic::Filter;
use crate::session::{
    Command, DELIVERIES_MAX, Delivery, DeliveryId, Event, LostReason, QoS, RefusedReason,
    SessionId, SessionOptions, Ticket, Will,
};

#[derive(Default)]
pub(super) struct Model {
    pub(super) connections: BTreeMap<SessionId, Connection>,
    kept: BTreeMap<Box<str>, Kept>,
    pub(super) retained: BTreeMap<Box<str>, Bytes>,
    /// All that was published, in order.
    pub(super) published: Vec<Published>,
    pub(super) events: VecDeque<(SessionId, Event)>,
    pub(super) away: bool,
    /// Publishes and subscriptions are taken, but not acknowledged.
    pub(super) silent: bool,
    pub(super) refuses: Option<RefusedReason>,
    /// Filters for which a subscription is refused.
    pub(super) refused_filters: Vec<Box<str>>,
    /// Topics that nobody may publish to.
    pub(super) refused_topics: Vec<Box<str>>,
    next_delivery: u64,
}

pub(super) struct Connection {
    pub(super) options: SessionOptions,
    unanswered: Vec<(Ticket, Option<QoS>)>,
}

#[derive(Default)]
struct Kept {
    subscriptions: Vec<(Filter, Box<str>, QoS)>,
    queue: VecDeque<Delivery>,
    unacknowledged: Vec<Delivery>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// Empty if it was the broker's own doing.
    pub(super) client_id: Box<str>,
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl Model {
    pub(super) fn open(&mut self, session: SessionId, options: SessionOptions) {
        if let Some(reason) = self.refuses
            && !options.client_id.ends_with("-gateway")
        {
            self.events.push_back((session, Event::Refused(reason)));
            return;
        }
        let taken = self.connections.values().any(|c| c.options.client_id == options.client_id);
        assert!(!taken, "{}: the session before is not closed yet", options.client_id);
        self.connections.insert(session, Connection { options, unanswered: Vec::new() });
        if self.away {
            self.events.push_back((session, Event::Lost(LostReason::Closed)));
        } else {
            self.connect(session);
        }
    }

    pub(super) fn command(&mut self, session: SessionId, command: Command) {
        let Some(connection) = self.connections.get(&session) else { return };
        let client_id = connection.options.client_id.clone();
        match command {
            Command::Acknowledge(id) => {
                let kept = self.kept.entry(client_id).or_default();
                kept.unacknowledged.retain(|delivery| delivery.id != id);
                self.deliver(session);
            }
            Command::Disconnect { publish_will } => self.disconnect(session, publish_will),
            Command::Publish { ticket, topic, payload, qos, retain } => {
                assert!(!self.away || ticket.is_none(), "published while the broker is away");
                if self.refused_topics.contains(&topic) {
                    let event = |ticket| Event::PublishRefused { ticket, reason: NOT_AUTHORIZED };
                    let refused = ticket.map(|ticket| (session, event(ticket)));
                    return self.events.extend(refused);
                }
                self.publish(Published { client_id, topic, payload, qos, retain });
                if let Some(ticket) = ticket {
                    self.answer(session, ticket, None);
                }
            }
            Command::SetWill(will) => {
                self.connections.get_mut(&session).unwrap().options.will = will;
            }
            Command::Subscribe { ticket, filter, qos } => {
                self.subscribe(session, ticket, &filter, qos);
            }
            Command::Unsubscribe { ticket, filter } => {
                let kept = self.kept.entry(client_id).or_default();
                kept.subscriptions.retain(|(_, name, _)| *name != filter);
                self.events.push_back((session, Event::Unsubscribed(ticket)));
            }
        }
    }

    /// Someone else publishes.
    pub(super) fn publish_text(&mut self, topic: &str, payload: &str, qos: QoS) {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let client_id = "".into();
        self.publish(Published { client_id, topic: topic.into(), payload, qos, retain: false });
    }

    /// The process that had the connections is gone.
    pub(super) fn lose_connections(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            self.end(&connection.options, true);
        }
        self.events.clear();
    }

    pub(super) fn go_away(&mut self) {
        self.away = true;
        for session in self.connections.keys().copied().collect::<Vec<_>>() {
            let connection = self.connections.get_mut(&session).unwrap();
            connection.unanswered.clear();
            self.events.push_back((session, Event::Lost(LostReason::Closed)));
        }
    }

    /// `keeps`: kept sessions are still there.
    pub(super) fn come_back(&mut self, keeps: bool) {
        self.away = false;
        if !keeps {
            self.kept.clear();
        }
        for session in self.connections.keys().copied().collect::<Vec<_>>() {
            self.connect(session);
        }
    }

    /// Answers all that was not answered while it was silent.
    pub(super) fn speak(&mut self) {
        self.silent = false;
        for session in self.connections.keys().copied().collect::<Vec<_>>() {
            let connection = self.connections.get_mut(&session).unwrap();
            for (ticket, granted) in std::mem::take(&mut connection.unanswered) {
                self.answer(session, ticket, granted);
            }
        }
    }

    pub(super) fn options(&self, client_id: &str) -> &SessionOptions {
        let mut options = self.connections.values().map(|connection| &connection.options);
        options.find(|options| &*options.client_id == client_id).expect("it is connected")
    }

    pub(super) fn is_connected(&self, client_id: &str) -> bool {
        self.connections.values().any(|connection| &*connection.options.client_id == client_id)
    }

    /// What the broker holds for a session.
    pub(super) fn held(&self, client_id: &str) -> usize {
        let kept = self.kept.get(client_id);
        kept.map_or(0, |kept| kept.queue.len() + kept.unacknowledged.len())
    }

    /// What was published to a topic.
    pub(super) fn texts(&self, topic: &str) -> Vec<&str> {
        let published = self.published.iter().filter(|published| &*published.topic == topic);
        published.map(|published| str::from_utf8(&published.payload).unwrap()).collect()
    }

    fn connect(&mut self, session: SessionId) {
        let options = self.connections[&session].options.clone();
        let present = !options.clean_session && self.kept.contains_key(&options.client_id);
        if options.clean_session {
            self.kept.remove(&options.client_id);
        }
        let kept = self.kept.entry(options.client_id).or_default();
        // What was on its way is given again by a session that is new to it.
        let again = kept.unacknowledged.drain(..).rev();
        again.for_each(|delivery| kept.queue.push_front(delivery));
        self.events.push_back((session, Event::Connected { session_present: present }));
        self.deliver(session);
    }

    fn disconnect(&mut self, session: SessionId, publish_will: bool) {
        let connection = self.connections.remove(&session).unwrap();
        self.end(&connection.options, publish_will);
        self.events.push_back((session, Event::Closed));
    }

    fn end(&mut self, options: &SessionOptions, publish_will: bool) {
        if options.clean_session {
            self.kept.remove(&options.client_id);
        }
        if publish_will && let Some(will) = options.will.clone() {
            let Will { topic, payload, qos, retain } = will;
            let client_id = options.client_id.clone();
            self.publish(Published { client_id, topic, payload, qos, retain });
        }
    }

    fn publish(&mut self, published: Published) {
        let Published { topic, payload, qos, retain, .. } = &published;
        if *retain {
            self.retained.insert(topic.clone(), payload.clone());
        }
        for kept in self.kept.values_mut() {
            let granted = kept.subscriptions.iter().filter(|(filter, ..)| filter.matches(topic));
            let Some(granted) = granted.map(|(.., qos)| *qos).max() else { continue };
            self.next_delivery += 1;
            kept.queue.push_back(Delivery {
                id: DeliveryId(self.next_delivery),
                topic: topic.clone(),
                payload: payload.clone(),
                qos: granted.min(*qos),
                retain: false,
                dup: false,
            });
        }
        self.published.push(published);
        for session in self.connections.keys().copied().collect::<Vec<_>>() {
            self.deliver(session);
        }
    }

    fn deliver(&mut self, session: SessionId) {
        let Some(connection) = self.connections.get(&session).filter(|_| !self.away) else {
            return;
        };
        let Some(kept) = self.kept.get_mut(&connection.options.client_id) else { return };
        while kept.unacknowledged.len() < DELIVERIES_MAX
            && let Some(delivery) = kept.queue.pop_front()
        {
            kept.unacknowledged.push(delivery.clone());
            self.events.push_back((session, Event::Delivered(delivery)));
        }
    }

    fn subscribe(&mut self, session: SessionId, ticket: Ticket, filter: &str, qos: QoS) {
        if self.refused_filters.iter().any(|refused| &**refused == filter) {
            return self.answer_subscribe(session, ticket, None);
        }
        let parsed = Filter::parse(filter).unwrap();
        let client_id = self.connections[&session].options.client_id.clone();
        let kept = self.kept.entry(client_id).or_default();
        kept.subscriptions.retain(|(_, name, _)| **name != *filter);
        for (topic, payload) in &self.retained {
            if parsed.matches(topic) {
                self.next_delivery += 1;
                let id = DeliveryId(self.next_delivery);
                let (topic, payload) = (topic.clone(), payload.clone());
                let delivery = Delivery { id, topic, payload, qos, retain: true, dup: false };
                kept.queue.push_back(delivery);
            }
        }
        kept.subscriptions.push((parsed, filter.into(), qos));
        // Like some brokers, it sends what is retained before it answers.
        self.deliver(session);
        self.answer(session, ticket, Some(qos));
    }

    fn answer(&mut self, session: SessionId, ticket: Ticket, granted: Option<QoS>) {
        if self.silent {
            let connection = self.connections.get_mut(&session).unwrap();
            return connection.unanswered.push((ticket, granted));
        }
        match granted {
            Some(_) => self.answer_subscribe(session, ticket, granted),
            None => self.events.push_back((session, Event::Published(ticket))),
        }
    }

    fn answer_subscribe(&mut self, session: SessionId, ticket: Ticket, granted: Option<QoS>) {
        self.events.push_back((session, Event::Subscribed { ticket, granted }));
    }
}

/// The reason code of MQTT 5.
const NOT_AUTHORIZED: u8 = 0x87;
