//! The two ways of a connection, with TLS or without.

use std::io;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::{TlsClient, words};

/// What comes from the broker.
pub(super) enum Reader {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

/// What goes to the broker.
pub(super) enum Writer {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

/// Both ways of a connection that is not encrypted.
pub(super) fn plain(stream: TcpStream) -> (Reader, Writer) {
    let (reader, writer) = stream.into_split();
    (Reader::Plain(reader), Writer::Plain(writer))
}

/// Both ways of a connection after the handshake of TLS with the broker at `host`.
pub(super) async fn encrypted(
    stream: TcpStream,
    tls: &TlsClient,
    host: &str,
) -> io::Result<(Reader, Writer)> {
    let name: ServerName<'static> = tls.server_name(host).map_err(io::Error::other)?;
    let config = tls.config().map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        // Whoever does not speak TLS ends the connection when it comes.
        if words(&error).is_some() {
            return error;
        }
        let text = format!("{error} in the handshake: does the broker speak TLS on this port?");
        io::Error::new(error.kind(), text)
    })?;
    let (reader, writer) = split(stream);
    Ok((Reader::Tls(reader), Writer::Tls(writer)))
}

impl Reader {
    /// Waits for something and appends it; false at the end. Nothing is lost if the wait is given
    /// up. Without TLS there is no room taken for what has not come: most sessions are idle most of
    /// the time, and there are many.
    pub(super) async fn read(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        match self {
            Self::Plain(half) => {
                half.readable().await?;
                input.reserve(READ_BYTES);
                match half.try_read_buf(input) {
                    Ok(length) => Ok(length > 0),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
                    Err(error) => Err(error),
                }
            }
            Self::Tls(half) => {
                input.reserve(READ_BYTES);
                match half.read_buf(input).await {
                    Ok(length) => Ok(length > 0),
                    // It has ended without saying so in TLS. What MQTT is left without is known.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Reads until the end, and drops what comes.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        let mut unread = BytesMut::new();
        while self.read(&mut unread).await? {
            unread.clear();
        }
        Ok(())
    }
}

impl Writer {
    /// Writes everything that is there.
    pub(super) async fn write_all(&mut self, output: &mut BytesMut) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.write_all_buf(output).await,
            Self::Tls(half) => {
                half.write_all_buf(output).await?;
                half.flush().await
            }
        }
    }

    /// Says that nothing follows.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.shutdown().await,
            Self::Tls(half) => half.shutdown().await,
        }
    }
}

const READ_BYTES: usize = 8_192;
