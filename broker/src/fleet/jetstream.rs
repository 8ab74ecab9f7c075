//! One connection to the server of the fleet: requests of JetStream, what is published, and what
//! comes; the only place of the fleet that knows the client library.
//!
//! Everything that is fetched comes in batches that are asked for (pull consumers), so this box is
//! never given more than it has room for. It lives for one connection, as that of an upstream does.

use std::time::Duration;

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, Event, HeaderMap, Message, ServerError, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Answer;
use super::copied_to::CopiedTo;
use super::names::Names;
use super::setup::nanoseconds;
use crate::config::HostPort;
use crate::upstream::{LinkError, NatsOptions, connect};

/// A connection that is open.
pub(super) struct JetStream {
    client: Client,
    events: mpsc::Receiver<Event>,
    /// Where everything comes that was asked for: this, a dot, and what it is.
    inbox: String,
    incoming: Subscriber,
    live: Subscriber,
    streams: [(Fetched, String); 3],
}

/// What is fetched from a stream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Fetched {
    Boxes,
    Messages,
    Retained,
}

/// Something that comes.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The answer to what was published under this number.
    Answer { number: u64, answer: Answer },
    /// The server has nothing for a batch that was asked for, for now or until it is over.
    Idle { of: Fetched, is_over: bool },
    /// A stream, or what reads it, is not there any more; so says the server.
    Gone { reason: String },
    /// One message of a stream.
    Delivered(Delivered),
    /// A message for this box that does not wait.
    Live(Vec<u8>),
    /// One of those was dropped.
    TooSlow,
}

/// A message of a stream.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) of: Fetched,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
    /// The identifier that its sender has given it; empty without one.
    pub(super) id: String,
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// When it was stored, nanoseconds since the Unix epoch by the clock of the server.
    pub(super) at_ns: u64,
    /// How many are behind it.
    pub(super) pending: u64,
    /// Where it is acknowledged.
    pub(super) reply: String,
    /// Who has got it as a message, as is said beside a value.
    pub(super) copied_to: CopiedTo,
    /// The entry was taken away, by the tools of NATS for example.
    pub(super) is_marker: bool,
}

impl JetStream {
    /// Connects, and listens for what is for this box.
    pub(super) async fn open(
        address: &HostPort,
        options: &NatsOptions,
        names: &Names,
    ) -> Result<Self, LinkError> {
        let (client, events) = connect(address, options).await?;
        let inbox = client.new_inbox();
        let lost = |error: &dyn std::fmt::Display| LinkError::Lost(error.to_string());
        let incoming = client.subscribe(format!("{inbox}.>")).await.map_err(|e| lost(&e))?;
        let live = client.subscribe(names.live(&names.own)).await.map_err(|e| lost(&e))?;
        let streams = [
            (Fetched::Boxes, names.boxes_stream()),
            (Fetched::Messages, names.messages_stream()),
            (Fetched::Retained, names.retained_stream()),
        ];
        Ok(Self { client, events, inbox, incoming, live, streams })
    }

    /// The longest message that the server takes.
    pub(super) fn bytes_max(&self) -> usize {
        self.client.max_payload()
    }

