//! Keys by the client that sends them, for rules with `per = "source"`.
//!
//! Everything here follows from the keys, so it is not part of the state: it is built again after
//! a restart. The watermark of a client comes from the latest time of all of its keys.

use std::collections::{BTreeMap, BTreeSet};

/// The clients of one rule.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    clients: BTreeMap<Box<str>, Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// Latest time of each key.
    newest: BTreeSet<(i64, u32)>,
    /// End of the next window of each key that has one.
    open: BTreeSet<(i64, u32)>,
}

/// What is noted about a key: its latest time, and the end of its next window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) newest: i64,
    pub(crate) end: Option<i64>,
}

impl Sources {
    /// Notes a key.
    pub(crate) fn insert(&mut self, client: &str, id: u32, standing: Standing) {
        if !self.clients.contains_key(client) {
            self.clients.insert(client.into(), Members::default());
        }
        if let Some(members) = self.clients.get_mut(client) {
            members.newest.insert((standing.newest, id));
            members.open.extend(standing.end.map(|end| (end, id)));
        }
    }

    /// Forgets what was noted about a key.
    pub(crate) fn remove(&mut self, client: &str, id: u32, standing: Standing) {
        let Some(members) = self.clients.get_mut(client) else { return };
        members.newest.remove(&(standing.newest, id));
        if let Some(end) = standing.end {
            members.open.remove(&(end, id));
        }
        if members.newest.is_empty() {
            self.clients.remove(client);
        }
    }

    /// Latest time of all keys of a client.
    pub(crate) fn newest(&self, client: &str) -> Option<i64> {
        self.clients.get(client)?.newest.last().map(|(newest, _)| *newest)
    }

    /// A key whose next window ends at `watermark` or before.
    pub(crate) fn due(&self, client: &str, watermark: i64) -> Option<u32> {
        let (end, id) = self.clients.get(client)?.open.first()?;
        (*end <= watermark).then_some(*id)
    }
}
