//! The audit log: who was let in, refused, banned or denied, as events of the target `audit`.
//! Names and addresses stand there, passwords never.

use std::net::IpAddr;

use weir_core::{Access, AuthenticationRequest, Denial, Identity, Occasion};

const TARGET: &str = "audit";

/// A client has shown who it is, or does so again.
pub(crate) fn granted(
    request: &AuthenticationRequest,
    identity: &Identity,
    address: Option<IpAddr>,
) {
    let (client_id, username) = (&*request.client_id, identity.username.as_deref());
    let address = address.map(tracing::field::display);
    let method = request.exchange.as_ref().map(|exchange| &*exchange.method);
    match request.occasion {
        Occasion::Connect => {
            tracing::info!(target: TARGET, client_id, username, address, method, "audit: connected");
        }
        Occasion::Reauthentication => {
            tracing::info!(target: TARGET, client_id, username, address, method, "audit: shown again");
        }
        // Nothing has changed.
        Occasion::Renewal => {}
    }
}

/// A client was let in without a name.
pub(crate) fn admitted(client_id: &str, address: Option<IpAddr>) {
    let address = address.map(tracing::field::display);
    tracing::info!(target: TARGET, client_id, address, "audit: connected without a name");
}

/// A client is not let in, because its TLS handshake has failed; so did those of others, which
/// are not told of.
pub(crate) fn handshake_refused(
    address: Option<IpAddr>,
    listener: &str,
    reason: &str,
    not_told: u64,
) {
    let address = address.map(tracing::field::display);
    let not_told = Some(not_told).filter(|count| *count > 0);
    tracing::warn!(
        target: TARGET, address, listener, reason, not_told, "audit: handshake refused"
    );
}

/// A client loses its connection, because its certificate is revoked by now.
pub(crate) fn certificate_revoked(address: Option<IpAddr>, listener: &str, subject: Option<&str>) {
    let address = address.map(tracing::field::display);
    tracing::warn!(target: TARGET, address, listener, subject, "audit: certificate revoked");
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
    let (topic, acl_line) = (&*denial.topic, denial.line);
    tracing::warn!(target: TARGET, client_id, username, action, topic, acl_line, "audit: denied");
}

/// Somebody was not let in by the admin server; so were others, which are not told of.
pub(crate) fn request_refused(
    address: IpAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
    reason: &str,
    not_told: u64,
) {
    let not_told = Some(not_told).filter(|count| *count > 0);
    tracing::warn!(
        target: TARGET, %address, token, method, path, reason, not_told, "audit: request refused"
    );
}

/// Somebody has changed something by the admin server, or has tried to.
pub(crate) fn request_served(address: IpAddr, token: &str, method: &str, path: &str, status: u16) {
    tracing::info!(target: TARGET, %address, token, method, path, status, "audit: request");
}
