//! Why a command could not be done, in the form in which it is told: what happened, why, and what
//! to do next.

use std::{error::Error as _, fmt::Write as _, io, path::PathBuf};

use thiserror::Error;
use weir_rules::Diagnostic;

use super::bench::BenchError;
use crate::{
    broker::StartError,
    config::ConfigError,
    logging::LogError,
    store::{BackupError, StoreError},
};

/// Why a command could not be done.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The admin server does not answer as it should.
    #[error("the admin server at {address} does not give what was asked for")]
    AdminAnswer { address: String, source: io::Error },
    /// The admin server cannot be reached.
    #[error("cannot reach the admin server at {address}")]
    AdminConnect { address: String, source: io::Error },
    /// The key that a running broker asks for.
    #[error("the running broker does this only for whoever can read its data directory")]
    AdminKey { source: io::Error },
    /// An argument that is wrong in a way that only its command knows.
    #[error("{argument}: {reason}")]
    Argument { argument: &'static str, reason: String, help: String },
    /// A benchmark that cannot be run.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// There is no copy of a store; the text has the reason.
    #[error("no copy was made: {0}")]
    Backup(BackupError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No connection to a broker.
    #[error("cannot connect to {address}")]
    Connect { address: String, reason: String },
    #[error("cannot read `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A directory of the demo.
    #[error("cannot create the directory `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot read the standard input")]
    Input(#[source] io::Error),
    #[error(transparent)]
    Log(#[from] LogError),
    /// The connection to a broker broke.
    #[error("lost the connection to {address}")]
    Lost { address: String, reason: String },
    /// Too many ports are taken.
    #[error("every port from {first} on is taken")]
    NoPort { first: u16 },
    /// Lines of a password file that are wrong.
    #[error("the password file cannot be used")]
    Passwords(Vec<Diagnostic>),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// Rule files that do not compile.
    #[error("the rules cannot be used")]
    Rules(Vec<Diagnostic>),
    #[error("the system does not give what is needed")]
    Runtime(#[source] io::Error),
    /// Its text has the reason and the way out.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A store that cannot be looked at; the text of the source has the reason.
    #[error("{source}")]
    Store { help: String, source: Box<StoreError> },
    /// A store that is to be whole first.
    #[error("the store {} is damaged: {problem}", path.display())]
    StoreDamaged { path: PathBuf, problem: String },
    /// A broker has the store open.
    #[error("the store {} is in use", path.display())]
    StoreInUse { path: PathBuf, help: String },
    #[error("the broker cannot go on")]
    Stopped(#[source] io::Error),
    /// A file of tokens for the admin server.
    #[error("the tokens cannot be used")]
    Tokens { problems: Vec<Diagnostic> },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl CliError {
    /// The whole message for stderr.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for problem in self.problems() {
            text.push_str(&problem.to_string());
        }
        let mut line = |label: &str, words: &str| {
            writeln!(text, "{label}: {words}").expect("a String takes everything");
        };
        line("error", &self.to_string());
        match self {
            Self::Connect { reason, .. } | Self::Lost { reason, .. } => line("  why", reason),
            Self::Backup(_) | Self::Start(_) | Self::Store { .. } => {}
            _ => {
                let mut source = self.source();
                while let Some(cause) = source {
                    line("  why", &cause.to_string());
                    source = cause.source();
                }
            }
        }
        if let Some(help) = self.help() {
            line("  help", &help);
        }
        text
    }

    fn problems(&self) -> &[Diagnostic] {
        match self {
            Self::Config(ConfigError::Invalid { problems })
            | Self::Passwords(problems)
            | Self::Rules(problems)
            | Self::Tokens { problems } => problems,
            _ => &[],
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::AdminAnswer { .. } => {
                "is another server using this address? `weir status --admin HOST:PORT` asks \
                 elsewhere"
                    .to_owned()
            }
            Self::AdminConnect { .. } => {
                "is the broker running, and does its configuration have `address` in [admin]? \
                 `weir status --admin HOST:PORT` asks elsewhere"
                    .to_owned()
            }
            Self::AdminKey { .. } => {
                "run this as the user that runs the broker, or as root; --data-dir or --config \
                 names its data directory, and its configuration needs `address` in [admin]"
                    .to_owned()
            }
            Self::Bench(problem) => return problem.help(),
            Self::Argument { help, .. }
            | Self::Store { help, .. }
            | Self::StoreInUse { help, .. } => help.clone(),
            Self::Config(ConfigError::File { .. }) | Self::File { .. } => {
                "check the name, what is in the file, and that this user may read it".to_owned()
            }
            Self::Config(ConfigError::Invalid { .. })
            | Self::Passwords(_)
            | Self::Rules(_)
            | Self::Tokens { .. } => "correct what is marked above".to_owned(),
            Self::Connect { .. } => {
                "is a broker running there? `weir run` starts one on this machine; -h and -p \
                 name another"
                    .to_owned()
            }
            Self::Folder { .. } => "set TMPDIR to a directory that you may write".to_owned(),
            Self::NoPort { .. } => "name another port with -p".to_owned(),
            Self::Log(_) => "for example WEIR_LOG=warn,weir_broker=debug".to_owned(),
            Self::Lost { .. } => {
                "messages that were not acknowledged may not have arrived".to_owned()
            }
            Self::StoreDamaged { .. } => {
                "`weir store verify` shows everything that is wrong; `weir run` starts with what \
                 can be read"
                    .to_owned()
            }
            Self::Stopped(_) => "the log says more; weir can be started again".to_owned(),
            Self::Write { .. } => {
                "this user must be able to write the directory of the file, too".to_owned()
            }
            Self::Backup(_)
            | Self::Input(_)
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Start(_) => return None,
        })
    }
}
