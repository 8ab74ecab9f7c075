//! A connection to one broker: frames, requests and their answers, one at a time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::login::Login;
use super::metadata::{self, Metadata};
use super::produce::{self, Batch, Produced};
use super::wire::{Malformed, Reader, Writer, length};
use crate::client_stream::ClientStream;
use crate::config::HostPort;
use crate::upstream::error::LinkError;

/// How connections are made.
pub(super) struct Connector {
    /// What the brokers call this client in their logs and limits.
    pub(super) client_id: String,
    pub(super) login: Option<Login>,
    pub(super) tls: Option<TlsConnector>,
}

/// A connection on which this box is known. It is dropped when anything goes wrong on it.
pub(super) struct Connection {
    stream: ClientStream,
    client_id: String,
    last_id: i32,
    /// The version of Produce that both sides know.
    produce: i16,
    /// Whether the broker has answered to anything but how it speaks.
    is_proven: bool,
    /// Whether it has ended the connection instead.
    is_unwanted: bool,
}

/// An answer of a broker, without its header.
pub(super) struct Reply(Vec<u8>);

impl Connector {
    /// Connects to a broker and logs in.
    pub(super) async fn connect(&self, address: &HostPort) -> Result<Connection, LinkError> {
        let opened = timeout(CONNECT_TIMEOUT, self.open(address)).await;
        opened.unwrap_or(Err(LinkError::Timeout))
    }

