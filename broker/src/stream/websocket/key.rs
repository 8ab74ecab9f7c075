//! The proof of a server that it speaks WebSocket (RFC 6455, section 4.2.2).

use base64ct::{Base64, Encoding};
use ring::digest;

/// What is appended to the key of a client before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;

/// The value of `Sec-WebSocket-Accept`; none when the key is not 16 bytes in base64.
pub(crate) fn accept(key: &str) -> Option<String> {
    let mut buffer = [0; KEY_BYTES];
    Base64::decode(key, &mut buffer).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    // The standard asks for this hash; nothing secret depends on it.
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    Some(Base64::encode_string(context.finish().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_answered_as_it_says() {
        let answer = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for wrong in [
            "",
            "==",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25j!!==",
        ] {
            assert_eq!(accept(wrong), None, "{wrong}");
        }
    }
}
