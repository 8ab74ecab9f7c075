//! The connection of one session: a task that reads, asks the protocol, writes, and tries again
//! when the broker is away.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::mailbox::Mailbox;
use super::protocol::{Failure, Outcome, Protocol};
use super::stream::{Reader, Writer, encrypted, plain};
use crate::session::{Event, LostReason, SessionId};
use crate::tls::{TlsClient, words};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    pub(super) tls: Option<Arc<TlsClient>>,
    /// Connections that are being opened at the same time.
    pub(super) opening: Semaphore,
    /// Why the broker was away when that was last said.
    pub(super) told: Mutex<Option<LostReason>>,
    /// Messages of QoS 0 to sessions that were dropped.
    pub(super) dropped: AtomicU64,
}

impl Shared {
    /// Whether no session has failed for this reason last.
    fn is_news(&self, reason: &LostReason) -> bool {
        // What a panic interrupts is one assignment.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.as_ref() != Some(reason);
        if is_news {
            *told = Some(reason.clone());
        }
        is_news
    }
}

/// One session.
pub(super) struct Connection {
    pub(super) session: SessionId,
    pub(super) protocol: Protocol,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) events: mpsc::Sender<(SessionId, Event)>,
    pub(super) shared: Arc<Shared>,
}

/// Why a connection has ended.
enum Ended {
    /// For good.
    Closed,
    /// To be opened again after a while.
    Failed(Failure),
    /// To be opened again at once.
    Reconnects,
    /// Nobody listens to the session any more.
    Unheard,
}

