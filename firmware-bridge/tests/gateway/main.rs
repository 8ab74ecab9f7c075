//! The gateway with real parts: mosquitto as the broker, sockets, pseudo terminals, and clients of
//! others. A test that needs a program that is missing is named as not run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;
mod firmware;
mod foreign;
mod killed;
mod lossy;
mod multicast;
mod node;
mod our_node;
mod running;
mod serial;
#[allow(dead_code, reason = "each test needs a part of it")]
#[path = "../support/mod.rs"]
mod support;
mod watcher;

/// How long anything may take on a machine that has other things to do.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
