//! The life of one connection.

use std::time::Duration;

use tokio::sync::watch;
use weir_core::Sequence;

use super::{Upstream, is_stopped};
use crate::clock::unix_ms;
use crate::config::HostPort;
use crate::inner_turn::InnerTurn;
use crate::mailbox::Mail;
use crate::status::UpstreamState;
use crate::upstream::error::LinkError;
use crate::upstream::incoming::{Receipt, Received, Unwanted, Verdict};
use crate::upstream::mqtt::{Full, Link, LinkEvent};
use crate::upstream::outgoing::{Origin, Peer};
use crate::upstream::sender::{Record, Refused};

/// What is known about an open connection.
struct Open {
    peer: Peer,
    /// What may be under way so that the client never waits for room in its own window, behind
    /// which acknowledgements would wait too.
    places: u16,
}

/// What came from the far end and goes to the shard in one turn.
#[derive(Default)]
struct Arrived {
    turn: InnerTurn,
    receipts: Vec<Receipt>,
}

impl Upstream {
    /// Uses a connection until it fails or the upstream is stopped.
    pub(super) async fn serve(
        &mut self,
        link: &mut Link,
        address: &HostPort,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), LinkError> {
        let mut open = None;
        while !is_stopped(stopped) {
            self.read_log();
            if let Some(Open { peer, .. }) = &open {
                self.send(link, peer);
                self.send_live(link, peer);
            }
            self.settle();
            self.tell_shard(false);
            let wake = self.wake_after();
            tokio::select! {
                event = link.next(), if !self.inbox.is_full() => {
                    self.handle_events(event, link, &mut open, address)?;
                }
                Some(receipts) = self.receipts.recv() => self.acknowledge(link, &receipts)?,
                () = self.handle.woken() => {}
                _ = stopped.changed() => {}
                () = pause(wake), if wake.is_some() => {}
            }
        }
        Ok(())
    }

    fn handle_events(
        &mut self,
        first: LinkEvent,
        link: &mut Link,
        open: &mut Option<Open>,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        let mut arrived = Arrived::default();
        let mut result = self.handle_event(first, link, open, &mut arrived, address);
        for _ in 0..EVENTS_MAX {
            if result.is_err() || self.inbox.is_full() {
                break;
            }
            let Some(event) = link.try_next() else { break };
            result = self.handle_event(event, link, open, &mut arrived, address);
        }
        self.publish(arrived);
        result
    }

    fn handle_event(
        &mut self,
        event: LinkEvent,
        link: &Link,
        open: &mut Option<Open>,
        arrived: &mut Arrived,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        match event {
            LinkEvent::Acknowledged { packet_id, leaks } => {
                if self.sender.handle_acknowledged(packet_id) {
                    self.figures.acknowledged += 1;
                }
                self.take_place(open, leaks)
            }
            LinkEvent::Connected { peer, session_present } => {
                let places = peer.receive_max.saturating_sub(1).max(1);
                *open = Some(Open { peer, places });
                self.handle_connected(link, places, session_present, address)
            }
            LinkEvent::Failed(error) => Err(error),
            LinkEvent::Received(received) => self.handle_received(link, &received, arrived),
            LinkEvent::Refused { packet_id, reason, for_good, leaks } => {
                self.handle_refused(packet_id, reason, for_good)?;
                self.take_place(open, leaks)
            }
            LinkEvent::Released { packet_id } => {
                self.inbox.handle_released(packet_id);
                Ok(())
            }
            LinkEvent::Sent { packet_id } => {
                self.figures.sent += 1;
                self.sender.handle_sent(packet_id);
                Ok(())
            }
            LinkEvent::Subscribed { refused } => {
                self.handle_subscribed(&refused);
                Ok(())
            }
        }
    }

    fn handle_connected(
        &mut self,
        link: &Link,
        places: u16,
        session_present: bool,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        tracing::info!(upstream = self.name, %address, session_present, "connected to the upstream");
        self.told.clear();
        self.is_full = false;
        self.inbox.connected(session_present);
        self.sender.connected(places);
        self.backoff.connected(self.clock.now().monotonic);
        self.handle.set_state(UpstreamState::Connected, None);
        self.handle.set_takes_live(true);
        if self.receive.is_empty() || (session_present && self.is_subscribed) {
            return Ok(());
        }
        self.is_subscribed = false;
        link.subscribe(&self.receive).map_err(too_much)
    }

    fn handle_subscribed(&mut self, refused: &[(usize, String)]) {
        self.is_subscribed = refused.is_empty();
        for (index, reason) in refused {
            let filter = self.receive.get(*index).map_or("", |route| route.from.as_str());
            tracing::warn!(
                upstream = self.name,
                filter,
                reason,
                help = "let this client subscribe to it at the upstream, or remove the route",
                "the upstream refused a subscription"
            );
            let text = format!("the upstream refused the subscription to `{filter}`: {reason}");
            self.handle.set_state(UpstreamState::Connected, Some(text));
        }
    }

