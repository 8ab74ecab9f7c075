//! From a `mosquitto.conf` to a `weir.toml`.
//!
//! Pure but for the files that `include_dir` names, which the caller reads. What has no
//! equivalent is never dropped silently: it is a [`Note`] with its place, and so is what is
//! needless here. Passwords and access rules stay in their files, which are read unchanged.

// A module uses modules listed below it, never above.
mod convert;

mod bridge;
mod global;
mod listener;

mod document;
mod note;
mod statement;

pub(crate) use convert::{Imported, convert};
pub(crate) use note::{Note, Weight};
pub(crate) use statement::{Statement, parse};

#[cfg(test)]
mod tests;
