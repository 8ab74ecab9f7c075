//! What a core cannot know itself and says in the `$SYS` tree: the process, its store and its
//! upstreams, as the shell sees them.

use crate::metrics::Metrics;

/// How it stands around a core at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Surroundings {
    /// Version of the program.
    pub version: String,
    /// Seconds since the start of the process.
    pub uptime_s: u64,
    /// Memory of the process, where the system tells.
    pub memory: Option<Memory>,
    /// The store, if there is one on disk.
    pub store: Option<StoreFacts>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamFacts>,
    /// What the fleet says about itself, if the broker is in one: names of figures, each one level or
    /// more of a topic, and their values.
    pub fleet: Vec<(String, String)>,
    /// What the bridge inside the broker says about itself, as for the fleet.
    pub bridge: Vec<(String, String)>,
    /// The rules.
    pub rules: Vec<RuleFacts>,
    /// What the other shards count.
    pub elsewhere: Metrics,
}

/// What one rule says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RuleFacts {
    /// Its name, which can be a level of a topic.
    pub name: String,
    /// Names of figures, each one level or more of a topic, and their values.
    pub figures: Vec<(String, String)>,
}

/// What one upstream says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamFacts {
    /// Its name, which can be a level of a topic.
    pub name: String,
    /// Whether it is connected.
    pub is_connected: bool,
    /// How it is, as an object of JSON.
    pub status: String,
}

/// Memory of the process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// Bytes now.
    pub bytes: u64,
    /// Most bytes since the start.
    pub bytes_max: u64,
}

/// What the store says about itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreFacts {
    /// In what condition it is, in one word.
    pub status: &'static str,
    /// Length of the file.
    pub bytes: u64,
    /// What its records take.
    pub used_bytes: u64,
    /// Bytes written to the disk since the start.
    pub bytes_written: u64,
    /// Flushes of the disk since the start.
    pub flushes: u64,
    /// Half of the commits took no longer, microseconds.
    pub commit_p50_us: u64,
    /// 99 of 100 commits took no longer, microseconds.
    pub commit_p99_us: u64,
}
