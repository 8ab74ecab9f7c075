//! The audit log: who was let in, refused, banned or denied, as events of the target `audit`.
//! Names and addresses stand there, passwords never.

use std::net::IpAddr;

use weir_core::{Access, AuthenticationRequest, Denial};

const TARGET: &str = "audit";

/// A client has shown who it is.
pub(crate) fn connected(request: &AuthenticationRequest, username: &str, address: Option<IpAddr>) {
    let client_id = &*request.client_id;
    let address = address.map(tracing::field::display);
    tracing::info!(target: TARGET, client_id, username, address, "audit: connected");
}

/// A client is not let in.
pub(crate) fn refused(request: &AuthenticationRequest, address: Option<IpAddr>, reason: &str) {
    let (client_id, username) = (&*request.client_id, request.username.as_deref());
    let address = address.map(tracing::field::display);
    tracing::warn!(target: TARGET, client_id, username, address, reason, "audit: refused");
}

/// An address has sent wrong credentials too often.
pub(crate) fn banned(address: IpAddr, seconds: u64) {
    tracing::warn!(target: TARGET, %address, seconds, "audit: banned");
}

/// A client wanted what it may not do.
pub(crate) fn denied(denial: &Denial) {
    let (client_id, username) = (&*denial.client_id, denial.username.as_deref());
    let action = if denial.access == Access::Write { "publish" } else { "subscribe" };
    let topic = &*denial.topic;
    tracing::warn!(target: TARGET, client_id, username, action, topic, "audit: denied");
}
