//! MQTT-SN 1.2 client without IO: datagrams and time go in, datagrams and events come out.
//!
//! Responsible for the whole protocol: connection and will, ids of topics, subscriptions, messages
//! of every quality, sleep, keep-alive, and sending again what is not answered. What cannot be sent
//! yet waits in a queue of fixed size, and what is not acknowledged stays in it. After a loss the
//! client connects again by itself, registers and subscribes again, and goes on with the queue. Not
//! responsible for bytes on a wire: see `link`.
//!
//! The application declares its topics when it makes the client and names them by their place.
//! It publishes and subscribes whenever it likes. The client does one thing after the other, as the
//! standard wants it (6.5, 6.6, 6.9): one request is under way at a time.
//!
//! Invariant: a message of QoS 1 or 2 leaves the queue when the gateway has it, when the gateway
//! refuses it, or counted as dropped. No input makes this panic.
//!
//! ```
//! use weir_node::client::{Client, Config, Event, Message, Output, Topic, TopicIndex};
//! use weir_node::mqtt_sn_1_2::QoS;
//!
//! const STATE: TopicIndex = TopicIndex(0);
//! const TOPICS: [Topic<'_>; 1] = [Topic::Name("site/boiler/state")];
//! const CONFIG: Config<'_> = Config::new("boiler-7");
//!
//! // Datagrams of at most 128 octets, 512 bytes for messages that wait.
//! let mut ring = [0; 512];
//! let mut client = Client::<128, 1>::new(&CONFIG, &TOPICS, &mut ring)?;
//! let message =
//!     Message { topic: STATE, qos: QoS::AtLeastOnce, retain: false, payload: b"21.5" };
//! client.publish(message, 0)?;
//! client.connect(0);
//! assert_eq!(client.poll(0), Output::Send(b"\x0e\x04\x00\x01\x00\x3cboiler-7"));
//! // The gateway answers: CONNACK, then REGACK to the REGISTER, then PUBACK to the PUBLISH.
//! assert_eq!(client.handle_datagram(b"\x03\x05\x00", 10), Some(Event::Connected));
//! assert_eq!(client.poll(10), Output::Send(b"\x17\x0a\x00\x00\x00\x01site/boiler/state"));
//! assert_eq!(client.handle_datagram(b"\x07\x0b\x00\x05\x00\x01\x00", 20), None);
//! assert_eq!(client.poll(20), Output::Send(b"\x0b\x0c\x20\x00\x05\x00\x0221.5"));
//! let delivered = client.handle_datagram(b"\x07\x0d\x00\x05\x00\x02\x00", 30);
//! assert!(matches!(delivered, Some(Event::Delivered(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A module uses modules listed below it, never above. `handle`, `plan` and `send` are `impl` blocks
// of the client.
mod handle;
mod plan;
mod send;

mod queue;
mod received;
mod request;
mod topics;

mod event;

mod config;
mod moment;

pub use self::config::{Config, ConfigError, Message, Overflow, Timing, Topic, TopicIndex, Will};
pub use self::event::{
    Event, Incoming, IncomingTopic, LostReason, PublishError, RequestError, Ticket,
};
use self::moment::Moment;
use self::queue::{Entry, Queue, Room};
use self::received::Received;
use self::request::{InFlight, Outstanding, Reply, Request};
use self::send::Head;
pub use self::topics::ASSIGNED_MAX;
use self::topics::{Subscription, Topics};
use crate::age;
use crate::features::{EXACTLY_ONCE, WILL};
use crate::mqtt_sn_1_2::{
    Connect, Delivery, MessageId, Packet, QoS, Register, Subscribe, SubscribeTopic, TopicId,
};

