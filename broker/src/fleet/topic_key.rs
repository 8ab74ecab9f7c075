//! What the topic of a retained message is called in the bucket.
//!
//! Keys are what the tools of NATS take: `/` stays, and what cannot stand in a key is written as
//! =XX. A topic that is too long for a subject is named by its SHA-256. No two topics have the same
//! key, and the entry itself says the topic.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The key of a topic.
pub(super) fn of(topic: &str) -> String {
    let mut key = String::with_capacity(topic.len() + 8);
    for byte in topic.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'/' => key.push(char::from(byte)),
            // Keys of the system begin with `_kv`.
            b'_' if !key.is_empty() => key.push('_'),
            _ => push_escaped(&mut key, byte),
        }
    }
    if key.len() <= BYTES_MAX {
        return key;
    }
    let mut key = String::from("==");
    Sha256::digest(topic).iter().for_each(|byte| push_escaped(&mut key, *byte));
    key
}

fn push_escaped(key: &mut String, byte: u8) {
    write!(key, "={byte:02X}").expect("a string takes everything");
}

/// A server takes 4,096 bytes on the line that holds subject, inbox and lengths.
const BYTES_MAX: usize = 3_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_topic_stays_readable() {
        assert_eq!(of("site/hall-3/temp_1"), "site/hall-3/temp_1");
        assert_eq!(of("_kv/a.b"), "=5Fkv/a=2Eb");
        assert_eq!(of("Living Room/ä="), "Living=20Room/=C3=A4=3D");
    }

    #[test]
    fn a_key_is_one_that_tools_take() {
        let long = "a".repeat(65_535);
        for topic in ["/", ".", "a..b", "*", ">", " ", "\u{7f}", "€", &long] {
            let key = of(topic);
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-/_=".contains(c);
            assert!(!key.is_empty() && key.chars().all(is_allowed) && key.len() <= BYTES_MAX);
        }
    }

    #[test]
    fn no_two_topics_have_the_same_key() {
        let parts = ["", "/", ".", " ", "=20", "=", "_", "//", "a", "=3D"];
        let long = "=".repeat(2_000);
        let topics: BTreeSet<String> = (0..1000)
            .map(|n| [parts[n / 100], parts[n / 10 % 10], parts[n % 10]].concat())
            .chain((1..4).map(|n| format!("{long}{n}")))
            .collect();
        let keys: BTreeSet<String> = topics.iter().map(|topic| of(topic)).collect();
        assert_eq!(keys.len(), topics.len());
    }
}
