//! What clients may expect: every message, every session, and what came of them.
//!
//! Moments count up by one with everything that a client does or sees, so "before" is never in
//! doubt. The model only holds what a client can know: a promise is what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use weir_mqtt::{QoS, TopicFilter};

use super::random::Random;
use super::trace::About;

/// A message, by its number; later ones of a publisher have higher numbers.
pub(crate) type MessageId = u32;
/// A session of a client, by its number.
pub(crate) type SessionNumber = usize;

/// Who published a message.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Publisher {
    Client(usize),
    Will(usize),
}

/// A message and what its publisher knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) publisher: Publisher,
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// When it was made, by the calendar of its publisher.
    pub(crate) stamp_ms: u64,
    /// It is empty and removes the retained message.
    pub(crate) is_removal: bool,
    /// Bytes that only make it long.
    pub(crate) padding: usize,
    /// Nobody can have seen it before.
    pub(crate) first_sent: u64,
    /// The same, in milliseconds.
    pub(crate) first_sent_ms: u64,
    pub(crate) sends: u32,
    pub(crate) acknowledged: Option<u64>,
    /// The same, in milliseconds.
    pub(crate) acknowledged_ms: Option<u64>,
    /// It is worth nothing after so long.
    pub(crate) expiry_s: Option<u32>,
    /// It is published so long after it was sent.
    pub(crate) delay_s: u32,
    /// It may come behind a later one of its publisher.
    pub(crate) is_unordered: bool,
    /// A will whose client said goodbye, and the broker heard it.
    pub(crate) is_cancelled: bool,
}

/// One session of a client, from the client's side.
#[derive(Debug)]
pub(crate) struct SessionRun {
    pub(crate) client: usize,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) deliveries: BTreeMap<MessageId, Deliveries>,
    /// The last first delivery by publisher, topic, QoS of publishing and of delivery.
    last: BTreeMap<(Publisher, String, u8, u8), MessageId>,
    pub(crate) is_over: bool,
    /// It outlives its connections.
    pub(crate) is_kept: bool,
    /// The broker has ended it before that: the next one has begun.
    pub(crate) ended: Option<u64>,
}

/// How often a message came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deliveries {
    pub(crate) live: u32,
    pub(crate) replays: u32,
    pub(crate) exact_live: u32,
    exact_replays: u32,
    /// The life of the broker in which the last one was sent.
    life: u32,
}

/// A subscription and what its client knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    pub(crate) qos: QoS,
    pub(crate) asked: u64,
    pub(crate) granted: Option<u64>,
    /// It was to be removed or replaced from here on.
    pub(crate) drop_asked: Option<u64>,
    /// It has no effect on what is published from here on.
    pub(crate) dropped: Option<u64>,
}

/// A PUBLISH as it came to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) message: MessageId,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// What is left of its time, as the client may know it; a client of 3.1.1 does not.
    pub(crate) expiry_s: Option<u32>,
    pub(crate) now_ms: u64,
    /// By how much the clocks of the broker may be wrong.
    pub(crate) doubt_ms: u64,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// The number of crashes before its connection.
    pub(crate) life: u32,
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) about: About,
    pub(crate) text: String,
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(crate) struct Model {
    moment: u64,
    pub(crate) messages: Vec<Published>,
    pub(crate) sessions: Vec<SessionRun>,
    /// Messages that were flagged, by topic, in the order of their only publisher.
    pub(crate) retained: BTreeMap<String, Vec<MessageId>>,
    pub(crate) crashes: u32,
    pub(crate) deliveries: u64,
    /// Who lost which message, as dead letters say.
    letters: BTreeSet<(String, MessageId)>,
    /// Since when somebody gets dead letters.
    pub(crate) mourned_since: Option<u64>,
    /// The broker has lost messages without a letter, and says so.
    pub(crate) are_letters_missed: bool,
    /// A message may be dropped because a queue is full.
    pub(crate) has_small_queues: bool,
    /// What was promised does not count any more, because the disk has lied.
    pub(crate) is_excused: bool,
    pub(crate) problem: Option<Problem>,
}

impl Model {
    /// Says that a promise is broken; the first problem counts.
    pub(crate) fn blame(&mut self, about: About, text: String) {
        if !self.is_excused {
            self.denounce(about, text);
        }
    }

    /// Says that something is wrong that must not be even when the disk has lied.
    pub(crate) fn denounce(&mut self, about: About, text: String) {
        self.problem.get_or_insert(Problem { about, text });
    }

