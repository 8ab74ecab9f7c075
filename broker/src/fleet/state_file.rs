//! What a box knows of its fleet over a restart: `fleet.json` in the data directory.
//!
//! Without it a box that starts while the server is away would not know what the others want, and
//! keep nothing for them. It is written whole and put in the place of the one before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::boxes::Wants;

/// Where it is, and what it says.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

/// What is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct State {
    /// The process that has written it.
    pub(super) incarnation: String,
    /// When the stream was made that the position in the store belongs to.
    pub(super) stream_created: String,
    /// When the bucket was made that the next time is about.
    pub(super) bucket_created: String,
    /// Whatever was retained here before this time was in the bucket, milliseconds since the Unix
    /// epoch.
    pub(super) in_step_until_ms: u64,
    /// The other boxes: what they want, and when they were heard of last, nanoseconds since the
    /// Unix epoch by the clock of the server.
    pub(super) boxes: BTreeMap<String, (Wants, u64)>,
}

impl StateFile {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME) }
    }

    /// What was kept; nothing if it cannot be read, which is told.
    pub(super) fn read(&self) -> State {
        let read = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return State::default(),
            Err(error) => Err(error),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        };
        read.unwrap_or_else(|error| {
            tracing::warn!(
                path = %self.path.display(),
                %error,
                help = "nothing is to be done: the other boxes are known again once the server is \
                        reached",
                "what was known of the fleet cannot be read"
            );
            State::default()
        })
    }

    /// # Errors
    /// When it cannot be written; then the one before is still there.
    pub(super) fn write(&self, state: &State) -> io::Result<()> {
        let bytes = serde_json::to_vec(state)?;
        let next = self.path.with_extension("json.next");
        let mut file = File::create(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }
}

const NAME: &str = "fleet.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::mosquitto::Directory;

    #[test]
    fn what_is_written_is_read_again_and_nonsense_is_nothing() {
        let directory = Directory::new("fleet-state");
        let file = StateFile::new(&directory.0);
        assert_eq!(file.read(), State::default());
        let wants = Wants { filters: vec!["t/#".into()], is_cut: true };
        let state = State {
            incarnation: "7".into(),
            stream_created: "then".into(),
            bucket_created: "then".into(),
            in_step_until_ms: 5,
            boxes: [("b".to_owned(), (wants, 9))].into(),
        };
        file.write(&state).expect("the directory is ours");
        assert_eq!(file.read(), state);
        fs::write(directory.0.join(NAME), "{").expect("the directory is ours");
        assert_eq!(file.read(), State::default());
    }
}
