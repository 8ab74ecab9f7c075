//! What a fleet needs at its server, and how a box makes what is missing: a stream for messages,
//! two buckets, and what this box reads them with.
//!
//! The first box makes the streams. Whoever has made them otherwise, with other limits for example,
//! is left with the last word.

use std::time::Duration;

use serde_json::{Value, json};

use super::jetstream::{Failed, JetStream};
use super::names::Names;
use crate::upstream::LinkError;

/// Limits of what is stored there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) away_max: Duration,
    pub(super) messages_max_bytes: u64,
    pub(super) retained_max_bytes: u64,
    pub(super) replicas: u8,
}

/// Makes the stream and the buckets, if they are missing.
pub(super) async fn make_streams(
    server: &JetStream,
    names: &Names,
    limits: &Limits,
) -> Result<(), LinkError> {
    let (stream, subjects) = (names.boxes_stream(), names.boxes_subjects());
    make(server, &stream, bucket(&stream, &subjects, BOXES_BYTES_MAX, limits)).await?;
    let (stream, subjects) = (names.retained_stream(), names.retained_subjects());
    let retained = bucket(&stream, &subjects, limits.retained_max_bytes, limits);
    make(server, &stream, retained).await?;
    let stream = names.messages_stream();
    let messages = messages(&stream, &names.messages_subjects(), limits);
    make(server, &stream, messages).await
}

/// When a stream was made, in the words of the server: one that was made anew is another one. To be
/// asked once there is what reads it, which would end with a stream before.
pub(super) async fn created(server: &JetStream, stream: &str) -> Result<String, LinkError> {
    let info = server.request(&format!("STREAM.INFO.{stream}"), &json!({})).await;
    let info = info.map_err(|failed| error_of(failed, stream))?;
    Ok(info["created"].as_str().unwrap_or_default().to_owned())
}

/// Makes the consumer of the messages for this box anew, so that the oldest that was not
/// acknowledged comes first; answers its name, and how many messages there are.
pub(super) async fn make_inbox(
    server: &JetStream,
    names: &Names,
    limits: &Limits,
) -> Result<(String, u64), LinkError> {
    let (stream, consumer) = (names.messages_stream(), &names.own);
    let removed = server.request(&format!("CONSUMER.DELETE.{stream}.{consumer}"), &json!({})).await;
    match removed {
        Ok(_) | Err(Failed::Refused { err_code: CONSUMER_NOT_FOUND, .. }) => {}
        Err(failed) => return Err(error_of(failed, &stream)),
    }
    let config = json!({
        "durable_name": consumer,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": nanoseconds(ACK_WAIT),
        "max_ack_pending": ACK_PENDING_MAX,
        "filter_subject": names.to(consumer),
        "replay_policy": "instant",
        // Of a box that does not come back nothing is left.
        "inactive_threshold": nanoseconds(limits.away_max.saturating_mul(2)),
    });
    let body = json!({ "stream_name": stream, "config": config });
    let made = server.request(&format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}"), &body).await;
    consumer_of(made, &stream)
}

/// Makes a consumer that reads a bucket from its beginning and goes on; answers its name, and how
/// many entries there are.
pub(super) async fn make_watch(
    server: &JetStream,
    stream: &str,
    subjects: &str,
) -> Result<(String, u64), LinkError> {
    let config = json!({
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "filter_subject": subjects,
        "replay_policy": "instant",
        "mem_storage": true,
        "num_replicas": 1,
        "inactive_threshold": nanoseconds(WATCH_INACTIVE),
    });
    let body = json!({ "stream_name": stream, "config": config });
    consumer_of(server.request(&format!("CONSUMER.CREATE.{stream}"), &body).await, stream)
}

/// The name of a consumer that was made, and how many messages it has.
fn consumer_of(made: Result<Value, Failed>, stream: &str) -> Result<(String, u64), LinkError> {
    let made = made.map_err(|failed| error_of(failed, stream))?;
    let pending = made["num_pending"].as_u64().unwrap_or_default();
    match made["name"].as_str() {
        Some(name) => Ok((name.to_owned(), pending)),
        None => Err(LinkError::Lost("JetStream names no consumer".to_owned())),
    }
}

/// Takes an entry of a bucket away, at this revision and not a later one.
pub(super) async fn purge(
    server: &JetStream,
    stream: &str,
    subject: &str,
    revision: u64,
) -> Result<(), LinkError> {
    let body = json!({ "filter": subject, "seq": revision.saturating_add(1) });
    let purged = server.request(&format!("STREAM.PURGE.{stream}"), &body).await;
    purged.map(drop).map_err(|failed| error_of(failed, stream))
}

/// It may be there already, with other limits than these, or be made by two boxes at a time, one of
/// which is refused for any reason.
async fn make(server: &JetStream, stream: &str, config: Value) -> Result<(), LinkError> {
    match server.request(&format!("STREAM.CREATE.{stream}"), &config).await {
        Ok(_) => Ok(()),
        Err(Failed::Link(error)) => Err(error),
        Err(refused @ Failed::Refused { .. }) => match created(server, stream).await {
            Ok(_) => Ok(()),
            Err(LinkError::Refused { .. }) => Err(error_of(refused, stream)),
            Err(error) => Err(error),
        },
    }
}

fn messages(stream: &str, subjects: &str, limits: &Limits) -> Value {
    json!({
        "name": stream,
        "description": "Messages between the boxes of a Weir fleet",
        "subjects": [subjects],
        "retention": "workqueue",
        // What does not fit waits on the disk of its box.
        "discard": "new",
        "max_bytes": limits.messages_max_bytes,
        "max_age": nanoseconds(limits.away_max),
        "max_consumers": -1,
        "duplicate_window": nanoseconds(DUPLICATE_WINDOW.min(limits.away_max)),
        "storage": "file",
        "num_replicas": limits.replicas,
    })
}

fn bucket(stream: &str, subjects: &str, bytes_max: u64, limits: &Limits) -> Value {
    json!({
        "name": stream,
        "description": "Of a Weir fleet",
        "subjects": [subjects],
        "retention": "limits",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_bytes": bytes_max,
        "max_consumers": -1,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_direct": true,
        "duplicate_window": nanoseconds(Duration::from_secs(120)),
        "storage": "file",
        "num_replicas": limits.replicas,
    })
}

fn error_of(failed: Failed, stream: &str) -> LinkError {
    match failed {
        Failed::Link(error) => error,
        Failed::Refused { reason, .. } => {
            let reason = format!("stream `{stream}`: {reason}");
            LinkError::Refused { reason, help: HELP_STREAM }
        }
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(i64::MAX as u64)
}

/// How long the server knows the identifiers of what it has stored.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);
/// After that a message that was not acknowledged comes again; the commit of a box takes no longer.
const ACK_WAIT: Duration = Duration::from_secs(120);
/// Messages that a box may have without having acknowledged them.
const ACK_PENDING_MAX: u32 = 4096;
/// How long what reads a bucket outlives its connection.
const WATCH_INACTIVE: Duration = Duration::from_secs(300);
/// What the entries of the boxes may take: a thousand with many filters.
const BOXES_BYTES_MAX: u64 = 256 << 20;

const CONSUMER_NOT_FOUND: u64 = 10_014;

const HELP_STREAM: &str = "the account needs room for a stream and two buckets of JetStream, and this user the right to \
     make them; docs/fleet.md says what they are";
