//! What happens in a second: the difference of two looks at the counters of a broker.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::clients::Client;
use crate::status::Status;

/// Looks that are remembered: as many as the widest terminal shows.
const LOOKS_MAX: usize = 512;

/// Per second, rounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rates {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) commits: u64,
    pub(super) bytes_written: u64,
    /// Messages that each rule has read and sent.
    pub(super) rules: BTreeMap<String, [u64; 2]>,
    /// Messages that each upstream has acknowledged.
    pub(super) upstreams: BTreeMap<String, u64>,
    /// What the bridge has counted, by part and name.
    pub(super) bridge: BTreeMap<String, u64>,
}

/// The rates of the last looks, the newest last.
#[derive(Debug, Default)]
pub(super) struct Curves(VecDeque<Rates>);

impl Rates {
    /// A broker that was started anew meanwhile has no rates yet.
    pub(super) fn between(before: &Status, after: &Status, time: Duration) -> Self {
        if after.uptime_s < before.uptime_s {
            return Self::default();
        }
        let per_s = |before: u64, after: u64| {
            let grown = after.saturating_sub(before) as f64;
            (grown / time.as_secs_f64().max(0.001)).round() as u64
        };
        let dropped = |status: &Status| status.messages.dropped.values().sum();
        let rules = after.rules.iter().map(|rule| {
            let known = before.rules.iter().find(|known| known.name == rule.name);
            let (matched, emitted) =
                known.map_or((rule.matched, rule.emitted), |known| (known.matched, known.emitted));
            (rule.name.clone(), [per_s(matched, rule.matched), per_s(emitted, rule.emitted)])
        });
        let upstreams = after.upstreams.iter().map(|upstream| {
            let known = before.upstreams.iter().find(|known| known.name == upstream.name);
            let acknowledged = known.map_or(upstream.acknowledged, |known| known.acknowledged);
            (upstream.name.clone(), per_s(acknowledged, upstream.acknowledged))
        });
        let (bridge_before, bridge) = (bridge_counters(before), bridge_counters(after));
        let bridge = bridge.into_iter().map(|(name, number)| {
            let known = bridge_before.get(&name).copied().unwrap_or(number);
            let rate = per_s(known, number);
            (name, rate)
        });
        Self {
            received: per_s(before.messages.received, after.messages.received),
            sent: per_s(before.messages.sent, after.messages.sent),
            dropped: per_s(dropped(before), dropped(after)),
            commits: per_s(before.store.commits, after.store.commits),
            bytes_written: per_s(before.store.bytes_written, after.store.bytes_written),
            rules: rules.collect(),
            upstreams: upstreams.collect(),
            bridge: bridge.collect(),
        }
    }
}

impl Curves {
    pub(super) fn push(&mut self, rates: Rates) {
        if self.0.len() == LOOKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(rates);
    }

    /// The newest.
    pub(super) fn now(&self) -> Rates {
        self.0.back().cloned().unwrap_or_default()
    }

    /// The last so many of one figure, the newest last; zeros before the first look.
    pub(super) fn last(&self, count: usize, figure: impl Fn(&Rates) -> u64) -> Vec<u64> {
        let known = self.0.iter().rev().take(count).map(figure);
        let mut curve: Vec<u64> = known.chain(std::iter::repeat(0)).take(count).collect();
        curve.reverse();
        curve
    }
}

/// Messages from and to each client in a second.
pub(super) type ClientRates = BTreeMap<String, [u64; 2]>;

/// Those of two looks; clients that have just come have none.
pub(super) fn of_clients(before: &[Client], after: &[Client], time: Duration) -> ClientRates {
    let known: BTreeMap<&str, &Client> =
        before.iter().map(|client| (&*client.client_id, client)).collect();
    let rate = |before: u64, after: u64| {
        (after.saturating_sub(before) as f64 / time.as_secs_f64().max(0.001)).round() as u64
    };
    let rates = after.iter().filter_map(|client| {
        let before = known.get(&*client.client_id)?;
        let rates = [rate(before.received, client.received), rate(before.sent, client.sent)];
        Some((client.client_id.clone(), rates))
    });
    rates.collect()
}

/// `agent.name` and `gateway.name`.
pub(super) fn bridge_counters(status: &Status) -> BTreeMap<String, u64> {
    let Some(bridge) = &status.bridge else { return BTreeMap::new() };
    let parts = [("agent", &bridge.agent), ("gateway", &bridge.gateway)];
    let counters = parts.into_iter().flat_map(|(part, counters)| {
        counters.iter().map(move |(name, number)| (format!("{part}.{name}"), *number))
    });
    counters.collect()
}
