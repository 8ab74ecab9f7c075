//! The other boxes: who is there, what each wants, and whether another one has the name of this
//! one.
//!
//! Pure. Every time is one of the server, taken from the entries of the bucket, so the clocks of
//! the boxes do not matter, and nobody counts as away while this box has no connection: then
//! nothing is heard at all. A box that is away is still wanted to get what it wants, until it was
//! away for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filters::{bounded, intersection};

/// That a box is there, as it says again and again.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Alive {
    /// A random number of the process.
    pub(super) incarnation: String,
    /// When the process began, by its own clock, milliseconds since the Unix epoch.
    pub(super) since_ms: u64,
    /// The version of the program.
    #[serde(default)]
    pub(super) version: String,
    /// It has ended, and said so.
    #[serde(default)]
    pub(super) has_stopped: bool,
}

/// What a box wants.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Wants {
    pub(super) filters: Vec<String>,
    /// There were too many, and they ask for more than is wanted.
    #[serde(default)]
    pub(super) is_cut: bool,
}

/// Something that the operator is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    /// Nothing was heard of it for a while, or it has said that it ends.
    Away { name: String, has_stopped: bool },
    /// It was away for so long that nothing is kept for it any more.
    Gone { name: String },
    /// It is there, for the first time or again.
    Here { name: String, version: String },
}

/// Whether this box may have its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Somebody had it whom nothing was heard of since this box has come.
    Doubtful,
    /// Nobody else has it.
    Own,
    /// Another box has it.
    Taken,
}

/// What is known of the boxes.
#[derive(Debug)]
pub(super) struct Boxes {
    own: String,
    incarnation: String,
    since_ms: u64,
    /// The incarnation of this box before, if it is known: that one is no other box.
    before: Option<String>,
    standing: Standing,
    /// Whether this box has said that it is there.
    has_spoken: bool,
    away_max: Duration,
    known: BTreeMap<String, Known>,
    /// The latest time of the server that an entry has.
    server_ns: u64,
    has_changed: bool,
}

/// Another box.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) wants: Wants,
    /// When it was heard of last, nanoseconds since the Unix epoch by the clock of the server.
    pub(super) heard_ns: u64,
    pub(super) is_here: bool,
    pub(super) version: String,
    /// It has said that it ends.
    has_stopped: bool,
    /// The operator knows of it.
    is_told: bool,
}

impl Boxes {
    /// Those that are known from before, none of which was heard of yet.
    pub(super) fn new(
        own: &str,
        (incarnation, since_ms): (String, u64),
        before: Option<String>,
        away_max: Duration,
        known: BTreeMap<String, (Wants, u64)>,
    ) -> Self {
        let known = known.into_iter().map(|(name, (wants, heard_ns))| {
            (name, Known { wants, heard_ns, is_told: true, ..Known::default() })
        });
        Self {
            own: own.to_owned(),
            incarnation,
            since_ms,
            before,
            standing: Standing::Own,
            has_spoken: false,
            away_max,
            known: known.collect(),
            server_ns: 0,
            has_changed: true,
        }
    }

    /// A connection is open; everything is heard anew.
    pub(super) fn connected(&mut self) {
        self.standing = Standing::Own;
        self.has_spoken = false;
        self.server_ns = 0;
    }

