//! What other threads have for the shard, and what becomes of it.

use std::time::Instant;

use weir_core::{Forwards, Input, Now, ShardId};

use super::{STOP_PATIENCE, Shard};
use crate::inner_turn::InnerTurn;
use crate::mailbox::{Mail, RetainedQuestion};

impl Shard {
    pub(super) fn take_mail(&mut self, now: Now) {
        let mail: Vec<Mail> = self.parts.mail.take().collect();
        for item in mail {
            match item {
                Mail::Authenticated(connection, outcome) => {
                    let answer = Input::Authenticated { connection, outcome };
                    self.parts.core.handle(now, answer);
                }
                Mail::Certificates => self.doubt_certificates(now),
                Mail::Forwarded { from, forwards } => self.take_forwards(now, from, forwards),
                Mail::Moved(moved) => self.take_moved(now, *moved),
                Mail::Opened { stream, listener } => self.take_opened(now, stream, listener),
                Mail::Committed(batch) => self.handle_committed(now, batch),
                Mail::Expel { client_id, ends_session, done } => {
                    let is_known = self.parts.core.client(&client_id).is_some();
                    let client_id = &client_id;
                    self.parts.core.handle(now, Input::Expel { client_id, ends_session });
                    self.tell_once_durable(Box::new(move || done(is_known)));
                }
                Mail::HistoryRead(messages, next) => {
                    let messages = &messages;
                    self.parts.core.handle(now, Input::HistoryRead { messages, next });
                }
                Mail::Loaded(messages) => {
                    self.parts.core.handle(now, Input::Loaded { messages: &messages });
                }
                Mail::Look(look) => {
                    let peer = |id| self.sockets.get(id)?.stream.peer();
                    look(&self.parts.core, &peer);
                }
                Mail::ReaderJoins { config, sink, position } => {
                    let reader = config.reader;
                    self.parts.core.handle(now, Input::ReaderWants(config));
                    self.parts.readers.push((reader, sink));
                    if let Some(position) = position {
                        // Whoever asked may be gone.
                        let _ = position
                            .try_send(self.parts.core.reader_done(reader).unwrap_or_default());
                    }
                }
                Mail::ReaderLeaves(reader) => {
                    self.parts.core.handle(now, Input::ReaderLeaves(reader));
                    self.parts.readers.retain(|(known, _)| *known != reader);
                }
                Mail::ReaderTakes { reader, one_of } => {
                    self.parts.core.handle(now, Input::ReaderTakes { reader, one_of });
                }
                Mail::ReaderWants { wish, retained } => {
                    self.parts.core.handle(now, Input::ReaderWants(wish));
                    if let Some(RetainedQuestion { filters, answer }) = retained {
                        answer(self.parts.core.retained(&filters));
                    }
                }
                Mail::StoreRoom(room) => {
                    self.room = room;
                    self.parts.core.handle(now, Input::StoreRoom(room));
                }
                Mail::Turn(turn) => self.turns.put(turn),
                Mail::Metrics(reply) => {
                    // Whoever asked may have stopped waiting.
                    let _ = reply.try_send(self.parts.core.metrics());
                }
                Mail::Rights { acl, revoked } => {
                    self.parts.core.handle(now, Input::Permissions(acl));
                    self.parts.core.handle(now, Input::Revoked { credentials: &revoked });
                }
                Mail::Surroundings(surroundings) => {
                    self.parts.core.handle(now, Input::Surroundings(&surroundings));
                }
                Mail::Topics(None) => self.parts.core.forget_topics(),
                Mail::Topics(Some(reply)) => {
                    // Whoever asked may have stopped waiting.
                    let _ = reply.try_send(self.parts.core.take_topics());
                }
                Mail::Stop => self.stop_by = Some(Instant::now() + STOP_PATIENCE),
            }
            while let Some(turn) = self.turns.next(&mut self.parts.core) {
                self.handle_inner_turn(now, turn);
            }
        }
    }

    fn take_forwards(&mut self, now: Now, from: ShardId, forwards: Box<Forwards>) {
        let bytes = forwards.bytes();
        if self.stop_by.is_some() {
            self.parts.ways.stir();
        }
        self.parts.ways.arrived(from, bytes);
        self.parts.core.handle(now, Input::Forwarded { from, forwards });
        self.count_turn_bytes(now, bytes);
    }

    fn handle_committed(&mut self, now: Now, batch: u64) {
        self.in_store.committed(batch);
        self.parts.core.handle(now, Input::Committed { batch });
        while self.watchers.front().is_some_and(|(waits_for, _)| *waits_for <= batch) {
            if let Some((_, tell)) = self.watchers.pop_front() {
                tell();
            }
        }
        while let Some(batch) = self.refused.pop_front() {
            if !self.submit(batch) {
                break;
            }
        }
    }

    fn handle_inner_turn(&mut self, now: Now, mut turn: InnerTurn) {
        turn.give(&mut self.parts.core, now);
        if let Some(tell) = turn.committed {
            self.tell_once_durable(tell);
        }
    }

    /// Calls `tell` when everything so far is durable.
    fn tell_once_durable(&mut self, tell: Box<dyn FnOnce() + Send>) {
        match self.parts.core.await_pending_batch() {
            Some(batch) => self.watchers.push_back((batch, tell)),
            None => tell(),
        }
    }
}
