//! The bytes of a connection, as the library wants them.
//!
//! The library reads and writes them on a thread of its own, which ends with the connection: for
//! whoever has lost interest it ends when the other half of [`Stream::connect`] is dropped. A server
//! that says nothing would keep the thread for ever otherwise.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::client_stream::ClientStream;
use crate::config::HostPort;
use crate::upstream::error::LinkError;

/// A connection, as the library wants one.
pub(super) struct Stream {
    bytes: ClientStream,
    gone: oneshot::Receiver<()>,
}

impl Stream {
    /// Connects. When the other half is dropped the connection is at its end for its reader.
    pub(super) async fn connect(
        address: &HostPort,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<(Self, oneshot::Sender<()>), LinkError> {
        let host = address.host();
        let tls = tls.map(TlsConnector::from);
        let bytes = ClientStream::connect(host, address.port(), tls.as_ref()).await;
        let bytes = bytes.map_err(|error| LinkError::of_io(error, host))?;
        let (in_use, gone) = oneshot::channel();
        Ok((Self { bytes, gone }, in_use))
    }
}

impl futures_io::AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.gone.is_terminated() || Pin::new(&mut self.gone).poll(context).is_ready() {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.bytes).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl futures_io::AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_io::AsyncRead as _;
    use tokio::net::TcpListener;

    use super::*;

    /// The library waits for a server that says nothing until it is told that nobody wants to know.
    #[tokio::test]
    async fn a_reader_is_at_the_end_when_nobody_has_an_interest_any_more() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = HostPort::new("127.0.0.1", silent.local_addr().unwrap().port());
        let (mut stream, in_use) = Stream::connect(&address, None).await.unwrap();
        let mut buffer = [0; 8];
        let mut read =
            poll_fn(move |context| Pin::new(&mut stream).poll_read(context, &mut buffer));
        tokio::select! {
            biased;
            _ = &mut read => panic!("nothing was sent"),
            () = std::future::ready(()) => {}
        }
        drop(in_use);
        assert_eq!(read.await.unwrap(), 0);
    }
}
