//! Weir: an MQTT broker with stream rules for edge gateways.

pub mod store;
