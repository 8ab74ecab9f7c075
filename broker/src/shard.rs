//! A shard: one thread, one core, its sockets.
//!
//! A turn is a batch: read every ready socket, handle, hand one batch to the store, write every
//! dirty connection once. Nothing is decided here; what to do is an effect of the core. When the
//! store or a reader inside the broker has too much to do, sockets are not read: the clients
//! wait, and nothing is dropped for it.

mod accept;
mod certificates;
mod ending;
mod mail;
mod moving;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use weir_core::{
    AuthenticationRequest, Batch, ConnectionId, Core, Effect, HistoryRequest, Input,
    InterestChange, Now, Outcome, ReaderId, ShardId, StoreRoom,
};
use weir_mqtt::ReasonCode;

use crate::auth::{self, AuthenticatorHandle, Question, Throttle};
use crate::clock::Clock;
use crate::inner_turn::TurnQueue;
use crate::lingering::Lingering;
use crate::listener::{Entrance, Listener};
use crate::logging;
use crate::mailbox::MailReceiver;
use crate::record_sink::RecordSink;
use crate::sockets::Sockets;
use crate::store::{BatchSender, Loader, Refused, batch_bytes};
use crate::ways::Ways;

/// One buffer for all sockets of the shard.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes read before what came of them is written: well below the send buffer of a connection,
/// so that only a client that does not read can fill it.
const TURN_BYTES: usize = 2 * READ_BUFFER_BYTES;
/// Reads of one socket in a row; the rest waits, so that others get theirs.
const READS_IN_A_ROW: usize = 4;
/// Handshakes that are carried on in a turn, and certificates that are looked at again: one step
/// can take milliseconds, and whoever is connected does not wait for hundreds of them when all come
/// back at once.
const HANDSHAKES_PER_TURN: usize = 8;
/// Rounds of effects in a turn; a write can make room for more deliveries.
const ROUNDS_PER_TURN: usize = 4;
/// How long a shutdown waits for commits that acknowledgements wait for.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) poll: Poll,
    pub(crate) core: Core,
    pub(crate) clock: Clock,
    pub(crate) mail: MailReceiver,
    pub(crate) id: ShardId,
    /// What is to be done first.
    pub(crate) effects: Vec<Effect>,
    /// The first shard takes the connections of all listeners.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) entrances: Vec<Arc<Entrance>>,
    pub(crate) ways: Ways,
    pub(crate) store: BatchSender,
    pub(crate) loader: Loader,
    /// Begins to read a page of the history; none without one.
    pub(crate) pages: Option<Box<dyn Fn(Box<HistoryRequest>) + Send>>,
    pub(crate) readers: Vec<(ReaderId, Box<dyn RecordSink>)>,
    /// Takes what the shard wants of a fleet; none without one.
    pub(crate) interest: Option<Box<dyn Fn(Vec<InterestChange>) + Send>>,
    pub(crate) authenticator: AuthenticatorHandle,
}

/// The thread's own state.
pub(crate) struct Shard {
    parts: Parts,
    sockets: Sockets,
    lingering: Lingering,
    buffer: Vec<u8>,
    /// Bytes read since the last settling.
    turn_bytes: usize,
    /// Sockets that may have more to read, also if the system will not say so again.
    readable: Vec<ConnectionId>,
    /// Listeners that may have more connections waiting.
    acceptable: Vec<usize>,
    /// Connections whose certificate may be revoked by now.
    to_verify: Vec<ConnectionId>,
    /// How often it was heard that certificates are others.
    certificate_changes: u64,
    refusals: Throttle,
    accept_again_at: Option<Instant>,
    /// Batches that the store had no room for.
    refused: VecDeque<Batch>,
    /// Whom to tell when a batch is durable, in the order of the batches.
    watchers: VecDeque<(u64, Box<dyn FnOnce() + Send>)>,
    /// Inner turns, of which some may wait for room in the store.
    turns: TurnQueue,
    room: StoreRoom,
    effects: Vec<Effect>,
    in_store: InStore,
    stop_by: Option<Instant>,
    /// Its clients have been told that this is the end.
    has_parted: bool,
}

