//! Weir: an MQTT broker with stream rules for edge gateways.

pub mod admin;
pub mod config;
pub mod logging;
mod mailbox;
pub mod status;
