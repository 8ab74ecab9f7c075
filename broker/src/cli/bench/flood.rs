//! Publishing as fast as the broker takes it: at most a window of messages is under way, so what
//! is measured is the broker and not the length of its queues.

use std::time::{Duration, Instant};

use super::{
    clients::Clients,
    failure::BenchError,
    net::Net,
    options::{Length, Load, Target},
};

/// Output of a publisher that the kernel has not taken, from which on it waits.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// What a publisher sends in one turn when nothing else holds it.
const BURST: u64 = 1024;
const COUNT_WITHIN: Duration = Duration::from_secs(600);

/// What is sent and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    pub(crate) load: Load,
    pub(crate) length: Length,
    /// Deliveries that each message brings; 0 when only acknowledgements tell how it goes.
    pub(crate) deliveries: u64,
    pub(crate) patience: Duration,
    /// Connections that may be closed before the run is given up.
    pub(crate) closed_max: usize,
}

/// What a flood brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    pub(crate) sent: u64,
    /// When the last thing came.
    pub(crate) end: Instant,
}

impl Flood {
    /// One whose messages each bring one delivery, and that no connection may be closed in.
    pub(crate) fn new(target: &Target, load: Load, length: Length) -> Self {
        Self { load, length, deliveries: 1, patience: target.patience, closed_max: 0 }
    }

    /// Publishes, and waits for the rest.
    pub(crate) fn run(&self, net: &mut Net, clients: &mut Clients) -> Result<Brought, BenchError> {
        let start = Instant::now();
        let (seconds, count) = match self.length.count {
            Some(count) => (COUNT_WITHIN, count),
            None => (self.length.seconds, u64::MAX),
        };
        let before = Counts::of(clients);
        let closed_max = clients.closed + self.closed_max;
        let mut is_filling = true;
        while clients.sent - before.sent < count
            && start.elapsed() < seconds
            && clients.closed <= closed_max
        {
            let under_way = self.under_way(clients, before);
            let window = if self.load.window == 0 { u64::MAX } else { self.load.window };
            // Refilled in halves, so that neither side is led into sending one at a time.
            if is_filling || under_way <= window / 2 {
                let left = count - (clients.sent - before.sent);
                fill(net, clients, window.saturating_sub(under_way).min(left));
            }
            is_filling = self.load.window == 0;
            let wait = if is_filling { Duration::ZERO } else { Duration::from_millis(50) };
            clients.turn(net, wait)?;
        }
        let sent = clients.sent - before.sent;
        let received = before.received + sent * self.deliveries;
        let end = clients.settle(net, self.patience, |clients| {
            clients.ledger.received() >= received
                && (self.load.qos == 0 || clients.acknowledged >= clients.sent)
        })?;
        Ok(Brought { sent, end })
    }

    fn under_way(&self, clients: &Clients, before: Counts) -> u64 {
        let sent = clients.sent - before.sent;
        let received = clients.ledger.received() - before.received;
        let back = match received.checked_div(self.deliveries) {
            Some(back) => back,
            None => clients.acknowledged - before.acknowledged,
        };
        sent.saturating_sub(back)
    }
}

/// Shares so many messages out among the publishers that can take some.
fn fill(net: &mut Net, clients: &mut Clients, room: u64) {
    let share = room.div_ceil(clients.publishers.len() as u64).min(BURST);
    let mut left = room;
    for number in 0..clients.publishers.len() {
        let publisher = &clients.publishers[number];
        let connection = publisher.connection;
        if net.connections[connection].waiting_bytes() > WAITING_BYTES_MAX {
            continue;
        }
        let messages = share.min(left).min(publisher.room());
        for _ in 0..messages {
            clients.put(net, number, 0);
        }
        left -= messages;
        if messages > 0 {
            net.flush(connection);
        }
    }
}

/// Where the counts stood.
#[derive(Clone, Copy, Debug)]
struct Counts {
    sent: u64,
    received: u64,
    acknowledged: u64,
}

impl Counts {
    fn of(clients: &Clients) -> Self {
        Self {
            sent: clients.sent,
            received: clients.ledger.received(),
            acknowledged: clients.acknowledged,
        }
    }
}