/// Batches of the shard that are not durable. With several shards one may have to wait for one of
/// another, so the store refuses none of them, and it is here that they are bounded.
#[derive(Default)]
struct InStore {
    batches: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Shard {
    /// Registers the listeners.
    pub(crate) fn new(mut parts: Parts) -> io::Result<Self> {
        for (index, listener) in parts.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            parts.poll.registry().register(listener.source(), token, Interest::READABLE)?;
        }
        Ok(Self {
            sockets: Sockets::default(),
            lingering: Lingering::default(),
            buffer: vec![0; READ_BUFFER_BYTES],
            turn_bytes: 0,
            readable: Vec::new(),
            acceptable: Vec::new(),
            to_verify: Vec::new(),
            certificate_changes: 0,
            refusals: Throttle::default(),
            accept_again_at: None,
            refused: VecDeque::new(),
            watchers: VecDeque::new(),
            turns: TurnQueue::default(),
            room: StoreRoom::default(),
            effects: std::mem::take(&mut parts.effects),
            parts,
            in_store: InStore::default(),
            stop_by: None,
            has_parted: false,
        })
    }

    /// Serves until it is told to stop, or the system fails it.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        // What the recovery of the sessions has to say.
        self.settle(self.parts.clock.now());
        loop {
            let timeout = self.timeout();
            match self.parts.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let now = self.parts.clock.now();
            self.note_events(&events);
            self.take_mail(now);
            self.accept(now);
            self.read(now);
            self.verify_certificates(now);
            self.handle_timers(now);
            self.settle(now);
            self.lingering.expire(Instant::now());
            if self.has_stopped(now) {
                return Ok(());
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let may_read = self.may_read();
        let reads_on = !self.readable.is_empty() && may_read;
        let is_busy = !self.effects.is_empty() || !self.acceptable.is_empty();
        if is_busy || !self.to_verify.is_empty() || reads_on {
            return Some(Duration::ZERO);
        }
        let timer = self.parts.core.poll_timeout().filter(|_| may_read);
        let timer = timer.map(|at| self.parts.clock.until(at));
        let deadlines = [self.accept_again_at, self.stop_by, self.lingering.next()];
        let deadlines = deadlines.into_iter().flatten();
        deadlines.map(|at| at.saturating_duration_since(Instant::now())).chain(timer).min()
    }

    /// Whether the store and the readers keep up. Without room in the store a reader may stand
    /// still; it then misses what is not in the log, and nobody else has to wait.
    fn may_read(&self) -> bool {
        self.stop_by.is_none()
            && self.refused.is_empty()
            && self.in_store.have_room()
            && self.parts.ways.have_room()
            && (self.room == StoreRoom::Full
                || self.parts.readers.iter().all(|(_, sink)| sink.has_room()))
    }

    /// While sockets are not read nobody can show that it is alive, and what is due would only
    /// give the store more to do.
    fn handle_timers(&mut self, now: Now) {
        let is_due = self.parts.core.poll_timeout().is_some_and(|at| at <= now.monotonic);
        if is_due && self.may_read() {
            self.parts.core.handle(now, Input::Timeout);
        }
    }

    fn note_events(&mut self, events: &Events) {
        let first_socket = FIRST_LISTENER + self.parts.listeners.len();
        for event in events {
            let Token(token) = event.token();
            if Lingering::has(token) {
                self.lingering.read(token);
            } else if token >= first_socket {
                let slot = u32::try_from(token - first_socket).expect("tokens come from slots");
                let Some((id, socket)) = self.sockets.at(slot) else { continue };
                socket.read_closed |= event.is_read_closed() || event.is_error();
                if (event.is_readable() || event.is_error()) && !socket.to_read {
                    socket.to_read = true;
                    self.readable.push(id);
                }
                if event.is_writable() && socket.blocked {
                    socket.blocked = false;
                    self.effects.push(Effect::Flush { connection: id });
                }
            } else if token >= FIRST_LISTENER {
                self.acceptable.push(token - FIRST_LISTENER);
            }
        }
    }

    /// Writes what came of so many bytes before there is too much of it.
    fn count_turn_bytes(&mut self, now: Now, bytes: usize) {
        self.turn_bytes += bytes;
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            self.settle(now);
        }
    }

