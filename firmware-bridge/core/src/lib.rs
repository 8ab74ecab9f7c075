//! What a microcontroller needs to be part of an MQTT system, no_std without alloc.
//!
//! A node cannot speak MQTT itself. [`client`] speaks MQTT-SN 1.2 for it and keeps what cannot be
//! sent yet, [`link`] brings its datagrams to the gateway, [`age`] says how old a message is,
//! [`mqtt_sn_1_2`] reads and writes the packets, [`frame`] carries them over a serial line, and
//! [`sense`] reads sensors on `embedded-hal` buses. Everything is sans-IO where there is IO to leave
//! out: no clock is read, nothing is allocated, and no input makes it panic.
#![no_std]
#![warn(clippy::indexing_slicing)]

#[cfg(test)]
extern crate std;

// A module uses modules listed below it, never above.
pub mod link;

pub mod client;

pub mod age;
pub mod frame;
pub mod mqtt_sn_1_2;
pub mod sense;

mod features;

/// The examples of the README compile. They never end, so they are not run.
#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../README.md")]
struct Readme;
