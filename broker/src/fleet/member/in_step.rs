//! Keeping what is retained here and at the server the same, and what is to be known of that after
//! a restart.

use std::time::Duration;

use weir_core::{Instant, Message, Records};

use super::session::{Session, Stage};
use super::{Durable, Fleet, milliseconds};
use crate::clock::unix_ms;
use crate::fleet::setup;
use crate::mailbox::{Mail, RetainedQuestion};
use crate::upstream::LinkError;

impl Fleet {
    /// Asks what is retained here once the bucket is read and what waited for it is written: only
    /// then a value that is not there was removed.
    pub(super) fn look_whether_read(&mut self, session: &mut Session, since: Instant) {
        let waits = self.dispatch.depth() > 0 || self.bucket.depth() > 0 || session.retaining > 0;
        let is_late = self.clock.now().monotonic >= since + COMPARE_AFTER_MS;
        if !self.bucket.is_read() || (waits && !is_late) || session.retaining > 0 {
            return;
        }
        session.stage = Stage::Comparing;
        let durable = self.durable.clone();
        let question = RetainedQuestion {
            filters: self.shared.clone(),
            // Without a fleet nobody wants to know any more.
            answer: Box::new(move |records| drop(durable.send(Durable::RetainedHere(records)))),
        };
        let (wish, retained) = (self.reader_wish(), Some(question));
        self.place.mailboxes.first().send(Mail::ReaderWants { wish, retained });
    }

    pub(super) fn compare(&mut self, session: &mut Session, records: &Records) {
        let here: Vec<Message> =
            records.iter().map(|(_, parts)| Message::new(&parts, &mut Vec::new())).collect();
        let copied_to = self.dispatch.copied_to_nobody();
        let until_ms = self.state.in_step_until_ms;
        let removals = self.bucket.reconcile(here.iter(), &copied_to, until_ms);
        tracing::debug!(here = here.len(), removed = removals.len(), "compared what is retained");
        if !removals.is_empty() {
            session.retaining += 1;
            self.retain_here(removals, Vec::new());
        }
        session.stage = Stage::InStep;
    }

    /// Keeps what is to be known after a restart, and cleans up at the server.
    pub(super) async fn keep(&mut self, session: &mut Session) -> Result<(), LinkError> {
        let now = self.clock.now().monotonic;
        if session.stage == Stage::InStep && now >= session.saves_at {
            if self.dispatch.depth() == 0 && self.bucket.depth() == 0 {
                self.state.in_step_until_ms = unix_ms().saturating_sub(IN_STEP_MARGIN_MS);
            }
            session.saves_at = now + SAVE_MS;
            self.save().await;
        }
        if session.stage == Stage::InStep && now >= session.cleans_at {
            session.cleans_at = now + CLEAN_MS;
            if self.place.clock_watch.is_set() {
                self.clean(session).await?;
            }
        }
        Ok(())
    }

    async fn clean(&mut self, session: &Session) -> Result<(), LinkError> {
        let kept_ms = milliseconds(self.limits.away_max.max(REMOVALS_KEPT));
        let stream = self.names.retained_stream();
        for (topic, revision) in self.bucket.outlived(unix_ms(), kept_ms) {
            let subject = self.names.retained_entry(&topic);
            setup::purge(&session.server, &stream, &subject, revision).await?;
            self.bucket.cleaned(&topic, revision);
        }
        Ok(())
    }
}

/// What is retained is compared then at the latest, however much waits.
pub(super) const COMPARE_AFTER_MS: u64 = 60_000;
/// How often it is kept what is known.
pub(super) const SAVE_MS: u64 = 20_000;
pub(super) const CLEAN_FIRST_MS: u64 = 60_000;
/// What was received so long before was read from the log.
pub(super) const IN_STEP_MARGIN_MS: u64 = 10_000;
/// How often what has outlived itself is removed at the server, and when for the first time.
const CLEAN_MS: u64 = 600_000;
/// How long it is kept there that something was removed.
const REMOVALS_KEPT: Duration = Duration::from_secs(86_400);
