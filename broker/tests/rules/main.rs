//! A broker with rules and real clients.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod check;
mod client_of_message;
mod clock;
mod control;
mod question;
mod reload;
mod suggestion;
mod support;
mod trace;
mod trial;
