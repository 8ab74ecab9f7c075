//! What all tests of the transports share.

pub(crate) mod gateway;
pub(crate) mod mqtt;