    fn handle_received(
        &mut self,
        link: &Link,
        received: &Received,
        arrived: &mut Arrived,
    ) -> Result<(), LinkError> {
        self.figures.received += 1;
        match (self.inbox.handle_received(received), received.packet_id) {
            (Verdict::Acknowledge, Some(packet_id)) => {
                link.acknowledge(packet_id, received.qos).map_err(too_much)?;
            }
            (Verdict::Publish(receipt), _) => {
                arrived.receipts.push(receipt);
                let reader = self.reader;
                match received.publication(&self.receive, reader, unix_ms()) {
                    Ok(publication) => arrived.turn.publications.push(publication),
                    Err(Unwanted::BadTopic) => self.figures.drop("received_bad_topic", 1),
                    Err(Unwanted::NoRoute) => self.figures.drop("received_no_route", 1),
                }
            }
            (Verdict::Acknowledge | Verdict::Ignore, _) => {}
        }
        Ok(())
    }

    fn handle_refused(
        &mut self,
        packet_id: u16,
        reason: String,
        for_good: bool,
    ) -> Result<(), LinkError> {
        match self.sender.handle_refused(packet_id, for_good) {
            Refused::DeadLetter(record) => {
                self.figures.drop("refused", 1);
                self.report.dead_letter(&record.message, &reason, unix_ms());
                Ok(())
            }
            Refused::TryAgain => Err(LinkError::RefusedMessage(reason)),
            Refused::Unknown => Ok(()),
        }
    }

    /// The client library never frees a place for a QoS 2 message that was refused. Once they
    /// are used up only a new connection helps.
    fn take_place(&mut self, open: &mut Option<Open>, leaks: bool) -> Result<(), LinkError> {
        let (true, Some(open)) = (leaks, open) else { return Ok(()) };
        open.places -= 1;
        if open.places == 0 {
            return Err(LinkError::RefusedMessage("and others before it".to_owned()));
        }
        self.sender.narrow(open.places);
        Ok(())
    }

    /// Hands over what arrived; it is acknowledged once it is durable.
    fn publish(&self, arrived: Arrived) {
        let Arrived { mut turn, receipts } = arrived;
        if receipts.is_empty() {
            return;
        }
        let durable = self.durable.clone();
        // Without an upstream nobody wants to know any more.
        turn.committed = Some(Box::new(move || drop(durable.send(receipts))));
        self.mailbox.send(Mail::Turn(turn));
    }

    fn acknowledge(&mut self, link: &Link, receipts: &[Receipt]) -> Result<(), LinkError> {
        for receipt in receipts {
            if self.inbox.handle_durable(receipt)
                && let Some(packet_id) = receipt.packet_id
            {
                link.acknowledge(packet_id, receipt.qos).map_err(too_much)?;
            }
        }
        Ok(())
    }

    /// Sends what the window has room for.
    fn send(&mut self, link: &Link, peer: &Peer) {
        let unix_ms = unix_ms();
        while let Some(record) = self.sender.next() {
            let message = &record.message.parts();
            match self.forwarding.outgoing(message, origin(record), peer, unix_ms) {
                Ok(outgoing) => match link.publish(outgoing) {
                    Ok(()) => self.sender.hand_over(),
                    Err(Full) => return,
                },
                Err(unsent) => {
                    self.figures.drop(unsent.reason(), 1);
                    let record = self.sender.skip();
                    if unsent.is_refused() {
                        self.report.dead_letter(&record.message, &unsent.to_string(), unix_ms);
                    }
                }
            }
        }
    }

    /// Sends what is not in the log, in portions: acknowledgements must find room beside it.
    fn send_live(&mut self, link: &Link, peer: &Peer) {
        let unix_ms = unix_ms();
        while self.sender.handed_over() < LIVE_UNDER_WAY_MAX {
            let next = self.live.take().or_else(|| Some((self.handle.take_live()?, 0)));
            let Some((records, mut sent)) = next else { return };
            for (_, message) in records.iter().skip(sent) {
                if self.sender.handed_over() >= LIVE_UNDER_WAY_MAX {
                    break;
                }
                sent += 1;
                let outgoing = self.forwarding.outgoing(&message, Origin::Live, peer, unix_ms);
                match outgoing.map(|outgoing| link.publish(outgoing)) {
                    Ok(Ok(())) => self.sender.hand_over_live(),
                    Ok(Err(Full)) => self.figures.drop("qos0", 1),
                    Err(unsent) => self.figures.drop(unsent.reason(), 1),
                }
            }
            if sent < records.len() {
                self.live = Some((records, sent));
            }
        }
    }

    /// What is not in the log does not wait for the next connection.
    pub(super) fn drop_live(&mut self) {
        self.handle.set_takes_live(false);
        if let Some((records, sent)) = self.live.take() {
            self.figures.drop("qos0", (records.len() - sent) as u64);
        }
    }
}

fn origin(record: &Record) -> Origin {
    let sequence: Sequence = record.sequence;
    if record.routed { Origin::Routed(sequence) } else { Origin::Rule(sequence) }
}

async fn pause(wake: Option<Duration>) {
    match wake {
        // Others have their turn between two batches.
        Some(Duration::ZERO) => tokio::task::yield_now().await,
        Some(wake) => tokio::time::sleep(wake).await,
        None => {}
    }
}

fn too_much(_: Full) -> LinkError {
    LinkError::Lost("too much waits to be written".to_owned())
}

/// Events that are handled before something is sent again.
const EVENTS_MAX: usize = 256;
/// QoS 0 messages with the client beyond which the others wait their turn.
const LIVE_UNDER_WAY_MAX: usize = 256;
