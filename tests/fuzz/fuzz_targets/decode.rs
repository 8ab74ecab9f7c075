//! Any bytes, read as a packet of any version.
//!
//! The first byte chooses the version, the rest is a stream. What decodes must encode, and decode
//! again to the same packet; everything that can be walked over is walked over.
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz decode
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_mqtt::{Connect, Packet, PublishProperties, TopicFilter, TopicName, Version, frame_len};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, stream)) = data.split_first() else { return };
    let version = match choice % 3 {
        0 => Version::V31,
        1 => Version::V311,
        _ => Version::V5,
    };
    let _ = Connect::peek_version(stream);
    let _ = PublishProperties::decode_end_to_end(stream);
    if let Ok(text) = std::str::from_utf8(stream) {
        check_topics(text);
    }
    let frame = match frame_len(stream) {
        Ok(Some(len)) if len <= stream.len() => &stream[..len],
        Ok(_) => {
            assert!(Packet::decode(stream, version).is_err(), "it was not whole");
            return;
        }
        Err(_) => {
            assert!(Packet::decode(stream, version).is_err(), "the header was refused");
            return;
        }
    };
    if let Ok(packet) = Packet::decode(frame, version) {
        check_encoding(&packet, version);
    }
});

/// What was decoded encodes, and the same packet comes out of that.
fn check_encoding(packet: &Packet<'_>, version: Version) {
    let mut encoded = Vec::new();
    packet.encode(version, &mut encoded).expect("what was decoded can be encoded");
    assert_eq!(frame_len(&encoded), Ok(Some(encoded.len())));
    assert_eq!(Packet::decode(&encoded, version).as_ref(), Ok(packet));
    // Walks over all lists.
    assert!(!format!("{packet:?}").is_empty());
}

fn check_topics(text: &str) {
    if let (Ok(filter), Ok(name)) = (TopicFilter::parse(text), TopicName::parse(text)) {
        assert!(filter.share_name().is_some() || filter.matches(name.as_str()));
    }
    if let Some((filter, topic)) = text.split_once(' ')
        && let Ok(filter) = TopicFilter::parse(filter)
    {
        let _ = filter.matches(topic);
    }
}
