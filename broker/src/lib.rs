//! Weir: an MQTT broker with stream rules for edge gateways.

// A module uses modules listed below it, never above.
pub mod cli;

mod broker;
mod import;

mod control;
mod limits;
mod probe;

pub mod admin;
mod reload;
mod upstream;

mod live_rules;

mod history;
mod pipeline;
mod shard;

mod lingering;
mod listener;
mod sockets;
mod ways;

mod fill_level;
mod mailbox;

mod clock;
mod inner_turn;
pub mod logging;
mod memory;
mod record_sink;
pub mod status;
pub mod store;
mod worker;

pub mod config;

mod auth;
mod checksum;
mod http_connection;
mod stream;

mod client_stream;

pub use broker::{Broker, StartError};
pub use inner_turn::{InnerTurn, OwnedPublication, TurnQueue};
pub use pipeline::{Pipeline, RuleCommand, UnknownRule};
pub use reload::{ReloadError, Reloaded};
pub use upstream::{
    Forwarder, ForwarderOptions, Full, Outgoing, Peer, Read, Unusable, UpstreamChange,
    UpstreamChangeKind,
};
