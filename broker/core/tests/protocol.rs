//! What a client sees of the core: behaviours on a virtual network with a virtual clock.
//!
//! One module per subject; the doc comment of a test names the statements of the standard that
//! it shows, for MQTT 5.0 unless it says 3.1.1.

#![allow(clippy::wildcard_imports, reason = "tests may import everything from their support")]

mod support;

/// Of the world of a test that says nothing else.
const SHARDS: u8 = 1;

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
mod memory;
mod mount_point;
mod order;
mod paging;
mod play;
mod plays;
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
