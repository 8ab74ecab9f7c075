//! What shows that somebody may read the data directory: a key that is kept there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use subtle::ConstantTimeEq as _;

use crate::auth::SaltKey;

/// The file, beside the store.
const FILE_NAME: &str = "admin.key";
const KEY_BYTES: usize = 32;

/// A key for the admin server: who knows it could read the store as well.
#[derive(Debug)]
pub(crate) struct AdminKey(SaltKey);

impl AdminKey {
    /// The key of a data directory; it is made when it is not there.
    pub(crate) fn keep(data_dir: &Path) -> io::Result<Self> {
        SaltKey::keep(&data_dir.join(FILE_NAME)).map(Self)
    }

    /// The key that a broker has made.
    pub(crate) fn read(data_dir: &Path) -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        File::open(data_dir.join(FILE_NAME))?.read_exact(&mut key)?;
        Ok(Self(SaltKey::from(key)))
    }

    /// Knows those who have the key.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.token())
    }

    /// What is sent to show that one has it.
    pub(crate) fn token(&self) -> String {
        self.0.bytes("admin", "").iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Knows those who have the key.
pub(crate) struct Guard(String);

impl Guard {
    /// Whether a token shows that somebody has it.
    pub(crate) fn is_shown_by(&self, token: &[u8]) -> bool {
        token.ct_eq(self.0.as_bytes()).into()
    }
}
