//! Where a connection to an upstream that is not MQTT takes its messages, and says what becomes of
//! them.
//!
//! The same as MQTT has packet identifiers for: each message at QoS 1 or 2 gets a number when it is
//! taken, under which it is acknowledged or refused later. Numbers come round again only after more
//! messages than are ever under way.

use tokio::sync::mpsc;
use weir_mqtt::{QoS, Version};

use super::error::LinkError;
use super::link_event::LinkEvent;
use super::outgoing::{Outgoing, Peer};

/// The end of a connection's task.
#[derive(Debug)]
pub(super) struct Desk {
    messages: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<LinkEvent>,
    last: u16,
}

/// A message, and the number under which it is acknowledged; none at QoS 0.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) outgoing: Outgoing,
    pub(super) number: Option<u16>,
}

impl Desk {
    pub(super) fn new(messages: mpsc::Receiver<Outgoing>, events: mpsc::Sender<LinkEvent>) -> Self {
        Self { messages, events, last: 0 }
    }

    /// The connection is open and takes so many messages at a time.
    pub(super) async fn tell_connected(&self, window: u16) {
        let peer = Peer {
            // Whatever a message has for MQTT 5 can be passed on.
            version: Version::V5,
            // One place is kept free.
            receive_max: window.saturating_add(1),
            packet_bytes_max: usize::MAX,
            qos_max: QoS::AtLeastOnce,
            retain_available: true,
        };
        self.tell(LinkEvent::Connected { peer, session_present: false }).await;
    }

    /// The next messages, at least one and at most so many. None when nobody sends any more.
    pub(super) async fn take(&mut self, max: u16) -> Option<Vec<Numbered>> {
        let mut next = Some(self.next().await?);
        let mut taken = Vec::new();
        while let Some(outgoing) = next {
            taken.push(self.number(outgoing).await);
            let has_room = taken.len() < usize::from(max);
            next = if has_room { self.messages.try_recv().ok() } else { None };
        }
        Some(taken)
    }

    /// The next message, which is to be [numbered](Self::number). None when nobody sends any more.
    /// Can be dropped at any time without losing a message.
    pub(super) async fn next(&mut self) -> Option<Outgoing> {
        self.messages.recv().await
    }

    /// The next message if there is one already, which is to be [numbered](Self::number).
    #[cfg(feature = "kafka")]
    pub(super) fn try_next(&mut self) -> Option<Outgoing> {
        self.messages.try_recv().ok()
    }

    /// Gives a message its number.
    pub(super) async fn number(&mut self, outgoing: Outgoing) -> Numbered {
        let is_numbered = outgoing.qos > QoS::AtMostOnce;
        let number = is_numbered.then(|| self.next_number());
        self.tell(LinkEvent::Sent { packet_id: number }).await;
        Numbered { outgoing, number }
    }

    /// The far end has taken a message.
    pub(super) async fn tell_acknowledged(&self, message: &Numbered) {
        if let Some(packet_id) = message.number {
            self.tell(LinkEvent::Acknowledged { packet_id, leaks: false }).await;
        }
    }

    /// The far end will never take the message with this number; none at QoS 0.
    pub(super) async fn tell_refused(&self, number: Option<u16>, reason: String) {
        let (for_good, leaks) = (true, false);
        self.tell(LinkEvent::Refused { packet_id: number, reason, for_good, leaks }).await;
    }

    /// The far end takes nothing for now, for a reason; none when it does again.
    #[cfg(feature = "amqp")]
    pub(super) async fn tell_blocked(&self, reason: Option<String>) {
        self.tell(LinkEvent::Blocked { reason }).await;
    }

    /// The connection is over.
    pub(super) async fn tell_failed(&self, error: LinkError) {
        self.tell(LinkEvent::Failed(error)).await;
    }

    async fn tell(&self, event: LinkEvent) {
        // Without an upstream nobody wants to know any more.
        let _ = self.events.send(event).await;
    }

    fn next_number(&mut self) -> u16 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.last
    }
}
