//! A thread with a part of the broker in it, which ends when nobody holds it any more.

use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::sync::watch;

/// The running thread; dropping it lets the thread end, and waits for that.
pub(crate) struct Worker<H> {
    handle: H,
    name: &'static str,
    tell_to_stop: fn(&H),
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread has ended, also by a panic.
    runs: watch::Receiver<()>,
}

impl<H: Clone> Worker<H> {
    /// Starts a thread that `handle` talks to. It ends soon after `tell_to_stop`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        name: &'static str,
        handle: H,
        tell_to_stop: fn(&H),
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (running, runs) = watch::channel(());
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            let _running = running;
            run();
        })?;
        Ok(Self { handle, name, tell_to_stop, thread: Some(thread), runs })
    }

    pub(crate) fn handle(&self) -> H {
        self.handle.clone()
    }

    /// What is wrong if the thread has ended, which it does not do by itself.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.runs.has_changed().is_err().then(|| ended(self.name))
    }

    /// The same, once it is so.
    pub(crate) async fn failed(&self) -> io::Error {
        let mut runs = self.runs.clone();
        while runs.changed().await.is_ok() {}
        ended(self.name)
    }
}

/// What is said of a thread that has ended without being told to.
pub(crate) fn ended(name: &str) -> io::Error {
    io::Error::other(format!("the thread {name} has ended"))
}

impl<H> Drop for Worker<H> {
    fn drop(&mut self) {
        (self.tell_to_stop)(&self.handle);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread {} panicked", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use super::*;

    #[test]
    fn a_thread_is_told_to_end_and_waited_for() {
        let (stop, stopped) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let run = move || {
            stopped.recv().expect("it is told");
            ended.send(()).expect("somebody listens");
        };
        let tell = |stop: &Sender<()>| stop.send(()).expect("it runs");
        let worker = Worker::start("test", stop, tell, run).expect("the system gives a thread");
        assert!(worker.failure().is_none());
        drop(worker);
        assert!(has_ended.try_recv().is_ok());
    }

    #[test]
    fn a_thread_that_has_panicked_is_a_failure() {
        let worker = Worker::start("test", (), |()| {}, || panic!("on purpose"));
        let worker = worker.expect("the system gives a thread");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
        let failed = runtime.block_on(worker.failed());
        assert_eq!(failed.to_string(), "the thread test has ended");
        assert_eq!(worker.failure().expect("it is over").to_string(), "the thread test has ended");
    }
}