    fn read(&mut self, now: Now) {
        if !self.may_read() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut handshakes = 0;
        for id in std::mem::take(&mut self.readable) {
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            if socket.stream.unfinished().is_some() {
                handshakes += 1;
                if handshakes > HANDSHAKES_PER_TURN {
                    self.readable.push(id);
                    continue;
                }
            }
            socket.to_read = false;
            self.read_socket(now, id, &mut buffer);
        }
        self.buffer = buffer;
        self.turn_bytes = 0;
    }

    fn read_socket(&mut self, now: Now, id: ConnectionId, buffer: &mut [u8]) {
        for _ in 0..READS_IN_A_ROW {
            let Some(socket) = self.sockets.get_mut(id) else { return };
            if socket.paused {
                return;
            }
            match socket.stream.read(buffer) {
                Ok(0) => return self.close(now, id),
                Ok(count) => {
                    // A short read says that nothing is left, so another call would be wasted.
                    let drained = count < buffer.len()
                        && !socket.read_closed
                        && !socket.stream.needs_read_again();
                    socket.blocked |= socket.stream.wants_write();
                    let bytes = &buffer[..count];
                    self.parts.core.handle(now, Input::Received { connection: id, bytes });
                    self.count_turn_bytes(now, count);
                    if drained || !self.parts.core.takes_bytes(id) {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    socket.blocked |= socket.stream.wants_write();
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return self.refuse(now, id, &error);
                }
                Err(_) => return self.close(now, id),
            }
        }
        self.read_again(id);
    }

    fn read_again(&mut self, id: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(id)
            && !socket.to_read
        {
            socket.to_read = true;
            self.readable.push(id);
        }
    }

    /// Carries out what the core wants, and what comes of that.
    fn settle(&mut self, now: Now) {
        for _ in 0..ROUNDS_PER_TURN {
            let mut effects = std::mem::take(&mut self.effects);
            self.parts.core.drain(|effect| effects.push(effect));
            if effects.is_empty() {
                self.effects = effects;
                return;
            }
            for effect in effects.drain(..) {
                self.carry_out(now, effect);
            }
            if self.effects.is_empty() {
                self.effects = effects;
            }
        }
        let effects = &mut self.effects;
        self.parts.core.drain(|effect| effects.push(effect));
    }

    fn carry_out(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Accept { listener } => self.acceptable.push(listener.0.into()),
            Effect::Authenticate { connection, request } => {
                self.authenticate(now, connection, request);
            }
            Effect::Admitted { connection, client_id } => {
                let socket = self.sockets.get_mut(connection);
                let peer = socket.and_then(|socket| socket.stream.peer());
                auth::admitted(&client_id, peer.map(|peer| peer.ip()));
            }
            Effect::Close { connection, farewell: false } => self.close(now, connection),
            Effect::Close { connection, farewell: true } => self.part(now, connection),
            Effect::Commit(batch) => {
                if self.refused.is_empty() {
                    self.submit(batch);
                } else {
                    self.refused.push_back(batch);
                }
            }
            Effect::Denied { denial, .. } => auth::denied(&denial),
            Effect::Dropping(notice) => logging::dropping(&notice),
            Effect::Flush { connection } => self.flush(now, connection),
            Effect::Forward { shard, forwards } => self.parts.ways.forward(shard, forwards),
            Effect::Interest(changes) => {
                if let Some(note) = &self.parts.interest {
                    note(changes);
                }
            }
            Effect::Load { sequences } => self.parts.loader.read(sequences),
            Effect::MemoryPressure { pressure, bytes } => logging::memory(pressure, bytes),
            Effect::Move { connection, shard, bytes } => self.hand_over(connection, shard, bytes),
            Effect::Pause { connection } => {
                if let Some(socket) = self.sockets.get_mut(connection) {
                    socket.paused = true;
                }
            }
            Effect::ReadHistory(request) => match &self.parts.pages {
                Some(read) => read(request),
                None => unreachable!("the core knows whether there is a history"),
            },
            Effect::Resume { connection } => {
                if let Some(socket) = self.sockets.get_mut(connection) {
                    socket.paused = false;
                }
                self.read_again(connection);
            }
            Effect::Throttled(notice) => {
                let listener = &self.parts.entrances[usize::from(notice.listener.0)];
                logging::throttled(&notice, listener.name());
            }
            Effect::ReaderMissed { reader, messages } => {
                let sink = self.parts.readers.iter().find(|(known, _)| *known == reader);
                if let Some((_, sink)) = sink {
                    sink.missed(messages);
                }
            }
            Effect::ToReader { reader, records } => {
                let sink = self.parts.readers.iter().find(|(known, _)| *known == reader);
                let Some((_, sink)) = sink else { return };
                if sink.has_room() || self.room != StoreRoom::Full {
                    return sink.give(records);
                }
                let (logged, messages) = records.without_unlogged();
                self.parts.core.handle(now, Input::ReaderMissed { messages });
                if !logged.is_empty() {
                    sink.give(logged);
                }
            }
        }
    }

