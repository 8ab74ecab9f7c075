//! `nats` of an upstream.

use std::path::PathBuf;

use weir_config::Values;

use super::super::declared::UPSTREAM_NATS;
use super::Secret;

/// `nats` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The stream that is to take the messages; `None` = whichever takes their subjects.
    pub stream: Option<String>,
    /// Token, from the key or from its file.
    pub token: Option<Secret>,
    /// File with the JWT of a user and the seed of its NKey.
    pub creds_file: Option<PathBuf>,
    /// File with the seed of an NKey.
    pub nkey_file: Option<PathBuf>,
    /// Where the subjects begin on which acknowledgements come.
    pub inbox_prefix: String,
}

impl NatsConfig {
    /// Without what is in the file of the token, which can fail.
    pub(super) fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_NATS);
        let values = values.unwrap_or(&declared);
        Self {
            stream: values.optional("stream", Values::text),
            token: values.optional("token", Values::text).map(Secret::new),
            creds_file: values.optional("creds_file", Values::path),
            nkey_file: values.optional("nkey_file", Values::path),
            inbox_prefix: values.text("inbox_prefix"),
        }
    }
}
