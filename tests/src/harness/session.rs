//! What publishers and subscribers with a session have in common: a CONNECT that goes on with it.

use std::io;
use std::net::SocketAddr;

use weir_mqtt::{Connect, ReasonCode, Version};

use super::client::Client;

/// Connects and goes on with the session. `known` says whether a CONNACK has come before: from
/// then on the broker has to know the session.
pub(super) fn resume(
    address: SocketAddr,
    version: Version,
    client_id: &str,
    known: &mut bool,
) -> io::Result<Client> {
    let mut connect = Connect::new(version, client_id);
    connect.clean_start = false;
    connect.properties.session_expiry_interval_s = Some(u32::MAX);
    let (client, accepted) = Client::connect(address, connect)?;
    assert_eq!(accepted.reason, ReasonCode::Success, "{client_id} is refused");
    // 3.1 does not say.
    let said = version != Version::V31;
    assert!(accepted.session_present || !*known || !said, "the session of {client_id} is lost");
    *known = true;
    Ok(client)
}
