//! Links to nodes: where datagrams come from and go to.
//!
//! Each link has its own thread or task that reads, so that a burst is taken from the system as
//! fast as it comes and waits here, where there is room for it. What finds no room is dropped, as
//! on any network, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::gateway::{LinkId, Peer};

// A module uses modules listed below it, never above.
pub mod serial;
pub mod udp;

/// A datagram, or that there will be none for a while.
#[derive(Debug)]
pub(crate) enum FromLink {
    /// From whom, and what.
    Datagram(LinkId, Peer, Box<[u8]>),
    /// Frames that were broken: with a wrong checksum, and otherwise.
    Broken {
        /// Checksum.
        crc: u64,
        /// Otherwise.
        other: u64,
    },
    /// The link cannot be used until the next datagram comes.
    Down(LinkId),
}

/// Where links put what they receive.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<FromLink>,
    dropped: Arc<AtomicU64>,
}

impl Inbox {
    /// With room for a burst of all nodes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<FromLink>) {
        let (sender, receiver) = mpsc::channel(DATAGRAMS_MAX);
        (Self { sender, dropped: Arc::default() }, receiver)
    }

    /// Never waits: what has no room is dropped and counted. False when nobody takes it any more.
    pub(crate) fn put(&self, datagram: FromLink) -> bool {
        match self.sender.try_send(datagram) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Waits for room, for what must not be lost.
    pub(crate) async fn put_surely(&self, datagram: FromLink) -> bool {
        self.sender.send(datagram).await.is_ok()
    }

    /// Datagrams that had no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Datagrams of all links that wait for the gateway.
const DATAGRAMS_MAX: usize = 16_384;
