//! A directory of its own for each test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process, thread};

/// A directory that is removed at the end, or kept and named when the test has failed.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a directory for the test of that name.
    ///
    /// # Panics
    /// There is no room for it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("weir-{name}-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("the directory for temporary files can be written");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with the directories in between, and answers where.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        let parent = path.parent().expect("it is below a directory");
        fs::create_dir_all(parent).expect("directories can be made here");
        fs::write(&path, content).expect("files can be written here");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            // Nobody needs it any more; at worst it is removed with the other temporary files.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
