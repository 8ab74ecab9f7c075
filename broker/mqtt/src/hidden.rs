//! What debug output does not show.
//!
//! Responsible for keeping passwords and authentication data out of logs.

use core::fmt;

/// Bytes that stand for a secret and do not show in debug output.
pub(crate) struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}
