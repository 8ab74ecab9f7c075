//! Messages for the program that runs the broker, from when they are there until it has
//! acknowledged them.
//!
//! A queue in order, from any thread to any thread, for programs with and without an async runtime.
//! Whoever puts something in holds to a limit, by what it says is waiting.
//!
//! Invariant: what was put in is either in the queue or in one [`Held`], until that is kept or the
//! queue ends. One that is dropped goes back to its place.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The queue.
#[derive(Debug)]
pub(crate) struct Handout<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    /// By their places, with the bytes that each counts for.
    waiting: BTreeMap<u64, (T, usize)>,
    bytes: usize,
    last: u64,
    has_ended: bool,
}

/// Something that was taken and is not acknowledged.
#[derive(Debug)]
pub(crate) struct Held<T> {
    /// None once it is kept.
    item: Option<T>,
    bytes: usize,
    place: u64,
    from: Arc<Handout<T>>,
}

impl<T> Handout<T> {
    /// An empty queue.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { waiting: BTreeMap::new(), bytes: 0, last: 0, has_ended: false };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Puts something of so many bytes behind the others. After the end it is dropped.
    pub(crate) fn put(&self, item: T, bytes: usize) {
        let mut state = self.lock();
        state.last += 1;
        let place = state.last;
        self.insert(state, place, item, bytes);
    }

    /// Whether less than this waits.
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.lock().bytes < bytes_max
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// What waits is dropped, and nothing comes any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// The first that waits; none at the end. Can be dropped at any time without losing anything.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Held<T>> {
        loop {
            match self.try_take() {
                Poll::Ready(taken) => return taken,
                Poll::Pending => self.changed.notified().await,
            }
        }
    }

    fn try_take(self: &Arc<Self>) -> Poll<Option<Held<T>>> {
        let mut state = self.lock();
        let first = state.waiting.pop_first();
        if !state.waiting.is_empty() || state.has_ended {
            // Somebody else may wait too.
            self.changed.notify_one();
        }
        match first {
            Some((place, (item, bytes))) => {
                state.bytes -= bytes;
                Poll::Ready(Some(Held { item: Some(item), bytes, place, from: self.clone() }))
            }
            None if state.has_ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn insert(&self, mut state: MutexGuard<'_, State<T>>, place: u64, item: T, bytes: usize) {
        if state.has_ended {
            return;
        }
        state.bytes += bytes;
        state.waiting.insert(place, (item, bytes));
        drop(state);
        self.changed.notify_one();
    }

    /// The state is whole at any moment, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Held<T> {
    /// Looks at it.
    pub(crate) fn get(&self) -> &T {
        self.item.as_ref().expect("it goes only with its holder")
    }

    /// Takes it out for good.
    pub(crate) fn keep(mut self) -> T {
        self.item.take().expect("it goes only with its holder")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.from.insert(self.from.lock(), self.place, item, self.bytes);
        }
    }
}

/// Waits on this thread until a future is ready, or so long; none when the time is over. The
/// future needs no runtime.
pub(crate) fn wait_for<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    let until = Instant::now().checked_add(patience);
    let waker = Waker::from(Arc::new(Sleeper(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match until {
            None => thread::park(),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        }
    }
}

/// A thread that waits.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn next(handout: &Arc<Handout<u32>>) -> Option<Held<u32>> {
        wait_for(handout.take(), PATIENCE).expect("something in time")
    }

    #[test]
    fn what_is_dropped_comes_again_in_its_place() {
        let handout = Handout::new();
        (1..=3).for_each(|number| handout.put(number, 4));
        let first = next(&handout).unwrap();
        let second = next(&handout).unwrap();
        drop((second, first));
        for number in 1..=3 {
            assert_eq!(next(&handout).unwrap().keep(), number);
        }
        assert!(wait_for(handout.take(), Duration::ZERO).is_none(), "nothing is left");
    }

    #[test]
    fn all_who_wait_are_given_something_and_all_hear_of_the_end() {
        let handout = Handout::new();
        let wait = |handout: &Arc<Handout<u32>>| {
            let handout = handout.clone();
            thread::spawn(move || next(&handout).map(Held::keep))
        };
        let threads: Vec<_> = (0..4).map(|_| wait(&handout)).collect();
        (0..4).for_each(|number| handout.put(number, 4));
        let mut taken: Vec<_> =
            threads.into_iter().map(|one| one.join().unwrap().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3]);
        let threads: Vec<_> = (0..4).map(|_| wait(&handout)).collect();
        handout.end();
        assert!(threads.into_iter().all(|one| one.join().unwrap().is_none()));
        handout.put(9, 4);
        assert!(next(&handout).is_none(), "nothing comes after the end");
    }
}
