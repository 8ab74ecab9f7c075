//! An upstream that is the program itself: messages that it takes with a [`Sink`].
//!
//! To the upstream it is a connection like any other, open while the program holds the sink: what
//! waits is on the disk, what was given and not acknowledged is given again on the next connection.
//! [`Outlets`] is where the two ends find each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use weir_mqtt::QoS;

use super::desk::{Desk, Numbered};
use super::error::LinkError;
use crate::handout::{Handout, Held, wait_for};

/// Messages for the program that runs the broker, with the guarantees of an upstream; from
/// [`Broker::sink`](crate::Broker::sink).
///
/// What an upstream forwards waits on the disk until the program has acknowledged it, over restarts
/// too, within `backlog_max_bytes` and the other limits of its
/// [configuration](crate::config::UpstreamConfig::for_program). Messages come in their order, at least once: after
/// a crash those that were under way come again, with the same [`id`](SinkMessage::id). Messages of
/// QoS 0 are not kept; they come while the program holds the sink. Whoever drops it can take it again
/// once its messages are dropped too, and finds what was not acknowledged.
///
/// ```
/// use std::time::Duration;
/// use weir_broker::config::{Config, UpstreamConfig};
/// use weir_broker::{Broker, ClientOptions, Publication};
///
/// let mut config = Config::default();
/// config.persistence = false;
/// config.listeners.clear();
/// config.upstreams.push(UpstreamConfig::for_program("archive", ["home/#"]));
/// let broker = Broker::start(config)?;
/// let second = Duration::from_secs(1);
/// let client = broker.client(ClientOptions::new("thermostat"))?;
/// client.publish(Publication::new("home/attic", "21.5")).wait(second)?;
///
/// let archive = broker.sink("archive")?;
/// let message = archive.take_timeout(second)?.expect("one waits");
/// assert_eq!((message.topic(), message.payload()), ("home/attic", &b"21.5"[..]));
/// message.acknowledge();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sink {
    handout: Arc<Handout<Item>>,
    answers: mpsc::UnboundedSender<Given>,
}

/// A message that a [`Sink`] has given.
///
/// [`acknowledge`](Self::acknowledge) it when it is safe where it goes. One that is dropped without
/// that is given again at once, before those behind it.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct SinkMessage {
    /// None once it is answered.
    held: Option<Held<Item>>,
    answers: mpsc::UnboundedSender<Given>,
}

/// Why there is no sink, or nothing comes from it any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The broker has ended.
    #[error("the broker has ended")]
    Ended,
    /// The sink of this upstream is held by somebody.
    #[error("the sink of the upstream `{0}` is held by somebody")]
    Held(String),
    /// There is no upstream of this name for the program.
    #[error(
        "there is no upstream `{0}` for the program: put `UpstreamConfig::for_program` into \
         `Config::upstreams`"
    )]
    Unknown(String),
}

/// The sinks of all upstreams of this kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlets(Arc<Mutex<BTreeMap<String, Arc<Outlet>>>>);

/// Where the sink of one upstream and its connection find each other.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    seat: Mutex<Seat>,
    changed: Notify,
}

#[derive(Debug, Default)]
enum Seat {
    #[default]
    Free,
    /// The sink waits for the connection.
    Ready(Taker),
    /// The connection has it.
    Taken,
    /// There will be no connection any more.
    Over,
}

/// The end of a sink that the connection has.
#[derive(Debug)]
struct Taker {
    handout: Arc<Handout<Item>>,
    answers: mpsc::UnboundedReceiver<Given>,
}

/// A message in the hands of the program, and its number for the upstream.
type Item = Numbered;

/// What the program says of a message, by its number.
#[derive(Debug)]
enum Given {
    Acknowledged(Item),
    Refused(Item, String),
}

impl Sink {
    /// The next message; none when the broker has ended. Can be dropped at any time without losing
    /// one.
    pub async fn take(&self) -> Option<SinkMessage> {
        let held = self.handout.take().await?;
        Some(SinkMessage { held: Some(held), answers: self.answers.clone() })
    }

    /// The next message, waiting for it on this thread; none when none has come in time.
    ///
    /// # Errors
    /// The broker has ended.
    pub fn take_timeout(&self, patience: Duration) -> Result<Option<SinkMessage>, SinkError> {
        match wait_for(self.take(), patience) {
            Some(Some(message)) => Ok(Some(message)),
            Some(None) => Err(SinkError::Ended),
            None => Ok(None),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The connection ends once no message is held either, which may be acknowledged yet.
        self.handout.end();
    }
}

impl SinkMessage {
    /// The topic that the route makes of it.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.item().outgoing.topic
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.item().outgoing.payload
    }

    /// The quality of service; of QoS 0 there is nothing to acknowledge.
    #[must_use]
    pub fn qos(&self) -> QoS {
        self.item().outgoing.qos
    }

    /// Whether it was published as retained.
    #[must_use]
    pub fn retained(&self) -> bool {
        self.item().outgoing.retain
    }