    /// Asks JetStream for something, and answers what it says.
    pub(super) async fn request(&self, what: &str, body: &Value) -> Result<Value, Failed> {
        let body = serde_json::to_vec(body).expect("JSON can be written");
        let asked = self.client.request(format!("$JS.API.{what}"), body.into());
        let answer = match timeout(REQUEST_TIMEOUT, asked).await {
            Err(_) => return Err(LinkError::Timeout.into()),
            Ok(Err(error)) => match error.kind() {
                async_nats::RequestErrorKind::NoResponders => {
                    let reason = "it has no JetStream for this user".to_owned();
                    return Err(LinkError::Refused { reason, help: HELP_NO_JETSTREAM }.into());
                }
                async_nats::RequestErrorKind::TimedOut => return Err(LinkError::Timeout.into()),
                _ => return Err(LinkError::Lost(error.to_string()).into()),
            },
            Ok(Ok(answer)) => answer,
        };
        let answer: Value = serde_json::from_slice(&answer.payload)
            .map_err(|error| LinkError::Lost(format!("JetStream says nonsense: {error}")))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(Failed::Refused {
                err_code: error["err_code"].as_u64().unwrap_or_default(),
                reason: error["description"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Asks for a batch of messages.
    pub(super) async fn fetch(
        &self,
        of: Fetched,
        consumer: &str,
        batch: usize,
    ) -> Result<(), LinkError> {
        let stream = &self.streams.iter().find(|(known, _)| *known == of).expect("one of three").1;
        let body = json!({
            "batch": batch,
            "expires": nanoseconds(FETCH_EXPIRES),
            "idle_heartbeat": nanoseconds(FETCH_HEARTBEAT),
        });
        let body = serde_json::to_vec(&body).expect("JSON can be written");
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let reply = format!("{}.{}", self.inbox, of.name());
        let asked = self.client.publish_with_reply(subject, reply, body.into()).await;
        asked.map_err(|error| LinkError::Lost(error.to_string()))
    }

    /// Publishes something that is to be stored, and answered under this number; answers why not if
    /// it is too large.
    pub(super) async fn store(&self, number: u64, stored: Stored) -> Result<(), Unsent> {
        let mut headers = HeaderMap::new();
        if !stored.id.is_empty() {
            headers.insert(NATS_MESSAGE_ID, stored.id.as_str());
        }
        if let Some(revision) = stored.revision {
            headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string().as_str());
        }
        if stored.is_removal {
            headers.insert("KV-Operation", "DEL");
        }
        if let Some(names) = stored.copied_to.header() {
            headers.insert(COPIED_TO, names);
        }
        let reply = format!("{}.{ANSWERS}.{number}", self.inbox);
        let (subject, bytes) = (stored.subject, stored.bytes);
        let sent = self.client.publish_with_reply_and_headers(subject, reply, headers, bytes);
        sent.await.map_err(|error| Unsent::of(&error))
    }

    /// Publishes something that is not stored.
    pub(super) async fn publish(&self, subject: String, bytes: Bytes) -> Result<(), LinkError> {
        match self.client.publish(subject, bytes).await {
            Ok(()) => Ok(()),
            Err(error) => match Unsent::of(&error) {
                Unsent::Lost(error) => Err(error),
                Unsent::Refused(_) => Ok(()),
            },
        }
    }

    /// Acknowledges a message of a stream.
    pub(super) async fn acknowledge(&self, reply: String) -> Result<(), LinkError> {
        self.publish(reply, Bytes::from_static(b"+ACK")).await
    }

    /// What comes next. Can be dropped at any time without losing anything.
    pub(super) async fn next(&mut self, takes_live: bool) -> Result<Incoming, LinkError> {
        loop {
            tokio::select! {
                message = self.incoming.next() => {
                    let message = message.ok_or_else(ended)?;
                    if let Some(event) = self.event(message) {
                        return Ok(event);
                    }
                }
                live = self.live.next(), if takes_live => {
                    return Ok(Incoming::Live(live.ok_or_else(ended)?.payload.to_vec()));
                }
                event = self.events.recv() => match event.ok_or_else(ended)? {
                    // What was asked for is bounded, so it is one that does not wait.
                    Event::SlowConsumer(_) => return Ok(Incoming::TooSlow),
                    event => trouble(event)?,
                },
            }
        }
    }

    /// Writes what waits.
    pub(super) async fn flush(&self) {
        // Whether the server has heard it makes no difference any more.
        let _ = timeout(GOODBYE, self.client.flush()).await;
    }

    fn event(&self, message: Message) -> Option<Incoming> {
        if let Some(what) = message.subject.strip_prefix(self.inbox.as_str()) {
            return self.answer(what.trim_start_matches('.'), &message);
        }
        let reply = message.reply.as_ref()?.to_string();
        let place = Place::parse(&reply)?;
        let (of, _) = self.streams.iter().find(|(_, stream)| stream == place.stream)?;
        let header = |name: &str| {
            let value = message.headers.as_ref().and_then(|headers| headers.get(name));
            value.map(|value| value.as_str().to_owned())
        };
        Some(Incoming::Delivered(Delivered {
            of: *of,
            subject: message.subject.to_string(),
            id: header("Nats-Msg-Id").unwrap_or_default(),
            copied_to: CopiedTo::of_header(header(COPIED_TO).as_deref()),
            is_marker: message.payload.is_empty() && header("KV-Operation").is_some(),
            payload: message.payload.to_vec(),
            sequence: place.sequence,
            at_ns: place.at_ns,
            pending: place.pending,
            reply,
        }))
    }

    fn answer(&self, what: &str, message: &Message) -> Option<Incoming> {
        if let Some(number) = what.strip_prefix(ANSWERS) {
            let number = number.trim_start_matches('.').parse().ok()?;
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Some(Incoming::Gone { reason: "no stream takes it".to_owned() });
            }
            let answer = Answer::of(&message.payload)?;
            return Some(Incoming::Answer { number, answer });
        }
        let (of, _) = self.streams.iter().find(|(of, _)| of.name() == what)?;
        match message.status? {
            StatusCode::IDLE_HEARTBEAT => Some(Incoming::Idle { of: *of, is_over: false }),
            StatusCode::NOT_FOUND | StatusCode::TIMEOUT => {
                Some(Incoming::Idle { of: *of, is_over: true })
            }
            // To be asked again at once it would say the same at once.
            status => {
                let text = message.description.as_deref().unwrap_or("nobody has it");
                let reason = format!("{}: {} {text}", of.name(), status.as_u16());
                Some(Incoming::Gone { reason })
            }
        }
    }
}

/// Something that is to be stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) bytes: Bytes,
    /// By which the server knows a repetition; empty without one.
    pub(super) id: String,
    /// The revision that it is to take the place of.
    pub(super) revision: Option<u64>,
    /// It says that something is not there any more.
    pub(super) is_removal: bool,
    /// Who has got it as a message, if it is a value.
    pub(super) copied_to: CopiedTo,
}

impl Stored {
    /// Something that takes the place of nothing.
    pub(super) fn message(subject: String, id: String, bytes: Bytes) -> Self {
        let copied_to = CopiedTo::UNSAID;
        Self { subject, bytes, id, revision: None, is_removal: false, copied_to }
    }
}

/// Why something was not published.
#[derive(Debug)]
pub(super) enum Unsent {
    Lost(LinkError),
    Refused(String),
}

/// Why a request has come to nothing.
#[derive(Debug)]
pub(super) enum Failed {
    Link(LinkError),
    /// The server has said why.
    Refused {
        err_code: u64,
        reason: String,
    },
}

impl From<LinkError> for Failed {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl Unsent {
    fn of(error: &PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::InvalidSubject => {
                Self::Refused(error.to_string())
            }
            PublishErrorKind::Send => Self::Lost(ended()),
        }
    }
}

impl Fetched {
    fn name(self) -> &'static str {
        match self {
            Self::Boxes => "boxes",
            Self::Messages => "messages",
            Self::Retained => "retained",
        }
    }
}

