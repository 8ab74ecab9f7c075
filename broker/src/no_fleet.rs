//! The fleet of a build without NATS: there is none, which the check of the configuration says.

use std::convert::Infallible;

use tokio::sync::watch;
use weir_core::{InterestChange, Records};

use crate::record_sink::RecordSink;
use crate::status::FleetStatus;

/// Cannot be.
#[derive(Clone, Debug)]
pub(crate) struct FleetHandle(Infallible);

/// Cannot be either.
pub(crate) struct Fleet(Infallible);

impl Fleet {
    pub(crate) fn handle(&self) -> FleetHandle {
        match self.0 {}
    }

    pub(crate) async fn run(self, _: watch::Receiver<bool>) {
        match self.0 {}
    }
}

impl FleetHandle {
    pub(crate) fn log_grew(&self) {
        match self.0 {}
    }

    pub(crate) fn note_interest(&self, _: Vec<InterestChange>) {
        match self.0 {}
    }

    pub(crate) fn status(&self) -> FleetStatus {
        match self.0 {}
    }
}

impl RecordSink for FleetHandle {
    fn give(&self, _: Records) {
        match self.0 {}
    }

    fn has_room(&self) -> bool {
        match self.0 {}
    }
}
