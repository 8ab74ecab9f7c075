//! Devices that cannot speak MQTT, brought to a broker.
//!
//! [`Probe`] polls one sensor by the rules of the bridge: it tries again, counts, goes offline and
//! comes back. [`simulate`] is a bus with register models of chips on it, and a small fleet of
//! devices for demonstrations; the drivers that read it are the ones that read real chips.
//! [`agent`] brings sensors and actuators of this machine to a broker, [`modbus`] those that speak
//! Modbus. [`gateway`] is an MQTT-SN gateway, and [`run`] has it serve [`link`]s. [`session`] is the
//! seam to a broker, and [`tcp`] a way through it, with [`tls`] or without. [`config`] is the file
//! that says which of all this there is, and [`serve`] runs it. What a service of Linux has around
//! it, [`log`] and [`systemd`], is the broker's as well.

// A module uses modules listed below it, never above.
#[cfg(feature = "linux")]
pub mod cli;

#[cfg(feature = "linux")]
pub mod log;
#[cfg(feature = "linux")]
pub mod systemd;

pub mod serve;

pub mod agent;

pub mod modbus;

pub mod simulate;

mod probe;

pub mod run;

pub mod link;
pub mod state_file;

pub mod gateway;
pub mod tcp;

pub mod session;

pub mod config;

pub mod tls;

mod json;
mod questions;

pub use json::{Decimal, Value};
pub use probe::{Availability, Failure, Polled, Probe, ProbeCounters};
pub use questions::{Asker, Numbers};

/// The example of the README compiles and holds.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
