//! State as bytes: deltas, snapshots and the way back.

/// Stored state that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The checksum does not match: the blob was damaged.
    #[error("checksum of the {kind} blob does not match: it was damaged")]
    Checksum {
        /// `snapshot` or `delta`.
        kind: &'static str,
    },
    /// The blob ends in the middle of a record, or a record contradicts itself.
    #[error("{kind} blob is malformed at byte {at}: {reason}")]
    Malformed {
        /// `snapshot` or `delta`.
        kind: &'static str,
        /// Position in the blob.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
    /// The blob was written by another version of the format.
    #[error("{kind} blob has format version {found}, this program reads version {known}")]
    Version {
        /// `snapshot` or `delta`.
        kind: &'static str,
        /// Version in the blob.
        found: u8,
        /// Version of this program.
        known: u8,
    },
}
