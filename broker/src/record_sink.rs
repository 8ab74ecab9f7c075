//! Where a shard hands messages over to what reads the log.

use weir_core::Records;

/// Something inside the broker that takes messages from a shard.
pub(crate) trait RecordSink: Send {
    /// Hands messages over; never waits.
    fn give(&self, records: Records);
    /// So many messages were not put into its backlog, since it said so.
    fn missed(&self, _messages: u64) {}
    /// False while it has too much to do.
    fn has_room(&self) -> bool;
}
