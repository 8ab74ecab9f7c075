//! What stands for a password or a key when it is to be revoked: a number that another one does
//! not have, and from which nothing can be learned about it.

use sha2::{Digest, Sha256};
use weir_core::Credential;

/// The number of something that has these parts.
pub(crate) fn credential_of(parts: &[&str]) -> Credential {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    let (first, _) = digest.split_first_chunk().expect("it has 32 bytes");
    Credential(u64::from_le_bytes(*first))
}
