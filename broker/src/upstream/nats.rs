//! Messages published to JetStream; the only place that knows the client library.
//!
//! Each message at QoS 1 or 2 asks for an answer on a subject that ends with its number, so many are
//! under way and answers may come in any order. One that says that the message is wrong refuses it
//! for good; one that says that no stream takes it ends the connection, and it is sent again on the
//! next one, until somebody has made the stream. What was stored while its answer was lost is
//! recognised by the server (`Nats-Msg-Id`). Messages at QoS 0 are published and forgotten.

mod answer;
mod connect;
mod headers;
mod login;
mod pub_ack;
mod subject;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::{Client, Event, Message, ServerError, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use self::answer::Answer;
pub(crate) use self::connect::connect;
use self::connect::{CONNECT_TIMEOUT, refused};
pub(crate) use self::pub_ack::{Fault, PubAck};
use super::desk::{Desk, Numbered};
use super::error::LinkError;
use crate::config::{HostPort, NatsConfig, TlsClientConfig};

/// Where messages go, and who sends them.
#[derive(Clone, Debug)]
pub(crate) struct NatsOptions {
    /// What the server calls this client in its lists.
    pub(crate) name: String,
    pub(crate) nats: NatsConfig,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
}

/// Messages under way at a time.
pub(crate) const WINDOW: u16 = 256;

/// Runs a connection until it fails, or nobody sends any more.
pub(super) async fn run(
    address: &HostPort,
    options: NatsOptions,
    desk: &mut Desk,
) -> Result<(), LinkError> {
    Connection::open(address, options).await?.serve(desk).await
}

struct Connection {
    client: Client,
    stream: Option<String>,
    /// Where answers come: this, a dot and a number.
    inbox: String,
    answers: Subscriber,
    events: mpsc::Receiver<Event>,
    under_way: BTreeMap<u16, UnderWay>,
    /// Subjects of the last messages at QoS 0, which the server may still refuse.
    live: VecDeque<String>,
    /// The last time that an answer came or nothing was under way.
    progress_at: Instant,
    /// The largest message without an answer so far.
    unanswered_bytes_max: usize,
}

/// A message that waits for its answer; its payload is with the library.
struct UnderWay {
    message: Numbered,
    subject: String,
    bytes: usize,
}

/// Why a message cannot go to NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("topics that begin with `$` would be subjects of the server")]
    OfServer,
    #[error("its subject is longer than servers take")]
    SubjectTooLong,
}

impl Connection {
    async fn open(address: &HostPort, options: NatsOptions) -> Result<Self, LinkError> {
        let (client, events) = connect(address, &options).await?;
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await;
        Ok(Self {
            answers: answers.map_err(|error| LinkError::Lost(error.to_string()))?,
            client,
            stream: options.nats.stream,
            inbox,
            events,
            under_way: BTreeMap::new(),
            live: VecDeque::new(),
            progress_at: Instant::now(),
            unanswered_bytes_max: 0,
        })
    }

    async fn serve(mut self, desk: &mut Desk) -> Result<(), LinkError> {
        desk.tell_connected(WINDOW).await;
        let mut takes_more = true;
        while takes_more || !self.under_way.is_empty() {
            let silent_at = self.progress_at + ANSWER_TIMEOUT;
            tokio::select! {
                event = self.events.recv() => self.handle_event(event, desk).await?,
                answer = self.answers.next() => self.handle_answer(answer, desk).await?,
                outgoing = desk.next(), if takes_more => match outgoing {
                    Some(outgoing) => {
                        let message = desk.number(outgoing).await;
                        self.publish(message, desk).await?;
                    }
                    None => takes_more = false,
                },
                () = sleep_until(silent_at), if !self.under_way.is_empty() => {
                    return Err(self.silent());
                }
            }
        }
        // What needs no answer is written before the connection ends.
        let flushed = timeout(CONNECT_TIMEOUT, self.client.flush()).await;
        flushed.map_err(|_| LinkError::Timeout)?.map_err(|error| LinkError::Lost(error.to_string()))
    }

    async fn publish(&mut self, mut message: Numbered, desk: &Desk) -> Result<(), LinkError> {
        let subject = match subject::of(&message.outgoing.topic) {
            Ok(subject) => subject,
            Err(unfit) => {
                desk.tell_refused(message.number, unfit.to_string()).await;
                return Ok(());
            }
        };
        let headers = headers::of(&message, self.stream.as_deref());
        let payload = std::mem::take(&mut message.outgoing.payload);
        let bytes = payload.len();
        let published = match message.number {
            Some(number) => {
                let reply = format!("{}.{number}", self.inbox);
                let (to, client) = (subject.clone(), &self.client);
                client.publish_with_reply_and_headers(to, reply, headers, payload.into()).await
            }
            None => {
                let to = subject.clone();
                self.client.publish_with_headers(to, headers, payload.into()).await
            }
        };
        match (published, message.number) {
            (Ok(()), Some(number)) => {
                if self.under_way.is_empty() {
                    self.progress_at = Instant::now();
                }
                self.under_way.insert(number, UnderWay { message, subject, bytes });
            }
            (Ok(()), None) => {
                self.unanswered_bytes_max = self.unanswered_bytes_max.max(bytes);
                if self.live.len() == LIVE_MAX {
                    self.live.pop_front();
                }
                self.live.push_back(subject);
            }
            (Err(error), _) => {
                desk.tell_refused(message.number, of_message(&error)?).await;
            }
        }
        Ok(())
    }

