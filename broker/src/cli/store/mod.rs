//! `weir store`: a look at a store, and care for it.

use std::path::{Path, PathBuf};

use super::{Answer, CliError, say};
use crate::{
    config::{HostPort, Overrides, load},
    store::{FILE_NAME, StoreError},
};

mod backup;
mod compact;
mod export;
mod info;
mod verify;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a copy of a store, also while its broker runs
    Backup(backup::Arguments),
    /// Give back the room that a store does not need any more
    Compact(compact::Arguments),
    /// Write what a store holds as lines of JSON
    Export(export::Arguments),
    /// Show what a store holds
    Info(info::Arguments),
    /// Check every page and every record of a store
    Verify(verify::Arguments),
}

/// Where a store is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// Configuration file that names the directory of the store
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the store; goes before the configuration
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

/// A store of a broker, or a copy of one.
#[derive(Debug, clap::Args)]
pub(crate) struct Any {
    /// A copy that `weir store backup` has made; without it the store of the broker
    #[arg(value_name = "COPY", conflicts_with_all = ["config", "data_dir"])]
    copy: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(command: &Command) -> Result<Answer, CliError> {
    match command {
        Command::Backup(arguments) => backup::run(arguments),
        Command::Compact(arguments) => compact::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Info(arguments) => info::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    }
}

impl Place {
    pub(crate) fn data_dir(&self) -> Result<PathBuf, CliError> {
        if let Some(data_dir) = &self.data_dir {
            return Ok(data_dir.clone());
        }
        let overrides = Overrides::of_process(Vec::new());
        Ok(load(self.config.as_deref(), &overrides)?.config.data_dir)
    }

    /// Where the admin server of the broker is.
    pub(crate) fn admin(&self, given: Option<&HostPort>) -> Result<HostPort, CliError> {
        if let Some(admin) = given {
            return Ok(admin.clone());
        }
        let overrides = Overrides::of_process(Vec::new());
        let loaded = load(self.config.as_deref(), &overrides)?;
        Ok(loaded.config.admin.address.unwrap_or_else(|| HostPort::new("127.0.0.1", 8080)))
    }

    /// Whether that one speaks TLS, as far as the configuration says.
    pub(crate) fn admin_speaks_tls(&self) -> Result<bool, CliError> {
        let overrides = Overrides::of_process(Vec::new());
        Ok(load(self.config.as_deref(), &overrides)?.config.admin.tls.is_some())
    }

    fn file(&self) -> Result<PathBuf, CliError> {
        Ok(self.data_dir()?.join(FILE_NAME))
    }
}

impl Any {
    fn file(&self) -> Result<PathBuf, CliError> {
        match &self.copy {
            Some(copy) => Ok(copy.clone()),
            None => self.place.file(),
        }
    }
}

/// What a store command could not do, with the way that is left.
fn failure(path: &Path, error: StoreError) -> CliError {
    let help = match &error {
        StoreError::Locked { .. } => {
            "a broker has it open: `weir store backup COPY` works meanwhile, and then the copy can \
             be looked at"
        }
        _ if !path.exists() => {
            "is this the data directory of a broker? --data-dir or --config names another"
        }
        _ => "this user must be able to read it",
    };
    let help = help.to_owned();
    match error {
        StoreError::Locked { .. } => CliError::StoreInUse { path: path.to_path_buf(), help },
        error => CliError::Store { help, source: error.into() },
    }
}

/// "1.5 MB", as limits are written.
pub(crate) fn size(bytes: u64) -> String {
    const STEP: u64 = 1024;
    match bytes {
        0..STEP => format!("{bytes} bytes"),
        STEP..1_048_576 => format!("{:.1} KB", bytes as f64 / STEP as f64),
        1_048_576..1_073_741_824 => format!("{:.1} MB", bytes as f64 / (STEP * STEP) as f64),
        _ => format!("{:.1} GB", bytes as f64 / (STEP * STEP * STEP) as f64),
    }
}
