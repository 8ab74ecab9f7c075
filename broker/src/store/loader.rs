//! The thread that reads queued messages back from the store.
//!
//! A shard never waits for the disk. It has one read under way at a time, so nothing gathers
//! here.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weir_core::{Message, Sequence, ShardId};

use crate::store::{Store, StoreError};

/// Between two attempts to read what cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// The thread; dropping it stops it.
pub(crate) struct Loader {
    requests: Option<mpsc::Sender<Vec<Sequence>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts the thread for a shard. It calls `answer` with what it has found.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        store: Arc<Store>,
        shard: ShardId,
        answer: impl Fn(Vec<(Sequence, Message)>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel();
        let run = move || run(&store, shard, &requests, answer);
        let thread = thread::Builder::new().name("weir-loader".to_owned()).spawn(run)?;
        Ok(Self { requests: Some(sender), thread: Some(thread) })
    }

    /// Asks for the messages at these positions.
    pub(crate) fn read(&self, sequences: Vec<Sequence>) {
        if let Some(requests) = &self.requests {
            // The thread ends only when this is dropped, or by a panic, which the log tells.
            let _ = requests.send(sequences);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.requests = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the queues panicked");
        }
    }
}

fn run(
    store: &Store,
    shard: ShardId,
    requests: &mpsc::Receiver<Vec<Sequence>>,
    answer: impl Fn(Vec<(Sequence, Message)>),
) {
    while let Ok(sequences) = requests.recv() {
        loop {
            match store.read_messages(shard, &sequences) {
                Ok(messages) => break answer(messages),
                // The writer has told of that, and tries again.
                Err(StoreError::Failed { .. }) => {}
                Err(error) => {
                    tracing::error!(%error, "queued messages cannot be read; trying again");
                }
            }
            if requests.recv_timeout(RETRY) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}
