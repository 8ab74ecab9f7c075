//! Any bytes, as what was written into a file of a history and what became of it.
//!
//! The first byte of each step says what it is, the second how much: a message with so many bytes,
//! so many bytes of something else, or another byte at a place. What is read was written, in its
//! order; what nothing was done to is read, from wherever one begins.
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz history
//! ```
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_core::MessageParts;
use weir_mqtt::QoS;

use self::history::record;
use self::history::segment::{self, HEADER_BYTES, Logged, Records, SegmentHeader};

// Files of the broker, which has no interface for them.
#[path = "../../../broker/src/checksum.rs"]
mod checksum;

#[path = "../../../broker/src/history"]
#[allow(dead_code, reason = "the broker has more for them to do")]
mod history {
    pub mod record;
    pub mod segment;
}

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("weir-fuzz-history-{}", std::process::id()));
    fs::create_dir_all(&path).expect("it can be made");
    path
});

/// A message that was written.
struct Written {
    begin: usize,
    payload: Vec<u8>,
    is_whole: bool,
}

fuzz_target!(|data: &[u8]| {
    let header = SegmentHeader {
        first: 1,
        messages_before: 0,
        first_received_ms: 0,
        received_before_ms: 0,
        logged_before: Logged::default(),
        salt: salt(data),
    };
    let (mut file, mut written) = (header.encode(), Vec::<Written>::new());
    let (mut rest, mut has_other) = (data, false);
    while let Some((&[step, length], more)) = rest.split_first_chunk() {
        let (bytes, more) = more.split_at(more.len().min(usize::from(length)));
        rest = more;
        match step % 4 {
            0 | 1 => {
                let (begin, payload) = (file.len(), bytes.to_vec());
                let number = written.len() as u64 + 1;
                record::append(&mut file, header.salt, number, None, &message(&payload));
                written.push(Written { begin, payload, is_whole: true });
            }
            2 => {
                // With luck it is a record.
                has_other |= !bytes.is_empty();
                file.extend_from_slice(bytes);
            }
            _ => damage(&mut file, &mut written, bytes),
        }
    }
    fs::write(segment::path(&DIRECTORY, 1), &file).expect("it can be written");
    let found = read(0);
    if has_other {
        return;
    }
    let whole: Vec<&Written> = written.iter().filter(|written| written.is_whole).collect();
    assert_eq!(found, whole.iter().map(|written| written.payload.as_slice()).collect::<Vec<_>>());
    for (place, from) in whole.iter().enumerate() {
        assert_eq!(read(from.begin as u64), found[place..]);
    }
});

/// Nobody who writes messages knows the salt; as if it came from elsewhere.
fn salt(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Another byte at a place of a record.
fn damage(file: &mut [u8], written: &mut [Written], bytes: &[u8]) {
    let Some((place, [byte, ..])) = bytes.split_first_chunk::<2>() else { return };
    let records = HEADER_BYTES as usize..file.len();
    if records.is_empty() || *byte == 0 {
        return;
    }
    let at = records.start + usize::from(u16::from_le_bytes(*place)) % records.len();
    let of = written.iter_mut().rfind(|written| written.begin <= at);
    // A byte that was damaged before might become what it was.
    if let Some(of) = of.filter(|of| of.is_whole) {
        file[at] ^= byte;
        of.is_whole = false;
    }
}

fn read(offset: u64) -> Vec<Vec<u8>> {
    let records = Records::open(&DIRECTORY, 1, offset).expect("it can be read");
    let mut records = records.expect("the header is whole");
    let (mut found, mut last) = (Vec::new(), 0);
    while let Some(stored) = records.next().expect("it can be read") {
        found.push(stored.parts.payload.to_vec());
        let offset = records.offset();
        assert!(offset > last, "it goes on");
        last = offset;
    }
    assert!(records.next().expect("it can be read").is_none(), "it stays at the end");
    found
}

fn message(payload: &[u8]) -> MessageParts<'_> {
    MessageParts {
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 1000,
        publisher: "",
        topic: "a",
        properties: &[],
        payload,
    }
}
