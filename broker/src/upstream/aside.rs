//! Work of an upstream that takes long, beside the control thread: all upstreams, the fleet and the
//! admin server have their turns there, and wait meanwhile.
//!
//! A connection waits for its own work, so there is one piece of it for each request that is under
//! way.

use tokio::task::spawn_blocking;

/// Does something with so many bytes, on a thread for such work unless they are few.
pub(super) async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes < ASIDE_FROM_BYTES {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and whoever waits for this with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Less is compressed in the time that going to another thread and back takes on a small board.
const ASIDE_FROM_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::client::PATIENCE;
    use std::sync::mpsc;

    /// The thread of this test is the only one that the runtime has for tasks.
    #[tokio::test]
    async fn others_have_their_turn_while_much_is_done() {
        let (sender, others) = mpsc::channel();
        let work = tokio::spawn(aside(ASIDE_FROM_BYTES, move || others.recv_timeout(PATIENCE)));
        let other = tokio::spawn(async move { sender.send("their turn") });
        assert_eq!(work.await.expect("it is done"), Ok("their turn"));
        assert!(other.await.is_ok_and(|sent| sent.is_ok()));
    }

    #[tokio::test]
    async fn little_is_done_where_it_is() {
        let here = std::thread::current().id();
        assert_eq!(aside(ASIDE_FROM_BYTES - 1, || std::thread::current().id()).await, here);
        assert_ne!(aside(ASIDE_FROM_BYTES, || std::thread::current().id()).await, here);
    }
}
