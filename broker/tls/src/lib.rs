//! TLS from files: what a handshake needs, and what is wrong with a file, for the broker and for the
//! bridge of devices.
//!
//! Reads and judges files only; when they are read again is decided elsewhere. Its answers are those
//! of rustls, on which both are built.

mod client;
mod files;

pub use client::TlsClientConfig;
pub use files::{TlsError, TlsFile, TlsVersion, provider, read_all, read_key};
