//! What a reader of the log wants while it runs.

use crate::identity::ReaderId;

/// What a reader wants from now on.
#[derive(Clone, Debug)]
pub struct ReaderWish {
    /// Which reader.
    pub reader: ReaderId,
    /// In the place of [`ReaderConfig::filters`](crate::ReaderConfig::filters).
    pub filters: Vec<String>,
    /// In the place of [`ReaderConfig::names_publishers`](crate::ReaderConfig::names_publishers).
    pub names_publishers: bool,
}
