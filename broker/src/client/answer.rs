//! What a client is answered later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::ClientError;
use super::session::{Asked, Shared};
use crate::handout::wait_for;

/// What a [`Client`](super::Client) is answered later: await it on any runtime, or
/// [`wait`](Self::wait) for it on a thread. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "the answer says whether it was done"]
pub struct Answer<T>(oneshot::Receiver<Result<T, ClientError>>);

impl<T> Answer<T> {
    /// Waits for it on this thread.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] when it does not come in time, or why it was not done.
    pub fn wait(self, patience: Duration) -> Result<T, ClientError> {
        wait_for(self, patience).unwrap_or(Err(ClientError::TimedOut))
    }

    /// One that counts among those of a client, until it is given.
    pub(super) fn asked(shared: &Arc<Shared>) -> (Asked<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Asked::counted(sender, shared), Self(receiver))
    }

    /// One that does not count.
    pub(super) fn new() -> (oneshot::Sender<Result<T, ClientError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever was to answer is gone only with the broker.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(ClientError::Ended)))
    }
}
