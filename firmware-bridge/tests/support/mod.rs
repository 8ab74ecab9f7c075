//! What tests of several kinds need.

pub(crate) mod foreign;
pub(crate) mod pymodbus;

pub(crate) use foreign::{program, python};
