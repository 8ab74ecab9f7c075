//! The program against mosquitto, seen by the clients of mosquitto.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that was not run says so")]

mod command_line;
mod devices;
mod outages;
mod tls;

mod processes;
#[allow(dead_code, reason = "each test needs a part of it")]
#[path = "../support/mod.rs"]
mod support;
