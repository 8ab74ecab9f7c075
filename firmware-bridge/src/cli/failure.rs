//! Why a command could not be done, in the form in which it is told: what happened, why, and what
//! to do next.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use thiserror::Error;

use crate::config::ConfigError;
use crate::serve::ServeError;

/// Why a command could not be done.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The environment variable for the log.
    #[error("WEIR_BRIDGE_LOG cannot be `{0}`")]
    Log(String),
    /// Nothing to run.
    #[error("there is nothing to bridge")]
    NoConfig,
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    #[error("the system does not give what is needed")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl CliError {
    /// The whole message for stderr.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        if let Self::Config(ConfigError::Invalid { problems }) = self {
            problems.iter().for_each(|problem| text.push_str(&problem.to_string()));
        }
        let mut line = |label: &str, words: &str| {
            writeln!(text, "{label}: {words}").expect("a String takes everything");
        };
        line("error", &self.to_string());
        let mut source = self.source();
        while let Some(cause) = source {
            line("  why", &cause.to_string());
            source = cause.source();
        }
        if let Some(help) = self.help() {
            line("  help", help);
        }
        text
    }

    fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Config(ConfigError::Invalid { .. }) => "correct what is marked above",
            Self::Config(ConfigError::File { .. }) => {
                "check the name, what is in the file, and that this user may read it"
            }
            Self::Serve(error) => error.help(),
            Self::Log(_) => "for example WEIR_BRIDGE_LOG=debug",
            Self::NoConfig => {
                "name a file with --config; `weir-bridge scan` makes one of what is there, and \
                 --simulate needs none"
            }
            Self::Output(_) | Self::Runtime(_) => return None,
        })
    }
}
