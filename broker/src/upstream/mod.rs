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

mod desk;

mod admission;
mod echo;
mod forwarder;
mod incoming;
mod lanes;
mod outbox;
mod outgoing;
mod pace;
mod report;
mod sender;

mod link_event;

mod backoff;
mod crossings;
mod error;
mod handle;
mod node;
mod trend;

#[cfg(test)]
mod sample;

pub(crate) use bridge::Around;
pub use forwarder::{Forwarder, ForwarderOptions, Full, Read, Unusable};
pub use outgoing::{Outgoing, Peer};
pub(crate) use roster::{Ended, Roster, reader_config, reader_name};
pub use roster::{UpstreamChange, UpstreamChangeKind};
pub(crate) use supervisor::{Orders, Supervisor};

#[cfg(test)]
mod tests;
