//! Questions to the shards about what their cores hold. A shard answers between two turns, a part of
//! a long table at a time, and serves its clients in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use weir_core::{Core, ShardId};

use super::answer::ApiError;
use crate::mailbox::{Mail, Mailbox, Mailboxes, PeerOf};

/// How long all shards may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions at a time; each has its turn on the threads of the shards.
const QUESTIONS_MAX: usize = 4;

/// Asks the shards.
pub(super) struct Shards {
    pub(super) mailboxes: Mailboxes,
    questions: Arc<Semaphore>,
}

impl Shards {
    pub(super) fn new(mailboxes: Mailboxes) -> Self {
        Self { mailboxes, questions: Arc::new(Semaphore::new(QUESTIONS_MAX)) }
    }

    /// Lets each shard take steps, one in a turn, until it has an answer.
    pub(super) async fn ask_all<T, S>(&self, step: S) -> Result<Vec<T>, ApiError>
    where
        T: Send + 'static,
        S: FnMut(&Core, PeerOf<'_>) -> Option<T> + Clone + Send + 'static,
    {
        let _turn = self.turn().await?;
        let asked = |mailbox: &Mailbox| {
            let (sender, answer) = oneshot::channel();
            ask(mailbox.clone(), step.clone(), sender);
            answer
        };
        let answers: Vec<_> = self.mailboxes.all().iter().map(asked).collect();
        let all = async {
            let mut found = Vec::with_capacity(answers.len());
            for answer in answers {
                found.push(answer.await.ok()?);
            }
            Some(found)
        };
        timeout(PATIENCE, all).await.ok().flatten().ok_or_else(|| ApiError::unanswered("a shard"))
    }

    /// The same for the first shard alone, which like any other has all that is retained.
    pub(super) async fn ask_first<T, S>(&self, step: S) -> Result<T, ApiError>
    where
        T: Send + 'static,
        S: FnMut(&Core, PeerOf<'_>) -> Option<T> + Send + 'static,
    {
        let _turn = self.turn().await?;
        let (sender, answer) = oneshot::channel();
        ask(self.mailboxes.of(ShardId::FIRST).clone(), step, sender);
        let answer = timeout(PATIENCE, answer).await;
        answer.ok().and_then(Result::ok).ok_or_else(|| ApiError::unanswered("a shard"))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = timeout(PATIENCE, self.questions.clone().acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| ApiError::busy("questions"))
    }
}

fn ask<T, S>(mailbox: Mailbox, mut step: S, answer: oneshot::Sender<T>)
where
    T: Send + 'static,
    S: FnMut(&Core, PeerOf<'_>) -> Option<T> + Send + 'static,
{
    let again = mailbox.clone();
    mailbox.send(Mail::Look(Box::new(move |core, peer| {
        if answer.is_closed() {
            // Nobody waits any more.
            return;
        }
        match step(core, peer) {
            // Whoever asked may have gone just now.
            Some(found) => _ = answer.send(found),
            None => ask(again, step, answer),
        }
    })));
}
