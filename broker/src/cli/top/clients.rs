//! The clients of a broker, as its admin server lists them, for whoever can show the key of the data
//! directory or a token.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::CliError;
use crate::cli::running::AdminServer;

/// One page; who has more clients filters by the beginning of a name elsewhere.
const PATH: &str = "/api/v1/clients?limit=1000";

/// One client.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Client {
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) connected: bool,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) subscriptions: u64,
    #[serde(default)]
    pub(super) queued_messages: u64,
    #[serde(default)]
    pub(super) received: u64,
    #[serde(default)]
    pub(super) sent: u64,
    #[serde(default)]
    pub(super) dropped: BTreeMap<String, u64>,
}

/// The first of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Clients {
    pub(super) clients: Vec<Client>,
    /// There are more.
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// Asks for them.
pub(super) fn fetch(server: &AdminServer) -> Result<Clients, CliError> {
    let (clients, _) = server.get(PATH)?.ok()?.json()?;
    Ok(clients)
}