    /// When it came to the broker, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn received_at_ms(&self) -> u64 {
        self.item().outgoing.received_at_ms
    }

    /// The same however often it comes, and of no other message of this broker or of others with
    /// another name. Empty at QoS 0.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.item().outgoing.record_id
    }

    /// The user properties of MQTT 5, in their order; `id`, `seq` and `src` are among them.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.item().outgoing.user_properties.iter().map(|(name, value)| (&**name, &**value))
    }

    /// It is safe where it goes: it does not come again.
    pub fn acknowledge(mut self) {
        self.answer(Given::Acknowledged);
    }

    /// It will never be taken: it becomes a dead letter, with this reason, and does not come again.
    pub fn refuse(mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.answer(|item| Given::Refused(item, reason));
    }

    fn answer(&mut self, given: impl FnOnce(Item) -> Given) {
        let Some(held) = self.held.take() else { return };
        // Without a connection it comes again on the next one.
        let _ = self.answers.send(given(held.keep()));
    }

    fn item(&self) -> &Item {
        self.held.as_ref().expect("it goes only with its holder").get()
    }
}

impl Drop for SinkMessage {
    fn drop(&mut self) {
        // Nobody promises that a message of QoS 0 comes twice.
        if self.held.as_ref().is_some_and(|held| held.get().number.is_none()) {
            self.answer(Given::Acknowledged);
        }
    }
}

impl Outlets {
    /// That of the upstream of this name.
    pub(super) fn of(&self, name: &str) -> Arc<Outlet> {
        self.lock().entry(name.to_owned()).or_default().clone()
    }

    /// The sink of the upstream of this name.
    pub(crate) fn sink(&self, name: &str) -> Result<Sink, SinkError> {
        let outlet = self.lock().get(name).cloned();
        outlet.ok_or_else(|| SinkError::Unknown(name.to_owned()))?.sit(name)
    }

    /// No connection comes any more.
    pub(crate) fn end(&self) {
        for outlet in self.lock().values() {
            let before = std::mem::replace(&mut *outlet.lock(), Seat::Over);
            if let Seat::Ready(taker) = before {
                taker.handout.end();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Outlet>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    fn sit(&self, name: &str) -> Result<Sink, SinkError> {
        let mut seat = self.lock();
        match &*seat {
            Seat::Over => return Err(SinkError::Ended),
            Seat::Ready(taker) if !taker.is_left() => {
                return Err(SinkError::Held(name.to_owned()));
            }
            Seat::Taken => return Err(SinkError::Held(name.to_owned())),
            Seat::Free | Seat::Ready(_) => {}
        }
        let (sender, answers) = mpsc::unbounded_channel();
        let handout = Handout::new();
        *seat = Seat::Ready(Taker { handout: handout.clone(), answers });
        drop(seat);
        self.changed.notify_one();
        Ok(Sink { handout, answers: sender })
    }

    /// Waits for a sink.
    async fn taker(&self) -> Taker {
        loop {
            {
                let mut seat = self.lock();
                match std::mem::take(&mut *seat) {
                    Seat::Ready(taker) if !taker.is_left() => {
                        *seat = Seat::Taken;
                        return taker;
                    }
                    Seat::Over => *seat = Seat::Over,
                    Seat::Free | Seat::Ready(_) | Seat::Taken => {}
                }
            }
            self.changed.notified().await;
        }
    }

    /// The state is whole at any moment, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taker {
    /// Whether its sink is gone.
    fn is_left(&self) -> bool {
        self.handout.has_ended()
    }
}

/// The seat is free again when the connection ends, however it ends.
struct Sitting(Arc<Outlet>, Taker);

impl Drop for Sitting {
    fn drop(&mut self) {
        self.1.handout.end();
        let mut seat = self.0.lock();
        if matches!(*seat, Seat::Taken) {
            *seat = Seat::Free;
        }
    }
}

/// Runs a connection while the program holds the sink, or until nobody sends any more.
pub(super) async fn run(outlet: Arc<Outlet>, desk: &mut Desk) -> Result<(), LinkError> {
    let taker = outlet.taker().await;
    let mut sitting = Sitting(outlet, taker);
    let Taker { handout, answers } = &mut sitting.1;
    desk.tell_connected(WINDOW).await;
    loop {
        // At QoS 1 the window holds it within limits.
        let has_room = handout.has_room(QOS0_BYTES_MAX);
        tokio::select! {
            outgoing = desk.next(), if has_room => {
                let Some(outgoing) = outgoing else { return Ok(()) };
                let bytes = outgoing.topic.len() + outgoing.payload.len();
                handout.put(desk.number(outgoing).await, bytes);
            }
            given = answers.recv() => match given {
                Some(Given::Acknowledged(item)) => desk.tell_acknowledged(&item).await,
                Some(Given::Refused(item, reason)) => desk.tell_refused(item.number, reason).await,
                None => return Err(LinkError::LetGo),
            },
        }
    }
}

/// Messages that the program has and has not acknowledged.
pub(super) const WINDOW: u16 = 100;
/// When this much waits, no more is taken from the upstream, which drops what comes at QoS 0.
const QOS0_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
