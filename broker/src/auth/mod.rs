//! Who may connect, and what they may do: the files that say so, and the task that checks
//! credentials.
//!
//! Everything that decides about topics is in the core; here files become values that cannot be
//! wrong any more, and a name and a password become an identity. Nothing here knows the sockets of
//! clients or the configuration file. No password reaches a log, an error or the text of a
//! problem.

// A module uses modules listed below it, never above.
mod authenticator;
mod certificate;

mod rights;
mod service;
mod token;

mod audit;
mod bans;
pub(crate) mod password_file;

mod acl_file;
pub(crate) mod api_tokens;
mod credential;
mod hash;
mod http;
mod salt_key;
mod throttle;
mod token_key;

mod forgetful;
mod scram;

mod line;

#[cfg(test)]
mod token_vectors;
#[cfg(test)]
mod vectors;

pub(crate) use api_tokens::{ApiTokens, LiveApiTokens, Role};
pub(crate) use audit::{
    admitted, banned, certificate_revoked, denied, handshake_refused, request_refused,
    request_served,
};
pub(crate) use authenticator::{Authenticator, AuthenticatorHandle, Question, Settings};
pub(crate) use bans::Bans;
pub(crate) use certificate::by_certificate;
pub(crate) use hash::{ITERATIONS_MAX, PasswordHash, SCRAM_ITERATIONS_MIN};
pub(crate) use http::ServiceAddress;
pub(crate) use rights::{Rights, Sources, who_sees_everything};
pub(crate) use salt_key::SaltKey;
pub(crate) use scram::password_problem as scram_password_problem;
// The other half, for the tests of a client.
#[cfg(all(test, feature = "kafka"))]
pub(crate) use scram::{ClientFirst, Keys, derive_keys};
pub(crate) use service::{ServiceFigures, ServiceSources};
pub(crate) use throttle::Throttle;
pub(crate) use token::{Claims, KeySource, TokenSources};
