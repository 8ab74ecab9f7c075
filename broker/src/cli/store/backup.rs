//! `weir store backup`: a copy of a store, from the broker while it runs and from the file
//! otherwise.

use std::fs;
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::{Answer, CliError, Place, failure, say, size};
use crate::{
    admin::BACKUP_PATH,
    cli::admin,
    config::HostPort,
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
    place: Place,
    /// Address of the admin server of the running broker; without it that of the configuration,
    /// or 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let data_dir = arguments.place.data_dir()?;
    let path = data_dir.join(FILE_NAME);
    let target = &arguments.copy;
    let wrong = |error| match error {
        BackupError::Store(error) => failure(&path, error),
        error => CliError::Backup(error),
    };
    let from = match copy(&path, target) {
        Ok(()) => path.display().to_string(),
        Err(BackupError::Store(StoreError::Locked { path: locked })) if locked == path => {
            let address = arguments.place.admin(arguments.admin.as_ref())?;
            let mut rows = ask(&address, &data_dir)?;
            receive(&mut rows, target).map_err(wrong)?;
            format!("the broker at {address}")
        }
        Err(error) => return Err(wrong(error)),
    };
    let bytes = fs::metadata(target).map_or(0, |found| found.len());
    say(&format!("{}: a copy of {from}, {}\n", target.display(), size(bytes)))?;
    Ok(Answer::Yes)
}

/// Asks for the rows, and reads up to where they begin.
fn ask(address: &HostPort, data_dir: &Path) -> Result<BufReader<TcpStream>, CliError> {
    let response = admin::post(address, data_dir, BACKUP_PATH, "")?;
    if response.code() == Some(200) {
        return Ok(response.body);
    }
    let wrong = |source| CliError::AdminAnswer { address: address.to_string(), source };
    let first = response.first.clone();
    let reason = response.text().map_err(wrong)?;
    Err(wrong(io::Error::other(format!("the answer is `{first}`: {reason}"))))
}
