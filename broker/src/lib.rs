//! Weir: an MQTT broker with stream rules for edge gateways.

// A module uses modules listed below it, never above.
pub mod cli;

pub mod admin;
pub mod logging;

pub mod config;
pub mod status;
