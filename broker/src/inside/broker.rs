//! The broker as the bridge sees it from inside the process.
//!
//! Moves bytes between dialogues and their connections, and opens connections again that the broker
//! has ended. Runs in the task that owns it: nothing here waits, and only connections that have
//! something are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream as _};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep_until};
use weir_firmware_bridge::session::{
    Broker, Command, Event, Full, LostReason, SessionId, SessionOptions,
};

use super::dialogue::{Dialogue, Next};
use super::door::Door;

/// Opens sessions at the broker of this process. Needs a tokio runtime with IO and time.
pub(crate) struct InsideBroker {
    door: Door,
    sessions: BTreeMap<SessionId, Session>,
    /// Connections that wait until they can be read or written.
    waiting: FuturesUnordered<Pin<Box<dyn Future<Output = Ready> + Send>>>,
    /// Sessions with something to write.
    dirty: BTreeSet<SessionId>,
    /// When sessions are opened again that the broker has ended.
    retries: BTreeSet<(Instant, SessionId)>,
    alarm: Option<Pin<Box<Sleep>>>,
    events: Vec<(SessionId, Event)>,
    buffer: Box<[u8]>,
}

struct Session {
    dialogue: Dialogue,
    stream: Option<Arc<UnixStream>>,
    /// The kernel takes no more until it says so.
    is_blocked: bool,
    pause: Duration,
}

/// A connection that can be read or written.
struct Ready {
    session: SessionId,
    stream: Arc<UnixStream>,
    interest: Interest,
}

impl InsideBroker {
    /// Sessions come in by this door.
    pub(crate) fn new(door: Door) -> Self {
        Self {
            door,
            sessions: BTreeMap::new(),
            waiting: FuturesUnordered::new(),
            dirty: BTreeSet::new(),
            retries: BTreeSet::new(),
            alarm: None,
            events: Vec::new(),
            buffer: vec![0; READ_BYTES].into(),
        }
    }

    /// Opens a connection, or puts that off.
    fn connect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let opened = self.door.open(session.dialogue.user()).and_then(UnixStream::from_std);
        match opened {
            Ok(stream) => {
                let stream = Arc::new(stream);
                session.dialogue.open();
                session.stream = Some(stream.clone());
                session.is_blocked = false;
                self.dirty.insert(id);
                self.waiting.push(until(id, stream, Interest::READABLE));
            }
            Err(error) => {
                let reason = LostReason::Unreachable(error.to_string().into());
                self.handle_closed(id, reason);
            }
        }
    }

    fn handle_closed(&mut self, id: SessionId, reason: LostReason) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.stream = None;
        self.dirty.remove(&id);
        let mut events = Vec::new();
        let next = session.dialogue.closed(reason, &mut events);
        match next {
            Next::Again => self.connect(id),
            Next::Over => drop(self.sessions.remove(&id)),
            Next::Pause => {
                let at = Instant::now() + session.pause;
                session.pause = (session.pause * 2).min(PAUSE_MAX);
                self.retries.insert((at, id));
            }
        }
        self.take_events(id, events);
    }

    fn take_events(&mut self, id: SessionId, events: Vec<Event>) {
        let has_begun = events.iter().any(|event| matches!(event, Event::Connected { .. }));
        if has_begun && let Some(session) = self.sessions.get_mut(&id) {
            session.pause = PAUSE_MIN;
        }
        self.events.extend(events.into_iter().map(|event| (id, event)));
    }

    /// Writes what the kernel takes.
    fn write(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(stream) = &session.stream else { return };
        let out = session.dialogue.out();
        let mut written = 0;
        while written < out.len() {
            match stream.try_write(&out[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    session.is_blocked = true;
                    self.waiting.push(until(id, stream.clone(), Interest::WRITABLE));
                    break;
                }
                // That it is over is seen when it is read.
                Err(_) => written = out.len(),
            }
        }
        out.drain(..written);
        // Ten thousand sessions that say little keep little.
        if out.is_empty() && out.capacity() > IDLE_BYTES {
            *out = Vec::new();
        }
    }

    /// Reads what is there, up to a limit, so that others have their turn.
    fn read(&mut self, ready: Ready) {
        let Ready { session: id, stream, .. } = ready;
        let mut events = Vec::new();
        let mut end = None;
        for _ in 0..READS_IN_A_ROW {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            match stream.try_read(&mut self.buffer) {
                Ok(0) => end = Some(LostReason::Closed),
                Ok(count) => {
                    session.dialogue.receive(&self.buffer[..count], &mut events);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => end = Some(LostReason::Unreachable(error.to_string().into())),
            }
            break;
        }
        self.take_events(id, events);
        self.dirty.insert(id);
        match end {
            Some(reason) => self.handle_closed(id, reason),
            None => self.waiting.push(until(id, stream, Interest::READABLE)),
        }
    }

    fn handle_ready(&mut self, ready: Ready) {
        let Some(session) = self.sessions.get_mut(&ready.session) else { return };
        // Of a connection before, nobody wants to know.
        if !session.stream.as_ref().is_some_and(|stream| Arc::ptr_eq(stream, &ready.stream)) {
            return;
        }
        if ready.interest.is_writable() {
            session.is_blocked = false;
            self.dirty.insert(ready.session);
        } else {
            self.read(ready);
        }
    }

    /// Opens again what is due.
    fn retry(&mut self, context: &mut Context<'_>) {
        loop {
            let Some((at, id)) = self.retries.first().copied() else {
                self.alarm = None;
                return;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return;
            }
            self.retries.remove(&(at, id));
            self.alarm = None;
            self.connect(id);
        }
    }

    /// Writes to every connection that has something to write.
    fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            if self.sessions.get(&id).is_some_and(|session| !session.is_blocked) {
                self.write(id);
            }
        }
    }
}

