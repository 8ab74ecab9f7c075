//! What tells one content of a file from another, as far as can be told without reading it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// What changes when a file is written or replaced. A file that is not there has a stamp, too: the
/// same as any other of its kind.
///
/// ```
/// use weir_config::FileStamp;
///
/// let path = std::env::temp_dir().join(format!("weir-stamp-{}", std::process::id()));
/// let before = FileStamp::of(&path);
/// assert_eq!(before, FileStamp::default());
/// std::fs::write(&path, "a")?;
/// assert_ne!(before, FileStamp::of(&path));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FileStamp {
    /// That of the file with this name.
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map_or_else(
            |_| Self::default(),
            |metadata| Self {
                modified: metadata.modified().ok(),
                length: metadata.len(),
                inode: metadata.ino(),
            },
        )
    }
}
