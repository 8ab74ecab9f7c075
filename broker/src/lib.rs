//! Weir: an MQTT broker with stream rules for edge gateways.

// A module uses modules listed below it, never above.
pub mod cli;

pub mod admin;
mod inner_turn;
pub mod logging;
mod mailbox;
pub mod status;
pub mod store;

pub mod config;