/// A client and all its memory.
///
/// `MTU` is the longest datagram, both ways, and `TOPICS` the number of declared topics.
///
/// Times are milliseconds of any clock that does not go backwards. It may wrap, as one of 32 bits
/// does after 49.7 days; [`poll`](Self::poll) has to be called more often than that.
#[derive(Debug)]
// In this order, because a Cortex-M0+ reaches what is near the beginning with less code.
#[repr(C)]
pub struct Client<'a, const MTU: usize, const TOPICS: usize> {
    phase: Phase,
    outstanding: Option<Outstanding>,
    in_flight: Option<InFlight>,
    reply: Option<Reply>,
    /// Tries to connect since the last connection.
    failures: u8,
    /// How often the gateway has not known the topic of the first message.
    unknown_topic: u8,
    will_changes: WillChanges,
    last_message_id: u16,
    last_ticket: Ticket,
    random: u16,
    sleep_s: u16,
    /// The gateway has too much to do until then.
    hold_until: Option<Moment>,
    last_sent: Moment,
    last_heard: Moment,
    /// How many of the dropped messages have been reported.
    drops_reported: u32,
    counters: Counters,
    queue: Queue<'a>,
    config: &'a Config<'a>,
    will: Option<&'a Will<'a>>,
    topics: Topics<'a, TOPICS>,
    received: Received,
    datagram: [u8; MTU],
}

