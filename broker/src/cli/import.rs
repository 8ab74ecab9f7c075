//! `weir import`: moves in from mosquitto.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::count;
use super::{Answer, CliError, say, say_json};
use crate::import::{Imported, Note, Statement, Weight, convert, parse};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Listeners, limits, persistence, TLS, password and ACL files and bridges are converted; the files \
themselves are used as they are. What is not converted is listed on stderr with its line.
Exit code: 0 = everything was converted, 1 = something is lost, the file is written all the same, \
2 = it could not be done.")]
pub(crate) struct Arguments {
    /// Configuration of mosquitto; the files that its `include_dir` names are read too
    #[arg(value_name = "MOSQUITTO.CONF")]
    file: PathBuf,
    /// File to write, which must not exist; without it the answer goes to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what was not converted as JSON
    #[arg(long, requires = "output")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let Imported { toml, notes } = convert(&read(&arguments.file)?);
    match &arguments.output {
        None => say(&toml)?,
        Some(path) => write_new(path, &toml)
            .map_err(|source| CliError::Write { path: path.clone(), source })?,
    }
    let lost = |note: &&Note| note.weight == Weight::Lost;
    let (lost, all) = (notes.iter().filter(lost).count(), notes.len());
    let answer = if lost == 0 { Answer::Yes } else { Answer::No };
    if arguments.json {
        let output = arguments.output.as_deref().map(Path::display).map(|path| path.to_string());
        let notes: Value = notes.iter().map(Note::to_json).collect();
        return say_json(&json!({ "ok": lost == 0, "output": output, "notes": notes }))
            .map(|()| answer);
    }
    notes.iter().for_each(|note| eprint!("{note}"));
    let name = arguments.output.as_ref().map_or("stdout".into(), |path| path.to_string_lossy());
    eprintln!(
        "{name}: written, {} not converted, {} not needed",
        count(lost, "option"),
        count(all - lost, "option"),
    );
    Ok(answer)
}

/// The statements of a file, with those of the files that it includes in their place.
fn read(path: &Path) -> Result<Vec<Statement>, CliError> {
    let mut statements = Vec::new();
    for statement in read_one(path)? {
        if statement.name != "include_dir" {
            statements.push(statement);
            continue;
        }
        let folder = PathBuf::from(&statement.value);
        for file in
            configurations(&folder).map_err(|source| CliError::File { path: folder, source })?
        {
            statements.extend(read_one(&file)?);
        }
    }
    Ok(statements)
}

fn read_one(path: &Path) -> Result<Vec<Statement>, CliError> {
    let text = fs::read(path).map_err(|source| CliError::File { path: path.to_owned(), source })?;
    Ok(parse(path, &String::from_utf8_lossy(&text)))
}

/// The files that end in `.conf`, in the order of their names.
fn configurations(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = files?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

/// Passwords of bridges may be in it: it is for its owner only.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
