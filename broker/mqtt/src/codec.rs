//! One file for each kind of packet.
//!
//! Each holds the packet as a value and reads and writes everything after the fixed header. What
//! the standard allows in a packet, properties and reason codes included, is found in its file.

pub(crate) mod acknowledge;
pub(crate) mod auth;
pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod delivery;
pub(crate) mod disconnect;
pub(crate) mod ping;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod unsubscribe;
pub(crate) mod will;

// Used by the packets above.
pub(crate) mod end_to_end;
pub(crate) mod explanation;
pub(crate) mod filters;
pub(crate) mod reasons;
