//! The upstreams on the control thread: each is a task, which can begin and end while the others
//! go on.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};

use super::bridge::Upstream;
use super::forwarder::Place;

/// What is to become of an upstream.
pub(crate) enum Order {
    Start(Box<Upstream>),
    /// Ends it, and answers how far it is in the log; none if it did not run to its end.
    Stop {
        name: String,
        answer: SyncSender<Option<Vec<Place>>>,
    },
}

/// A way to give orders. Those that come when the broker ends are not obeyed, and have no answer.
pub(crate) type Orders = mpsc::UnboundedSender<Order>;

/// Holds the tasks of the upstreams.
pub(crate) struct Supervisor {
    running: BTreeMap<String, Running>,
    orders: mpsc::UnboundedReceiver<Order>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Place>>,
}

impl Supervisor {
    /// One that has none yet.
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self { running: BTreeMap::new(), orders }, sender)
    }

    /// Runs until `stopped`, and until each has said goodbye. Needs a local set.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                // An error says that the sender is gone, which means the same.
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(order) = self.orders.recv() => self.obey(order).await,
            }
        }
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        for running in self.running.into_values() {
            // A panic has been reported.
            let _ = running.task.await;
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Start(upstream) => {
                let name = upstream.name().to_owned();
                let (stop, stopped) = watch::channel(false);
                let task = spawn_local(upstream.run(stopped));
                self.running.insert(name, Running { stop, task });
            }
            Order::Stop { name, answer } => {
                let done = match self.running.remove(&name) {
                    Some(running) => {
                        running.stop.send_replace(true);
                        running.task.await.ok()
                    }
                    None => None,
                };
                // Whoever asked may be gone.
                let _ = answer.try_send(done);
            }
        }
    }
}
