//! What the operator is told about a device: at once the first time, then counted, so that a
//! device that fails a thousand times a second is reported a few times a minute.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What happened to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventKind {
    /// The node is gone without a word.
    Lost,
    /// The node refused a message.
    Nack,
    /// Messages for a sleeper were dropped.
    Overflow,
    /// A message does not fit the link.
    TooLong,
    /// The node refused a topic, or has no room for another one.
    Topic,
}

impl EventKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Nack => "nack",
            Self::Overflow => "overflow",
            Self::TooLong => "too_long",
            Self::Topic => "topic",
        }
    }
}

/// Events that were not reported yet, or not long ago.
#[derive(Debug, Default)]
pub(super) struct Events {
    pending: BTreeMap<(Arc<str>, EventKind), Pending>,
    /// The earliest of theirs, or earlier.
    due_at: Option<u64>,
}

#[derive(Debug)]
struct Pending {
    count: u64,
    text: &'static str,
    due_at: u64,
}

/// An event to be reported.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) client_id: Arc<str>,
    pub(super) kind: EventKind,
    /// How often it happened since it was last reported.
    pub(super) count: u64,
    pub(super) text: &'static str,
}

impl Events {
    /// Beyond the limit of devices that have events at the same time, new ones are only counted
    /// in the metrics.
    pub(super) fn add(
        &mut self,
        now: u64,
        client_id: &Arc<str>,
        kind: EventKind,
        text: &'static str,
    ) {
        let is_full = self.pending.len() >= PENDING_MAX;
        let key = (Arc::clone(client_id), kind);
        if let Some(pending) = self.pending.get_mut(&key) {
            pending.count += 1;
        } else if !is_full {
            self.pending.insert(key, Pending { count: 1, text, due_at: now });
            self.due_at = Some(self.due_at.map_or(now, |at| at.min(now)));
        }
    }

    pub(super) fn due_at(&self) -> Option<u64> {
        self.due_at
    }

    /// What is to be reported now; each again after `interval_ms` at the earliest.
    pub(super) fn take_due(&mut self, now: u64, interval_ms: u64) -> Vec<Report> {
        if self.due_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut reports = Vec::new();
        self.pending.retain(|(client_id, kind), pending| {
            if pending.due_at > now {
                return true;
            }
            if pending.count == 0 {
                return false;
            }
            let (count, text) = (pending.count, pending.text);
            reports.push(Report { client_id: Arc::clone(client_id), kind: *kind, count, text });
            pending.count = 0;
            pending.due_at = now + interval_ms.max(1);
            true
        });
        self.due_at = self.pending.values().map(|pending| pending.due_at).min();
        reports
    }
}

const PENDING_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_reported_at_once_and_then_counted() {
        let mut events = Events::default();
        let client: Arc<str> = "n".into();
        events.add(0, &client, EventKind::Nack, "refused");
        assert_eq!(events.take_due(0, 1_000).len(), 1);
        for at in 1..100 {
            events.add(at, &client, EventKind::Nack, "refused");
        }
        assert_eq!(events.take_due(999, 1_000), []);
        let counts: Vec<_> = events.take_due(1_000, 1_000).iter().map(|r| r.count).collect();
        assert_eq!(counts, [99]);
        // Silence for an interval, and the next one is the first again.
        assert_eq!(events.take_due(2_000, 1_000), []);
        assert_eq!(events.due_at(), None);
    }

    #[test]
    fn devices_with_events_have_a_limit() {
        let mut events = Events::default();
        for number in 0..2_000 {
            events.add(0, &number.to_string().into(), EventKind::Lost, "silent");
        }
        assert_eq!(events.take_due(0, 1).len(), PENDING_MAX);
    }
}
