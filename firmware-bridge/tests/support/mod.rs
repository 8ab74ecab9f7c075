//! What tests of several kinds need.

pub(crate) mod foreign;
#[path = "../../../tests/src/harness/ports.rs"]
pub(crate) mod ports;
pub(crate) mod pymodbus;

pub(crate) use foreign::{program, python};
