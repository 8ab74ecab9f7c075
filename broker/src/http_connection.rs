//! One connection over which HTTP/1.1 is spoken as a client, plain or over TLS.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The requests of a connection.
pub(crate) type Requests = SendRequest<Full<Bytes>>;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The network, or TLS.
    Io(io::Error),
    Http(hyper::Error),
}

/// Connects. Needs a tokio runtime, on which the connection lives.
pub(crate) async fn open(
    host: &str,
    port: u16,
    tls: Option<&TlsConnector>,
) -> Result<Requests, OpenError> {
    let stream = TcpStream::connect((host, port)).await.map_err(OpenError::Io)?;
    stream.set_nodelay(true).map_err(OpenError::Io)?;
    let Some(tls) = tls else { return handshake(TokioIo::new(stream)).await };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| OpenError::Io(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = tls.connect(name, stream).await.map_err(OpenError::Io)?;
    handshake(TokioIo::new(stream)).await
}

/// The whole body of an answer, of at most so many bytes.
///
/// # Errors
/// It is longer, or stopped in the middle.
pub(crate) async fn read_body(
    body: Incoming,
    bytes_max: usize,
) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    let body = Limited::new(body, bytes_max).collect().await;
    body.map(|body| body.to_bytes())
}

async fn handshake<S>(stream: S) -> Result<Requests, OpenError>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let (requests, connection) = http1::handshake(stream).await.map_err(OpenError::Http)?;
    // What goes wrong there shows where the answer is awaited.
    tokio::spawn(async { connection.await.ok() });
    Ok(requests)
}
