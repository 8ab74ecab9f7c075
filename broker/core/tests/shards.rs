//! The behaviours of `protocol.rs` once more, with clients spread over three shards: who serves a
//! client is nothing that a client can see. Left out is what looks at the batches, the log or the
//! memory of one core. `World::with_shards` says otherwise for a test.

#![allow(clippy::wildcard_imports, reason = "tests may import everything from their support")]

mod support;

/// Of the world of a test that says nothing else.
const SHARDS: u8 = 3;

mod aliases;
mod announced;
mod authentication;
mod authorize;
mod connect;
mod dead_letters;
mod delayed;
mod drops;
mod expiry;
mod explanations;
mod fleet;
mod forwards;
mod gate;
mod history;
mod hostile;
mod inspect;
mod keep_alive;
mod levels;
mod limits;
mod listeners;
mod malformed;
mod mount_point;
mod order;
mod paging;
mod publishers;
mod qos0;
mod qos1;
mod qos2;
mod questions;
mod readers;
mod recovery;
mod retained;
mod room;
mod sequences;
mod session;
mod shared;
mod subscribe;
mod sys;
mod takeover;
mod throttle;
mod v311;
mod will;
