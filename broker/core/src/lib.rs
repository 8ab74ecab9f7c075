//! The protocol state machine of the Weir broker, pure and deterministic.

pub mod change;
pub mod identity;
pub mod message;
pub mod recovered;
