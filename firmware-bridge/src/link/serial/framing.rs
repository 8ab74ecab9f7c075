//! How datagrams are told apart on a stream of bytes.

use weir_node::frame::{self, Deframer, FrameError};

/// How datagrams are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// COBS and a checksum: finds its place again after any fault. See
    /// [`frame`](weir_node::frame).
    #[default]
    Cobs,
    /// Nothing: packets follow one another, and the length at the beginning of each says where the
    /// next one begins. For peers that know no other; a lost byte is not noticed, and the place is
    /// only found again after a pause.
    Raw,
}

impl Framing {
    /// Appends what goes over the line.
    pub(super) fn encode(self, datagram: &[u8], bytes: &mut Vec<u8>) {
        match self {
            Self::Cobs => frame::encode(datagram, |byte| bytes.push(byte)),
            Self::Raw => bytes.extend(datagram),
        }
    }
}

/// What became of the bytes of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FramerCounts {
    /// Frames without fault.
    pub(super) frames: u64,
    /// Frames whose checksum does not match.
    pub(super) crc: u64,
    /// Frames that are broken otherwise.
    pub(super) broken: u64,
}

/// Finds datagrams in what comes over a line.
pub(super) enum Framer {
    Cobs(Box<Deframer<FRAME_MAX>>),
    Raw(Vec<u8>),
}

impl Framer {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Cobs => Self::Cobs(Box::default()),
            Framing::Raw => Self::Raw(Vec::new()),
        }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        counts: &mut FramerCounts,
        mut found: impl FnMut(&[u8]),
    ) {
        match self {
            Self::Cobs(deframer) => {
                for byte in bytes {
                    match deframer.push(*byte) {
                        None => {}
                        Some(Ok(datagram)) => {
                            counts.frames += 1;
                            found(datagram);
                        }
                        Some(Err(FrameError::Crc)) => counts.crc += 1,
                        Some(Err(_)) => counts.broken += 1,
                    }
                }
            }
            Self::Raw(rest) => {
                rest.extend(bytes);
                push_raw(rest, counts, found);
            }
        }
    }
}

/// Takes whole packets from the beginning. An encapsulation is followed by the packet in it, and
/// both are one datagram.
fn push_raw(rest: &mut Vec<u8>, counts: &mut FramerCounts, mut found: impl FnMut(&[u8])) {
    let mut start = 0;
    loop {
        match raw_length(&rest[start..]) {
            RawLength::Is(length) => {
                counts.frames += 1;
                found(&rest[start..start + length]);
                start += length;
            }
            RawLength::NotYet => break,
            RawLength::Wrong => {
                // Nothing says where the next packet begins, except that it may be the next byte.
                counts.broken += 1;
                start += 1;
            }
        }
    }
    rest.drain(..start);
}

enum RawLength {
    Is(usize),
    NotYet,
    Wrong,
}

fn raw_length(bytes: &[u8]) -> RawLength {
    let Some(outer) = stated_length(bytes) else { return RawLength::NotYet };
    if !(2..=FRAME_MAX).contains(&outer) {
        return RawLength::Wrong;
    }
    if bytes.len() < outer {
        return RawLength::NotYet;
    }
    if bytes[1] != ENCAPSULATED || bytes[0] == LONG_FORM {
        return RawLength::Is(outer);
    }
    match stated_length(&bytes[outer..]) {
        None => RawLength::NotYet,
        Some(inner) if !(2..=FRAME_MAX).contains(&inner) => RawLength::Wrong,
        Some(inner) if bytes.len() < outer + inner => RawLength::NotYet,
        Some(inner) => RawLength::Is(outer + inner),
    }
}

/// What the length field of a packet says (5.2.1).
fn stated_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [LONG_FORM, high, low, ..] => Some(u16::from_be_bytes([*high, *low]).into()),
        [LONG_FORM, ..] | [] => None,
        [short, ..] => Some((*short).into()),
    }
}

const LONG_FORM: u8 = 0x01;
const ENCAPSULATED: u8 = 0xfe;
/// The longest datagram of a line and its checksum.
const FRAME_MAX: usize = 2_050;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(framing: Framing, chunks: &[&[u8]]) -> (Vec<Vec<u8>>, FramerCounts) {
        let mut framer = Framer::new(framing);
        let (mut datagrams, mut counts) = (Vec::new(), FramerCounts::default());
        for chunk in chunks {
            framer.push(chunk, &mut counts, |datagram| datagrams.push(datagram.to_vec()));
        }
        (datagrams, counts)
    }

    /// 35. However the line splits and merges it.
    #[test]
    fn raw_packets_are_told_apart_by_their_lengths() {
        let long = [&[1, 0x01, 0x04, 0x0c][..], &[7; 256]].concat();
        let encapsulated = b"\x04\xfe\x00\x09\x02\x16";
        let packets: [&[u8]; 4] = [b"\x02\x16", &long, encapsulated, b"\x04\x18\x00\x3c"];
        let stream = packets.concat();
        for size in 1..stream.len() {
            let chunks: Vec<_> = stream.chunks(size).collect();
            let (datagrams, counts) = found(Framing::Raw, &chunks);
            assert_eq!(datagrams, packets, "chunks of {size}");
            assert_eq!(counts.broken, 0);
        }
    }

    /// 35.
    #[test]
    fn raw_line_goes_on_after_a_length_that_cannot_be() {
        let (datagrams, counts) = found(Framing::Raw, &[b"\x00\x00\x02\x16"]);
        assert_eq!((datagrams, counts.broken), (vec![b"\x02\x16".to_vec()], 2));
        let (_, counts) = found(Framing::Raw, &[b"\x01\xff\xff\x00", &[0; 100]]);
        assert!(counts.broken > 0);
    }

    /// 33.
    #[test]
    fn any_flipped_bit_costs_at_most_one_frame() {
        let datagrams: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![4, 0x18, 0, n]).collect();
        let mut stream = Vec::new();
        datagrams.iter().for_each(|datagram| Framing::Cobs.encode(datagram, &mut stream));
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (received, _) = found(Framing::Cobs, &[&damaged]);
            assert!(received.len() >= 4, "bit {bit}");
            assert!(received.iter().all(|datagram| datagrams.contains(datagram)), "bit {bit}");
        }
    }
}
