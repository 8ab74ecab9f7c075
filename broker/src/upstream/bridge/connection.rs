//! The life of one connection.

use std::time::Duration;

use super::version::Versions;
use super::{Upstream, is_stopped};
use crate::clock::unix_ms;
use crate::config::HostPort;
use crate::inner_turn::InnerTurn;
use crate::mailbox::Mail;
use crate::status::UpstreamState;
use crate::upstream::echo::Echoes;
use crate::upstream::error::LinkError;
use crate::upstream::forwarder::{Full, Unusable};
use crate::upstream::incoming::{Receipt, Received, Unwanted, Verdict};
use crate::upstream::link::{Link, LinkOptions};
use crate::upstream::link_event::LinkEvent;
use crate::upstream::outgoing::Outgoing;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

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
        let primary = until_primary_answers(self.primary(address));
        tokio::pin!(primary);
        while !is_stopped(stopped) {
            self.read_log();
            self.send(link);
            self.tell_shard(false);
            let now = self.clock.now().monotonic;
            if self.forwarder.depth() > 0 || self.handle.has_live() {
                self.presence.busy_at = now;
            }
            if self.idle_at().is_some_and(|at| at <= now) {
                return Ok(());
            }
            let wake = self.wake_after();
            tokio::select! {
                event = link.next(), if !self.inbox.is_full() => {
                    self.presence.busy_at = self.clock.now().monotonic;
                    self.handle_events(event, link, address)?;
                }
                Some(receipts) = self.receipts.recv() => self.acknowledge(link, &receipts)?,
                () = self.handle.woken() => {}
                () = &mut primary => {
                    tracing::info!(upstream = self.name, "the first address answers again");
                    self.attempt = 0;
                    return Ok(());
                }
                _ = stopped.changed() => {}
                () = pause(wake), if wake.is_some() => {}
            }
        }
        Ok(())
    }

    /// The address to go back to as soon as it answers, and the pause between two looks.
    fn primary(&self, address: &HostPort) -> Option<(HostPort, Duration)> {
        let first = &self.addresses[0];
        Some((first.clone(), self.primary_pause?)).filter(|_| address != first)
    }

    fn handle_events(
        &mut self,
        first: LinkEvent,
        link: &mut Link,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        let mut arrived = Arrived::default();
        let mut result = self.handle_event(first, link, &mut arrived, address);
        for _ in 0..EVENTS_MAX {
            if result.is_err() || self.inbox.is_full() {
                break;
            }
            let Some(event) = link.try_next() else { break };
            result = self.handle_event(event, link, &mut arrived, address);
        }
        self.publish(arrived);
        result
    }

    fn handle_event(
        &mut self,
        event: LinkEvent,
        link: &Link,
        arrived: &mut Arrived,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        match event {
            LinkEvent::Acknowledged { packet_id, leaks } => {
                self.forwarder.handle_acknowledged(packet_id);
                self.told.clear();
                self.take_place(leaks)
            }
            #[cfg(feature = "amqp")]
            LinkEvent::Blocked { reason } => {
                self.handle_blocked(reason.as_deref());
                Ok(())
            }
            LinkEvent::Connected { peer, session_present } => {
                if !self.versions.as_mut().is_none_or(Versions::handle_connected) {
                    return Err(LinkError::OnlyAsked);
                }
                self.forwarder.connected(peer);
                self.handle_connected(link, session_present, address)
            }
            LinkEvent::Failed(error) => Err(error),
            LinkEvent::Received(received) => self.handle_received(link, &received, arrived),
            LinkEvent::Refused { packet_id, reason, for_good, leaks } => {
                let refused =
                    self.forwarder.handle_refused(packet_id, &reason, for_good, unix_ms());
                refused.map_err(unusable)?;
                self.take_place(leaks)
            }
            LinkEvent::Released { packet_id } => {
                self.inbox.handle_released(packet_id);
                Ok(())
            }
            LinkEvent::Sent { packet_id } => {
                self.forwarder.handle_sent(packet_id);
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
        session_present: bool,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        // A service that does not speak MQTT says only to a message whether it lets anybody in.
        if self.told.is_empty() || matches!(self.link_options, LinkOptions::Mqtt(_)) {
            tracing::info!(upstream = self.name, %address, "connected to the upstream");
            self.told.clear();
        }
        if self.primary_pause.is_some() {
            // When it is lost the first one is tried first.
            self.attempt = 0;
        }
        self.inbox.connected(session_present);
        self.backoff.connected(self.clock.now().monotonic);
        self.handle.set_state(UpstreamState::Connected, None);
        // It is what was wanted.
        self.handle.take_drain();
        self.handle.set_takes_live(true);
        if self.notification_topic.is_some() {
            self.notify(link, PRESENT).map_err(too_much)?;
            self.forwarder.handed_over_other();
        }
        if self.receive.is_empty() || (session_present && self.is_subscribed) {
            return Ok(());
        }
        self.is_subscribed = false;
        link.subscribe(&self.receive).map_err(too_much)
    }

    #[cfg(feature = "amqp")]
    fn handle_blocked(&self, reason: Option<&str>) {
        let Some(reason) = reason else {
            tracing::info!(upstream = self.name, "the upstream takes messages again");
            return;
        };
        tracing::warn!(
            upstream = self.name,
            reason,
            help = "nothing is lost; the upstream needs more memory or room on its disk",
            "the upstream takes no messages for now"
        );
        let text = format!("the upstream takes no messages for now: {reason}");
        self.handle.set_state(UpstreamState::Connected, Some(text));
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
        self.forwarder.figures().received += 1;
        match (self.inbox.handle_received(received), received.packet_id) {
            (Verdict::Acknowledge, Some(packet_id)) => {
                link.acknowledge(packet_id, received.qos).map_err(too_much)?;
            }
            (Verdict::Publish(receipt), _) => {
                arrived.receipts.push(receipt);
                let (now, echoes) = (self.clock.now().monotonic, self.echoes.as_mut());
                let is_echo =
                    |one: &mut Echoes| one.takes_back(now, &received.topic, &received.payload);
                if echoes.is_some_and(is_echo) {
                    self.forwarder.figures().drop("received_echo", 1);
                    return Ok(());
                }
                let reader = self.reader;
                match received.publication(&self.receive, reader, unix_ms()) {
                    Ok(publication) => arrived.turn.publications.push(publication),
                    Err(Unwanted::BadTopic) => {
                        self.forwarder.figures().drop("received_bad_topic", 1)
                    }
                    Err(Unwanted::HopLimit) => {
                        self.forwarder.figures().drop("received_hop_limit", 1)
                    }
                    Err(Unwanted::NoRoute) => self.forwarder.figures().drop("received_no_route", 1),
                }
            }
            (Verdict::Acknowledge | Verdict::Ignore, _) => {}
        }
        Ok(())
    }

    /// The client library never frees a place for a QoS 2 message that was refused. Once they
    /// are used up only a new connection helps.
    fn take_place(&mut self, leaks: bool) -> Result<(), LinkError> {
        if leaks { self.forwarder.take_place().map_err(unusable) } else { Ok(()) }
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
        self.around.mailbox().send(Mail::Turn(turn));
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

    fn send(&mut self, link: &Link) {
        let (now, handle) = (self.clock.now(), &self.handle);
        let (echoes, receive) = (&mut self.echoes, &self.receive);
        let mut publish = |outgoing: Outgoing| {
            if let Some(echoes) = echoes {
                echoes.sent(now.monotonic, receive, &outgoing.topic, &outgoing.payload);
            }
            link.publish(outgoing)
        };
        self.forwarder.send(now, &mut publish);
        self.forwarder.send_live(now.unix_ms, || handle.take_live(), publish);
    }
}

/// Ends when somebody takes a connection at an address; without one never.
async fn until_primary_answers(primary: Option<(HostPort, Duration)>) {
    let Some((address, pause)) = primary else { return std::future::pending().await };
    loop {
        tokio::time::sleep(pause).await;
        let connect = TcpStream::connect((address.host(), address.port()));
        if timeout(PRIMARY_TIMEOUT, connect).await.is_ok_and(|connected| connected.is_ok()) {
            return;
        }
    }
}

async fn pause(wake: Option<Duration>) {
    match wake {
        // Others have their turn between two batches.
        Some(Duration::ZERO) => tokio::task::yield_now().await,
        Some(wake) => tokio::time::sleep(wake).await,
        None => {}
    }
}

fn unusable(unusable: Unusable) -> LinkError {
    LinkError::RefusedMessage(unusable.reason)
}

fn too_much(_: Full) -> LinkError {
    LinkError::Lost("too much waits to be written".to_owned())
}

/// For the first address to take a connection.
const PRIMARY_TIMEOUT: Duration = Duration::from_secs(10);
/// What is said there once it is connected.
const PRESENT: &str = "1";
/// Events that are handled before something is sent again.
const EVENTS_MAX: usize = 256;
