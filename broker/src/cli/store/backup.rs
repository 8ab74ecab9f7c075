//! `weir store backup`: a copy of a store, from the broker while it runs and from the file
//! otherwise.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{Answer, CliError, failure, say, size};
use crate::{
    admin::BACKUP_PATH,
    cli::{running::Running, say_json},
    store::{BackupError, FILE_NAME, StoreError, copy, receive},
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "While the broker runs, the copy comes from its admin server: [admin] of its \
                  configuration needs an address, and this user must be able to read the data \
                  directory. The copy is of one moment, and is checked before it gets its name. \
                  To go back to it, stop the broker and put it in the place of weir.redb
                  (docs/store.md)."
)]
pub(crate) struct Arguments {
    /// File for the copy; it must not be there
    #[arg(value_name = "COPY")]
    copy: PathBuf,
    #[command(flatten)]
    broker: Running,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let server = arguments.broker.server()?;
    let path = server.data_dir.join(FILE_NAME);
    let target = &arguments.copy;
    let wrong = |error| match error {
        BackupError::Store(error) => failure(&path, error),
        error => CliError::Backup(error),
    };
    let from = match copy(&path, target) {
        Ok(()) => path.display().to_string(),
        Err(BackupError::Store(StoreError::Locked { path: locked })) if locked == path => {
            let mut rows = server.post(BACKUP_PATH, "")?.ok()?.body;
            receive(&mut rows, target).map_err(wrong)?;
            format!("the broker at {}", server.address)
        }
        Err(error) => return Err(wrong(error)),
    };
    let bytes = fs::metadata(target).map_or(0, |found| found.len());
    if arguments.json {
        let answer = json!({ "copy": target, "from": from, "bytes": bytes });
        return say_json(&answer).map(|()| Answer::Yes);
    }
    say(&format!("{}: a copy of {from}, {}\n", target.display(), size(bytes)))?;
    Ok(Answer::Yes)
}
