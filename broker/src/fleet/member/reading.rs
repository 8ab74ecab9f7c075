//! How far a stream has been read: what is still to come of a batch, and of what was there when the
//! reading began.
//!
//! The server says with each message how many are behind it. Where a value was replaced while it was
//! given out, nats-server 2.9 says one too many, and goes on to. So this box counts too.

use weir_core::Instant;

/// One stream that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) consumer: String,
    /// Messages of the batch that are still to come; none is asked for when it is 0.
    left: usize,
    /// When something was heard of the batch last, or it was asked for.
    heard_at: Instant,
    /// Of what was there when the reading began, how many are still to come.
    behind: u64,
    /// When everything that was there is here; none while something is to come.
    all_here_at: Option<Instant>,
}

impl Reading {
    /// Of a consumer that has so many messages.
    pub(super) fn new((consumer, behind): (String, u64)) -> Self {
        let all_here_at = (behind == 0).then_some(Instant(0));
        Self { consumer, left: 0, heard_at: Instant(0), behind, all_here_at }
    }

    /// So many messages were asked for.
    pub(super) fn asked(&mut self, batch: usize, now: Instant) {
        self.left = batch;
        self.heard_at = now;
    }

    /// Whether messages were asked for that may still come.
    pub(super) fn is_asked(&self) -> bool {
        self.left > 0
    }

    /// When it is too long that nothing was heard, if messages were asked for.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.is_asked().then(|| self.heard_at + SILENT_MS)
    }

    /// A message has come, and `pending` are behind it, as the server counts.
    pub(super) fn handle_delivered(&mut self, pending: u64, now: Instant) {
        self.heard_at = now;
        self.left = self.left.saturating_sub(1);
        if pending == 0 {
            self.behind = 0;
            self.all_here_at = Some(now);
        } else if self.behind > 0 {
            self.behind -= 1;
            self.all_here_at = (self.behind == 0).then(|| now + SETTLED_MS);
        }
    }

    /// The server has nothing for the batch, for now or until it is over. Answers how many messages
    /// do not come that were there.
    pub(super) fn handle_idle(&mut self, is_over: bool, now: Instant) -> u64 {
        self.heard_at = now;
        if is_over {
            self.left = 0;
        }
        self.behind
    }

    /// When everything is here that was there when the reading began, if it is known.
    pub(super) fn all_here_at(&self) -> Option<Instant> {
        self.all_here_at
    }
}

/// The server lets hear of a batch that was asked for more than twice as often. Of one whose stream
/// is removed meanwhile it does not always say that it is over.
const SILENT_MS: u64 = 12_000;
/// How long what has come in the place of something older may take.
const SETTLED_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(behind: u64) -> Reading {
        let mut reading = Reading::new(("c".to_owned(), behind));
        reading.asked(256, Instant(10));
        reading
    }

    #[test]
    fn everything_is_here_when_the_server_says_that_nothing_is_behind() {
        assert_eq!(reading(0).all_here_at(), Some(Instant(0)));
        let mut reading = reading(2);
        reading.handle_delivered(1, Instant(20));
        assert_eq!(reading.all_here_at(), None);
        reading.handle_delivered(0, Instant(30));
        assert_eq!(reading.all_here_at(), Some(Instant(30)));
        reading.handle_delivered(5, Instant(40));
        assert_eq!(reading.all_here_at(), Some(Instant(30)), "what is new belongs to nothing");
    }

    /// As nats-server 2.9.10 counts when the second value is replaced before it is given out.
    #[test]
    fn everything_is_here_a_little_after_as_many_have_come_as_there_were() {
        let mut reading = reading(2);
        reading.handle_delivered(3, Instant(20));
        reading.handle_delivered(2, Instant(30));
        assert_eq!(reading.all_here_at(), Some(Instant(30) + SETTLED_MS));
        reading.handle_delivered(1, Instant(40));
        assert_eq!(reading.all_here_at(), Some(Instant(30) + SETTLED_MS));
    }

    #[test]
    fn it_is_known_how_many_do_not_come() {
        let mut reading = reading(3);
        reading.handle_delivered(2, Instant(20));
        assert_eq!(reading.handle_idle(false, Instant(30)), 2);
        reading.handle_delivered(0, Instant(40));
        assert_eq!(reading.handle_idle(false, Instant(50)), 0);
    }

    #[test]
    fn a_batch_is_overdue_when_nothing_is_heard_of_it() {
        let mut reading = reading(0);
        assert_eq!(reading.overdue_at(), Some(Instant(10) + SILENT_MS));
        reading.handle_idle(false, Instant(20));
        assert_eq!(reading.overdue_at(), Some(Instant(20) + SILENT_MS));
        reading.handle_idle(true, Instant(30));
        assert!(!reading.is_asked() && reading.overdue_at().is_none());
        reading.asked(1, Instant(40));
        reading.handle_delivered(0, Instant(50));
        assert!(!reading.is_asked(), "the batch is full");
    }
}
