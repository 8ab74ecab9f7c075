//! The threads of the shards, and how it is known that one has ended that was not told to.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;

use crate::shard::Shard;
use crate::worker;

/// The running threads.
pub(super) struct ShardThreads {
    threads: Vec<JoinHandle<()>>,
    ended: Mutex<mpsc::Receiver<io::Error>>,
}

impl ShardThreads {
    /// Starts one for each.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(shards: Vec<Shard>) -> io::Result<Self> {
        // Each says why it ends, and that it has ended.
        let (report, ended) = mpsc::channel(2 * shards.len().max(1));
        let start = |(number, shard): (usize, Shard)| {
            let name = format!("weir-shard-{number}");
            let farewell = Farewell { name: name.clone(), report: report.clone() };
            Builder::new().name(name).spawn(move || {
                if let Err(error) = shard.run() {
                    tracing::error!(%error, "the shard has ended");
                    farewell.say(error);
                }
            })
        };
        let threads = shards.into_iter().enumerate().map(start).collect::<io::Result<_>>()?;
        Ok(Self { threads, ended: Mutex::new(ended) })
    }

    /// Why one has ended, if one has.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.ended().try_recv().ok()
    }

    /// The same, once it is so.
    pub(super) async fn failed(&self) -> io::Error {
        match poll_fn(|context| self.ended().poll_recv(context)).await {
            Some(error) => error,
            // It was told.
            None => pending().await,
        }
    }

    /// Waits until all have ended, as they were told to.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("the thread of a shard panicked");
            }
        }
    }

    fn ended(&self) -> MutexGuard<'_, mpsc::Receiver<io::Error>> {
        // What a panic interrupts is one look into it.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a shard has ended, whatever ends it: it may be a panic.
struct Farewell {
    name: String,
    report: mpsc::Sender<io::Error>,
}

impl Farewell {
    fn say(&self, error: io::Error) {
        // Whoever owns the broker may have dropped it already.
        let _ = self.report.try_send(error);
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.say(worker::ended(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Broker;
    use crate::config::Config;
    use crate::mailbox::Mail;

    /// Only a shard that ended with an error was noticed: of one that panicked nobody heard, and its
    /// clients were gone while the process went on.
    #[tokio::test]
    async fn a_shard_that_panics_is_a_failure_of_the_broker() {
        let config = Config { persistence: false, listeners: Vec::new(), ..Config::default() };
        let broker = Broker::start(config).unwrap();
        assert!(broker.failure().is_none());
        let mailboxes = &broker.running.as_ref().unwrap().mailboxes;
        mailboxes.first().send(Mail::Look(Box::new(|_, _| panic!("on purpose"))));
        let failed = tokio::time::timeout(Duration::from_secs(60), broker.failed()).await;
        assert_eq!(failed.unwrap().to_string(), "the thread weir-shard-0 has ended");
    }
}
