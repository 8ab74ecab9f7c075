//! What goes to the server, and what comes of it.

use super::Fleet;
use super::session::{Owed, Session};
use crate::clock::unix_ms;
use crate::fleet::answer::Answer;
use crate::fleet::bucket::{Done, Outcome};
use crate::fleet::dispatch::Order;
use crate::fleet::envelope;
use crate::fleet::jetstream::{Stored, Unsent};
use crate::status::UpstreamState;
use crate::upstream::LinkError;

impl Fleet {
    /// Sends what there is.
    pub(super) async fn send(&mut self, session: &mut Session) -> Result<(), LinkError> {
        if !session.is_joined() || session.goes_on_at.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut orders = Vec::new();
        self.dispatch.send_one_by_one(now.monotonic < self.one_by_one_until);
        self.dispatch.send(now, &mut self.bucket, &mut orders);
        while orders.len() < ORDERS_MAX
            && let Some((_, records)) = self.handle.upstream.take_live()
        {
            self.dispatch.send_live(&records, &mut self.bucket, &mut orders);
        }
        for order in orders {
            self.carry_out(session, order).await?;
        }
        while session.owed.len() < OWED_MAX && session.values_go_on_at.is_none() {
            let mut done = Done::default();
            let put = self.bucket.take_put(&mut done);
            self.dispatch.handle_done(done, now.unix_ms);
            let Some(put) = put else { break };
            let topic: Box<str> = put.message.topic().into();
            let stored = Stored {
                subject: self.names.retained_entry(&topic),
                bytes: envelope::seal(&put.message).into(),
                id: String::new(),
                revision: Some(put.revision),
                is_removal: put.message.payload().is_empty(),
                copied_to: put.copied_to,
            };
            self.store(session, Owed::Put(topic), stored).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, session: &mut Session, order: Order) -> Result<(), LinkError> {
        match order {
            Order::Copy { record, to, id, bytes } => {
                let subject = self.names.to(&to);
                let stored = Stored::message(subject, id, bytes);
                self.store(session, Owed::Copy(record), stored).await
            }
            Order::Live { to, bytes } => session.server.publish(self.names.live(&to), bytes).await,
        }
    }

    async fn store(
        &mut self,
        session: &mut Session,
        owed: Owed,
        stored: Stored,
    ) -> Result<(), LinkError> {
        let number = session.owe(owed);
        match session.server.store(number, stored).await {
            Ok(()) => Ok(()),
            Err(Unsent::Lost(error)) => Err(error),
            Err(Unsent::Refused(reason)) => {
                self.handle_answer(session, number, Answer::Refused(reason));
                Ok(())
            }
        }
    }

    pub(super) fn handle_answer(&mut self, session: &mut Session, number: u64, answer: Answer) {
        // An answer that comes twice is to nothing any more.
        let Some(owed) = session.owed.remove(&number) else { return };
        session.progress_at = self.clock.now().monotonic;
        let unix_ms = unix_ms();
        match (owed, answer) {
            (Owed::Put(topic), Answer::NotNow(reason)) => {
                self.bucket.handle_outcome(&topic, Outcome::NoRoom, &mut Done::default());
                session.values_go_on_at = Some(self.clock.now().monotonic + ROOM_MS);
                self.tell_no_room(&reason);
            }
            (_, Answer::NotNow(reason)) => self.wait_for_room(session, &reason),
            (Owed::Copy(record), Answer::Stored(_)) => {
                self.dispatch.handle_stored(record, &mut self.bucket);
            }
            (Owed::Copy(record), Answer::Refused(reason)) => {
                self.dispatch.handle_refused(record, &reason, unix_ms);
            }
            (Owed::Copy(_), Answer::Other(_)) => {}
            (Owed::Put(topic), answer) => {
                let outcome = match answer {
                    Answer::Stored(revision) => {
                        self.handle.change_status(|status| status.retained_sent += 1);
                        Outcome::Stored(revision)
                    }
                    Answer::Other(revision) => Outcome::Other(revision),
                    Answer::NotNow(_) | Answer::Refused(_) => Outcome::Refused,
                };
                let mut done = Done::default();
                self.bucket.handle_outcome(&topic, outcome, &mut done);
                if let Some(removal) = done.removal.take() {
                    session.retaining += 1;
                    self.retain_here(vec![removal], Vec::new());
                }
                self.dispatch.handle_done(done, unix_ms);
            }
            (Owed::Said(said), Answer::Refused(reason)) => {
                tracing::warn!(?said, reason, "the server does not take what this box says");
            }
            (Owed::Said(_), _) => {}
        }
    }

    /// The server has no room for messages, or something has to be put right there. Everything that
    /// is owed is given up and sent again later; the server knows what it has.
    fn wait_for_room(&mut self, session: &mut Session, reason: &str) {
        self.tell_no_room(reason);
        session.owed.clear();
        self.bucket.give_up();
        self.dispatch.pause();
        let now = self.clock.now().monotonic;
        session.goes_on_at = Some(now + ROOM_MS);
        self.one_by_one_until = now + ONE_BY_ONE_MS;
    }

    /// Counts it, says it once, and again only when it was otherwise for a while.
    fn tell_no_room(&mut self, reason: &str) {
        self.handle.change_status(|status| status.without_room += 1);
        let text = format!("the server takes nothing for now: {reason}");
        let now = self.clock.now().monotonic;
        let is_news = self.told != text || now >= self.no_room_at + NO_ROOM_NEWS_MS;
        self.no_room_at = now;
        if is_news {
            tracing::warn!(
                reason,
                help = "nothing is lost; raise `messages_max_bytes` or `retained_max_bytes` of the \
                        stream at the server, or see which box is away",
                "the server of the fleet takes nothing for now"
            );
        }
        self.handle.upstream.set_state(UpstreamState::Connected, Some(text.clone()));
        self.told = text;
    }

    pub(super) fn go_on(&mut self, session: &mut Session) {
        if session.goes_on_at.is_some_and(|at| self.clock.now().monotonic >= at) {
            session.goes_on_at = None;
            self.dispatch.go_on();
        }
        if session.values_go_on_at.is_some_and(|at| self.clock.now().monotonic >= at) {
            session.values_go_on_at = None;
        }
    }
}

/// What is sent at a time.
const ORDERS_MAX: usize = 512;
/// Answers that the server may owe before more values are written.
const OWED_MAX: usize = 512;
/// How long a server without room is left alone.
const ROOM_MS: u64 = 2_000;
/// How long messages go one by one after one has found no room, so that none overtakes it.
const ONE_BY_ONE_MS: u64 = 60_000;
/// Without that for so long, the next time is told as a new one.
const NO_ROOM_NEWS_MS: u64 = 60_000;
