//! A running broker that a command is about: where its admin server is, and what opens it.

use std::path::PathBuf;

use super::CliError;
use super::admin::{self, Access, Response};
use super::store::Place;
use crate::config::HostPort;

/// How it is named.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Running {
    #[command(flatten)]
    place: Place,
    /// Address of the admin server; without it that of the configuration, or 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
    #[command(flatten)]
    access: Access,
}

/// Its admin server.
#[derive(Clone, Debug)]
pub(crate) struct AdminServer {
    pub(crate) address: HostPort,
    pub(crate) access: Access,
    pub(crate) data_dir: PathBuf,
}

impl Running {
    pub(crate) fn server(&self) -> Result<AdminServer, CliError> {
        Ok(AdminServer {
            address: self.place.admin(self.admin.as_ref())?,
            access: self.access.clone(),
            data_dir: self.place.data_dir()?,
        })
    }
}

impl AdminServer {
    /// Asks for what is shown to whoever has a token.
    pub(crate) fn get(&self, path: &str) -> Result<Response, CliError> {
        admin::get_as_viewer(&self.address, &self.access, &self.data_dir, path)
    }

    /// Asks for something to be done.
    pub(crate) fn post(&self, path: &str, content: &str) -> Result<Response, CliError> {
        admin::post(&self.address, &self.access, &self.data_dir, path, content)
    }
}
