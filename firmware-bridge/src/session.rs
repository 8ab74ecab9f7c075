//! The seam between the bridge and a broker: sessions, in the terms of MQTT, without IO.
//!
//! A [`Broker`] opens sessions, takes [`Command`]s for them and gives [`Event`]s of them. The
//! gateway opens one for each client of its own, the host agent one for itself. Over TCP a session
//! is a connection to any broker; inside a broker's process it is a session of that broker.
//! Neither side waits for the other: a command that finds no room is refused at once, and events
//! that nobody takes hold back the deliveries behind them.
//!
//! Invariants that both sides keep:
//! - A [`SessionId`] names one session and is never used again.
//! - A ticket gets exactly one answer, except when its session ends first.
//! - A delivery is given once and acknowledged at most once, also when the broker is lost and found
//!   again in between. An id that means nothing to the broker any more is ignored.

use std::task::{Context, Poll};

use bytes::Bytes;
pub use weir_node::mqtt_sn_1_2::QoS;

/// A broker that the bridge has sessions with.
///
/// # Bounds
/// Each session takes at most [`PUBLISHES_MAX`] publishes with a ticket and [`REQUESTS_MAX`]
/// subscribes and unsubscribes that are not answered yet, and has at most [`DELIVERIES_MAX`]
/// deliveries that are not acknowledged yet. A command beyond is [`Full`]; the gateway answers it
/// with return code 1, congestion. Deliveries beyond wait at the broker if their QoS is 1 or 2; of
/// QoS 0 they may be dropped, and are counted by the side that drops them. There is always room
/// for [`Command::Acknowledge`], [`Command::Disconnect`] and [`Command::SetWill`].
pub trait Broker {
    /// Opens a session. Its first event is [`Event::Connected`], [`Event::Refused`] or
    /// [`Event::Lost`].
    ///
    /// # Errors
    /// There are as many sessions as this broker takes.
    fn open(&mut self, session: SessionId, options: SessionOptions) -> Result<(), Full>;

    /// Gives a session something to do. A session that has ended ignores it: its last event says
    /// so or is on its way.
    ///
    /// # Errors
    /// There is no room, or the broker is away and the command is a publish. Nothing was kept.
    fn command(&mut self, session: SessionId, command: Command) -> Result<(), Full>;

    /// Messages of QoS 0 to sessions that were dropped because they were not taken in time, since
    /// the start.
    fn dropped(&self) -> u64 {
        0
    }

    /// Appends events to `events`, in order within each session, up to a limit of the
    /// implementation; pending while there are none.
    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<(SessionId, Event)>,
    ) -> Poll<()>;
}

/// A session, named by who opens it. Ids of one broker are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a publish, subscribe or unsubscribe is answered under; chosen by the caller, who does not
/// use it again within the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a delivery is acknowledged under; chosen by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// How a session begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Not empty.
    pub client_id: Box<str>,
    /// Whether the session begins empty and ends with its connection. A kept one stays at the
    /// broker, which queues for it, when it is disconnected or the bridge ends.
    pub clean_session: bool,
    /// Keep-alive time towards the broker in seconds, 0 for none. A session inside the broker's
    /// process has no use for it.
    pub keep_alive_s: u16,
    /// What the broker publishes when the session ends without [`Command::Disconnect`], or with
    /// one that asks for it.
    pub will: Option<Will>,
    /// Who opens it; `None` is anonymous.
    pub credentials: Option<Credentials>,
}

/// A message that the broker publishes when a session is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// A valid topic name.
    pub topic: Box<str>,
    /// The message.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
}

/// A user of the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: Box<str>,
    /// Password; `None` where the user name alone decides.
    pub password: Option<Box<str>>,
}

/// Never shows the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a session is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A delivery has reached its receiver: PUBACK or PUBREC. Of a delivery of QoS 0 it only says
    /// that there is room for the next one.
    Acknowledge(DeliveryId),
    /// Ends the session's connection; answered by [`Event::Closed`].
    Disconnect {
        /// Whether the broker publishes the will, as if the connection was lost.
        publish_will: bool,
    },
    /// Publishes a message. Refused while the broker is away, so that nothing old is published
    /// later.
    Publish {
        /// Answered by [`Event::Published`], [`Event::PublishFailed`] or
        /// [`Event::PublishRefused`]. `None` is for QoS 0, which has no answer.
        ticket: Option<Ticket>,
        /// A valid topic name.
        topic: Box<str>,
        /// The message.
        payload: Bytes,
        /// Quality of service.
        qos: QoS,
        /// Retain flag.
        retain: bool,
    },
    /// Replaces or deletes the will. Has no answer; over TCP it costs a reconnect, after which
    /// [`Event::Connected`] comes again.
    SetWill(Option<Will>),
    /// Asks for the messages of a filter; answered by [`Event::Subscribed`].
    Subscribe {
        /// For the answer.
        ticket: Ticket,
        /// A valid topic filter.
        filter: Box<str>,
        /// The quality asked for.
        qos: QoS,
    },
    /// Ends a subscription; answered by [`Event::Unsubscribed`].
    Unsubscribe {
        /// For the answer.
        ticket: Ticket,
        /// The filter it was made with.
        filter: Box<str>,
    },
}

