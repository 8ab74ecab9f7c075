//! What a store holds, as lines of JSON for other programs.
//!
//! One object a line, each with the name of its `table`. `docs/store.md` describes the fields;
//! they are part of the interface. Only what can be trusted is written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use weir_core::{Destination, Message, SessionRecord, ShardId, Target};
use weir_mqtt::{QoS, RetainHandling, Version};

use super::examine::{Examination, Source, open_shared};
use super::rebuild::rebuild;
use super::row::{Row, Table, owner_of};
use crate::store::error::{StoreError, io_error};
use crate::store::files::FILE_NAME;
use crate::store::schema::{self, ReaderKey, SessionKey};

/// A table that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportTable {
    /// Messages that wait for sessions, rules and upstreams.
    Log,
    /// Retained messages.
    Retained,
    /// Sessions and how far each is through the log.
    Session,
    /// Subscriptions of sessions.
    Subscription,
}

/// Why a store could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The lines cannot be written.
    #[error("the lines cannot be written: {0}")]
    Output(#[source] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExportTable {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::Session, Self::Subscription, Self::Retained, Self::Log];

    /// The name of the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().name()
    }

    fn table(self) -> Table {
        match self {
            Self::Log => Table::Log,
            Self::Retained => Table::Retained,
            Self::Session => Table::Session,
            Self::Subscription => Table::Subscription,
        }
    }
}

/// Writes the tables of a store file that no process has open. Answers what the file is like:
/// when it is damaged, lines are missing.
///
/// # Errors
/// As `examine`, and when the lines cannot be written.
pub fn export(
    path: &Path,
    tables: &[ExportTable],
    output: &mut dyn Write,
) -> Result<Examination, ExportError> {
    let source = Source::read(open_shared(path)?, path)?;
    if source.journal.is_empty() || !source.examination.is_whole() {
        return lines(source, tables, output);
    }
    // Groups of a broker that was killed: a copy has them in its tables.
    let place = Temporary::new(path)?;
    let copied = place.0.join(FILE_NAME);
    drop(rebuild(&source, &place.0)?);
    let copied = Source::read(open_shared(&copied)?, &copied)?;
    lines(copied, tables, output)?;
    Ok(source.examination)
}

/// A directory that is gone with this.
struct Temporary(PathBuf);

impl Temporary {
    fn new(path: &Path) -> Result<Self, StoreError> {
        let place = env::temp_dir().join(format!("weir-export-{}", process::id()));
        fs::create_dir(&place).map_err(|error| io_error(path.to_path_buf(), error))?;
        Ok(Self(place))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody needs it; at worst it is removed with the other temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(
    source: Source,
    tables: &[ExportTable],
    output: &mut dyn Write,
) -> Result<Examination, ExportError> {
    let mut names = Names::default();
    source.rows(Table::Session, |_, _, row| names.take(row));
    source.rows(Table::Cursor, |_, _, row| names.take(row));
    source.rows(Table::Reader, |_, _, row| names.take(row));
    source.rows(Table::ReaderCursor, |_, _, row| names.take(row));
    let mut written = Ok(());
    for table in ExportTable::ALL.into_iter().filter(|table| tables.contains(table)) {
        source.rows(table.table(), |_, _, row| {
            if let (Ok(()), Some(line)) = (&written, names.line(row)) {
                written = serde_json::to_writer(&mut *output, &line)
                    .map_err(io::Error::from)
                    .and_then(|()| output.write_all(b"\n"));
            }
        });
    }
    written.and_then(|()| output.flush()).map_err(ExportError::Output)?;
    Ok(source.examination)
}

/// What other rows call by number.
#[derive(Default)]
struct Names {
    clients: BTreeMap<SessionKey, Box<str>>,
    cursors: BTreeMap<SessionKey, (u64, Vec<u64>)>,
    readers: BTreeMap<u16, Box<str>>,
    /// The last position that each reader is done with.
    done: BTreeMap<ReaderKey, u64>,
}

#[derive(Serialize)]
#[serde(tag = "table", rename_all = "snake_case")]
enum Line<'a> {
    Log {
        shard: u8,
        sequence: u64,
        #[serde(flatten)]
        message: MessageLine,
        targets: Vec<TargetLine<'a>>,
    },
    Retained {
        #[serde(flatten)]
        message: MessageLine,
    },
    Session {
        shard: u8,
        session: u32,
        client_id: Box<str>,
        version: &'static str,
        expiry_interval_s: u32,
        disconnected_at_ms: Option<u64>,
        will: Option<WillLine>,
        /// From which position on messages wait, and which before it do.
        start: u64,
        waiting: &'a [u64],
    },
    Subscription {
        shard: u8,
        session: u32,
        client_id: Option<&'a str>,
        filter: Box<str>,
        qos: u8,
        no_local: bool,
        retain_as_published: bool,
        retain_handling: u8,
        identifier: Option<u32>,
    },
}

#[derive(Serialize)]
struct MessageLine {
    topic: String,
    payload: String,
    qos: u8,
    received_at_ms: u64,
    /// The client identifier of whoever has published it, where it was of interest.
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    expires_at_ms: Option<u64>,
    /// As MQTT 5 encodes them.
    properties: String,
}

#[derive(Serialize)]
struct WillLine {
    #[serde(flatten)]
    message: MessageLine,
    delay_interval_s: u32,
    expiry_interval_s: Option<u32>,
}

#[derive(Serialize)]
struct TargetLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reader: Option<&'a str>,
    qos: u8,
    retain: bool,
    /// Whether the client or reader has not had it.
    waits: bool,
}

