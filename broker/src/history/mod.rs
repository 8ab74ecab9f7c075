//! Messages that are kept for a while after they were delivered.
//!
//! A history is one more reader of the log. It writes files of its own, not the store: messages
//! are many and small, written once, never changed, and dropped by whole files. Other processes
//! read the files while the broker runs.

// A module uses modules listed below it, never above.
mod pages;

mod thread;

mod recorder;

mod read;

mod entry;

mod active;

mod segment;

mod record;

pub(crate) use pages::Pages;
pub(crate) use read::{Reader, Wanted};
pub(crate) use recorder::{Recorder, System, directories};
pub(crate) use thread::{Around, HistoryHandle, HistoryThread};

#[cfg(test)]
mod tests;
