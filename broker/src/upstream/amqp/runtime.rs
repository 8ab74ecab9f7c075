//! The tokio runtime as the library wants it.
//!
//! The library has one of its own, which connects by itself, and over TLS of its choice. With this
//! one it is given a connection that is there.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{Task, TaskImpl};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Interval, Sleep};

use super::stream::Stream;

/// A runtime that is running.
#[derive(Clone, Debug)]
pub(super) struct Tokio(Handle);

/// A task on it, which goes on when this is dropped.
pub(super) struct Running<T>(JoinHandle<T>);

/// The moments of an interval.
struct Ticks(Interval);

impl Tokio {
    /// The one that runs the caller.
    pub(super) fn current() -> Self {
        Self(Handle::current())
    }
}

impl RuntimeKit for Tokio {}

impl Executor for Tokio {
    type Task<T: Send + 'static> = Running<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Running<T>> {
        Running(self.0.spawn(future)).into()
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Running<T>> {
        Running(self.0.spawn_blocking(work)).into()
    }
}

impl Reactor for Tokio {
    type TcpStream = Stream;
    type Sleep = Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl futures_io::AsyncRead + futures_io::AsyncWrite + Send + Unpin + 'static>
    {
        Err::<Stream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let _inside = self.0.enter();
        tokio::time::sleep(time)
    }

    fn interval(
        &self,
        time: Duration,
    ) -> impl futures_core::Stream<Item = Instant> + Send + 'static {
        let _inside = self.0.enter();
        Ticks(tokio::time::interval(time))
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Stream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl<T: Send + 'static> TaskImpl for Running<T> {}

impl<T> Future for Running<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(context)) {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it whoever waits here.
                Err(_) => Poll::Pending,
            },
        }
    }
}

impl futures_core::Stream for Ticks {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.0.poll_tick(context).map(|at| Some(at.into_std()))
    }
}
