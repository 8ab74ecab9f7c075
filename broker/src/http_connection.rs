//! One connection over which HTTP/1.1 is spoken as a client, plain or over TLS.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;

use crate::client_stream::ClientStream;

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
    let stream = ClientStream::connect(host, port, tls).await.map_err(OpenError::Io)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (requests, connection) = handshake.map_err(OpenError::Http)?;
    // What goes wrong there shows where the answer is awaited.
    tokio::spawn(async { connection.await.ok() });
    Ok(requests)
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
