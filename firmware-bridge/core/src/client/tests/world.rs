//! A client, a gateway and the network between them, on virtual time.

use std::vec::Vec;

use super::gateway::Gateway;
use super::network::Network;
use super::*;

/// What the client has said.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) delivered: Vec<Ticket>,
    pub(super) received: Vec<Vec<u8>>,
    pub(super) asleep: u32,
    pub(super) lost: u32,
}

impl Seen {
    fn note(&mut self, event: Event<'_>) {
        match event {
            Event::Asleep => self.asleep += 1,
            Event::Delivered(ticket) => self.delivered.push(ticket),
            Event::Lost(_) => self.lost += 1,
            Event::Message(message) => self.received.push(message.payload.to_vec()),
            Event::Rejected(ticket, code) => panic!("{ticket:?} was rejected: {code:?}"),
            _ => {}
        }
    }
}

/// Everything, and what has happened.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) gateway: Gateway,
    pub(super) now_ms: u64,
    pub(super) seen: Seen,
    to_gateway: Network,
    to_node: Network,
}

impl World {
    /// `start_ms` is where the clock of the client begins.
    pub(super) fn new(
        config: Config<'static>,
        start_ms: u64,
        seed: u64,
        faults_percent: u32,
    ) -> Self {
        Self {
            node: node(config),
            gateway: Gateway::default(),
            now_ms: start_ms,
            seen: Seen::default(),
            to_gateway: Network::new(seed, faults_percent),
            to_node: Network::new(!seed, faults_percent),
        }
    }

    /// The clock of the client, which wraps.
    pub(super) fn clock_ms(&self) -> u32 {
        self.now_ms as u32
    }

    /// Goes on until something holds.
    #[track_caller]
    pub(super) fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline_ms = self.now_ms + DEADLINE_MS;
        while !holds(self) {
            assert!(self.now_ms < deadline_ms, "{what}: not within an hour");
            self.step(deadline_ms);
        }
    }

    /// Lets so much time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.step(end_ms);
        }
    }

    /// Everything that is due, then the clock goes to what is next.
    fn step(&mut self, limit_ms: u64) {
        let node_ms = self.poll_node();
        self.gateway.poll(self.now_ms);
        for datagram in self.gateway.take_sent() {
            self.to_node.send(datagram, self.now_ms);
        }
        let mut is_quiet = true;
        while let Some(datagram) = self.to_gateway.arrived(self.now_ms) {
            self.gateway.handle(&datagram, self.now_ms);
            is_quiet = false;
        }
        while let Some(datagram) = self.to_node.arrived(self.now_ms) {
            if let Some(event) = self.node.handle_datagram(&datagram, self.now_ms as u32) {
                self.seen.note(event);
            }
            self.poll_node();
            is_quiet = false;
        }
        if is_quiet {
            let due = [
                node_ms,
                self.gateway.next_ms(),
                self.to_gateway.next_ms(),
                self.to_node.next_ms(),
            ];
            let next_ms = due.into_iter().flatten().min().unwrap_or(limit_ms);
            self.now_ms = next_ms.clamp(self.now_ms + 1, limit_ms.max(self.now_ms + 1));
        }
    }

    fn poll_node(&mut self) -> Option<u64> {
        loop {
            match self.node.poll(self.now_ms as u32) {
                Output::Broadcast(datagram) | Output::Send(datagram) => {
                    self.to_gateway.send(datagram.to_vec(), self.now_ms);
                }
                Output::Event(event) => self.seen.note(event),
                Output::Idle => return None,
                Output::WaitUntil(until_ms) => {
                    let ahead_ms = until_ms.wrapping_sub(self.now_ms as u32);
                    return Some(self.now_ms + u64::from(ahead_ms));
                }
            }
        }
    }
}

const DEADLINE_MS: u64 = 3_600_000;
