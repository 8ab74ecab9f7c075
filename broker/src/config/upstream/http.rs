//! `http` of an upstream.

use weir_config::Values;

use super::super::declared::UPSTREAM_HTTP;
use super::Secret;

/// `http` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Path and query of the requests.
    pub path: String,
    /// What a request holds.
    pub body: HttpBody,
    /// Messages in one request.
    pub batch: u16,
    /// How a request is compressed.
    pub compression: HttpCompression,
    /// The header `Authorization`, from the key or from its file.
    pub authorization: Option<Secret>,
}

/// How a request to an upstream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpCompression {
    /// Not at all.
    None,
    /// With `Content-Encoding: gzip`.
    Gzip,
}

/// What a request to an upstream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// An object for each message.
    Json,
    /// A payload on each line.
    Lines,
    /// One payload as it came.
    Raw,
}

impl HttpConfig {
    /// Without what is in the file, which can fail.
    pub(super) fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_HTTP);
        let values = values.unwrap_or(&declared);
        Self {
            path: values.text("path"),
            body: HttpBody::from_name(values.choice("body")),
            batch: values.whole("batch"),
            compression: HttpCompression::from_name(values.choice("compression")),
            authorization: values.optional("authorization", Values::text).map(Secret::new),
        }
    }
}

impl HttpCompression {
    pub(crate) const NAMES: [&'static str; 2] = ["none", "gzip"];

    fn from_name(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "gzip" => Self::Gzip,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl HttpBody {
    pub(crate) const NAMES: [&'static str; 3] = ["json", "lines", "raw"];

    fn from_name(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "lines" => Self::Lines,
            "raw" => Self::Raw,
            _ => unreachable!("declared by the same names"),
        }
    }
}
