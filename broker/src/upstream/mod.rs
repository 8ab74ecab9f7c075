//! Forwarding to and from other brokers.
//!
//! An upstream is one more reader of the store's log: a cursor, routes and a sender. A record
//! leaves the backlog only after the far end has acknowledged it; everything else that is known
//! about it can be lost at any moment. [`Forwarder`] decides, of an [`Outbox`](outbox::Outbox)
//! that reads the log and a [`Sender`](sender::Sender); [`Link`](link::Link) is a connection, and
//! `Upstream` drives both on the control thread, where a [`Supervisor`]
//! holds one for each entry of the [`Roster`]. Nothing here ever makes local traffic wait.

// A module uses modules listed below it, never above.
mod roster;

mod supervisor;

mod bridge;

mod link;

mod sink;

#[cfg(feature = "amqp")]
mod amqp;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod program;

mod desk;

mod echo;
mod forwarder;
mod incoming;

mod queue;

mod admission;
mod lanes;
mod options;

mod outbox;

mod sender;
mod share;

mod outgoing;
mod pace;
mod report;

mod link_event;

mod aside;
mod backoff;
mod crossings;
mod error;
mod handle;
mod node;
mod trend;

#[cfg(test)]
mod sample;

pub(crate) use bridge::Around;
pub use forwarder::{Forwarder, ForwarderOptions, Full, Place, Read, Unusable};
#[cfg(feature = "nats")]
pub(crate) use handle::UpstreamHandle;
pub use outgoing::{Outgoing, Peer};
pub(crate) use program::Outlets;
pub use program::{Sink, SinkError, SinkMessage};
pub(crate) use roster::{Ended, Roster, UpstreamReaders, normal, reader_configs, with_readers};
pub use roster::{UpstreamChange, UpstreamChangeKind};
pub(crate) use supervisor::{Orders, Supervisor};

// What the fleet, which is one more reader of the log, has in common with upstreams.
#[cfg(feature = "nats")]
pub(crate) use {
    backoff::Backoff,
    error::LinkError,
    handle::Figures,
    nats::{Fault, NatsOptions, PubAck, connect},
    node::name as node_name,
    outbox::{MaxAge, Outbox},
    report::Report,
    sender::{Record, Refused, Sender},
};

#[cfg(test)]
pub(crate) mod tests;
