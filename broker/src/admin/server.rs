//! The HTTP connections of the admin server: how many there are, and how long they may take.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::access::{Peer, is_local};
use crate::stream::TlsServer;

/// Connections that are open at a time; others wait until one of them ends.
const CONNECTIONS_MAX: usize = 64;
/// So many of them may come from other machines, so that this one is not shut out.
const CONNECTIONS_FROM_ELSEWHERE_MAX: usize = 48;
/// How long a handshake of TLS may take, and the head of a request, and how long a connection may
/// be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// Between attempts to accept while there are no free descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `stop` is done.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsServer>>,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let from_elsewhere = Arc::new(Semaphore::new(CONNECTIONS_FROM_ELSEWHERE_MAX));
    let (ending, ended) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let is_local = is_local(peer.ip());
        let Ok(share) = (match is_local {
            true => Ok(None),
            false => from_elsewhere.clone().try_acquire_owned().map(Some),
        }) else {
            tracing::debug!(%peer, "too many connections to the admin server from elsewhere");
            continue;
        };
        let (tls, router, ended) = (tls.clone(), router.clone(), ended.clone());
        tokio::spawn(async move {
            let _places = (place, share);
            match tls {
                None => talk(stream, peer, router, ended).await,
                Some(tls) => match handshake(stream, &tls).await {
                    Ok(stream) => talk(stream, peer, router, ended).await,
                    Err(error) => tracing::debug!(%peer, %error, "no TLS with the admin server"),
                },
            }
        });
    }
    // Nobody listens when there is no connection.
    let _ = ending.send(true);
    Ok(())
}

/// The next connection, once there is a place for it; none when there was a problem with it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and not to be held back; without it they only come later.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::debug!(%error, "the admin server cannot accept a connection");
            sleep(ACCEPT_RETRY).await;
            None
        }
    }
}

async fn handshake(
    stream: TcpStream,
    tls: &TlsServer,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let acceptor = TlsAcceptor::from(tls.server());
    timeout(HEAD_PATIENCE, acceptor.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Serves one connection.
async fn talk<S>(stream: S, peer: SocketAddr, router: Router, mut ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = call(router.clone(), request.map(Body::new));
        async move { Ok::<Response, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = until(&mut ended) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection to the admin server has ended");
    }
}

async fn until(ended: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which means the same.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn call(router: Router, request: Request) -> Response {
    use hyper::service::Service as _;
    let service = hyper_util::service::TowerToHyperService::new(router);
    let Ok(response) = service.call(request).await;
    response
}
