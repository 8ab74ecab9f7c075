//! What all tests of the transports share.

pub(crate) mod certificates;
pub(crate) mod gateway;
pub(crate) mod mqtt;
pub(crate) mod secure;
pub(crate) mod websocket;
