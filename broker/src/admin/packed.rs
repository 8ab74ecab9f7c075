//! Texts that are in the program packed, and sent so to whoever can unpack them.

use std::io::Read as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

use crate::checksum::Checksum;

/// A text, as the build has packed it.
#[derive(Clone, Copy)]
pub(super) struct Packed(pub(super) &'static [u8]);

impl Packed {
    /// An answer with the text, and what is to be said about it besides.
    pub(super) fn answer(self, mut headers: HeaderMap, asked: &HeaderMap) -> Response {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if !says(asked, header::ACCEPT_ENCODING, "gzip") {
            return (headers, self.text()).into_response();
        }
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        (headers, self.0).into_response()
    }

    /// Changes with the text.
    pub(super) fn etag(self) -> HeaderValue {
        let mut checksum = Checksum::default();
        checksum.add(self.0);
        let etag = HeaderValue::try_from(format!("\"{:016x}\"", checksum.value()));
        etag.expect("digits are visible")
    }

    pub(super) fn text(self) -> String {
        let mut text = String::new();
        let unpacked = GzDecoder::new(self.0).read_to_string(&mut text);
        unpacked.expect("the build has packed a text");
        text
    }
}

/// Whether a header is a list that has this in it.
pub(super) fn says(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut parts = values.flat_map(|value| value.split(','));
    parts.any(|part| part.trim() == wanted)
}

/// What the build has packed under this name.
macro_rules! packed {
    ($name:literal) => {
        crate::admin::packed::Packed(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")))
    };
}
pub(super) use packed;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Packed = packed!("openapi.json");

    #[test]
    fn only_those_who_can_unpack_it_get_it_packed() {
        let encoding = |asked: &HeaderMap| {
            let answer = TEXT.answer(HeaderMap::new(), asked);
            answer.headers().get(header::CONTENT_ENCODING).cloned()
        };
        let mut asked = HeaderMap::new();
        assert_eq!(encoding(&asked), None);
        asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"));
        assert_eq!(encoding(&asked), Some(HeaderValue::from_static("gzip")));
    }

    #[test]
    fn it_is_packed_without_loss() {
        assert_eq!(TEXT.text(), include_str!("openapi.json"));
    }
}
