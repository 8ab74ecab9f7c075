//! The protocol state machine of the Weir broker, pure and deterministic.
