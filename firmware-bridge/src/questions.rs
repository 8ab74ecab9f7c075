//! How whoever runs a bridge asks a part of it for its numbers while it goes on.
//!
//! The part answers when its task is polled. Nothing is gathered for nobody: some numbers take a
//! look at every client.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

/// Names and values.
pub type Numbers = Vec<(&'static str, u64)>;

/// Asks one part of a bridge. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<SyncSender<Numbers>>);

/// What was asked and is not answered yet.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<SyncSender<Numbers>>);

/// Somebody who asks, and what answers.
pub(crate) fn questions() -> (Asker, Questions) {
    let (sender, receiver) = mpsc::channel(QUESTIONS_MAX);
    (Asker(sender), Questions(receiver))
}

impl Asker {
    /// The numbers of the part; none if it does not answer in time, or has ended. Blocks.
    pub fn ask(&self, patience: Duration) -> Option<Numbers> {
        let (answer, answered) = sync_channel(1);
        self.0.try_send(answer).ok()?;
        answered.recv_timeout(patience).ok()
    }
}

impl Questions {
    /// Answers what was asked; wakes the task when more is.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, numbers: impl Fn() -> Numbers) {
        while let Poll::Ready(Some(question)) = self.0.poll_recv(context) {
            // Whoever asked may have lost patience.
            let _ = question.try_send(numbers());
        }
    }
}

/// Questions that wait; whoever comes then has no answer.
const QUESTIONS_MAX: usize = 4;