    async fn open(&self, address: &HostPort) -> Result<Connection, LinkError> {
        let host = address.host();
        let stream = ClientStream::connect(host, address.port(), self.tls.as_ref()).await;
        let stream = stream.map_err(|error| LinkError::of_io(error, host))?;
        let mut connection = Connection {
            stream,
            client_id: self.client_id.clone(),
            last_id: 0,
            produce: produce::VERSION_MIN,
            is_proven: false,
            is_unwanted: false,
        };
        connection.agree(self.tls.is_some()).await?;
        if let Some(login) = &self.login {
            login.log_in(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl Connection {
    /// Asks who the brokers are, and for some topics.
    pub(super) async fn metadata(&mut self, topics: &[String]) -> Result<Metadata, LinkError> {
        let request = metadata::request(topics);
        let asked = self.request(metadata::API, metadata::VERSION, &request);
        let answer = timeout(ANSWER_TIMEOUT, asked).await.unwrap_or(Err(LinkError::Timeout))?;
        answer.read(metadata::answer)
    }

    /// Has batches stored.
    pub(super) async fn produce(&mut self, batches: &[Batch<'_>]) -> Result<Produced, LinkError> {
        let version = self.produce;
        let request = produce::request(batches);
        let asked = self.request(produce::API, version, &request);
        let answer = timeout(ANSWER_TIMEOUT, asked).await.unwrap_or(Err(LinkError::Timeout))?;
        answer.read(|reader| produce::answer(reader, version))
    }

    /// Whether the broker has ended the connection at the first request.
    pub(super) fn is_unwanted(&self) -> bool {
        self.is_unwanted
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn request(
        &mut self,
        api: i16,
        version: i16,
        body: &[u8],
    ) -> Result<Reply, LinkError> {
        let exchanged = self.exchange(api, version, body).await;
        match exchanged {
            Ok(answer) => {
                self.is_proven = true;
                Ok(answer)
            }
            Err(fault) if !self.is_proven && fault.is_end() => {
                self.is_unwanted = true;
                let reason = "it ended it at the first request".to_owned();
                Err(LinkError::Refused { reason, help: HELP_LOGIN })
            }
            Err(fault) => Err(fault.into_error()),
        }
    }

    /// Finds out what the broker speaks, which it says to everybody.
    async fn agree(&mut self, is_tls: bool) -> Result<(), LinkError> {
        let answer = match self.exchange(API_VERSIONS, 0, &[]).await {
            Ok(answer) => answer,
            Err(Fault::Io(error)) if is_end(&error) => {
                let reason = format!("it ended it while Kafka was begun: {error}");
                return Err(match is_tls {
                    // The answer to a certificate comes after the handshake, and may be lost with
                    // the connection.
                    true => LinkError::Tls { reason, help: HELP_CERTIFICATE },
                    false => LinkError::Refused { reason, help: HELP_KAFKA },
                });
            }
            Err(Fault::Io(error)) => return Err(Fault::Io(error).into_error()),
            Err(Fault::Foreign) => return Err(not_kafka()),
        };
        let versions = answer.read(|reader| {
            let code = reader.i16()?;
            let one = |reader: &mut Reader<'_>| Ok((reader.i16()?, reader.i16()?, reader.i16()?));
            if code == 0 { reader.list(one) } else { Err(Malformed) }
        });
        let versions = versions.map_err(|_| not_kafka())?;
        let range = |api: i16| {
            let found = versions.iter().find(|(known, ..)| *known == api);
            found.map_or((0, -1), |(_, min, max)| (*min, *max))
        };
        let (min, max) = range(produce::API);
        self.produce = max.min(produce::VERSION_MAX);
        let (metadata_min, metadata_max) = range(metadata::API);
        let is_known = self.produce >= min.max(produce::VERSION_MIN)
            && (metadata_min..=metadata_max).contains(&metadata::VERSION);
        if is_known {
            return Ok(());
        }
        let reason = format!(
            "it speaks other versions: Produce {min} to {max}, Metadata {metadata_min} to \
             {metadata_max}"
        );
        Err(LinkError::Refused { reason, help: HELP_VERSION })
    }

    async fn exchange(&mut self, api: i16, version: i16, body: &[u8]) -> Result<Reply, Fault> {
        self.last_id = self.last_id.wrapping_add(1);
        let mut header = Writer::default();
        header.i16(api);
        header.i16(version);
        header.i32(self.last_id);
        header.text(&self.client_id);
        let header = header.into_bytes();
        let bytes = length(header.len() + body.len()).to_be_bytes();
        let head = [&bytes[..], &header].concat();
        self.stream.write_all(&head).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let bytes = usize::try_from(self.stream.read_i32().await?).map_err(|_| Fault::Foreign)?;
        if !(4..=ANSWER_BYTES_MAX).contains(&bytes) {
            return Err(Fault::Foreign);
        }
        if self.stream.read_i32().await? != self.last_id {
            return Err(Fault::Foreign);
        }
        let mut answer = Vec::new();
        // What a length promises is not set aside before it comes.
        let left = (bytes - 4) as u64;
        (&mut self.stream).take(left).read_to_end(&mut answer).await?;
        if answer.len() as u64 == left {
            Ok(Reply(answer))
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }
}

impl Reply {
    /// Reads it.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
    ) -> Result<T, LinkError> {
        let read = read(&mut Reader::new(&self.0));
        read.map_err(|error| LinkError::Refused { reason: error.to_string(), help: HELP_KAFKA })
    }
}

/// What goes wrong with a request.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The answer is none of Kafka.
    #[error("it does not speak Kafka")]
    Foreign,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fault {
    fn is_end(&self) -> bool {
        matches!(self, Self::Io(error) if is_end(error))
    }

    fn into_error(self) -> LinkError {
        match self {
            Self::Foreign => not_kafka(),
            Self::Io(error) => {
                LinkError::of_tls(&error).unwrap_or_else(|| LinkError::Lost(error.to_string()))
            }
        }
    }
}

/// A broker that does not like what it is sent ends the connection without a word.
fn is_end(error: &io::Error) -> bool {
    LinkError::of_tls(error).is_none()
        && matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof
        )
}

fn not_kafka() -> LinkError {
    LinkError::Refused { reason: "it does not speak Kafka".to_owned(), help: HELP_KAFKA }
}

/// To connect and log in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Without the answer to a request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer: the partitions of the topics that are asked for at a time.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
const API_VERSIONS: i16 = 18;

const HELP_CERTIFICATE: &str = "the upstream may want another certificate: check `certfile` and \
                                `keyfile`, and that the port of `address` speaks Kafka";
const HELP_KAFKA: &str =
    "check that the port of `address` speaks Kafka; for a listener with TLS set `tls`";
const HELP_LOGIN: &str = "its listener may want a login: set `username` and `password_file` of this \
                          upstream, and `sasl` in its `kafka`";
const HELP_VERSION: &str = "weir needs Kafka 1.0 or later, or a server that speaks the same";
