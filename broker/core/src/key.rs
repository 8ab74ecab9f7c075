//! Where things stand in the tables of a core.

/// The place of a session.
pub(crate) type SessionKey = u32;
