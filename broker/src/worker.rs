//! A thread with a part of the broker in it, which ends when nobody holds it any more.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The running thread; dropping it lets the thread end, and waits for that.
pub(crate) struct Worker<H> {
    handle: H,
    name: &'static str,
    tell_to_stop: fn(&H),
    thread: Option<JoinHandle<()>>,
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
        let thread = Some(Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(Self { handle, name, tell_to_stop, thread })
    }

    pub(crate) fn handle(&self) -> H {
        self.handle.clone()
    }

    /// What is wrong if the thread has ended, which it does not do by itself.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let is_over = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        is_over.then(|| io::Error::other(format!("the thread {} has ended", self.name)))
    }
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
    use std::time::{Duration, Instant};

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
        let deadline = Instant::now() + Duration::from_secs(20);
        while worker.failure().is_none() {
            assert!(Instant::now() < deadline, "it is not noticed");
            std::thread::yield_now();
        }
        assert_eq!(worker.failure().expect("it is over").to_string(), "the thread test has ended");
    }
}
