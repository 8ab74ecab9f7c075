//! Time: nodes that are silent for too long, and what is to be done again.

use super::Gateway;
use super::client::{Client, ClientKey, Phase};
use super::options::Options;

impl Gateway {
    /// Sets the timer of a client, unless it is set for earlier: one that comes too early finds
    /// nothing to do and sets the next.
    pub(super) fn schedule(&mut self, key: ClientKey) {
        let client = &mut self.clients[key];
        let Some(deadline) = deadline(client, &self.options) else { return };
        if client.timer_at.is_some_and(|at| at <= deadline) {
            return;
        }
        if let Some(at) = client.timer_at.replace(deadline) {
            self.timers.remove(&(at, key));
        }
        self.timers.insert((deadline, key));
    }

    pub(super) fn handle_timers(&mut self, now: u64) {
        self.handle_discovery_timer(now);
        let due = self.timers.range(..=(now, ClientKey::MAX)).copied().collect::<Vec<_>>();
        for (at, key) in due {
            // One of those before it may have ended this one.
            if !self.timers.remove(&(at, key)) {
                continue;
            }
            self.clients[key].timer_at = None;
            self.handle_due(now, key);
            if self.clients.contains(key) {
                debug_assert!(
                    deadline(&self.clients[key], &self.options).is_none_or(|at| at > now),
                    "what was due is done"
                );
                self.schedule(key);
            }
        }
    }

    fn handle_due(&mut self, now: u64, key: ClientKey) {
        let client = &self.clients[key];
        if let Phase::Connecting(connecting) = &client.phase {
            if connecting.due_at <= now {
                self.retry_connect(now, key);
            }
            return;
        }
        if lapse(client, &self.options).is_some_and(|at| at <= now) {
            return self.lose_silent(now, key);
        }
        let current = client.downlink.current().filter(|_| client.takes_messages());
        if current.is_some_and(|current| current.due_at <= now) {
            self.retry_current(now, key);
        }
        if self.clients.contains(key) {
            self.pump(now, key);
        }
    }
}

/// When something is to be done for a client.
fn deadline(client: &Client, options: &Options) -> Option<u64> {
    if let Phase::Connecting(connecting) = &client.phase {
        return Some(connecting.due_at);
    }
    let retry = client.downlink.current().filter(|_| client.takes_messages());
    let quiet = match client.phase {
        Phase::Awake(awake) if client.downlink.is_empty() => Some(awake.quiet_at),
        _ => None,
    };
    [lapse(client, options), retry.map(|current| current.due_at), quiet].into_iter().flatten().min()
}

/// When a client counts as lost: half as long again as it said below one minute, a tenth more
/// above (table 3 of the standard, Tolerance of keep-alive and sleep).
fn lapse(client: &Client, options: &Options) -> Option<u64> {
    let (duration_s, tolerance_pct) = match client.phase {
        Phase::Active => (client.keep_alive_s, None),
        Phase::Asleep { duration_s } => {
            let node = options.nodes.get(&*client.id);
            (duration_s, node.and_then(|node| node.sleep_tolerance_pct))
        }
        // Whether it answers is watched by what it is sent.
        Phase::Awake(_) | Phase::Away | Phase::Connecting(_) => return None,
    };
    if duration_s == 0 {
        return None;
    }
    let tolerance_pct = tolerance_pct.unwrap_or(if duration_s < MINUTE_S { 50 } else { 10 });
    let ms = u64::from(duration_s) * 10 * (100 + u64::from(tolerance_pct));
    Some(client.heard_at + ms)
}

const MINUTE_S: u16 = 60;
