//! Messages published to an exchange over AMQP 0.9.1, as RabbitMQ speaks it.
//!
//! Each message is confirmed by the server; up to [`WINDOW`] are under way, on one channel, so they
//! arrive in order. A message that no queue takes comes back before its confirmation, and is refused
//! for good. What is wrong with a single message ends the channel without saying with which one:
//! those that were under way are then sent again one by one. Anything else ends the connection, and
//! they are sent again on the next one; `id`, which is the message identifier there, tells apart what
//! came twice.

mod fault;
mod message;
mod runtime;
mod stream;
mod under_way;

use std::sync::Mutex;
use std::time::Duration;

use async_rs::Runtime;
use futures_core::Stream as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{
    AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism,
};
use lapin::{
    AsyncTcpStream, Channel, Confirmation, Connection, ConnectionProperties, Event, ExchangeKind,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use self::fault::{Fault, HELP_EXCHANGE, HELP_VHOST};
use self::message::Envelope;
use self::runtime::Tokio;
use self::stream::Stream;
use self::under_way::{Publishing, Settled, UnderWay};
use super::desk::{Desk, Numbered};
use super::error::{LinkError, one_line};
use super::outgoing::Outgoing;
use crate::config::{AmqpConfig, AmqpSasl, HostPort, TlsClientConfig, Unroutable};

/// Where messages are published, and how.
#[derive(Clone, Debug)]
pub(crate) struct AmqpOptions {
    pub(crate) amqp: AmqpConfig,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
}

/// Messages that wait for their confirmation at a time.
pub(crate) const WINDOW: u16 = 256;

/// Runs a connection until it fails, or nobody sends any more.
pub(super) async fn run(
    address: &HostPort,
    options: AmqpOptions,
    desk: &mut Desk,
) -> Result<(), LinkError> {
    let opened = timeout(TIMEOUT, Publisher::open(address, options)).await;
    opened.unwrap_or(Err(LinkError::Timeout))?.serve(desk).await
}

struct Publisher {
    channel: Channel,
    connection: Connection,
    exchange: ShortString,
    /// Whether a message comes back that no queue takes.
    mandatory: bool,
    /// The thread of the library ends with this.
    _in_use: oneshot::Sender<()>,
}

/// What happens next on a connection.
enum Next {
    Event(Option<Event>),
    Message(Option<Outgoing>),
    Settled(Vec<Settled>),
    TooLate,
}

impl Publisher {
    async fn open(address: &HostPort, options: AmqpOptions) -> Result<Self, LinkError> {
        let mandatory = options.amqp.unroutable == Unroutable::DeadLetter;
        let exchange = ShortString::try_new(options.amqp.exchange.as_str()).map_err(|error| {
            LinkError::Refused { reason: error.to_string(), help: HELP_EXCHANGE }
        })?;
        let (connection, in_use) = connect(address, options).await?;
        let channel = open_channel(&connection).await.map_err(Fault::of_link)?;
        if !exchange.as_str().is_empty() {
            let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let kind = ExchangeKind::Topic;
            let there = channel.exchange_declare(exchange.clone(), kind, options, no_table());
            there.await.map_err(|error| fault::of(&error)).map_err(Fault::of_link)?;
        }
        Ok(Self { channel, connection, exchange, mandatory, _in_use: in_use })
    }

    async fn serve(&mut self, desk: &mut Desk) -> Result<(), LinkError> {
        let mut events = Box::pin(self.connection.events_listener());
        let mut under_way = UnderWay::default();
        let (mut is_blocked, mut is_last) = (false, false);
        desk.tell_connected(WINDOW).await;
        let mut heard_at = Instant::now();
        while !(is_last && under_way.is_empty()) {
            let has_room = under_way.len() < usize::from(WINDOW) && !is_last && !is_blocked;
            let waits = !under_way.is_empty() && !is_blocked;
            let next = tokio::select! {
                settled = under_way.next(), if !under_way.is_empty() => Next::Settled(settled),
                event = std::future::poll_fn(|context| events.as_mut().poll_next(context)) => {
                    Next::Event(event)
                }
                message = desk.next(), if has_room => Next::Message(message),
                () = tokio::time::sleep_until(heard_at + TIMEOUT), if waits => Next::TooLate,
            };
            match next {
                Next::Event(Some(Event::ConnectionBlocked(reason))) => {
                    is_blocked = true;
                    desk.tell_blocked(Some(one_line(&reason))).await;
                }
                Next::Event(Some(Event::ConnectionUnblocked)) => {
                    (is_blocked, heard_at) = (false, Instant::now());
                    desk.tell_blocked(None).await;
                }
                // What is under way says more, and also whether only its channel has ended.
                Next::Event(Some(Event::Error(error)))
                    if under_way.is_empty() && !self.connection.status().connected() =>
                {
                    return Err(fault::of(&error).of_link());
                }
                Next::Event(Some(_)) => {}
                Next::Event(None) => return Err(LinkError::Lost("it has ended".to_owned())),
                Next::Message(None) => is_last = true,
                Next::Message(Some(outgoing)) => {
                    if under_way.is_empty() {
                        heard_at = Instant::now();
                    }
                    if let Some(publishing) = self.take(outgoing, desk).await {
                        under_way.push(publishing, self.mandatory);
                    }
                }
                Next::Settled(settled) => {
                    heard_at = Instant::now();
                    self.settle(settled, &mut under_way, desk).await?;
                }
                Next::TooLate => return Err(LinkError::Timeout),
            }
        }
        // Whether the server has heard it makes no difference here.
        let _ = self.connection.close(200, "OK".into()).await;
        Ok(())
    }

    /// Begins to publish a message, unless it cannot be one of AMQP.
    async fn take(&self, outgoing: Outgoing, desk: &mut Desk) -> Option<Publishing> {
        let mut message = desk.number(outgoing).await;
        let properties_max = self.connection.configuration().frame_max();
        match Envelope::of(&mut message.outgoing, properties_max as usize) {
            Ok(envelope) => Some(self.publish(message, envelope)),
            Err(reason) => {
                desk.tell_refused(message.number, reason).await;
                None
            }
        }
    }

    fn publish(&self, message: Numbered, envelope: Envelope) -> Publishing {
        let (channel, exchange, sent) =
            (self.channel.clone(), self.exchange.clone(), envelope.clone());
        // Who sends at QoS 0 does not want to know.
        let mandatory = self.mandatory && message.number.is_some();
        let options = BasicPublishOptions { mandatory, ..Default::default() };
        let confirmed = async move {
            let Envelope { routing_key, properties, payload } = sent;
            let sent =
                channel.basic_publish(exchange, routing_key, options, &payload, properties).await?;
            sent.await
        };
        Publishing::new(message, envelope, Box::pin(confirmed))
    }

    /// Tells what became of messages, the oldest ones of those under way.
    async fn settle(
        &mut self,
        settled: Vec<Settled>,
        under_way: &mut UnderWay,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let mut settled = settled.into_iter();
        while let Some(first) = settled.next() {
            match tell(&first, desk).await {
                Ok(()) => {}
                Err(Fault::Link(error)) => return Err(error),
                Err(Fault::Message(_)) => {
                    let ended = std::iter::once(first).chain(settled);
                    let ended = ended.map(|settled| (settled.message, settled.envelope));
                    let messages = ended.chain(under_way.take()).collect();
                    return self.publish_each(messages, desk).await;
                }
            }
        }
        Ok(())
    }

    /// Publishes messages again of which one has ended the channel, each when the one before it is
    /// confirmed.
    async fn publish_each(
        &mut self,
        messages: Vec<(Numbered, Envelope)>,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        self.channel = open_channel(&self.connection).await.map_err(Fault::of_link)?;
        for (message, envelope) in messages {
            let mut alone = UnderWay::default();
            alone.push(self.publish(message, envelope), self.mandatory);
            let settled = timeout(TIMEOUT, alone.next()).await.map_err(|_| LinkError::Timeout)?;
            for settled in settled {
                match tell(&settled, desk).await {
                    Ok(()) => {}
                    Err(Fault::Link(error)) => return Err(error),
                    Err(Fault::Message(reason)) => {
                        desk.tell_refused(settled.message.number, reason).await;
                        let opened = open_channel(&self.connection).await;
                        self.channel = opened.map_err(Fault::of_link)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Connects, without a channel. The connection ends when the other half is dropped.
pub(super) async fn connect(
    address: &HostPort,
    options: AmqpOptions,
) -> Result<(Connection, oneshot::Sender<()>), LinkError> {
    let vhost = ShortString::try_new(options.amqp.vhost)
        .map_err(|error| LinkError::Refused { reason: error.to_string(), help: HELP_VHOST })?;
    let tls = options.tls.map(|tls| tls.load()).transpose()?;
    let is_tls = tls.is_some();
    let mechanism = match options.amqp.sasl {
        AmqpSasl::External => SASLMechanism::External,
        AmqpSasl::Plain => SASLMechanism::Plain,
    };
    let is_external = options.amqp.sasl == AmqpSasl::External;
    let (stream, in_use) = Stream::connect(address, tls).await?;
    let stream = Mutex::new(Some(stream));
    let connection = Connection::connector(
        uri(address, options.credentials, vhost.into(), mechanism),
        Runtime::new(Tokio::current()),
        // It is asked for one stream: the library does not connect again by itself.
        move |_, _| {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            let gone = || std::io::Error::from(std::io::ErrorKind::NotConnected).into();
            std::future::ready(stream.map(AsyncTcpStream::Plain).ok_or_else(gone))
        },
        ConnectionProperties::default().with_connection_name("weir".into()),
    );
    let connection = connection.await;
    let connection = connection.map_err(|error| fault::of_opening(&error, is_tls, is_external))?;
    Ok((connection, in_use))
}

/// Tells what became of a message, if that is the end of it.
async fn tell(settled: &Settled, desk: &Desk) -> Result<(), Fault> {
    match (&settled.outcome, &settled.returned) {
        (Ok(Confirmation::Ack(_)), None) => desk.tell_acknowledged(&settled.message).await,
        (Ok(Confirmation::Ack(_)), Some(reason)) => {
            desk.tell_refused(settled.message.number, reason.clone()).await;
        }
        (Ok(Confirmation::Nack(_) | Confirmation::NotRequested), _) => {
            let reason = "a queue did not take it (basic.nack): it is full, or cannot write";
            return Err(Fault::Link(LinkError::RefusedMessage(reason.to_owned())));
        }
        (Err(error), _) => return Err(fault::of(error)),
    }
    Ok(())
}

/// A channel on which messages are confirmed.
async fn open_channel(connection: &Connection) -> Result<Channel, Fault> {
    let opened = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    };
    match timeout(TIMEOUT, opened).await {
        Ok(opened) => opened.map_err(|error| fault::of(&error)),
        Err(_) => Err(Fault::Link(LinkError::Timeout)),
    }
}

fn uri(
    address: &HostPort,
    credentials: Option<(String, String)>,
    vhost: String,
    mechanism: SASLMechanism,
) -> AMQPUri {
    let guest = || (GUEST.to_owned(), GUEST.to_owned());
    let (username, password) = credentials.unwrap_or_else(guest);
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username, password },
            host: address.host().to_owned(),
            port: address.port(),
        },
        vhost,
        query: AMQPQueryString {
            frame_max: Some(FRAME_BYTES_MAX),
            heartbeat: Some(HEARTBEAT_S),
            auth_mechanism: Some(mechanism),
            ..AMQPQueryString::default()
        },
    }
}

fn no_table() -> FieldTable {
    FieldTable::default()
}

/// To connect, and without any confirmation while some are awaited.
const TIMEOUT: Duration = Duration::from_secs(30);
/// After twice as long without a sign of life the connection is over.
const HEARTBEAT_S: u16 = 30;
/// The library keeps buffers for 64 frames.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What RabbitMQ calls somebody without a name, and lets in from the same machine only.
const GUEST: &str = "guest";
