//! What was chosen to be in the program, as constants: what is not there is left out by the compiler,
//! and what is there is checked by it in any case.

/// Messages of QoS 2.
pub(crate) const EXACTLY_ONCE: bool = cfg!(feature = "exactly-once");
/// Looking for gateways.
pub(crate) const SEARCH: bool = cfg!(feature = "search");
/// Sleep.
pub(crate) const SLEEP: bool = cfg!(feature = "sleep");
/// The will.
pub(crate) const WILL: bool = cfg!(feature = "will");
