//! Why a broker does not start, and what to do about it.

use std::io;
use std::path::PathBuf;

use weir_firmware_bridge::serve::ServeError;
use weir_rules::Diagnostic;

use crate::config::TlsError;
use crate::store::StoreError;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The admin server has no address to listen on.
    #[error("the admin server cannot listen on {address}: {source}; {}", listen_help(.source))]
    Admin {
        /// The address of the configuration.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The files with passwords or permissions have errors.
    #[error("the files of [auth] cannot be used:\n{}", all(.0))]
    Auth(Vec<Diagnostic>),
    /// The files of a history cannot be used.
    #[error(
        "the histories in {} cannot be read or written: {source}; the user that runs weir must own \
         the directory",
        .path.display()
    )]
    History {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A listener has no address to listen on.
    #[error("cannot listen on {address}: {source}; {}", listen_help(.source))]
    Listen {
        /// The address of the configuration.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The rules have errors.
    #[error("the rules have errors:\n{}", all(.0))]
    Rules(Vec<Diagnostic>),
    /// The state of the rules in the store cannot be used.
    #[error(
        "the state of the rules in {} cannot be read: {source}; \
         start with another data directory, and report this with the file", .path.display()
    )]
    RuleState {
        /// The data directory.
        path: PathBuf,
        /// What is wrong.
        source: weir_rules::StateError,
    },
    /// The bridge inside the broker cannot start.
    #[error("the bridge cannot start: {source}; {}", .source.help())]
    Bridge {
        /// What is in the way.
        source: ServeError,
    },
    /// A key beside the store cannot be kept.
    #[error(
        "{} cannot be read or written: {source}; the user that runs weir must own it",
        .path.display()
    )]
    Key {
        /// The file, beside the store.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates of a listener cannot be used.
    #[error("{address} cannot speak TLS: {source}; {}", .source.help())]
    Tls {
        /// The address of the configuration.
        address: String,
        /// What is wrong with them.
        source: TlsError,
    },
    /// An upstream that the program has made cannot be.
    #[error("the upstream `{name}` cannot be: {reason}")]
    Upstream {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no thread, no poll or no random numbers.
    #[error("the system does not give the broker what it needs: {0}")]
    System(#[from] io::Error),
}

fn all(problems: &[Diagnostic]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn listen_help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port or path"
        }
        io::ErrorKind::AlreadyExists => "remove the file, or choose another path",
        io::ErrorKind::NotFound => "create the directory of the socket",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose another port, or grant \
             CAP_NET_BIND_SERVICE; a Unix socket needs a directory that weir may write"
        }
        _ => "check the address",
    }
}
