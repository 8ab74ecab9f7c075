//! The life of one connection to the server of the fleet.
//!
//! ```text
//! read who the others are -> is the name free? -> say that this box is there, and what it wants
//!     -> fetch messages and retained messages, send -> everything retained has come: compare
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use weir_core::{Change, Instant, Sequence};

use super::in_step::{CLEAN_FIRST_MS, COMPARE_AFTER_MS, IN_STEP_MARGIN_MS, SAVE_MS};
use super::incoming::LIVE_MAX;
use super::reading::Reading;
use super::session::{Session, Stage};
use super::{Durable, Fleet, is_stopped, pause_for};
use crate::clock::unix_ms;
use crate::config::HostPort;
use crate::fleet::boxes::{DOUBT_MS, HEARTBEAT_MS, Standing};
use crate::fleet::jetstream::{Fetched, JetStream};
use crate::fleet::names::Said;
use crate::fleet::setup::{created, make_inbox, make_streams, make_watch};
use crate::inner_turn::InnerTurn;
use crate::mailbox::Mail;
use crate::status::UpstreamState;
use crate::upstream::LinkError;

impl Fleet {
    /// Uses a connection until it fails or the box stops.
    pub(super) async fn use_connection(
        &mut self,
        address: &HostPort,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), LinkError> {
        let server = JetStream::open(address, &self.options, &self.names).await?;
        make_streams(&server, &self.names, &self.limits).await?;
        self.boxes.connected();
        self.bucket.connected();
        let now = self.clock.now().monotonic;
        let mut session = Session {
            server,
            stage: Stage::Boxes,
            reading: BTreeMap::new(),
            owed: BTreeMap::new(),
            number: 0,
            progress_at: now,
            speaks_at: now,
            wants_at: None,
            wants_told_at: Instant(0),
            wants: None,
            goes_on_at: None,
            values_go_on_at: None,
            saves_at: now + SAVE_MS,
            cleans_at: now + CLEAN_FIRST_MS,
            live: 0,
            retaining: 0,
        };
        let (stream, subjects) = (self.names.boxes_stream(), self.names.boxes_subjects());
        let watch = make_watch(&session.server, &stream, &subjects).await?;
        session.reading.insert(Fetched::Boxes, Reading::new(watch));
        while !is_stopped(stopped) {
            self.step(&mut session, address).await?;
            let wake = self.session_wake(&session);
            let takes_live = session.live < LIVE_MAX;
            tokio::select! {
                event = session.server.next(takes_live) => {
                    self.handle_events(&mut session, event?).await?;
                }
                Some(durable) = self.receipts.recv() => {
                    self.settle_durable(&mut session, durable).await?;
                }
                () = self.handle.upstream.woken() => {}
                _ = stopped.changed() => {}
                () = pause_for(wake), if wake.is_some() => {}
            }
        }
        self.say_goodbye(&session).await;
        Ok(())
    }

    /// Does what is due.
    async fn step(&mut self, session: &mut Session, address: &HostPort) -> Result<(), LinkError> {
        let now = self.clock.now().monotonic;
        if session.has_read(Fetched::Retained, now) {
            self.bucket.read();
        }
        match session.stage {
            Stage::Boxes if session.has_read(Fetched::Boxes, now) => {
                self.boxes_are_read(session, address).await?;
            }
            Stage::Doubt(until) if now >= until => self.join(session, address).await?,
            Stage::Boxes | Stage::Doubt(_) | Stage::Named => {}
            Stage::Joined(since) => self.look_whether_read(session, since),
            Stage::Comparing | Stage::InStep => {}
        }
        if session.is_joined() {
            if now >= session.speaks_at {
                self.speak(session).await?;
            }
            self.tell_wants(session).await?;
        }
        self.read_log();
        self.go_on(session);
        self.send(session).await?;
        self.tell_shard(false);
        self.save_changes().await;
        self.fetch(session).await?;
        self.keep(session).await?;
        if session.owed.is_empty() {
            session.progress_at = now;
        } else if now >= session.progress_at + ANSWER_TIMEOUT_MS {
            let reason = "JetStream owes an answer for more than half a minute".to_owned();
            return Err(LinkError::Refused { reason, help: HELP_SILENT });
        }
        Ok(())
    }

    /// Everything that the boxes have said so far is here.
    async fn boxes_are_read(
        &mut self,
        session: &mut Session,
        address: &HostPort,
    ) -> Result<(), LinkError> {
        session.stage = Stage::Named;
        if self.boxes.standing() == Standing::Doubtful {
            let until = self.clock.now().monotonic + DOUBT_MS;
            tracing::info!(
                name = self.names.own,
                "waiting whether another box of the fleet goes on to use this name"
            );
            session.stage = Stage::Doubt(until);
            return Ok(());
        }
        self.join(session, address).await
    }

    /// The name is free: this box takes part.
    async fn join(&mut self, session: &mut Session, address: &HostPort) -> Result<(), LinkError> {
        self.state.incarnation = self.boxes.own_alive(false).incarnation;
        self.save().await;
        self.speak(session).await?;
        let inbox = make_inbox(&session.server, &self.names, &self.limits).await?;
        self.know_stream(created(&session.server, &self.names.messages_stream()).await?);
        session.reading.insert(Fetched::Messages, Reading::new(inbox));
        let (stream, subjects) = (self.names.retained_stream(), self.names.retained_subjects());
        let watch = make_watch(&session.server, &stream, &subjects).await?;
        self.know_bucket(created(&session.server, &stream).await?);
        session.reading.insert(Fetched::Retained, Reading::new(watch));
        let now = self.clock.now().monotonic;
        session.stage = Stage::Joined(now);
        self.dispatch.connected(session.server.bytes_max());
        self.backoff.connected(now);
        self.told.clear();
        self.handle.upstream.set_state(UpstreamState::Connected, None);
        self.handle.upstream.set_takes_live(true);
        tracing::info!(name = self.names.own, %address, "joined the fleet");
        self.look_at_boxes();
        Ok(())
    }

