//! What the gateway knows about one client.

use std::sync::Arc;

use bytes::Bytes;
use weir_node::mqtt_sn_1_2::{QoS, TopicId};

use super::address::Address;
use super::downlink::Downlink;
use super::topic_ids::TopicIds;
use super::uplink::Uplink;
use crate::session::{SessionId, Ticket, Will};

/// The place of a client in the table of the gateway.
pub(super) type ClientKey = usize;

/// A client: an SN node and its session with the broker.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: Arc<str>,
    pub(super) address: Address,
    pub(super) phase: Phase,
    /// Whether subscriptions, will and topic ids end with the connection.
    pub(super) clean_session: bool,
    /// 0 is without supervision.
    pub(super) keep_alive_s: u16,
    pub(super) session: Session,
    pub(super) will: Option<Box<Will>>,
    pub(super) topics: TopicIds,
    pub(super) subscriptions: Vec<Subscription>,
    /// What the broker was asked for and has not answered.
    pub(super) requests: Vec<Request>,
    /// The subscriptions from this one on are still to be made again.
    pub(super) resubscribe_from: usize,
    pub(super) uplink: Uplink,
    pub(super) downlink: Downlink,
    /// When it was last heard of.
    pub(super) heard_at: u64,
    /// When its timer is set for.
    pub(super) timer_at: Option<u64>,
    /// Its link is down: nothing is sent until it is heard again.
    pub(super) unreachable: bool,
    /// The record that the state file has of it, as [`saved::fingerprint`](super::saved) has it.
    pub(super) saved: Option<u64>,
    next_ticket: u64,
}

/// Where a client is in its life. Spec 6.14, figure 4.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its connection is being set up.
    Connecting(Box<Connecting>),
    /// It can be sent to at any time.
    Active,
    /// It listens only after it has asked.
    Asleep {
        /// How long it said it would sleep, at most.
        duration_s: u16,
    },
    /// It has asked for its messages and is given them.
    Awake(Awake),
    /// It is disconnected or lost. Only kept sessions stay.
    Away,
}

/// How far the set-up of a connection has come.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) step: Step,
    pub(super) clean_session: bool,
    pub(super) wants_will: bool,
    /// The session that is open stays as it is.
    pub(super) resumes: bool,
    pub(super) will_changed: bool,
    pub(super) will_topic: Option<(Box<str>, QoS, bool)>,
    pub(super) tries_left: u8,
    pub(super) due_at: u64,
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The broker.
    Session,
    /// WILLMSG.
    WillMessage,
    /// WILLTOPIC.
    WillTopic,
}

/// A sleeper that is collecting its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awake {
    pub(super) duration_s: u16,
    /// Messages it has been given.
    pub(super) given: u32,
    /// When it may sleep again, if nothing more comes.
    pub(super) quiet_at: u64,
}

/// The session of a client with the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) state: SessionState,
}

/// How a session with the broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    /// It was asked to close.
    Closing,
    /// The broker is away; it comes back by itself.
    Lost,
    /// There is none.
    None,
    /// It has it.
    Open,
    /// It was asked for.
    Opening,
}

/// A subscription, to be made again should the broker have lost it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: Box<str>,
    pub(super) qos: QoS,
}

/// A subscribe or unsubscribe that the broker has not answered.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) ticket: Ticket,
    pub(super) filter: Box<str>,
    pub(super) kind: RequestKind,
}

/// Whom the answer of the broker is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestKind {
    /// The gateway itself.
    Resubscribe,
    /// A SUBSCRIBE of the node.
    Subscribe { message_id: u16, topic_id: TopicId },
    /// An UNSUBSCRIBE of the node.
    Unsubscribe { message_id: u16 },
}

impl Client {
    pub(super) fn new(id: Arc<str>, address: Address, now: u64) -> Self {
        Self {
            id,
            address,
            phase: Phase::Away,
            clean_session: true,
            keep_alive_s: 0,
            session: Session { id: SessionId(0), state: SessionState::None },
            will: None,
            topics: TopicIds::default(),
            subscriptions: Vec::new(),
            requests: Vec::new(),
            resubscribe_from: 0,
            uplink: Uplink::default(),
            downlink: Downlink::default(),
            heard_at: now,
            timer_at: None,
            unreachable: false,
            saved: None,
            next_ticket: 0,
        }
    }

    /// Forgets what a clean session does not begin with.
    pub(super) fn forget_session(&mut self) {
        self.will = None;
        self.topics = TopicIds::default();
        self.subscriptions = Vec::new();
        self.requests = Vec::new();
        self.resubscribe_from = 0;
        self.uplink = Uplink::default();
        self.downlink = Downlink::default();
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub(super) fn is_open(&self) -> bool {
        self.session.state == SessionState::Open
    }

    /// Whether it may be sent messages now.
    pub(super) fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::Awake(_)) && !self.unreachable
    }

    /// Whether the node is in reach of the gateway, be it asleep.
    pub(super) fn is_here(&self) -> bool {
        !matches!(self.phase, Phase::Away | Phase::Connecting(_))
    }

    pub(super) fn sleeps(&self) -> bool {
        matches!(self.phase, Phase::Asleep { .. } | Phase::Awake(_))
    }
}

/// A will whose message is still to come, or has come.
pub(super) fn will(topic: &str, qos: QoS, retain: bool, message: &[u8]) -> Box<Will> {
    Box::new(Will { topic: topic.into(), payload: Bytes::copy_from_slice(message), qos, retain })
}
