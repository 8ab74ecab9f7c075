//! Weir: an MQTT broker with stream rules for edge gateways.

// A module uses modules listed below it, never above.
pub mod cli;

mod broker;
mod import;

mod control;
mod pulse;

mod admin;

mod limits;
mod probe;

#[cfg(feature = "nats")]
mod fleet;
#[cfg(not(feature = "nats"))]
#[path = "no_fleet.rs"]
mod fleet;
mod reload;
mod upstream;

mod bridge;

mod client;

mod inside;

mod live_rules;

mod history;
mod pipeline;
mod shard;

mod lingering;
mod listener;
mod sockets;
mod ways;

mod diagnostic_json;
mod fill_level;
mod mailbox;

mod clock;
mod handout;
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
mod times;

mod client_stream;

pub use broker::{Broker, StartError};
pub use client::{Answer, Client, ClientError, ClientOptions, Message, Publication};
pub use inner_turn::{InnerTurn, OwnedPublication, TurnQueue};
pub use pipeline::{Pipeline, RuleCommand, UnknownRule};
pub use reload::{ReloadError, Reloaded};
pub use upstream::{
    Forwarder, ForwarderOptions, Full, Outgoing, Peer, Place, Read, Sink, SinkError, SinkMessage,
    Unusable, UpstreamChange, UpstreamChangeKind,
};
pub use weir_mqtt::QoS;
