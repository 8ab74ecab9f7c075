//! Batches on their way to one broker.

use std::io;

use super::connection::{Connection, Connector};
use super::produce::{Batch, Produced};
use super::record::batch;
use super::topic::Taken;
use crate::config::{HostPort, KafkaCompression};
use crate::upstream::aside::aside;
use crate::upstream::error::LinkError;

/// The bytes of each batch, or why there are none.
pub(super) type Encoded = io::Result<Vec<Vec<u8>>>;

/// Batches for one broker.
pub(super) struct Request {
    pub(super) broker: i32,
    pub(super) address: HostPort,
    /// By the name of their topic, which they are ordered by.
    pub(super) batches: Vec<(String, Taken)>,
}

impl Request {
    /// Makes what is sent of each batch, beside the control thread if it is to be compressed.
    pub(super) async fn encode(self, compression: KafkaCompression) -> (Self, Encoded) {
        let bytes = match compression {
            KafkaCompression::None => 0,
            _ => self.batches.iter().map(|(_, taken)| taken.bytes).sum(),
        };
        aside(bytes, move || {
            let records = |taken: &Taken| {
                let records = taken.messages.iter().map(|waiting| &waiting.record);
                batch(records, compression)
            };
            let encoded = self.batches.iter().map(|(_, taken)| records(taken)).collect();
            (self, encoded)
        })
        .await
    }

    /// Sends it, over the connection that is there or a new one.
    pub(super) async fn send(
        &self,
        encoded: Encoded,
        connector: &Connector,
        connection: Option<Connection>,
    ) -> Result<(Connection, Produced), LinkError> {
        let encoded = encoded
            .map_err(|error| LinkError::RefusedMessage(format!("not compressed: {error}")))?;
        let batches = self.batches.iter().zip(encoded);
        let batches: Vec<Batch<'_>> = batches
            .map(|((topic, taken), bytes)| Batch { topic, partition: taken.partition, bytes })
            .collect();
        let mut connection = match connection {
            Some(connection) => connection,
            None => connector.connect(&self.address).await?,
        };
        let produced = connection.produce(&batches).await?;
        Ok((connection, produced))
    }
}
