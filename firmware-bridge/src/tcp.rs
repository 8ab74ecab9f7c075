//! Sessions with any broker over TCP, in MQTT 3.1.1, with TLS or without: one connection for each
//! session.
//!
//! A session that loses its broker tries again after 1, 2, 4 ... 60 seconds. What the broker has
//! not acknowledged is sent again if both sides kept the session, and is reported as failed if not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use self::connection::{Connection, Shared};
use self::mailbox::Mailbox;
use self::protocol::Protocol;
use crate::session::{Broker, Command, Event, Full, SessionId, SessionOptions};
use crate::tls::TlsClient;

// A module uses modules listed below it, never above.
mod connection;
mod mailbox;
mod protocol;
mod stream;

mod incoming;
mod packets;

/// A broker at an address. Sessions are tasks of the runtime it was made in, and end with it.
#[derive(Debug)]
pub struct TcpBroker {
    runtime: Handle,
    shared: Arc<Shared>,
    sessions_max: usize,
    sessions: BTreeMap<SessionId, Arc<Mailbox>>,
    sender: mpsc::Sender<(SessionId, Event)>,
    events: mpsc::Receiver<(SessionId, Event)>,
}

impl TcpBroker {
    /// A broker at `host`, a name or an address, that takes `sessions_max` sessions, with TLS or
    /// without. Connects to nothing yet.
    pub fn new(
        runtime: Handle,
        host: &str,
        port: u16,
        tls: Option<Arc<TlsClient>>,
        sessions_max: usize,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let opening = Semaphore::new(OPENING_MAX);
        let dropped = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            host: host.into(),
            port,
            tls,
            opening,
            told: Mutex::default(),
            dropped,
        });
        Self { runtime, shared, sessions_max, sessions: BTreeMap::new(), sender, events }
    }
}

impl Broker for TcpBroker {
    fn open(&mut self, session: SessionId, options: SessionOptions) -> Result<(), Full> {
        if self.sessions.len() >= self.sessions_max {
            return Err(Full);
        }
        let mailbox = Arc::new(Mailbox::default());
        let connection = Connection {
            session,
            protocol: Protocol::new(options),
            mailbox: Arc::clone(&mailbox),
            events: self.sender.clone(),
            shared: Arc::clone(&self.shared),
        };
        self.runtime.spawn(connection.run());
        self.sessions.insert(session, mailbox);
        Ok(())
    }

    fn command(&mut self, session: SessionId, command: Command) -> Result<(), Full> {
        match self.sessions.get(&session) {
            Some(mailbox) => mailbox.put(command),
            None => Ok(()),
        }
    }

    fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<(SessionId, Event)>,
    ) -> Poll<()> {
        let before = events.len();
        ready!(self.events.poll_recv_many(context, events, EVENTS_AT_ONCE));
        for (session, event) in &events[before..] {
            if matches!(event, Event::Closed | Event::Refused(_)) {
                self.sessions.remove(session);
            }
        }
        Poll::Ready(())
    }
}

/// Events of all sessions that nobody has taken. Beyond, connections are not read.
const EVENTS_MAX: usize = 1_024;
const EVENTS_AT_ONCE: usize = 256;
/// Connections that are being opened at the same time.
const OPENING_MAX: usize = 64;
