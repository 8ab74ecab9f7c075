//! Forwarding to and from other brokers.
//!
//! An upstream is one more reader of the store's log: a cursor, routes and a sender. A record
//! leaves the backlog only after the far end has acknowledged it; everything else that is known
//! about it can be lost at any moment. [`Outbox`](outbox::Outbox) reads the log,
//! [`Sender`](sender::Sender) decides, [`Link`](mqtt::Link) speaks MQTT, and [`Upstream`] drives
//! them on the control thread. Nothing here ever makes local traffic wait.

// A module uses modules listed below it, never above.
mod bridge;

mod mqtt;

mod incoming;
mod outbox;
mod outgoing;
mod report;
mod sender;

mod backoff;
mod error;
mod handle;
mod node;

pub(crate) use bridge::Upstream;
pub(crate) use handle::UpstreamHandle;

#[cfg(test)]
mod tests;
