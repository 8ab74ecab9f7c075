//! Who a client is by the certificate that it has shown. That the certificate is to be believed
//! was checked in the handshake.

use std::net::IpAddr;

use weir_core::{AuthenticationRequest, Identity, Outcome};
use weir_mqtt::ReasonCode;

use super::audit;

/// Lets in the user whose name the certificate has, whatever name and password CONNECT has; as in
/// mosquitto, a client without such a name is refused like one with a wrong password.
pub(crate) fn by_certificate(
    request: &AuthenticationRequest,
    name: Option<&str>,
    address: Option<IpAddr>,
) -> Outcome {
    let Some(name) = name else {
        audit::refused(request, address, "no certificate with a user name");
        return Outcome::Refused(ReasonCode::BadUserNameOrPassword);
    };
    let identity = Identity { username: Some(name.into()), ..Identity::default() };
    audit::granted(request, &identity, address);
    Outcome::granted(identity)
}