    /// The next moment.
    pub(crate) fn moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A new message, which has not been sent yet.
    pub(crate) fn publish(&mut self, message: Published) -> MessageId {
        let id = MessageId::try_from(self.messages.len()).expect("few messages");
        if message.retain {
            self.retained.entry(message.topic.clone()).or_default().push(id);
        }
        self.messages.push(message);
        id
    }

    pub(crate) fn message(&self, id: MessageId) -> &Published {
        &self.messages[id as usize]
    }

    pub(crate) fn message_mut(&mut self, id: MessageId) -> &mut Published {
        &mut self.messages[id as usize]
    }

    /// A client sends a message, for the first time or again.
    pub(crate) fn sent(&mut self, id: MessageId, now_ms: u64) {
        let moment = self.moment();
        let message = self.message_mut(id);
        message.sends += 1;
        message.first_sent = message.first_sent.min(moment);
        message.first_sent_ms = message.first_sent_ms.min(now_ms);
    }

    /// The publisher has PUBACK or PUBREC.
    pub(crate) fn acknowledged(&mut self, id: MessageId, now_ms: u64) {
        let moment = self.moment();
        let message = self.message_mut(id);
        message.acknowledged.get_or_insert(moment);
        message.acknowledged_ms.get_or_insert(now_ms);
    }

    /// A dead letter has come: a client has lost a message.
    pub(crate) fn lost(&mut self, client: &str, id: MessageId) {
        self.letters.insert((client.to_owned(), id));
    }

    /// Whether it is said, or may have gone unsaid, that a client has lost a message.
    pub(crate) fn is_mourned(&self, client: &str, id: MessageId) -> bool {
        let message = self.message(id);
        self.are_letters_missed
            || self.mourned_since.is_none_or(|since| since > message.first_sent)
            || self.letters.contains(&(client.to_owned(), id))
    }

    /// Whether a message has come to anybody.
    pub(crate) fn has_come(&self, id: MessageId) -> bool {
        self.sessions.iter().any(|run| run.deliveries.contains_key(&id))
    }

    pub(crate) fn begin_session(&mut self, client: usize, is_kept: bool) -> SessionNumber {
        let moment = self.moment();
        for before in self.sessions.iter_mut().filter(|run| run.client == client) {
            before.ended.get_or_insert(moment);
        }
        self.sessions.push(SessionRun {
            client,
            subscriptions: Vec::new(),
            deliveries: BTreeMap::new(),
            last: BTreeMap::new(),
            is_over: false,
            is_kept,
            ended: None,
        });
        self.sessions.len() - 1
    }

    /// From now on the broker owes nothing to a session.
    pub(crate) fn end_session(&mut self, session: SessionNumber) {
        self.sessions[session].is_over = true;
    }

    /// SUBSCRIBE is sent; the answer names the subscription.
    pub(crate) fn subscribe(&mut self, session: SessionNumber, filter: &str, qos: QoS) -> usize {
        let asked = self.moment();
        let subscriptions = &mut self.sessions[session].subscriptions;
        for replaced in subscriptions.iter_mut().filter(|known| known.filter == filter) {
            replaced.drop_asked.get_or_insert(asked);
        }
        let filter = filter.to_owned();
        let (granted, drop_asked, dropped) = (None, None, None);
        subscriptions.push(Subscription { filter, qos, asked, granted, drop_asked, dropped });
        subscriptions.len() - 1
    }

    /// SUBACK has come.
    pub(crate) fn granted(&mut self, session: SessionNumber, subscription: usize) {
        let moment = self.moment();
        let subscriptions = &mut self.sessions[session].subscriptions;
        subscriptions[subscription].granted = Some(moment);
        let filter = subscriptions[subscription].filter.clone();
        for replaced in subscriptions[..subscription].iter_mut().filter(|s| s.filter == filter) {
            replaced.dropped.get_or_insert(moment);
        }
    }

    /// UNSUBSCRIBE is sent; the answer is when.
    pub(crate) fn unsubscribe(&mut self, session: SessionNumber, filter: &str) -> u64 {
        let moment = self.moment();
        let subscriptions = self.sessions[session].subscriptions.iter_mut();
        for subscription in subscriptions.filter(|known| known.filter == filter) {
            subscription.drop_asked.get_or_insert(moment);
        }
        moment
    }

