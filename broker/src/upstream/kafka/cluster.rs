//! The brokers, and a connection to each of those that are needed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Connector};
use super::metadata::Metadata;
use crate::config::HostPort;
use crate::upstream::error::LinkError;

/// The brokers that are known.
pub(super) struct Cluster {
    brokers: BTreeMap<i32, Broker>,
    /// Where to ask when none of them answers.
    bootstrap: Vec<HostPort>,
}

struct Broker {
    address: HostPort,
    connection: Option<Connection>,
    is_busy: bool,
    /// It has asked for a pause until then.
    ready_at: Instant,
}

impl Cluster {
    pub(super) fn new(bootstrap: Vec<HostPort>) -> Self {
        Self { brokers: BTreeMap::new(), bootstrap }
    }

    /// The brokers say who they are. Whether one that was known is gone.
    pub(super) fn set_brokers(&mut self, found: &BTreeMap<i32, HostPort>, now: Instant) -> bool {
        let before = self.brokers.len();
        self.brokers.retain(|id, broker| broker.is_busy || found.contains_key(id));
        let is_fewer = self.brokers.len() < before;
        for (id, address) in found.iter().take(BROKERS_MAX) {
            let broker = self.brokers.entry(*id).or_insert_with(|| Broker {
                address: address.clone(),
                connection: None,
                is_busy: false,
                ready_at: now,
            });
            if broker.address != *address {
                (broker.address, broker.connection) = (address.clone(), None);
            }
        }
        is_fewer
    }

    pub(super) fn knows(&self, broker: i32) -> bool {
        self.brokers.contains_key(&broker)
    }

    /// When a broker takes a request; none while it has one.
    pub(super) fn ready_at(&self, broker: i32) -> Option<Instant> {
        self.brokers.get(&broker).filter(|broker| !broker.is_busy).map(|broker| broker.ready_at)
    }

    /// Takes the connection to a broker, if there is one, for a request.
    ///
    /// # Panics
    /// When the broker is not known or has a request.
    pub(super) fn take(&mut self, broker: i32) -> (HostPort, Option<Connection>) {
        let broker = self.brokers.get_mut(&broker).expect("it is known");
        assert!(!broker.is_busy, "one request at a time");
        broker.is_busy = true;
        (broker.address.clone(), broker.connection.take())
    }

    /// A request has come to its end.
    pub(super) fn give_back(
        &mut self,
        broker: i32,
        address: &HostPort,
        connection: Option<Connection>,
        ready_at: Instant,
    ) {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            (broker.is_busy, broker.ready_at) = (false, ready_at);
            // It may have moved meanwhile.
            broker.connection = connection.filter(|_| broker.address == *address);
        }
    }

    /// Where to ask, the most likely one first.
    pub(super) fn addresses(&self) -> Vec<HostPort> {
        let mut addresses = self.bootstrap.clone();
        for broker in self.brokers.values() {
            if !addresses.contains(&broker.address) {
                addresses.push(broker.address.clone());
            }
        }
        addresses
    }
}

/// Asks the brokers about topics: over the connection that is there, or else one after the other.
///
/// # Errors
/// None of them answers; what is told is the error that somebody can do something about.
pub(super) async fn ask(
    connector: &Connector,
    connection: Option<Connection>,
    addresses: &[HostPort],
    topics: &[String],
) -> Result<(Connection, Metadata), LinkError> {
    if let Some(mut connection) = connection
        && let Ok(metadata) = connection.metadata(topics).await
    {
        return Ok((connection, metadata));
    }
    let mut worst: Option<LinkError> = None;
    let deadline = Instant::now() + ASK_TIMEOUT;
    for address in addresses {
        match ask_at(connector, address, topics).await {
            Ok(answer) => return Ok(answer),
            Err(error) if worst.as_ref().is_none_or(is_of_network) => worst = Some(error),
            Err(_) => {}
        }
        if Instant::now() > deadline {
            break;
        }
    }
    Err(worst.unwrap_or(LinkError::Timeout))
}

async fn ask_at(
    connector: &Connector,
    address: &HostPort,
    topics: &[String],
) -> Result<(Connection, Metadata), LinkError> {
    let mut connection = connector.connect(address).await?;
    let mut asked = connection.metadata(topics).await;
    if asked.is_err() && connection.is_unwanted() {
        // It may have been going just then. One that wants a login does the same again.
        connection = connector.connect(address).await?;
        asked = connection.metadata(topics).await;
    }
    Ok((connection, asked?))
}

/// Whether an error may be gone the next time although nobody does anything.
pub(super) fn is_of_network(error: &LinkError) -> bool {
    matches!(
        error,
        LinkError::Ended(_)
            | LinkError::Lost(_)
            | LinkError::Timeout
            | LinkError::UnknownHost { .. }
            | LinkError::Unreachable(_)
    )
}

/// More brokers than anybody has.
const BROKERS_MAX: usize = 1_000;
/// After that no further broker is asked.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
