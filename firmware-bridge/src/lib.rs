//! Devices that cannot speak MQTT, brought to a broker.
//!
//! [`Probe`] polls one sensor by the rules of the bridge: it tries again, counts, goes offline and
//! comes back. [`simulate`] is a bus with register models of chips on it, and a small fleet of
//! devices for demonstrations; the drivers that read it are the ones that read real chips.

// A module uses modules listed below it, never above.
pub mod simulate;

mod probe;

pub use probe::{Availability, Polled, Probe, ProbeCounters};

/// The example of the README compiles and holds.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
