//! Batches on their way to one broker.

use super::connection::{Connection, Connector};
use super::produce::{Batch, Produced};
use super::record::batch;
use super::topic::Taken;
use crate::config::{HostPort, KafkaCompression};
use crate::upstream::error::LinkError;

/// Batches for one broker.
pub(super) struct Request {
    pub(super) broker: i32,
    pub(super) address: HostPort,
    /// By the name of their topic, which they are ordered by.
    pub(super) batches: Vec<(String, Taken)>,
}

impl Request {
    /// Sends it, over the connection that is there or a new one.
    pub(super) async fn send(
        &self,
        connector: &Connector,
        connection: Option<Connection>,
        compression: KafkaCompression,
    ) -> Result<(Connection, Produced), LinkError> {
        let mut batches = Vec::new();
        for (topic, taken) in &self.batches {
            let records = taken.messages.iter().map(|waiting| &waiting.record);
            let bytes = batch(records, compression)
                .map_err(|error| LinkError::RefusedMessage(format!("not compressed: {error}")))?;
            batches.push(Batch { topic, partition: taken.partition, bytes });
        }
        let mut connection = match connection {
            Some(connection) => connection,
            None => connector.connect(&self.address).await?,
        };
        let produced = connection.produce(&batches).await?;
        Ok((connection, produced))
    }
}
