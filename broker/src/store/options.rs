//! What can be set about the store. The configuration fills it in; the defaults are for tests.

/// How a store is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreOptions {
    /// Memory for pages of the file, bytes. Four to sixteen MiB are right for a gateway: the
    /// log is written once and read again only by those who were away.
    pub cache_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 * 1024 * 1024 }
    }
}
