//! Runs the gateway: one task that owns it, links that read for it, and a broker.
//!
//! A turn takes everything that has come, writes what must be on disk, and only then sends.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::gateway::{Address, Counter, Effect, Gateway, Input, LinkId, Options, Peer, Refusal};
use crate::link::serial::{SerialLink, SerialOptions};
use crate::link::udp::{UdpError, UdpLink, UdpOptions};
use crate::link::{FromLink, Inbox};
use crate::questions::{Asker, Questions, questions};
use crate::session::{Broker, Command, Event, SessionId};
use crate::state_file::{Change, StateError, StateFile};

/// A link that a gateway is run with: its part outside of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkConfig {
    /// A serial line.
    Serial(SerialOptions),
    /// A network.
    Udp(UdpOptions),
}

/// Why the gateway cannot run, or cannot run any longer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Each link of the options needs one that is opened for it.
    #[error("{0} links are opened and {1} are in the options of the gateway")]
    LinkCount(usize, usize),
    /// The state file.
    #[error("state file: {0}")]
    State(#[from] StateError),
    /// The thread that writes it has ended.
    #[error("the thread that writes the state file has ended")]
    StateThread,
    /// A network link.
    #[error("link {link}: {source}")]
    Udp {
        /// What it is called.
        link: Box<str>,
        /// What is wrong with it.
        source: UdpError,
    },
}

/// A gateway that is ready to run.
#[derive(Debug)]
pub struct Runner<B> {
    gateway: Gateway,
    broker: B,
    links: Vec<Link>,
    inbox: Inbox,
    datagrams: mpsc::Receiver<FromLink>,
    /// `None` while it is being written.
    state: Option<StateFile>,
    start: Instant,
    /// What was counted of what is counted outside.
    inbox_dropped: u64,
    broker_dropped: u64,
    refusals: RefusalLog,
    questions: Questions,
    asker: Asker,
}

#[derive(Debug)]
enum Link {
    Serial(SerialLink),
    Udp(UdpLink),
}

/// What has come until a turn.
#[derive(Default)]
struct Arrived {
    datagrams: Vec<FromLink>,
    events: Vec<(SessionId, Event)>,
}

impl<B: Broker> Runner<B> {
    /// Opens links and state file. `links` are those of the options, in the same order. Without a
    /// state file, sessions that are not clean do not survive the gateway. Needs a runtime of
    /// tokio.
    ///
    /// # Errors
    /// A network link or the state file cannot be opened. A serial line is tried again instead.
    pub fn open(
        options: Options,
        links: Vec<LinkConfig>,
        state: Option<PathBuf>,
        broker: B,
    ) -> Result<Self, RunError> {
        if links.len() != options.links.len() {
            return Err(RunError::LinkCount(links.len(), options.links.len()));
        }
        let (inbox, datagrams) = Inbox::new();
        let mut opened = Vec::new();
        for (place, (config, options)) in links.into_iter().zip(&options.links).enumerate() {
            let id = LinkId(place as u16);
            opened.push(match config {
                LinkConfig::Serial(serial) => {
                    Link::Serial(SerialLink::open(id, serial, inbox.clone()))
                }
                LinkConfig::Udp(udp) => {
                    let udp = UdpLink::open(id, &udp, &inbox)
                        .map_err(|source| RunError::Udp { link: options.name.clone(), source })?;
                    Link::Udp(udp)
                }
            });
        }
        let mut gateway = Gateway::new(options, 0);
        let state = match state {
            Some(path) => {
                let (state, saved) = StateFile::open(&path)?;
                gateway.restore(0, saved);
                Some(state)
            }
            None => None,
        };
        let (links, start) = (opened, Instant::now());
        let (inbox_dropped, broker_dropped, refusals) = (0, 0, RefusalLog::default());
        let (asker, questions) = questions();
        Ok(Self {
            gateway,
            broker,
            links,
            inbox,
            datagrams,
            state,
            start,
            inbox_dropped,
            broker_dropped,
            refusals,
            questions,
            asker,
        })
    }

    /// Asks for the counters and gauges while it runs.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Where a network link listens; `None` for a serial line.
    pub fn local_address(&self, link: LinkId) -> Option<SocketAddr> {
        match self.links.get(usize::from(link.0))? {
            Link::Serial(_) => None,
            Link::Udp(udp) => udp.local_address().ok(),
        }
    }