    /// What is not in a bucket that was made anew was not removed: the server has lost it.
    fn know_bucket(&mut self, created: String) {
        if self.state.bucket_created != created {
            self.state.in_step_until_ms = 0;
            self.state.bucket_created = created;
            self.is_unsaved = true;
        }
    }

    /// What was taken from another stream says nothing about this one.
    fn know_stream(&mut self, created: String) {
        if self.state.stream_created == created {
            return;
        }
        self.arrivals.begin(Sequence(0));
        let moved = Change::ReaderMoved { reader: self.place.position, done: Sequence(0) };
        let durable = self.durable.clone();
        let turn = InnerTurn {
            changes: vec![moved],
            // Without a fleet nobody wants to know any more.
            committed: Some(Box::new(move || drop(durable.send(Durable::NewStream(created))))),
            ..InnerTurn::default()
        };
        self.place.mailboxes.first().send(Mail::Turn(turn));
    }

    async fn speak(&mut self, session: &mut Session) -> Result<(), LinkError> {
        let alive = serde_json::to_vec(&self.boxes.own_alive(false)).expect("it is plain");
        session.say(&self.names, Said::Alive, alive).await?;
        self.boxes.spoke();
        session.speaks_at = self.clock.now().monotonic + HEARTBEAT_MS;
        Ok(())
    }

    /// Says what is wanted here, soon after it has changed and not too often.
    async fn tell_wants(&mut self, session: &mut Session) -> Result<(), LinkError> {
        let now = self.clock.now().monotonic;
        if self.handle.take_interest_changed() || session.wants.is_none() {
            let soon = (now + GATHER_MS).max(session.wants_told_at + WANTS_PAUSE_MS);
            session.wants_at.get_or_insert(soon);
        }
        if session.wants_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        session.wants_at = None;
        session.wants_told_at = now;
        let wants = self.own_wants();
        if session.wants.as_ref() != Some(&wants) {
            let bytes = serde_json::to_vec(&wants).expect("it is plain");
            session.say(&self.names, Said::Wants, bytes).await?;
            session.wants = Some(wants);
        }
        Ok(())
    }

    /// Asks for more of what has come, as far as there is room for it.
    async fn fetch(&mut self, session: &mut Session) -> Result<(), LinkError> {
        let now = self.clock.now().monotonic;
        let Session { server, reading, retaining, .. } = session;
        for (of, reading) in reading {
            if reading.overdue_at().is_some_and(|at| now >= at) {
                let reason = "nothing is heard of a batch that was asked for".to_owned();
                return Err(LinkError::Lost(reason));
            }
            if reading.is_asked() {
                continue;
            }
            let has_room = match of {
                Fetched::Boxes => true,
                Fetched::Messages => !self.arrivals.is_full(),
                Fetched::Retained => *retaining == 0,
            };
            if has_room {
                server.fetch(*of, &reading.consumer, BATCH).await?;
                reading.asked(BATCH, now);
            }
        }
        Ok(())
    }

    async fn say_goodbye(&mut self, session: &Session) {
        if !session.is_joined() {
            return;
        }
        let alive = serde_json::to_vec(&self.boxes.own_alive(true)).expect("it is plain");
        // What cannot be said is found out by the others.
        let _ = session.server.publish(self.names.own_entry(Said::Alive), alive.into()).await;
        session.server.flush().await;
        if session.stage == Stage::InStep && self.dispatch.depth() == 0 {
            self.state.in_step_until_ms = unix_ms().saturating_sub(IN_STEP_MARGIN_MS);
        }
    }

    /// When to look again although nothing has happened.
    fn session_wake(&self, session: &Session) -> Option<Duration> {
        let now = self.clock.now().monotonic;
        let overdue = session.reading.values().filter_map(Reading::overdue_at);
        let owed = (!session.owed.is_empty()).then(|| session.progress_at + ANSWER_TIMEOUT_MS);
        let stage = match session.stage {
            Stage::Doubt(until) => Some(until),
            Stage::Joined(since) => Some((since + COMPARE_AFTER_MS).max(now + GATHER_MS)),
            Stage::InStep => Some(session.saves_at.min(session.cleans_at)),
            Stage::Boxes => session.all_here_at(Fetched::Boxes),
            Stage::Named | Stage::Comparing => None,
        };
        let read = session.all_here_at(Fetched::Retained).filter(|_| !self.bucket.is_read());
        let speaks = session.is_joined().then_some(session.speaks_at);
        let goes_on = [session.goes_on_at, session.values_go_on_at].into_iter().flatten().min();
        let own = [owed, stage, read, speaks, session.wants_at, goes_on];
        let due = own.into_iter().flatten().chain(overdue).min();
        let due = due.map(|due| self.clock.until(due));
        due.into_iter().chain(self.wake_after()).min()
    }
}

/// Messages that are asked for at a time.
const BATCH: usize = 256;
/// Without any answer for so long the connection is given up.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
/// Subscriptions that come together are told together.
const GATHER_MS: u64 = 30;
/// Between two times that it is told what is wanted here.
const WANTS_PAUSE_MS: u64 = 250;
const HELP_SILENT: &str =
    "check that the stream of the fleet is there, and that its servers are up";