/// Where the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Active,
    /// Asleep until it has to ask for its messages, or asking for them.
    Asleep(Moment),
    /// `keeps` if it wakes up from sleep, which never begins with an empty session.
    Connecting {
        keeps: bool,
    },
    Offline,
    /// Not connected, and trying again at a time.
    Pausing(Moment),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct WillChanges {
    topic: bool,
    message: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send a datagram to all gateways around, then poll again.
    Broadcast(&'a [u8]),
    /// Something happened; then poll again.
    Event(Event<'static>),
    /// Nothing to do until a datagram comes or the application wants something.
    Idle,
    /// Send a datagram to the gateway, then poll again.
    Send(&'a [u8]),
    /// Nothing to do until then, until a datagram comes, or the application wants something.
    WaitUntil(u32),
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Messages that had to go because the queue was full or they were older than 24 days. One that
    /// was not taken at all, see [`Overflow::KeepOldest`], counts too.
    pub dropped: u32,
    /// Datagrams that are no packet. Stays at the highest number, like those below.
    pub malformed: u16,
    /// Packets that were sent again.
    pub repeated: u16,
    /// Topics that the gateway gave an id and there was no room for.
    pub topics_refused: u16,
}

impl<'a, const MTU: usize, const TOPICS: usize> Client<'a, MTU, TOPICS> {
    /// A client that is offline. Messages that wait are kept in `ring`, ten bytes more than its
    /// payload for each; of more than 65,535 bytes the rest is not used.
    ///
    /// # Errors
    /// Something in the configuration cannot be sent.
    pub fn new(
        config: &'a Config<'a>,
        topics: &'a [Topic<'a>; TOPICS],
        ring: &'a mut [u8],
    ) -> Result<Self, ConfigError> {
        const { assert!(TOPICS <= 256 && MTU >= 16, "too many topics, or room for no packet") };
        check(config, topics, MTU)?;
        Ok(Self {
            topics: Topics::new(topics),
            queue: Queue::new(ring),
            received: Received::new(),
            phase: Phase::Offline,
            outstanding: None,
            in_flight: None,
            reply: None,
            hold_until: None,
            last_sent: Moment(0),
            last_heard: Moment(0),
            sleep_s: 0,
            will_changes: WillChanges::default(),
            last_message_id: config.seed,
            last_ticket: Ticket(0),
            random: config.seed,
            failures: 0,
            unknown_topic: 0,
            drops_reported: 0,
            counters: Counters::default(),
            datagram: [0; MTU],
            will: config.will.as_ref(),
            config,
        })
    }

    /// Connects and stays connected: after a loss the client tries again, after 1, 2, 4 ...
    /// seconds. A client that sleeps wakes up with its session. Nothing happens if it is connected
    /// already.
    pub fn connect(&mut self, now_ms: u32) {
        let keeps = matches!(self.phase, Phase::Asleep(_));
        if !matches!(self.phase, Phase::Active | Phase::Connecting { .. }) {
            self.begin_connecting(keeps, Moment(now_ms));
        }
    }

    /// Looks for gateways, up to `radius` hops away; 0 is all. See [`Event::GatewayFound`].
    ///
    /// # Errors
    /// The client is connected or about to be.
    #[cfg(feature = "search")]
    pub fn search(&mut self, radius: u8, now_ms: u32) -> Result<(), RequestError> {
        if self.phase != Phase::Offline {
            return Err(RequestError::NotOffline);
        }
        // Nodes that get their power at once must not all ask at once (6.1).
        let delay_ms = self.random_ms(SEARCH_DELAY_MS);
        let first = Moment(now_ms).after(delay_ms);
        self.outstanding = Some(Outstanding::new(Request::Search(radius), MessageId(0), first));
        Ok(())
    }

    /// Puts a message into the queue. It is sent as soon as there is a connection.
    ///
    /// # Errors
    /// The message is not in the queue.
    pub fn publish(&mut self, message: Message<'_>, now_ms: u32) -> Result<Ticket, PublishError> {
        let topic = self.topics.declared(message.topic).ok_or(PublishError::TopicUnknown)?;
        if !EXACTLY_ONCE && message.qos == QoS::ExactlyOnce {
            return Err(PublishError::LeftOut);
        }
        let age_length = if topic.is_aged() { age::LENGTH } else { 0 };
        let length = message.payload.len();
        if publish_length(length.saturating_add(age_length)) > MTU {
            return Err(PublishError::TooLong);
        }
        let ticket = Ticket(self.last_ticket.0.wrapping_add(1));
        let entry = Entry {
            topic: message.topic,
            qos: message.qos,
            retain: message.retain,
            ticket,
            published: Moment(now_ms),
            length: u16::try_from(length).map_err(|_| PublishError::TooLong)?,
        };
        if !self.queue.can_hold(length) {
            return Err(PublishError::TooLong);
        }
        let first_stays = self.in_flight.is_some_and(|in_flight| in_flight.report.is_none());
        let room = Room { overflow: self.config.overflow, first_stays };
        let Ok(dropped) = self.queue.push(entry, message.payload, room) else {
            self.count_dropped(1);
            return Err(PublishError::QueueFull);
        };
        self.count_dropped(dropped);
        self.last_ticket = ticket;
        Ok(ticket)
    }

    /// A datagram that publishes a message with QoS -1, which takes neither connection nor answer.
    /// The message's own quality is not used.
    ///
    /// # Errors
    /// There is no such datagram.
    pub fn publish_without_session(&mut self, message: Message<'_>) -> Result<&[u8], PublishError> {
        let topic = self.topics.declared(message.topic).ok_or(PublishError::TopicUnknown)?;
        if topic.fixed().is_none() {
            return Err(PublishError::NeedsSession);
        }
        // It is sent at once, so it has no age.
        let Message { topic, retain, payload, .. } = message;
        let head = Head { topic, delivery: Delivery::MinusOne, retain, age_ms: 0 };
        let start = self.encode_head(head, payload.len()).ok_or(PublishError::TooLong)?;
        send::put(&mut self.datagram, start, payload);
        Ok(self.datagram.get(..start + payload.len()).unwrap_or_default())
    }

    /// Subscribes to a topic as soon as there is a connection, and again after each loss of one.
    ///
    /// # Errors
    /// The topic is not in the list.
    pub fn subscribe(&mut self, topic: TopicIndex, qos: QoS) -> Result<(), RequestError> {
        if !EXACTLY_ONCE && qos == QoS::ExactlyOnce {
            return Err(RequestError::LeftOut);
        }
        self.set_subscription(topic, Subscription::Wanted(qos))
    }

    /// Removes a subscription as soon as there is a connection.
    ///
    /// # Errors
    /// The topic is not in the list.
    pub fn unsubscribe(&mut self, topic: TopicIndex) -> Result<(), RequestError> {
        self.set_subscription(topic, Subscription::Unwanted)
    }

    /// Changes the will for this connection and those to come; `None` removes it.
    ///
    /// # Errors
    /// The will cannot be sent; the old one stays.
    #[cfg(feature = "will")]
    pub fn set_will(&mut self, will: Option<&'a Will<'a>>) -> Result<(), ConfigError> {
        check_will(will, MTU)?;
        self.will = will;
        self.will_changes = WillChanges { topic: true, message: will.is_some() };
        Ok(())
    }

    /// Goes to sleep; the gateway keeps the client's messages. They are fetched with
    /// [`wake`](Self::wake), or by the client itself when the time is over. What still waits in the
    /// queue is sent after the next [`connect`](Self::connect).
    ///
    /// # Errors
    /// The client is not connected.
    #[cfg(feature = "sleep")]
    pub fn sleep(&mut self, duration_s: u16, now_ms: u32) -> Result<(), RequestError> {
        if self.phase != Phase::Active {
            return Err(RequestError::NotConnected);
        }
        self.sleep_s = duration_s;
        self.request(Request::Sleep, Moment(now_ms));
        Ok(())
    }

    /// Fetches the messages that the gateway has kept; then the client sleeps on.
    ///
    /// # Errors
    /// The client does not sleep.
    #[cfg(feature = "sleep")]
    pub fn wake(&mut self, now_ms: u32) -> Result<(), RequestError> {
        if !matches!(self.phase, Phase::Asleep(_)) {
            return Err(RequestError::NotAsleep);
        }
        self.request(Request::Wake, Moment(now_ms));
        Ok(())
    }

    /// Leaves the gateway, which then does not publish the will. The queue stays.
    pub fn disconnect(&mut self, now_ms: u32) {
        match self.phase {
            Phase::Active | Phase::Asleep(_) => self.request(Request::Disconnect, Moment(now_ms)),
            Phase::Connecting { .. } | Phase::Offline | Phase::Pausing(_) => {
                self.phase = Phase::Offline;
                self.outstanding = None;
            }
        }
    }

    /// Whether the gateway has accepted the client and the client does not sleep.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Whether messages wait to be sent or to be acknowledged.
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn set_subscription(
        &mut self,
        topic: TopicIndex,
        wanted: Subscription,
    ) -> Result<(), RequestError> {
        *self.topics.subscription(topic).ok_or(RequestError::TopicUnknown)? = wanted;
        // An answer to what was asked before says nothing about what is wanted now.
        let before = [Request::Subscribe(topic), Request::Unsubscribe(topic)];
        if self.outstanding.is_some_and(|outstanding| before.contains(&outstanding.request)) {
            self.outstanding = None;
        }
        Ok(())
    }

    /// The will, unless the program has none.
    fn will(&self) -> Option<&'a Will<'a>> {
        if WILL { self.will } else { None }
    }

    fn count_dropped(&mut self, dropped: u32) {
        self.counters.dropped = self.counters.dropped.saturating_add(dropped);
    }
}

/// Everything that has a length of its own fits a datagram.
fn check(config: &Config<'_>, topics: &[Topic<'_>], mtu: usize) -> Result<(), ConfigError> {
    let client_id = config.client_id;
    let connect = Connect { clean_session: false, will: false, duration_s: 0, client_id };
    if client_id.is_empty() || !fits(&Packet::Connect(connect), mtu) {
        return Err(ConfigError::ClientId);
    }
    for (index, topic) in (0u8..).zip(topics) {
        let Topic::Name(topic) = topic else { continue };
        let message_id = MessageId(1);
        let register = Register { topic_id: TopicId(0), message_id, topic };
        let subscribe = Subscribe {
            dup: false,
            qos: QoS::AtMostOnce,
            message_id,
            topic: SubscribeTopic::Name(topic),
        };
        if !fits(&Packet::Register(register), mtu) || !fits(&Packet::Subscribe(subscribe), mtu) {
            return Err(ConfigError::Topic(TopicIndex(index)));
        }
    }
    let is_unusable = |topic: TopicIndex| {
        usize::from(topic.0) >= topics.len() || publish_length(send::REPORT_LENGTH_MAX) > mtu
    };
    if config.drops_topic.is_some_and(is_unusable) {
        return Err(ConfigError::DropsTopic);
    }
    check_will(config.will.as_ref(), mtu)
}

fn check_will(will: Option<&Will<'_>>, mtu: usize) -> Result<(), ConfigError> {
    let Some(will) = will else { return Ok(()) };
    if !WILL {
        return Err(ConfigError::Will);
    }
    if fits(&Packet::WillTopic(Some(will.topic)), mtu) && fits(&Packet::WillMsg(will.message), mtu)
    {
        Ok(())
    } else {
        Err(ConfigError::Will)
    }
}

fn fits(packet: &Packet<'_>, mtu: usize) -> bool {
    packet.encoded_len().is_ok_and(|length| length <= mtu)
}

/// The length of a PUBLISH whose payload has this length (5.4.12).
const fn publish_length(payload_length: usize) -> usize {
    let short = payload_length.saturating_add(7);
    if short <= 255 { short } else { payload_length.saturating_add(9) }
}

/// Tsearchgw: the longest time before the first SEARCHGW (7.2).
#[cfg(feature = "search")]
const SEARCH_DELAY_MS: u32 = 5_000;

#[cfg(test)]
mod tests;
