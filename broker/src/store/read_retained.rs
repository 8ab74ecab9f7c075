//! Reading retained messages for the rules, before any shard runs.
//!
//! Each call is bounded in what it gives and in what it looks at.

use weir_core::Message;
use weir_mqtt::TopicFilter;

use crate::store::error::{MalformedRecord, StoreError};
use crate::store::{Store, schema};

/// How many messages one call looks at.
const SCAN_RECORDS_MAX: usize = 4096;

impl Store {
    /// Appends to `out` the retained messages that match one of `filters`, by topic, from the one
    /// after `after` on, until their records come to `bytes_max` bytes. One message is given
    /// however large it is. Answers the last topic that was looked at: read on from there, and
    /// none when there is nothing more. What is in the journal only goes to the database first.
    ///
    /// # Errors
    /// When the file cannot be read or holds a bad record.
    pub fn read_retained(
        &self,
        after: Option<&str>,
        filters: &[TopicFilter<'_>],
        bytes_max: usize,
        out: &mut Vec<Message>,
    ) -> Result<Option<String>, StoreError> {
        self.settle()?;
        self.guarded(|| {
            let transaction = self.read()?;
            let table =
                transaction.open_table(schema::RETAINED).map_err(|error| self.engine(error))?;
            let rows = table.range(after.unwrap_or_default()..).map_err(|e| self.engine(e))?;
            let (mut bytes, mut looked_at) = (0, 0);
            for row in rows {
                let (key, value) = row.map_err(|error| self.engine(error))?;
                if after.is_some_and(|after| after == key.value()) {
                    continue;
                }
                looked_at += 1;
                if filters.iter().any(|filter| filter.matches(key.value())) {
                    let message = Message::from_record(value.value()).map_err(|error| {
                        MalformedRecord::Message(error).at("retained", key.value().as_bytes())
                    })?;
                    bytes += message.len();
                    out.push(message);
                }
                if bytes >= bytes_max || looked_at >= SCAN_RECORDS_MAX {
                    return Ok(Some(key.value().to_owned()));
                }
            }
            Ok(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{Batch, Change, Links, MessageParts, Sequence, ShardId};
    use weir_mqtt::QoS;

    use super::*;
    use crate::store::StoreOptions;

    fn retained(topic: &str) -> Change {
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms: 7,
            publisher: "",
            topic,
            properties: &[],
            payload: b"21",
        };
        Change::RetainedPut { message: Message::new(&parts, &mut Vec::new()) }
    }

    #[test]
    fn retained_messages_are_read_in_pieces_by_topic() {
        let folder = std::env::temp_dir().join(format!("weir-retained-{}", std::process::id()));
        // What an earlier run has left is not for this one.
        let _ = std::fs::remove_dir_all(&folder);
        let store = Store::open(&folder, StoreOptions::default()).expect("an empty directory");
        let topics = ["set/a", "set/b", "set/c", "temp/a", "$SYS/x"];
        let batch = Batch {
            shard: ShardId(0),
            number: 1,
            changes: topics.map(retained).into(),
            log_start: Sequence(1),
            is_awaited: true,
            links: Links::default(),
        };
        store.commit(&[batch]).expect("the disk is well");
        let filters = [TopicFilter::parse("set/+").expect("a filter")];
        let (mut found, mut after, mut calls) = (Vec::new(), None, 0);
        loop {
            after = store
                .read_retained(after.as_deref(), &filters, 1, &mut found)
                .expect("what was written can be read");
            calls += 1;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(calls, topics.len() - 1);
        let found: Vec<&str> = found.iter().map(Message::topic).collect();
        assert_eq!(found, ["set/a", "set/b", "set/c"]);
        drop(store);
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
