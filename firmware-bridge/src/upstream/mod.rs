//! Stub.
use std::sync::Arc;
use weir_core::{ReaderId, Records, ShardId};
use crate::config::UpstreamConfig;
use crate::mailbox::Mailbox;
use crate::shard::RecordSink;
use crate::store::Store;
pub(crate) struct Upstream;
#[derive(Clone)]
pub(crate) struct UpstreamHandle;
impl Upstream {
    pub(crate) fn new(_: UpstreamConfig, _: ReaderId, _: ShardId, _: Arc<Store>, _: Mailbox) -> Self { Self }
    pub(crate) fn handle(&self) -> UpstreamHandle { UpstreamHandle }
    pub(crate) async fn run(self, _stopped: tokio::sync::watch::Receiver<bool>) {}
}
impl UpstreamHandle {
    pub(crate) fn log_grew(&self) {}
    pub(crate) fn status(&self) -> crate::status::UpstreamStatus { unreachable!() }
}
impl RecordSink for UpstreamHandle {
    fn give(&self, _: Records) {}
    fn has_room(&self) -> bool { true }
}
