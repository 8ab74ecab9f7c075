//! What a waiting message says of the shared subscription that it waits for.

/// Stands among the subscription identifiers of a message that waits for a member, and says of
/// which share it is. A real identifier has at most 28 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ShareMark(pub(crate) u32);

impl ShareMark {
    const FLAG: u32 = 0x8000_0000;
    const NUMBER: u32 = 0x3fff_ffff;

    /// The mark of a share, the same in every process: it is stored. Two shares of one session
    /// may have the same mark; then a message of one may go to a member of the other.
    pub(crate) fn of(filter: &str) -> Self {
        Self(Self::FLAG | hash(filter) as u32 & Self::NUMBER)
    }

    /// The mark among identifiers.
    pub(crate) fn from_identifier(identifier: u32) -> Option<Self> {
        (identifier & !Self::NUMBER == Self::FLAG).then_some(Self(identifier))
    }
}

/// FNV-1a: what is stored must not depend on how a library hashes.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_identifier_and_not_the_sign_for_several() {
        let mark = ShareMark::of("$share/g/t");
        assert_eq!(ShareMark::from_identifier(mark.0), Some(mark));
        for other in [0, 1, 0x0fff_ffff, u32::MAX] {
            assert_eq!(ShareMark::from_identifier(other), None);
        }
    }
}