/// Where a message stands in its stream, as the subject of its acknowledgement says it.
struct Place<'s> {
    stream: &'s str,
    sequence: u64,
    at_ns: u64,
    pending: u64,
}

impl<'s> Place<'s> {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<number>.<time>.<pending>`, in newer
    /// servers with a domain and an account before the stream and a token behind everything.
    fn parse(reply: &'s str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let tokens = match tokens.len() {
            7 => &tokens[..],
            9.. => &tokens[2..9],
            _ => return None,
        };
        Some(Self {
            stream: tokens[0],
            sequence: tokens[3].parse().ok()?,
            at_ns: tokens[5].parse().ok()?,
            pending: tokens[6].parse().ok()?,
        })
    }
}

/// What the library tells of the connection.
fn trouble(event: Event) -> Result<(), LinkError> {
    let text = match event {
        Event::Connected | Event::Draining | Event::LameDuckMode => return Ok(()),
        Event::ServerError(ServerError::Other(text)) => text,
        Event::ServerError(error) => error.to_string(),
        Event::ClientError(_) | Event::Closed | Event::Disconnected | Event::SlowConsumer(_) => {
            return Err(ended());
        }
    };
    if text.starts_with("Permissions Violation") {
        return Err(LinkError::Refused { reason: text, help: HELP_PERMISSIONS });
    }
    Err(LinkError::Ended(text))
}

fn ended() -> LinkError {
    LinkError::Lost("the server has ended it".to_owned())
}

/// The header beside a value that names the boxes that have got it as a message.
const COPIED_TO: &str = "Weir-Copied-To";
/// Where answers come to what was stored, below the inbox.
const ANSWERS: &str = "stored";
/// How long JetStream may take for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// After that the server ends a batch that is not full.
const FETCH_EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it has nothing for a batch that was asked for.
const FETCH_HEARTBEAT: Duration = Duration::from_secs(5);
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(1);

const HELP_NO_JETSTREAM: &str = "switch JetStream on at the server (`jetstream {}` in its configuration), for the account of \
     this user";
const HELP_PERMISSIONS: &str = "let this user publish to `$JS.API.>`, `$JS.ACK.>`, `$KV.>` and the prefix of the fleet, and \
     subscribe to the prefix and below `inbox_prefix`; docs/fleet.md has the list";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_in_the_form_of_old_and_new_servers() {
        for reply in [
            "$JS.ACK.KV_weir_boxes.c1.1.42.7.1700000000000000000.3",
            "$JS.ACK._.hash.KV_weir_boxes.c1.1.42.7.1700000000000000000.3.random",
            "$JS.ACK.hub.hash.KV_weir_boxes.c1.1.42.7.1700000000000000000.3",
        ] {
            let place = Place::parse(reply).expect("it is one");
            assert_eq!((place.stream, place.sequence, place.pending), ("KV_weir_boxes", 42, 3));
            assert_eq!(place.at_ns, 1_700_000_000_000_000_000);
        }
        assert!(Place::parse("_INBOX.a.b").is_none() && Place::parse("$JS.ACK.a.b").is_none());
    }
}