impl Names {
    fn take(&mut self, row: Row<'_>) {
        match row {
            Row::Session(key, session) => {
                self.clients.insert(key, session.client_id);
            }
            Row::Cursor(key, cursor) => {
                let waiting = cursor.inflight.iter().map(|sequence| sequence.0).collect();
                self.cursors.insert(key, (cursor.start.0, waiting));
            }
            Row::Reader(name, reader) => {
                self.readers.insert(reader.0, name.into());
            }
            Row::ReaderCursor(key, done) => {
                self.done.insert(key, done.0);
            }
            _ => {}
        }
    }

    fn line<'a>(&'a self, row: Row<'_>) -> Option<Line<'a>> {
        Some(match row {
            Row::Log { shard, sequence, targets, message } => Line::Log {
                shard: shard.0,
                sequence: sequence.0,
                message: MessageLine::of(&message),
                targets: targets
                    .iter()
                    .map(|target| self.target(shard.0, sequence.0, target))
                    .collect(),
            },
            Row::Retained(message) => Line::Retained { message: MessageLine::of(&message) },
            Row::Session(key, session) => self.session(key, session),
            Row::Subscription { session, filter, subscription } => {
                let (shard, number) = owner_of(&session);
                Line::Subscription {
                    shard: shard.0,
                    session: number.0,
                    client_id: self.clients.get(&session).map(|client| &**client),
                    filter: filter.into(),
                    qos: u8::from(subscription.options.qos),
                    no_local: subscription.options.no_local,
                    retain_as_published: subscription.options.retain_as_published,
                    retain_handling: match subscription.options.retain_handling {
                        RetainHandling::Send => 0,
                        RetainHandling::SendIfNew => 1,
                        RetainHandling::DoNotSend => 2,
                    },
                    identifier: subscription.identifier,
                }
            }
            _ => return None,
        })
    }

    fn session(&self, key: SessionKey, session: SessionRecord) -> Line<'_> {
        let (shard, number) = owner_of(&key);
        let cursor = self.cursors.get(&key);
        Line::Session {
            shard: shard.0,
            session: number.0,
            client_id: session.client_id,
            version: match session.version {
                Version::V31 => "3.1",
                Version::V311 => "3.1.1",
                Version::V5 => "5.0",
            },
            expiry_interval_s: session.expiry_interval_s,
            disconnected_at_ms: session.disconnected_at_ms,
            will: session.will.map(|will| WillLine {
                message: MessageLine::of(&will.message),
                delay_interval_s: will.delay_interval_s,
                expiry_interval_s: will.expiry_interval_s,
            }),
            start: cursor.map_or(0, |(start, _)| *start),
            waiting: cursor.map_or(&[], |(_, waiting)| waiting),
        }
    }

    fn target(&self, shard: u8, sequence: u64, target: &Target) -> TargetLine<'_> {
        let (client_id, reader, waits) = match target.destination {
            Destination::Reader(reader) => {
                let key = schema::reader_key(ShardId(shard), reader);
                let waits = self.done.get(&key).is_none_or(|done| sequence > *done);
                let name = self.readers.get(&reader.0);
                (None, name.map(|name| &**name), waits && name.is_some())
            }
            Destination::Session(session) => {
                let key = schema::session_key(ShardId(shard), session);
                let waits = self.cursors.get(&key).is_none_or(|(start, waiting)| {
                    sequence >= *start || waiting.binary_search(&sequence).is_ok()
                });
                let client = self.clients.get(&key);
                (client.map(|client| &**client), None, waits && client.is_some())
            }
        };
        let qos = u8::from(target.qos);
        TargetLine { client_id, reader, qos, retain: target.retain, waits }
    }
}

impl MessageLine {
    fn of(message: &Message) -> Self {
        let parts = message.parts();
        let qos: QoS = parts.qos;
        Self {
            topic: parts.topic.to_owned(),
            payload: Base64::encode_string(parts.payload),
            qos: u8::from(qos),
            received_at_ms: parts.received_at_ms,
            publisher: Some(parts.publisher).filter(|id| !id.is_empty()).map(str::to_owned),
            expires_at_ms: parts.expires_at_ms,
            properties: Base64::encode_string(parts.properties),
        }
    }
}
