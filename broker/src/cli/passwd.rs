//! `weir passwd`: the users of a password file and their passwords, in the place of
//! `mosquitto_passwd`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, IsTerminal, Write},
    ops::RangeInclusive,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Answer, CliError, say, say_json};
use crate::auth::{
    ITERATIONS_MAX, PasswordHash, SCRAM_ITERATIONS_MIN, password_file, scram_password_problem,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is made when it does not exist; lines of other users stay as they are. A broker that \
runs reads it again on SIGHUP.
Exit code: 0 = done, 1 = there is no such user to delete, 2 = it could not be done.")]
pub(crate) struct Arguments {
    /// Password file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// User whose password is set
    #[arg(value_name = "USER", required_unless_present = "list")]
    user: Option<String>,
    /// List the users
    #[arg(long, conflicts_with_all = ["user", "delete", "scram", "password_stdin"])]
    list: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Delete the user
    #[arg(short = 'D', long)]
    delete: bool,
    /// Keep keys for SCRAM-SHA-256: the client can show that it knows the password without
    /// sending it; as a plain password it holds too
    #[arg(long, conflicts_with = "delete")]
    scram: bool,
    /// How often SCRAM hashes: more makes a stolen file less useful, and each connect slower
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "scram",
        default_value_t = SCRAM_ITERATIONS_MIN,
        value_parser = clap::value_parser!(u32).range(ITERATIONS)
    )]
    iterations: u32,
    /// Take the password from the first line of the standard input
    #[arg(long, conflicts_with = "delete")]
    password_stdin: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let Arguments { file, user, .. } = arguments;
    let Some(user) = user else { return list(arguments) };
    if let Some(reason) = password_file::name_problem(user) {
        let help = "choose another name".to_owned();
        return Err(CliError::Argument { argument: "USER", reason: reason.to_owned(), help });
    }
    let before = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !arguments.delete => String::new(),
        read => read.map_err(|source| CliError::File { path: file.clone(), source })?,
    };
    let hash = match arguments.delete {
        true => None,
        false => Some(hash(arguments, &password(arguments)?)?),
    };
    let (after, existed) = password_file::edit(&before, user, hash.as_ref());
    if arguments.delete && !existed {
        told(
            arguments,
            user,
            "missing",
            &format!("there is no user `{user}` in {}", file.display()),
        )?;
        return Ok(Answer::No);
    }
    replace(file, &after).map_err(|source| CliError::Write { path: file.clone(), source })?;
    let (word, done) = match (arguments.delete, existed) {
        (true, _) => ("deleted", "deleted"),
        (false, true) => ("changed", "has a new password"),
        (false, false) => ("added", "was added"),
    };
    told(arguments, user, word, &format!("user `{user}` {done} in {}", file.display()))?;
    Ok(Answer::Yes)
}

/// Says what was done.
fn told(arguments: &Arguments, user: &str, word: &str, text: &str) -> Result<(), CliError> {
    match arguments.json {
        true => say_json(&json!({ "file": arguments.file, "user": user, "done": word })),
        false => say(&format!("{text}\n")),
    }
}

fn list(arguments: &Arguments) -> Result<Answer, CliError> {
    let file = &arguments.file;
    // One that is not there is no wrong line of it.
    File::open(file).map_err(|source| CliError::File { path: file.clone(), source })?;
    let passwords = password_file::Passwords::read(file).map_err(CliError::Passwords)?;
    if arguments.json {
        let user = |(name, scram)| json!({ "user": name, "scram": scram });
        let users: Value = passwords.users().map(user).collect();
        return say_json(&json!({ "file": file, "users": users })).map(|()| Answer::Yes);
    }
    for (name, scram) in passwords.users() {
        say(&format!("{name}{}\n", if scram { " (SCRAM)" } else { "" }))?;
    }
    Ok(Answer::Yes)
}

fn hash(arguments: &Arguments, password: &[u8]) -> Result<PasswordHash, CliError> {
    let hash = match (arguments.scram, scram_password_problem(password)) {
        (false, _) => PasswordHash::new(password),
        (true, None) => PasswordHash::new_scram(password, arguments.iterations),
        (true, Some(reason)) => {
            let help = "choose another one, or leave out `--scram`".to_owned();
            let argument = "password";
            return Err(CliError::Argument { argument, reason: reason.to_owned(), help });
        }
    };
    hash.map_err(CliError::Runtime)
}

fn password(arguments: &Arguments) -> Result<Vec<u8>, CliError> {
    let password = if arguments.password_stdin {
        let mut line = Vec::new();
        io::stdin().lock().read_until(b'\n', &mut line).map_err(CliError::Input)?;
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        line
    } else if io::stdin().is_terminal() {
        let ask = |prompt| rpassword::prompt_password(prompt).map_err(CliError::Input);
        let password = ask("Password: ")?;
        if ask("Again: ")? != password {
            return Err(wrong("the two passwords are not the same"));
        }
        password.into_bytes()
    } else {
        return Err(wrong("there is no terminal to ask for it"));
    };
    if password.is_empty() { Err(wrong("it is empty")) } else { Ok(password) }
}

fn wrong(reason: &str) -> CliError {
    let help = "`--password-stdin` takes it from the standard input".to_owned();
    CliError::Argument { argument: "password", reason: reason.to_owned(), help }
}

/// Puts a text in the place of a file at once: whoever reads it meanwhile sees the old or the new
/// one, also after a power cut. A new file is for its owner only.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut new_name = path.clone().into_os_string();
    new_name.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new_name);
    let written = write_new(&new, &path, text).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        // It may not have been made.
        let _ = fs::remove_file(&new);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_new(new: &Path, old: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(new)?;
    if let Ok(known) = fs::metadata(old) {
        use std::os::unix::fs::{MetadataExt, fchown};
        file.set_permissions(fs::Permissions::from_mode(known.permissions().mode()))?;
        let mine = file.metadata()?;
        if (mine.uid(), mine.gid()) != (known.uid(), known.gid()) {
            fchown(&file, Some(known.uid()), Some(known.gid()))?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

const OWNER_ONLY: u32 = 0o600;
const ITERATIONS: RangeInclusive<i64> = SCRAM_ITERATIONS_MIN as i64..=ITERATIONS_MAX as i64;
