//! Sensors and links for microcontrollers, no_std without alloc.
//!
//! What a node needs that cannot speak MQTT itself: [`mqtt_sn_1_2`] reads and writes the packets it
//! speaks instead, [`frame`] carries them over a serial line, and [`sense`] reads sensors on
//! `embedded-hal` buses. Everything is sans-IO where there is IO to leave out: no clock is read, nothing is
//! allocated, and no input makes it panic.
#![no_std]
#![warn(clippy::indexing_slicing)]

#[cfg(test)]
extern crate std;

pub mod frame;
pub mod mqtt_sn_1_2;
pub mod sense;