    async fn handle_answer(
        &mut self,
        answer: Option<Message>,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let answer = answer.ok_or_else(ended)?;
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        // An answer that comes twice is to nothing any more.
        let Some((number, asked)) =
            number.and_then(|number| Some((number, self.under_way.get(&number)?)))
        else {
            return Ok(());
        };
        match Answer::of(&answer, &asked.subject) {
            Answer::Foreign => return Ok(()),
            Answer::NotNow(error) => return Err(error),
            Answer::Stored => desk.tell_acknowledged(&asked.message).await,
            Answer::Wrong(reason) => desk.tell_refused(asked.message.number, reason).await,
        }
        self.under_way.remove(&number);
        self.progress_at = Instant::now();
        Ok(())
    }

    async fn handle_event(&mut self, event: Option<Event>, desk: &Desk) -> Result<(), LinkError> {
        let text = match event.ok_or_else(ended)? {
            // The server ends the connection itself, when it has to.
            Event::Connected | Event::Draining | Event::LameDuckMode => return Ok(()),
            Event::ServerError(ServerError::Other(text)) => text,
            Event::ServerError(error) => return Err(refused(error.to_string())),
            Event::ClientError(_)
            | Event::Closed
            | Event::Disconnected
            | Event::SlowConsumer(_) => return Err(ended()),
        };
        if let Some(quoted) = text.strip_prefix("Permissions Violation for Publish to ") {
            let refused = self.refuse(desk, &text, |asked| quoted == quote(&asked.subject)).await;
            if refused == 0 {
                self.refuse_live(desk, quoted, &text).await;
            }
            return Ok(());
        }
        if text.starts_with("Permissions Violation") {
            return Err(LinkError::Refused { reason: text, help: HELP_INBOX });
        }
        if text.starts_with("Maximum Payload") {
            self.refuse_largest(desk, &text).await;
            return Err(LinkError::Ended(text));
        }
        if text.starts_with("User Authentication") || text.starts_with("Authentication") {
            return Err(refused(text));
        }
        Err(LinkError::Ended(text))
    }

    /// The server names a subject that this user may not publish to, but no message. Answers how
    /// many were meant.
    async fn refuse(
        &mut self,
        desk: &Desk,
        reason: &str,
        is_meant: impl Fn(&UnderWay) -> bool,
    ) -> usize {
        let before = self.under_way.len();
        for asked in self.under_way.values().filter(|asked| is_meant(asked)) {
            desk.tell_refused(asked.message.number, reason.to_owned()).await;
        }
        self.under_way.retain(|_, asked| !is_meant(asked));
        self.progress_at = Instant::now();
        before - self.under_way.len()
    }

    /// The server says it once for each message. One that asks for an answer may have been refused
    /// with those before it, so that not everything that is said is of a message at QoS 0.
    async fn refuse_live(&mut self, desk: &Desk, quoted: &str, reason: &str) {
        let meant = self.live.iter().position(|subject| quoted == quote(subject));
        if meant.and_then(|place| self.live.remove(place)).is_some() {
            desk.tell_refused(None, reason.to_owned()).await;
        }
    }

    /// An account may take less than the server said at first. If any message was too large the
    /// largest one was, and it would be on each connection to come.
    async fn refuse_largest(&mut self, desk: &Desk, reason: &str) {
        let largest = self.under_way.values().map(|asked| asked.bytes).max().unwrap_or_default();
        if largest > self.unanswered_bytes_max {
            self.refuse(desk, reason, |asked| asked.bytes == largest).await;
        } else {
            desk.tell_refused(None, reason.to_owned()).await;
        }
    }

    fn silent(&self) -> LinkError {
        let subject = self.under_way.values().next().map_or("", |asked| &asked.subject);
        let waited_s = ANSWER_TIMEOUT.as_secs();
        let reason = format!("JetStream did not acknowledge `{subject}` within {waited_s} s");
        LinkError::Refused { reason, help: HELP_SILENT }
    }
}

fn ended() -> LinkError {
    LinkError::Lost("the server has ended it".to_owned())
}

/// What is wrong with a message that the library does not take.
fn of_message(error: &PublishError) -> Result<String, LinkError> {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            Ok("it is larger than the upstream takes (`max_payload`)".to_owned())
        }
        PublishErrorKind::InvalidSubject => Ok(error.to_string()),
        PublishErrorKind::Send => Err(ended()),
    }
}

/// A subject as the server writes it into its errors.
fn quote(subject: &str) -> String {
    format!("\"{}\"", subject.replace('\\', "\\\\").replace('"', "\\\""))
}

/// After as long without any answer while messages wait for one the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages at QoS 0 of which it is known which one the server refuses.
const LIVE_MAX: usize = 256;

const HELP_INBOX: &str =
    "let this user subscribe below `inbox_prefix` in `nats` of this upstream (`_INBOX.>`)";
const HELP_SILENT: &str = "check that a stream takes the subject, and that its servers are up";
