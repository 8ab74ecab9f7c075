//! The key from which salts of users are made that do not exist, so that the answer to a name
//! does not tell whether there is one. It is kept, because salts that change with a restart would
//! tell as well.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::scram::{KEY_BYTES, hmac};

/// The key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct SaltKey([u8; KEY_BYTES]);

impl SaltKey {
    /// The key that a file keeps; it is made when it is not there.
    pub(crate) fn keep(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            file => {
                let mut text = Vec::new();
                file?.take(KEY_BYTES as u64 + 1).read_to_end(&mut text)?;
                match text.try_into() {
                    Ok(key) => Ok(Self(key)),
                    // The power went while it was made.
                    Err(_) => {
                        std::fs::remove_file(path)?;
                        Self::make(path)
                    }
                }
            }
        }
    }

    /// A key for as long as the process.
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self(key))
    }

    /// The same 32 bytes for the same name and purpose, which nobody can guess.
    pub(crate) fn bytes(&self, purpose: &str, name: &str) -> [u8; KEY_BYTES] {
        hmac(&self.0, format!("{purpose}\0{name}").as_bytes())
    }

    fn make(path: &Path) -> io::Result<Self> {
        let key = Self::new()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&key.0)?;
        file.sync_all()?;
        Ok(key)
    }
}

impl From<[u8; KEY_BYTES]> for SaltKey {
    fn from(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("weir-salt-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("salt.key");
        let made = SaltKey::keep(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SaltKey::keep(&path).unwrap(), made);
        std::fs::write(&path, "cut off").unwrap();
        let again = SaltKey::keep(&path).unwrap();
        assert!(again != made && SaltKey::keep(&path).unwrap() == again);
        assert_eq!(made.bytes("a", "x"), made.bytes("a", "x"));
        assert_ne!(made.bytes("a", "x"), made.bytes("b", "x"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