/// What became of a session or of something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Last event: the session's connection has ended as asked.
    Closed,
    /// The broker has taken the session, for the first time or after [`Event::Lost`].
    Connected {
        /// Whether the broker had kept subscriptions and messages. If not, the owner subscribes
        /// again.
        session_present: bool,
    },
    /// A message for the session.
    Delivered(Delivery),
    /// The broker is away. The implementation tries again, with a growing pause, until the session
    /// is disconnected. Tickets of publishes stay open if the session is kept.
    Lost(LostReason),
    /// The broker has taken responsibility for the message: PUBACK or PUBCOMP.
    Published(Ticket),
    /// The message may or may not have reached the broker: the session that it belonged to is gone.
    PublishFailed(Ticket),
    /// The broker does not take the message: PUBACK or PUBREC with a reason that is an error. A
    /// broker that cannot say so, as in MQTT 3.1.1, has taken it as far as anybody can know.
    PublishRefused {
        /// That of the command.
        ticket: Ticket,
        /// The reason code, 0x80 or above.
        reason: u8,
    },
    /// Last event: the broker does not take the session, and trying again would not help.
    Refused(RefusedReason),
    /// Answer to a subscribe. `granted` is `None` if the broker refused, or was lost before it
    /// answered; so is an unsubscribe answered that it was lost before.
    Subscribed {
        /// That of the command.
        ticket: Ticket,
        /// The quality granted.
        granted: Option<QoS>,
    },
    /// Answer to an unsubscribe.
    Unsubscribed(Ticket),
}

/// A message on its way to the owner of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// For [`Command::Acknowledge`].
    pub id: DeliveryId,
    /// Topic name.
    pub topic: Box<str>,
    /// The message.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Whether the broker had it retained when the subscription was made.
    pub retain: bool,
    /// Whether it may have been given before.
    pub dup: bool,
}

/// There is no room for it now; nothing was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the session")]
pub struct Full;

/// Why the broker is away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LostReason {
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    Closed,
    /// Another connection came with the same client id.
    #[error("another connection took over the client id")]
    TakenOver,
    /// The two ends do not agree on TLS, or one does not believe the other; with what to do.
    #[error("no TLS with the broker: {0}")]
    Tls(Box<str>),
    /// The broker cannot be reached, or the connection to it broke; with the system's text.
    #[error("no connection to the broker: {0}")]
    Unreachable(Box<str>),
    /// The broker does not answer in time.
    #[error("the broker does not answer")]
    TimedOut,
}

/// Why the broker does not take a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedReason {
    /// The client id is not allowed.
    #[error("the broker refuses the client id")]
    ClientId,
    /// User name or password are wrong.
    #[error("the broker refuses user name or password")]
    Credentials,
    /// The user may not connect.
    #[error("the broker does not let this user in")]
    NotAuthorized,
    /// The other end does not speak MQTT 3.1.1.
    #[error("the broker does not speak MQTT 3.1.1")]
    Protocol,
}

/// Whether a publish that was refused for this reason (MQTT 5.0, 3.4.2.1) could be taken in a while.
pub(crate) fn may_pass(reason: u8) -> bool {
    const UNSPECIFIED_ERROR: u8 = 0x80;
    const IMPLEMENTATION_SPECIFIC_ERROR: u8 = 0x83;
    const PACKET_IDENTIFIER_IN_USE: u8 = 0x91;
    const QUOTA_EXCEEDED: u8 = 0x97;
    matches!(
        reason,
        UNSPECIFIED_ERROR
            | IMPLEMENTATION_SPECIFIC_ERROR
            | PACKET_IDENTIFIER_IN_USE
            | QUOTA_EXCEEDED
    )
}

/// Publishes of a session with a ticket that are not answered yet, at most.
pub const PUBLISHES_MAX: usize = 32;
/// Subscribes and unsubscribes of a session that are not answered yet, at most.
pub const REQUESTS_MAX: usize = 16;
/// Deliveries of a session that are not acknowledged yet, at most.
pub const DELIVERIES_MAX: usize = 16;
