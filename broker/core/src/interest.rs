//! What the sessions and readers of a shard want, as it changes.

use std::sync::Arc;

/// One subscription more to a filter, or one less. A filter is wanted while more have begun than
/// ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterestChange {
    /// The filter; of a shared subscription without its group.
    pub filter: Arc<str>,
    /// Whether it begins.
    pub is_wanted: bool,
}