    /// UNSUBACK has come for an UNSUBSCRIBE of the moment `asked`.
    pub(crate) fn unsubscribed(&mut self, session: SessionNumber, filter: &str, asked: u64) {
        let moment = self.moment();
        let subscriptions = self.sessions[session].subscriptions.iter_mut();
        let older = subscriptions.filter(|known| known.filter == filter && known.asked < asked);
        for subscription in older {
            subscription.dropped.get_or_insert(moment);
        }
    }

    /// The application of a client gets a message.
    pub(crate) fn delivered(&mut self, session: SessionNumber, delivered: &Delivered<'_>) {
        self.deliveries += 1;
        let about = About::message(self.sessions[session].client, delivered.message);
        if let Some(text) = self.check_origin(delivered) {
            let client = self.sessions[session].client;
            let text = format!("client {client} got message {}: {text}", delivered.message);
            return self.denounce(about, text);
        }
        let found = self.check_delivery(session, delivered);
        if let Some(text) = found {
            let client = self.sessions[session].client;
            let text = format!("client {client} got message {}: {text}", delivered.message);
            self.blame(about, text);
        }
    }

    /// Whether somebody has published what came, as it came.
    fn check_origin(&self, given: &Delivered<'_>) -> Option<String> {
        let Some(message) = self.messages.get(given.message as usize) else {
            return Some("it was never published".to_owned());
        };
        if message.topic != given.topic {
            return Some(format!("its topic was {} and came as {}", message.topic, given.topic));
        }
        let is_same = payload(given.message, message.stamp_ms, message.padding) == given.payload;
        (!is_same).then(|| "its content is not what was published".to_owned())
    }

    fn check_delivery(&mut self, session: SessionNumber, given: &Delivered<'_>) -> Option<String> {
        let message = &self.messages[given.message as usize];
        let run = &self.sessions[session];
        let due_ms = message.first_sent_ms + u64::from(message.delay_s) * 1000;
        if message.delay_s > 0 && given.now_ms + given.doubt_ms < due_ms {
            let early_ms = due_ms - given.now_ms;
            return Some(format!("it was to be published {early_ms} ms later"));
        }
        if let Some(expiry_s) = message.expiry_s {
            // Rounded up to a second.
            let life_ms = u64::from(expiry_s) * 1000 + given.doubt_ms.next_multiple_of(1000);
            match given.expiry_s {
                None => return Some("it came without its expiry".to_owned()),
                Some(left_s) if u64::from(left_s) * 1000 > life_ms => {
                    return Some(format!("it had {expiry_s} s to live, and came with {left_s} s"));
                }
                Some(_) => {}
            }
        }
        if message.sends == 0 || message.is_cancelled {
            return Some("it must not have been published".to_owned());
        }
        let wanted: Vec<&Subscription> =
            run.subscriptions.iter().filter(|subscription| subscription.wants(message)).collect();
        let qos_max = wanted.iter().map(|subscription| subscription.qos.min(message.qos)).max();
        let asked = wanted.len();
        // What a full queue has dropped comes back when the broker dies before that is durable.
        let is_in_order = message.delay_s == 0
            && !self.has_small_queues
            && !message.is_unordered
            && !wanted.iter().any(|subscription| subscription.is_shared());
        // Otherwise, and when its time was over the first time, a message that was sent again may
        // be new to a subscriber that already has the one behind it from the first time.
        let is_steady = message.sends == 1
            || message.expiry_s.is_none()
                && given.qos > QoS::AtMostOnce
                && (message.qos == QoS::ExactlyOnce
                    || wanted
                        .iter()
                        .any(|s| s.qos >= given.qos && s.is_steady(message.first_sent)));
        match qos_max {
            None => return Some(format!("nothing subscribes to {}", message.topic)),
            Some(max) if given.qos > max => {
                return Some(format!("at {:?}, though {max:?} is the most", given.qos));
            }
            Some(_) => {}
        }
        if given.retain {
            let oldest =
                wanted.iter().map(|s| self.last_acknowledged(&message.topic, s.asked)).min();
            if let Some(oldest) = oldest.flatten()
                && given.message < oldest
            {
                return Some(format!("it was retained, but {oldest} had replaced it"));
            }
        }
        let key = (message.publisher, message.topic.clone(), message.qos as u8, given.qos as u8);
        let (is_will, sends) = (matches!(key.0, Publisher::Will(_)), message.sends);
        let published_qos = message.qos;
        let run = &mut self.sessions[session];
        let count = run.deliveries.entry(given.message).or_default();
        if given.retain {
            count.replays += 1;
            count.exact_replays += u32::from(given.qos == QoS::ExactlyOnce);
            let times = count.exact_replays;
            let too_many = times as usize > asked;
            return too_many.then(|| {
                format!("it was retained and came {times} times for {asked} subscriptions")
            });
        }
        count.live += 1;
        count.exact_live += u32::from(given.qos == QoS::ExactlyOnce);
        let crashed = std::mem::replace(&mut count.life, given.life) != given.life;
        if count.live > 1 {
            let times = count.live;
            // One that came at a lower QoS, before the subscription was changed and before the
            // message was durable, does not count.
            if count.exact_live > 1 {
                return Some(format!("it is exactly once, and came {times} times"));
            }
            let excused = given.dup || sends > 1 || is_will || crashed;
            if !excused || published_qos == QoS::AtMostOnce {
                return Some(format!("it was sent once, and came {times} times without DUP"));
            }
            return None;
        }
        // The wills of a client belong to different connections, which the broker hears of in any
        // order.
        let is_in_order = is_in_order && !is_will;
        match run.last.insert(key, given.message) {
            Some(last) if last > given.message && is_steady && is_in_order => {
                Some(format!("message {last} of the same publisher and topic came before it"))
            }
            _ => None,
        }
    }

