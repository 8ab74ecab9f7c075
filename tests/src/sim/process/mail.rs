//! What other threads have for a shard, and what becomes of it there.

use std::collections::VecDeque;

use weir_broker::InnerTurn;
use weir_core::{ConnectionId, Forwards, Input, Message, Now, ReaderConfig, Sequence, ShardId};

use super::Process;
use crate::sim::misbehaviour::Misbehaviour;
use crate::sim::surroundings::{Event, Surroundings};

/// What other threads have for a shard.
pub(super) enum Mail {
    Committed(u64),
    Expel(String),
    Forwarded { from: ShardId, forwards: Box<Forwards> },
    Loaded(Vec<(Sequence, Message)>),
    Moved { connection: ConnectionId, bytes: Vec<u8> },
    ReaderWants { wish: ReaderConfig, retained: Option<Vec<String>> },
    Turn(InnerTurn),
}

/// Who is to be told when a batch of the first shard is durable.
pub(super) type Watchers = VecDeque<(u64, Box<dyn FnOnce() + Send>)>;

impl Process {
    /// Takes what is there; with `is_slow` only up to the first turn of rules or upstream, since
    /// the next one may be on its way yet.
    pub(super) fn take_mail(&mut self, now: Now, shard: ShardId, is_slow: bool) {
        let mut all = std::mem::take(&mut self.mail[usize::from(shard.0)]);
        while let Some(mail) = all.pop_front() {
            let core = &mut self.cores[usize::from(shard.0)];
            match mail {
                Mail::Committed(batch) => {
                    core.handle(now, Input::Committed { batch });
                    self.tell_watchers(shard, batch);
                }
                Mail::Expel(client_id) => {
                    let (client_id, ends_session) = (&*client_id, false);
                    core.handle(now, Input::Expel { client_id, ends_session });
                }
                Mail::Forwarded { from, forwards } => {
                    core.handle(now, Input::Forwarded { from, forwards });
                }
                Mail::Loaded(messages) => core.handle(now, Input::Loaded { messages: &messages }),
                Mail::Moved { connection, bytes } => {
                    let Some(socket) = self.sockets.get_mut(&connection) else { continue };
                    socket.shard = Some(shard);
                    let listener = socket.listener;
                    core.handle(now, Input::Moved { connection, listener, bytes: &bytes });
                }
                Mail::ReaderWants { wish, retained } => {
                    core.handle(now, Input::ReaderWants(wish));
                    if let Some(filters) = retained {
                        self.rules.learn(core.retained(&filters));
                    }
                }
                Mail::Turn(turn) => {
                    self.handle_inner_turn(now, turn);
                    if is_slow {
                        break;
                    }
                }
            }
        }
        debug_assert!(
            self.mail[usize::from(shard.0)].is_empty(),
            "cores send no mail by themselves"
        );
        self.mail[usize::from(shard.0)] = all;
    }

    /// Turns up to a batch of the first shard are durable.
    fn tell_watchers(&mut self, shard: ShardId, batch: u64) {
        while shard == ShardId::FIRST
            && let Some((_, tell)) =
                self.watchers.pop_front_if(|(waits_for, _)| *waits_for <= batch)
        {
            tell();
        }
    }

    fn handle_inner_turn(&mut self, now: Now, mut turn: InnerTurn) {
        let has_state = !turn.changes.is_empty() || turn.done.is_some();
        let is_early = self.saboteur.does(Misbehaviour::ResultsTooEarly);
        let core = self.core(ShardId::FIRST);
        let early = if is_early { std::mem::take(&mut turn.publications) } else { Vec::new() };
        for publication in &early {
            core.handle(now, Input::Publish(publication.borrow()));
        }
        turn.give(core, now);
        if let Some(batch) = core.pending_batch()
            && has_state
        {
            for publication in early.iter().chain(&turn.publications) {
                self.unsure.rests_on(batch, publication.borrow().message.payload);
            }
        }
        if let Some(tell) = turn.committed {
            match self.core(ShardId::FIRST).await_pending_batch() {
                Some(batch) => self.watchers.push_back((batch, tell)),
                None => tell(),
            }
        }
    }

    pub(super) fn hand_over(&mut self, around: &mut Surroundings, to: ShardId, mail: Mail) {
        self.mail[usize::from(to.0)].push_back(mail);
        let at = around.within(2);
        around.schedule(at, Event::Turn);
    }
}
