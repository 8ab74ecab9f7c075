//! How durable a message is before its publisher is told that it was taken, by its topic.
//!
//! What a level means stands where messages are published, routed and delivered, and which one a
//! topic has in `filter_table.rs`.

/// When a QoS 1 or 2 message is acknowledged, and what of it is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// After its commit: what was acknowledged survives a power cut.
    #[default]
    Commit,
    /// At once, and nothing is written: it is lost with the process.
    None,
    /// At once; it is committed with the next group that goes anyway, or some time later.
    Relaxed,
    /// When each upstream that gets it has acknowledged it, and nothing is written. What no
    /// upstream gets has level `Commit`.
    Upstream,
}

impl Durability {
    /// Whether the store is to have the message.
    pub(crate) fn is_written(self) -> bool {
        match self {
            Self::Commit | Self::Relaxed => true,
            Self::None | Self::Upstream => false,
        }
    }
}

/// The levels of all topics.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DurabilityLevels {
    /// What holds for topics that none of the filters matches.
    pub default: Durability,
    /// Topic filters with their levels, in the order in which they are asked.
    pub filters: Vec<(String, Durability)>,
}