    /// The newest retained message or removal of a topic that was acknowledged before `moment`.
    pub(crate) fn last_acknowledged(&self, topic: &str, moment: u64) -> Option<MessageId> {
        let of_topic = self.retained.get(topic)?.iter().rev();
        of_topic
            .copied()
            .find(|id| self.message(*id).acknowledged.is_some_and(|acked| acked < moment))
    }
}

impl Published {
    /// A message that was not sent yet.
    pub(crate) fn new(publisher: Publisher, topic: String, qos: QoS, stamp_ms: u64) -> Self {
        Self {
            publisher,
            topic,
            qos,
            retain: false,
            stamp_ms,
            is_removal: false,
            padding: 0,
            first_sent: u64::MAX,
            first_sent_ms: u64::MAX,
            sends: 0,
            acknowledged: None,
            acknowledged_ms: None,
            expiry_s: None,
            delay_s: 0,
            is_unordered: false,
            is_cancelled: false,
        }
    }
}

impl Subscription {
    /// Whether a message can come because of this subscription.
    pub(crate) fn wants(&self, message: &Published) -> bool {
        self.dropped.is_none_or(|dropped| message.first_sent <= dropped)
            && self.matches(&message.topic)
    }

    /// Whether it is one of several members to which a message goes.
    pub(crate) fn is_shared(&self) -> bool {
        self.filter.starts_with("$share/")
    }

    /// Whether a message must come because of this subscription.
    pub(crate) fn must_get(&self, message: &Published) -> bool {
        !self.is_shared() && self.is_owed(message)
    }

    /// Whether a message must come because of this subscription, to its session or, if it is
    /// shared, to another one.
    pub(crate) fn is_owed(&self, message: &Published) -> bool {
        let Some(acknowledged) = message.acknowledged else { return false };
        self.granted.is_some_and(|granted| granted < message.first_sent)
            && self.drop_asked.is_none_or(|asked| asked > acknowledged && message.delay_s == 0)
            && self.qos.min(message.qos) > QoS::AtMostOnce
            && !message.is_removal
            && self.matches(&message.topic)
    }

    /// Whether it was there at a moment and is still.
    fn is_steady(&self, moment: u64) -> bool {
        self.granted.is_some_and(|granted| granted < moment) && self.drop_asked.is_none()
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        TopicFilter::parse(&self.filter).is_ok_and(|filter| filter.matches(topic))
    }
}

/// The payload of a message: the number first, what rules read, something to make it long.
pub(crate) fn payload(id: MessageId, stamp_ms: u64, padding: usize) -> Vec<u8> {
    let value = fingerprint(id);
    let payload = format!("{{\"m\":{id},\"v\":{value},\"ts\":{stamp_ms},\"p\":\"");
    let mut payload = payload.into_bytes();
    payload.resize(payload.len() + padding, b'x');
    payload.extend_from_slice(b"\"}");
    payload
}

/// A number by which a message is recognised in a sum; a few thousand add up without rounding.
pub(crate) fn fingerprint(id: MessageId) -> u64 {
    Random::new(u64::from(id)).number() >> 24
}

/// The number in a payload.
pub(crate) fn message_of(payload: &[u8]) -> Option<MessageId> {
    let digits = payload.strip_prefix(b"{\"m\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}
