//! `weir store backup`: a copy of a store, from the broker while it runs and from the file
//! otherwise.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::{Answer, CliError, Place, failure, say, size};
use crate::{
    admin::{AdminKey, BACKUP_PATH},
    cli::status,
    config::{HostPort, Overrides, load},
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
            let address = arguments.admin()?;
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

impl Arguments {
    fn admin(&self) -> Result<HostPort, CliError> {
        if let Some(admin) = &self.admin {
            return Ok(admin.clone());
        }
        let overrides = Overrides::of_process(Vec::new());
        let loaded = load(self.place.config.as_deref(), &overrides)?;
        Ok(loaded.config.admin.address.unwrap_or_else(|| HostPort::new("127.0.0.1", 8080)))
    }
}

/// Asks for the rows, and reads up to where they begin. HTTP/1.0 says that they end with the
/// connection.
fn ask(address: &HostPort, data_dir: &Path) -> Result<BufReader<TcpStream>, CliError> {
    let name = address.to_string();
    let key = AdminKey::read(data_dir).map_err(|source| CliError::AdminKey { source })?;
    let mut stream = status::connect(address)
        .map_err(|source| CliError::AdminConnect { address: name.clone(), source })?;
    let wrong = |source| CliError::AdminAnswer { address: name.clone(), source };
    let token = key.token();
    let request = format!(
        "POST {BACKUP_PATH} HTTP/1.0\r\nHost: {name}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(wrong)?;
    let mut answer = BufReader::new(stream);
    let first = line(&mut answer).map_err(wrong)?;
    while !line(&mut answer).map_err(wrong)?.is_empty() {}
    match first.split_whitespace().nth(1) {
        Some("200") => Ok(answer),
        _ => {
            let mut reason = String::new();
            answer.take(LINE_MAX_BYTES).read_to_string(&mut reason).map_err(wrong)?;
            Err(wrong(io::Error::other(format!("the answer is `{first}`: {}", reason.trim()))))
        }
    }
}

fn line(answer: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    answer.by_ref().take(LINE_MAX_BYTES).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// No line before the rows is longer.
const LINE_MAX_BYTES: u64 = 8 * 1024;
