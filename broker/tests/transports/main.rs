//! Real clients on every way into a broker that runs in the same process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod admin;
mod farewell;
mod hostile;
mod identity;
mod limits;
mod listeners;
mod proxy;
mod rates;
mod reload;
mod rumqttc;
mod shards;
mod tls;
mod tls_files;
mod unix;
mod websocket;