impl Connection {
    /// Runs until the session has ended.
    pub(super) async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut is_lost = false;
        loop {
            let (ended, was_connected) = self.connect_and_serve().await;
            self.mailbox.set_connected(false);
            let mut events = Vec::new();
            self.protocol.lost(&mut events);
            self.report_dropped();
            if was_connected {
                backoff = BACKOFF_MIN;
                is_lost = false;
            }
            let waits = match ended {
                Ended::Closed => {
                    events.push(Event::Closed);
                    let _ = self.tell(events).await;
                    return;
                }
                Ended::Unheard => return,
                Ended::Failed(Failure::Refused(reason)) => {
                    events.push(Event::Refused(reason));
                    let _ = self.tell(events).await;
                    return;
                }
                Ended::Failed(Failure::Lost(reason)) => {
                    // Said once, however often it is tried, unless there is another reason by now.
                    let is_news = self.shared.is_news(&reason);
                    if !is_lost {
                        events.push(Event::Lost(reason));
                    } else if is_news {
                        tracing::warn!(%reason, "the broker is still away");
                    }
                    is_lost = true;
                    true
                }
                Ended::Reconnects => false,
            };
            if self.tell(events).await.is_err() {
                return;
            }
            if waits {
                if !self.wait(backoff).await {
                    return;
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    /// One connection, and whether the broker accepted it.
    async fn connect_and_serve(&mut self) -> (Ended, bool) {
        let (mut reader, mut writer) = match self.open().await {
            Ok(ways) => ways,
            Err(reason) => return (Ended::Failed(Failure::Lost(reason)), false),
        };
        let mut buffers = Buffers::default();
        self.protocol.connect(&mut buffers.output);
        let served = self.serve(&mut reader, &mut writer, &mut buffers).await;
        let was_connected = self.protocol.is_connected();
        let ended = match served {
            Ok(ended) | Err(ended) => ended,
        };
        let was_connected = was_connected || matches!(ended, Ended::Reconnects);
        (ended, was_connected)
    }

    async fn open(&self) -> Result<(Reader, Writer), LostReason> {
        let _permit = self.shared.opening.acquire().await.map_err(|_| LostReason::Closed)?;
        let address = (&*self.shared.host, self.shared.port);
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| LostReason::TimedOut)?
            .map_err(|error| reason(&error))?;
        stream.set_nodelay(true).map_err(|error| reason(&error))?;
        let Some(tls) = &self.shared.tls else { return Ok(plain(stream)) };
        timeout(CONNECT_TIMEOUT, encrypted(stream, tls, &self.shared.host))
            .await
            .map_err(|_| LostReason::TimedOut)?
            .map_err(|error| reason(&error))
    }

    async fn serve(
        &mut self,
        reader: &mut Reader,
        writer: &mut Writer,
        buffers: &mut Buffers,
    ) -> Result<Ended, Ended> {
        let interval = self.ping_interval();
        let mut ping_at = Instant::now() + CONNECT_TIMEOUT;
        let mut events = Vec::new();
        loop {
            write_all(writer, &mut buffers.output).await?;
            self.tell(std::mem::take(&mut events)).await?;
            self.report_dropped();
            let full = self.protocol.is_full();
            let was_connected = self.protocol.is_connected();
            let outcome = tokio::select! {
                // Acknowledgements make room, so they come first.
                biased;
                commands = self.mailbox.take() => self.obey(commands, buffers, &mut events),
                read = reader.read(&mut buffers.input), if !full => {
                    if !read.map_err(|error| lost(&error))? {
                        return Err(Ended::Failed(Failure::Lost(LostReason::Closed)));
                    }
                    self.read(buffers, &mut events)?;
                    Outcome::GoOn
                }
                () = sleep_until(ping_at) => {
                    if !self.protocol.is_connected() {
                        return Err(Ended::Failed(Failure::Lost(LostReason::TimedOut)));
                    }
                    self.protocol.ping(&mut buffers.output).map_err(Ended::Failed)?;
                    ping_at = Instant::now() + interval;
                    Outcome::GoOn
                }
            };
            if full && !self.protocol.is_full() {
                self.read(buffers, &mut events)?;
            }
            if !was_connected && self.protocol.is_connected() {
                self.mailbox.set_connected(true);
                ping_at = Instant::now() + interval;
            }
            match outcome {
                Outcome::GoOn => {}
                Outcome::Reconnect | Outcome::Close { .. } => {
                    write_all(writer, &mut buffers.output).await?;
                    if !matches!(outcome, Outcome::Close { publish_will: true }) {
                        part(reader, writer).await;
                    }
                    self.tell(events).await?;
                    let reconnects = outcome == Outcome::Reconnect;
                    return Ok(if reconnects { Ended::Reconnects } else { Ended::Closed });
                }
            }
        }
    }

    fn read(&mut self, buffers: &mut Buffers, events: &mut Vec<Event>) -> Result<(), Ended> {
        let read = self.protocol.read(&mut buffers.input, &mut buffers.output, events);
        if buffers.input.is_empty() {
            // Most sessions are idle most of the time, and there are many.
            buffers.input = BytesMut::new();
        }
        read.map_err(Ended::Failed)
    }

    fn obey(
        &mut self,
        commands: impl IntoIterator<Item = crate::session::Command>,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let mut outcome = Outcome::GoOn;
        for command in commands {
            // What came after a reconnect was asked for is answered by the protocol as while the
            // broker is away; a close is the last word.
            match self.protocol.command(command, &mut buffers.output, events) {
                Outcome::GoOn => {}
                other => outcome = other,
            }
            if matches!(outcome, Outcome::Close { .. }) {
                break;
            }
        }
        outcome
    }

    /// Waits before the next try, and does what can be done without a broker. False if the session
    /// has ended.
    async fn wait(&mut self, backoff: Duration) -> bool {
        // Sessions that were lost together do not come back in the same instant.
        let spread = Duration::from_millis(self.session.0 % 250);
        let until = Instant::now() + backoff + spread;
        loop {
            let commands = tokio::select! {
                commands = self.mailbox.take() => commands,
                () = sleep_until(until) => return true,
            };
            let (mut buffers, mut events) = (Buffers::default(), Vec::new());
            let outcome = self.obey(commands, &mut buffers, &mut events);
            let closes = matches!(outcome, Outcome::Close { .. });
            if closes {
                events.push(Event::Closed);
            }
            if self.tell(events).await.is_err() || closes {
                return false;
            }
        }
    }

    async fn tell(&self, events: Vec<Event>) -> Result<(), Ended> {
        for event in events {
            match &event {
                Event::Published(ticket)
                | Event::PublishFailed(ticket)
                | Event::PublishRefused { ticket, .. } => {
                    self.mailbox.published(*ticket);
                }
                Event::Subscribed { ticket, .. } | Event::Unsubscribed(ticket) => {
                    self.mailbox.answered(*ticket);
                }
                _ => {}
            }
            self.events.send((self.session, event)).await.map_err(|_| Ended::Unheard)?;
        }
        Ok(())
    }

    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.protocol.dropped);
        if dropped > 0 {
            self.shared.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    /// Twice in the keep-alive time, so that one lost answer is seen in time.
    fn ping_interval(&self) -> Duration {
        match self.protocol.options.keep_alive_s {
            0 => Duration::from_secs(u64::from(u16::MAX)),
            seconds => Duration::from_millis(u64::from(seconds) * 500),
        }
    }
}

/// Bytes of the broker that are not a whole packet yet, and bytes for it.
#[derive(Default)]
struct Buffers {
    input: BytesMut,
    output: BytesMut,
}

/// Waits until the broker has closed the connection, as it does when it has read DISCONNECT.
/// Closed with something unread, the connection would be reset, and a broker that is told so
/// before it has read DISCONNECT publishes the will.
async fn part(reader: &mut Reader, writer: &mut Writer) {
    let parted = async {
        writer.shutdown().await?;
        reader.drain().await
    };
    // A broker that does not, or is gone, is not waited for.
    let _ = timeout(PART_TIME, parted).await;
}

async fn write_all(writer: &mut Writer, output: &mut BytesMut) -> Result<(), Ended> {
    if output.is_empty() {
        return Ok(());
    }
    let written = timeout(WRITE_TIMEOUT, writer.write_all(output)).await;
    written
        .map_err(|_| Ended::Failed(Failure::Lost(LostReason::TimedOut)))?
        .map_err(|error| lost(&error))
}

fn lost(error: &io::Error) -> Ended {
    Ended::Failed(Failure::Lost(reason(error)))
}

fn reason(error: &io::Error) -> LostReason {
    match words(error) {
        Some(words) => LostReason::Tls(words.into()),
        None => LostReason::Unreachable(error.to_string().into()),
    }
}

/// How long a broker may take to close a connection after DISCONNECT.
const PART_TIME: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
