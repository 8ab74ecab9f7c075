//! What a reader of the log is, and what it reads.

use crate::identity::ReaderId;

/// Something inside the broker that reads the log.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Its number, as the store knows it.
    pub reader: ReaderId,
    /// The topic filters of what it reads.
    pub filters: Vec<String>,
    /// What it is.
    pub kind: ReaderKind,
    /// Whether it wants to know the client identifiers of the publishers.
    pub names_publishers: bool,
}

/// What reads the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReaderKind {
    /// Stands for the other brokers of a fleet. As an upstream, but no publisher waits for it, and it
    /// is given every change of what is retained and told what is wanted here.
    Fleet,
    /// Keeps what it is given, and sends nothing. Messages are handed to it as they come.
    History,
    /// Answers questions and makes room by going on. Messages are handed to it as they come.
    Rules,
    /// Passes messages on: a publisher may have to wait for it. It reads QoS 1 and 2 messages from
    /// the store, and only QoS 0 is handed to it.
    Upstream,
}

impl ReaderKind {
    /// Whether QoS 1 and 2 messages are handed to it as they come.
    pub(crate) fn takes_logged(self) -> bool {
        !matches!(self, Self::Fleet | Self::Upstream)
    }
}