    /// This box says that it is there.
    pub(super) fn spoke(&mut self) {
        self.has_spoken = true;
        self.standing = Standing::Own;
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// What this box says of itself.
    pub(super) fn own_alive(&self, has_stopped: bool) -> Alive {
        Alive {
            incarnation: self.incarnation.clone(),
            since_ms: self.since_ms,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            has_stopped,
        }
    }

    /// A box has said at this time of the server that it is there.
    pub(super) fn handle_alive(&mut self, name: &str, at_ns: u64, alive: Alive) -> Option<Notice> {
        self.server_ns = self.server_ns.max(at_ns);
        if name == self.own {
            self.judge_own(&alive);
            return None;
        }
        let known = self.room_for(name)?;
        known.heard_ns = known.heard_ns.max(at_ns);
        known.version = alive.version;
        known.has_stopped = alive.has_stopped;
        None
    }

    /// A box has said what it wants.
    pub(super) fn handle_wants(&mut self, name: &str, at_ns: u64, wants: Wants) {
        self.server_ns = self.server_ns.max(at_ns);
        if name == self.own {
            return;
        }
        let Some(known) = self.room_for(name) else { return };
        // An entry is as old as the last change, the box may be there all the time.
        known.heard_ns = known.heard_ns.max(at_ns);
        if known.wants != wants {
            known.wants = wants;
            self.has_changed = true;
        }
    }

    /// The entries of a box were removed at the server.
    pub(super) fn handle_removed(&mut self, name: &str) -> Option<Notice> {
        self.known.remove(name)?;
        self.has_changed = true;
        Some(Notice::Gone { name: name.to_owned() })
    }

    /// Who has come, and who is away by now. To be asked once the bucket is read, and after what
    /// this box says has come back, which tells what time it is.
    pub(super) fn look(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        let server_ns = self.server_ns;
        let away_max_ns = nanoseconds(self.away_max);
        let mut gone = Vec::new();
        for (name, known) in &mut self.known {
            let silent_ns = server_ns.saturating_sub(known.heard_ns);
            let is_here = !known.has_stopped && silent_ns < nanoseconds(SILENT_MAX);
            if silent_ns > away_max_ns {
                gone.push((name.clone(), known.is_told));
            } else if is_here && !known.is_here {
                let (name, version) = (name.clone(), known.version.clone());
                notices.push(Notice::Here { name, version });
            } else if !is_here && known.is_here {
                let (name, has_stopped) = (name.clone(), known.has_stopped);
                notices.push(Notice::Away { name, has_stopped });
            }
            known.is_here = is_here;
            known.is_told |= is_here;
        }
        for (name, is_told) in gone {
            self.known.remove(&name);
            self.has_changed = true;
            notices.extend(is_told.then_some(Notice::Gone { name }));
        }
        notices
    }

    /// Whether the boxes want other topics than when it was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// The names of the boxes, with what each wants; in one order.
    pub(super) fn wanting(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.known.iter().map(|(name, known)| (name.as_str(), known.wants.filters.as_slice()))
    }

    /// What all others want of the topics that are shared, as filters.
    pub(super) fn wanted(&self, shared: &[String]) -> Vec<String> {
        let filters = self.known.values().flat_map(|known| &known.wants.filters);
        let parts = filters.flat_map(|filter| common(filter, shared));
        let (filters, _) = bounded(parts.collect(), WANTED_MAX, usize::MAX);
        filters.into_iter().collect()
    }

    /// All others.
    pub(super) fn known(&self) -> &BTreeMap<String, Known> {
        &self.known
    }

    /// What is to be known after a restart without a server.
    pub(super) fn to_keep(&self) -> BTreeMap<String, (Wants, u64)> {
        let kept = self.known.iter();
        kept.map(|(name, known)| (name.clone(), (known.wants.clone(), known.heard_ns))).collect()
    }

    /// Whether somebody else has said something under the name of this box.
    fn judge_own(&mut self, alive: &Alive) {
        let is_own = alive.incarnation == self.incarnation
            || self.before.as_ref() == Some(&alive.incarnation);
        if is_own || alive.has_stopped {
            return;
        }
        self.standing = match self.standing {
            // It was heard of twice since this box has come.
            Standing::Doubtful | Standing::Taken => Standing::Taken,
            Standing::Own if !self.has_spoken => Standing::Doubtful,
            Standing::Own => {
                let own = (self.since_ms, self.incarnation.as_str());
                let is_first = own < (alive.since_ms, alive.incarnation.as_str());
                if is_first { Standing::Own } else { Standing::Taken }
            }
        };
    }

    fn room_for(&mut self, name: &str) -> Option<&mut Known> {
        if !self.known.contains_key(name) && self.known.len() >= BOXES_MAX {
            return None;
        }
        Some(self.known.entry(name.to_owned()).or_default())
    }
}

/// What a filter has in common with each of those that are shared.
pub(super) fn common(filter: &str, shared: &[String]) -> BTreeSet<String> {
    shared.iter().filter_map(|shared| intersection(filter, shared)).collect()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How often a box says that it is there.
pub(super) const HEARTBEAT_MS: u64 = 5_000;
/// A box that is not heard of for longer is away.
const SILENT_MAX: Duration = Duration::from_secs(16);
/// How long it takes until nobody else can have the name of this box.
pub(super) const DOUBT_MS: u64 = 12_000;
/// Boxes of one fleet; more are not heard.
const BOXES_MAX: usize = 1024;
/// Filters of all others together; beyond it they are cut.
const WANTED_MAX: usize = 8192;

#[cfg(test)]
mod tests;
