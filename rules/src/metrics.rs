//! What a rule has done since the process started. Not part of the state.

use std::collections::BTreeMap;

/// Counters of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) matched: u64,
    pub(crate) filtered: u64,
    pub(crate) late: u64,
    pub(crate) dropped: u64,
    pub(crate) emitted: u64,
    /// Payloads of messages that matched.
    pub(crate) bytes_in: u64,
    /// Payloads of results.
    pub(crate) bytes_out: u64,
    /// When the last result was sent.
    pub(crate) last_sent: Option<i64>,
    /// How far the watermark of the last message was behind its arrival.
    pub(crate) lag_ms: Option<i64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

impl Metrics {
    pub(crate) fn count_error(&mut self, code: &'static str) {
        *self.errors.entry(code).or_default() += 1;
    }
}