impl Broker for InsideBroker {
    fn open(&mut self, session: SessionId, options: SessionOptions) -> Result<(), Full> {
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(Full);
        }
        let dialogue = Dialogue::new(options);
        let opened = Session { dialogue, stream: None, is_blocked: false, pause: PAUSE_MIN };
        self.sessions.insert(session, opened);
        self.connect(session);
        Ok(())
    }

    fn command(&mut self, session: SessionId, command: Command) -> Result<(), Full> {
        let Some(known) = self.sessions.get_mut(&session) else { return Ok(()) };
        let mut events = Vec::new();
        let done = known.dialogue.command(command, &mut events);
        if known.dialogue.is_over() {
            self.sessions.remove(&session);
            self.retries.retain(|(_, id)| *id != session);
        }
        self.dirty.insert(session);
        self.take_events(session, events);
        done
    }

    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<(SessionId, Event)>,
    ) -> Poll<()> {
        self.retry(context);
        self.flush();
        while self.events.len() < EVENTS_MAX
            && let Poll::Ready(Some(ready)) = Pin::new(&mut self.waiting).poll_next(context)
        {
            self.handle_ready(ready);
            self.flush();
        }
        if self.events.is_empty() {
            return Poll::Pending;
        }
        events.append(&mut self.events);
        Poll::Ready(())
    }
}

/// Waits until a connection can be read or written.
fn until(
    session: SessionId,
    stream: Arc<UnixStream>,
    interest: Interest,
) -> Pin<Box<dyn Future<Output = Ready> + Send>> {
    Box::pin(async move {
        // An error is seen when it is read.
        let _ = stream.ready(interest).await;
        Ready { session, stream, interest }
    })
}

/// Sessions at a time.
const SESSIONS_MAX: usize = 65_536;
/// One buffer for all connections.
const READ_BYTES: usize = 16 * 1024;
/// Reads of one connection in a row.
const READS_IN_A_ROW: usize = 4;
/// Events after which no more are looked for before these are taken.
const EVENTS_MAX: usize = 256;
/// What a connection without anything to write keeps of its buffer.
const IDLE_BYTES: usize = 256;
/// Pauses before a session is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