    /// Runs until `shutdown` is done, then says goodbye to everyone for at most two seconds.
    ///
    /// # Errors
    /// The state file cannot be written: then nobody is promised anything any more.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<Gateway, RunError> {
        let mut shutdown = pin!(shutdown);
        let mut closing: Option<Pin<Box<Sleep>>> = None;
        let mut arrived = Arrived::default();
        loop {
            self.turn().await?;
            if closing.is_some() && self.gateway.is_closed() {
                return Ok(self.gateway);
            }
            let timeout = self.gateway.poll_timeout();
            let timeout = timeout.map(|at| sleep_until(self.start + Duration::from_millis(at)));
            let mut timeout = pin!(timeout);
            let woken = poll_fn(|context| {
                if let Some(closing) = &mut closing {
                    if closing.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Woken::OutOfTime);
                    }
                } else if shutdown.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Woken::Shutdown);
                }
                let due = timeout.as_mut().as_pin_mut().is_some_and(|t| t.poll(context).is_ready());
                match self.poll_arrived(context, &mut arrived) || due {
                    true => Poll::Ready(Woken::Turn),
                    false => Poll::Pending,
                }
            })
            .await;
            match woken {
                Woken::OutOfTime => {
                    tracing::warn!("the broker did not take the last messages in time");
                    return Ok(self.gateway);
                }
                Woken::Shutdown => {
                    let now = self.now();
                    self.gateway.shut_down(now);
                    self.gateway.handle(now, Input::Timeout);
                    closing = Some(Box::pin(sleep(SHUTDOWN_TIME)));
                }
                Woken::Turn => self.handle(&mut arrived),
            }
        }
    }

    /// Whether anything has come; wakes the task if it comes later.
    fn poll_arrived(&mut self, context: &mut Context<'_>, arrived: &mut Arrived) -> bool {
        self.questions.poll(context, || self.gateway.numbers());
        let datagrams = self.datagrams.poll_recv_many(context, &mut arrived.datagrams, TURN_MAX);
        let events = self.broker.poll_events(context, &mut arrived.events);
        datagrams.is_ready() || events.is_ready()
    }

    fn handle(&mut self, arrived: &mut Arrived) {
        let now = self.now();
        self.gateway.set_clock(now, time_of_day(), uptime_ms().unwrap_or(now));
        log_losses(&arrived.events);
        for (session, event) in arrived.events.drain(..) {
            self.gateway.handle(now, Input::Session(session, event));
        }
        for datagram in arrived.datagrams.drain(..) {
            match datagram {
                FromLink::Datagram(link, peer, bytes) => {
                    self.gateway.handle(now, Input::Datagram { link, peer, bytes: &bytes });
                }
                FromLink::Broken { crc, other } => {
                    self.gateway.count(Counter::FramesCrc, crc);
                    self.gateway.count(Counter::FramesBroken, other);
                }
                FromLink::Down(link) => self.gateway.handle(now, Input::LinkDown(link)),
            }
        }
        self.gateway.handle(now, Input::Timeout);
    }

    /// Writes what must be on disk, and then does what the gateway wants.
    async fn turn(&mut self) -> Result<(), RunError> {
        self.count_dropped();
        let mut refused = Vec::new();
        loop {
            self.commit().await?;
            let Self { gateway, broker, links, refusals, .. } = self;
            let mut unsent = 0;
            gateway.drain_effects(|effect| match effect {
                Effect::Broadcast { link, bytes } => {
                    unsent += u64::from(!broadcast(links, link, &bytes));
                }
                Effect::Refused(refusal) => refusals.write(&refusal),
                Effect::Send { to, bytes } => unsent += u64::from(!send(links, &to, &bytes)),
                Effect::Command { session, command } => {
                    refused.extend(give(broker, session, command));
                }
                Effect::Open { session, options } => {
                    if broker.open(session, options).is_err() {
                        refused.push(Input::Full { session, ticket: None });
                    }
                }
            });
            gateway.count(Counter::FramesDropped, unsent);
            if refused.is_empty() {
                return Ok(());
            }
            let now = self.now();
            for input in refused.drain(..) {
                self.gateway.handle(now, input);
            }
        }
    }

    async fn commit(&mut self) -> Result<(), RunError> {
        let mut changes: Vec<Change> = Vec::new();
        self.gateway.drain_saves(|id, record| changes.push((id.into(), record)));
        let Some(mut state) = self.state.take() else { return Ok(()) };
        if changes.is_empty() {
            self.state = Some(state);
            return Ok(());
        }
        // The disk may take its time; the runtime does not wait for it.
        let written = tokio::task::spawn_blocking(move || {
            let result = state.commit(changes);
            (state, result)
        });
        let (state, result) = written.await.map_err(|_| RunError::StateThread)?;
        self.state = Some(state);
        Ok(result?)
    }

    /// Milliseconds since the gateway was opened.
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn count_dropped(&mut self) {
        let (inbox, broker) = (self.inbox.dropped(), self.broker.dropped());
        if inbox > self.inbox_dropped {
            tracing::warn!(total = inbox, "datagrams dropped: the gateway does not keep up");
        }
        self.gateway.count(Counter::FramesDropped, inbox - self.inbox_dropped);
        self.gateway.count(Counter::QoS0Dropped, broker - self.broker_dropped);
        (self.inbox_dropped, self.broker_dropped) = (inbox, broker);
    }
}

