//! Every key of the configuration, declared once: name, meaning, form, range and default. The
//! defaults in memory, the reading and the reference come from here.

mod bridge;
mod gateway;
mod modbus;
mod pins;
mod sensors;
mod tls;

pub(crate) use bridge::BRIDGE;
pub(crate) use gateway::{LINK, NODE, PREDEFINED};
pub(crate) use modbus::{MODBUS, READ, WRITE};
pub(crate) use pins::{GPIO, PWM};
pub(crate) use sensors::{I2C, ONEWIRE, SENSOR, SPI, SYSTEM};
pub(crate) use tls::TLS;

use weir_config::{Declared, Limits, Section};

use super::code::CODES;

/// All of it.
pub(crate) static DECLARED: Declared = Declared {
    sections: &SECTIONS,
    codes: CODES,
    limits: Limits { text_bytes: 1_024, elements: 64, entries: 1_000 },
    later: &[],
    service: "weir-bridge.service",
};

/// The sections in the order of the reference.
static SECTIONS: [&Section; 15] = [
    &BRIDGE,
    &TLS,
    &I2C,
    &SPI,
    &SENSOR,
    &ONEWIRE,
    &SYSTEM,
    &GPIO,
    &PWM,
    &MODBUS,
    &READ,
    &WRITE,
    &LINK,
    &PREDEFINED,
    &NODE,
];
