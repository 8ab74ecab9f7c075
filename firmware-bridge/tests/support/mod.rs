//! What tests of several kinds need.

pub(crate) mod foreign;
#[allow(dead_code, unreachable_pub, reason = "it is for other tests, too")]
#[path = "../../../tests/src/harness/ports.rs"]
pub(crate) mod ports;
pub(crate) mod pymodbus;

pub(crate) use foreign::{program, python};