/// `None` if the clock of the machine was never set, as one without a battery before it has heard
/// of a time server.
fn time_of_day() -> Option<u64> {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (unix > CLOCK_IS_SET).then_some(unix.as_millis() as u64)
}

/// Milliseconds since the start of the machine; `None` where the system is not asked.
#[cfg(feature = "linux")]
fn uptime_ms() -> Option<u64> {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Some(uptime.tv_sec as u64 * 1_000 + uptime.tv_nsec as u64 / 1_000_000)
}

#[cfg(not(feature = "linux"))]
fn uptime_ms() -> Option<u64> {
    None
}

enum Woken {
    OutOfTime,
    Shutdown,
    Turn,
}

/// Gives a session something to do; what the gateway is told if there is no room.
fn give<B: Broker>(broker: &mut B, session: SessionId, command: Command) -> Option<Input<'static>> {
    let ticket = match &command {
        Command::Publish { ticket, .. } => *ticket,
        Command::Subscribe { ticket, .. } | Command::Unsubscribe { ticket, .. } => Some(*ticket),
        _ => None,
    };
    broker.command(session, command).is_err().then_some(Input::Full { session, ticket })
}

/// Whether the link took the datagram.
fn broadcast(links: &[Link], link: LinkId, bytes: &[u8]) -> bool {
    match links.get(usize::from(link.0)) {
        Some(Link::Serial(serial)) => serial.send(bytes),
        Some(Link::Udp(udp)) => udp.broadcast(bytes),
        None => false,
    }
}

/// Whether the link took the datagram.
fn send(links: &[Link], to: &Address, bytes: &[u8]) -> bool {
    match (links.get(usize::from(to.link.0)), to.peer) {
        (Some(Link::Serial(serial)), _) => serial.send(bytes),
        (Some(Link::Udp(udp)), Peer::Udp(socket)) => udp.send(socket, bytes),
        _ => false,
    }
}

/// One line for all sessions that lose the broker together, and one for each that is refused for
/// a reason that only someone can change.
fn log_losses(events: &[(SessionId, Event)]) {
    let mut lost = events.iter().filter_map(|(_, event)| match event {
        Event::Lost(reason) => Some(reason),
        _ => None,
    });
    if let Some(reason) = lost.next() {
        let sessions = 1 + lost.count();
        tracing::warn!(sessions, %reason, "the broker is lost and will be tried again");
    }
    for (session, event) in events {
        if let Event::Refused(reason) = event {
            tracing::error!(session = session.0, %reason, "the broker refuses a session");
        }
    }
}

/// Writes refusals into the log, a few each second: whoever sends thousands does not fill it.
#[derive(Debug, Default)]
struct RefusalLog {
    second: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl RefusalLog {
    fn write(&mut self, refusal: &Refusal) {
        let now = Instant::now();
        if self.second.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            if self.left_out > 0 {
                tracing::warn!(count = self.left_out, "more were refused");
            }
            *self = Self { second: Some(now), ..Self::default() };
        }
        if self.written == REFUSALS_PER_SECOND {
            self.left_out += 1;
            return;
        }
        self.written += 1;
        let Refusal { address, client_id, topic, reason } = refusal;
        tracing::warn!(%address, ?client_id, ?topic, %reason, "refused");
    }
}

const REFUSALS_PER_SECOND: u32 = 10;
/// The beginning of 2024: every time before it is wrong.
const CLOCK_IS_SET: Duration = Duration::from_secs(1_704_067_200);
/// Datagrams in one turn; those behind them have the next one.
const TURN_MAX: usize = 1_024;
/// What is left of the two seconds that a gateway may take to end.
const SHUTDOWN_TIME: Duration = Duration::from_millis(1_800);