    fn authenticate(
        &mut self,
        now: Now,
        connection: ConnectionId,
        request: Box<AuthenticationRequest>,
    ) {
        let Some(socket) = self.sockets.get_mut(connection) else { return };
        let address = socket.stream.peer().map(|peer| peer.ip());
        if self.parts.entrances[usize::from(socket.listener)].sees_everything() {
            let outcome = Outcome::granted(auth::who_sees_everything());
            return self.parts.core.handle(now, Input::Authenticated { connection, outcome });
        }
        if let Some(user) = socket.stream.vouched_user() {
            let outcome = auth::by_certificate(&request, Some(user), address);
            return self.parts.core.handle(now, Input::Authenticated { connection, outcome });
        }
        if self.parts.entrances[usize::from(socket.listener)].knows_clients() {
            let outcome = auth::by_certificate(&request, socket.stream.user_name(), address);
            return self.parts.core.handle(now, Input::Authenticated { connection, outcome });
        }
        let question = Question { shard: self.parts.id, connection, address, request };
        if !self.parts.authenticator.ask(question) {
            let outcome = Outcome::Refused(ReasonCode::ServerBusy);
            self.parts.core.handle(now, Input::Authenticated { connection, outcome });
        }
    }

    /// False when the store has no room; the batch then waits here.
    fn submit(&mut self, batch: Batch) -> bool {
        if self.parts.ways.any() {
            self.in_store.submitted(&batch);
            self.parts.store.submit_linked(batch);
            return true;
        }
        match self.parts.store.submit(batch) {
            Ok(()) => true,
            Err(Refused::Full(batch) | Refused::Stopped(batch)) => {
                self.refused.push_front(batch);
                false
            }
        }
    }

    fn flush(&mut self, now: Now, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let Some(outbound) = self.parts.core.outbound(id) else { return };
        if socket.blocked || (outbound.is_empty() && !socket.stream.wants_write()) {
            return;
        }
        match socket.stream.write(outbound.bytes()) {
            Ok(written) => {
                socket.blocked = written < outbound.len() || socket.stream.wants_write();
                if written > 0 {
                    self.parts.core.handle(now, Input::Sent { connection: id, bytes: written });
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.blocked = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.effects.push(Effect::Flush { connection: id });
            }
            Err(_) => self.close(now, id),
        }
    }

    /// Once nothing waits for a commit any more in any shard, tells the clients, and ends together
    /// with the others.
    fn has_stopped(&mut self, now: Now) -> bool {
        let Some(stop_by) = self.stop_by else { return false };
        let is_late = Instant::now() >= stop_by;
        if !self.has_parted {
            let settled = self.parts.core.gated() == 0 && self.refused.is_empty();
            if !self.parts.ways.rest(settled) && !is_late {
                return false;
            }
            self.has_parted = true;
            self.parts.core.handle(now, Input::Stop);
            self.settle(now);
        }
        self.parts.ways.part() || is_late
    }
}

impl InStore {
    /// Batches of one shard that may wait, if others have to come to rest with them.
    const BATCHES_MAX: usize = 1024;
    const BYTES_MAX: usize = 16 * 1024 * 1024;

    fn submitted(&mut self, batch: &Batch) {
        let bytes = batch_bytes(batch);
        self.bytes += bytes;
        self.batches.push_back((batch.number, bytes));
    }

    fn committed(&mut self, number: u64) {
        while let Some((_, bytes)) = self.batches.pop_front_if(|(first, _)| *first <= number) {
            self.bytes -= bytes;
        }
    }

    fn have_room(&self) -> bool {
        self.batches.len() < Self::BATCHES_MAX && self.bytes < Self::BYTES_MAX
    }
}
