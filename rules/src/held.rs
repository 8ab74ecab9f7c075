//! Messages that are ready and wait, and their form as bytes.

/// A message of one destination that waits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeldMessage {
    pub(crate) id: u128,
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
}

/// Messages one after the other: identifier, then length and bytes of topic and payload.
pub(crate) fn encode(messages: &[HeldMessage]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        out.extend_from_slice(&message.id.to_le_bytes());
        for part in [message.topic.as_bytes(), &message.payload] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// The messages again; `None` if the bytes are not what [`encode`] gave.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<HeldMessage>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (topic, rest) = take_part(rest)?;
        let (payload, rest) = take_part(rest)?;
        bytes = rest;
        messages.push(HeldMessage {
            id: u128::from_le_bytes(*id),
            topic: std::str::from_utf8(topic).ok()?.into(),
            payload: payload.into(),
        });
    }
    Some(messages)
}

fn take_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_back_as_they_were(
            parts in proptest::collection::vec(
                (any::<u128>(), "\\PC{0,9}", proptest::collection::vec(any::<u8>(), 0..9)),
                0..5,
            ),
            cut in 1usize..20,
        ) {
            let message = |(id, topic, payload): (u128, String, Vec<u8>)| {
                HeldMessage { id, topic: topic.into(), payload: payload.into() }
            };
            let messages: Vec<HeldMessage> = parts.into_iter().map(message).collect();
            let bytes = encode(&messages);
            // Cut anywhere, it is other messages or none, but never a panic.
            let short = bytes.get(..bytes.len().saturating_sub(cut)).unwrap_or_default();
            prop_assert!(decode(short).is_none_or(|found| found.len() < messages.len() + 1));
            prop_assert_eq!(decode(&bytes), Some(messages));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }
}
