//! One upstream at work: connects, sends, receives, and tells the shard what is done.
//!
//! A shell around [`Forwarder`] and [`Inbox`], which decide. Runs as one
//! task on the control thread. The log is read right there: a batch takes some 100 us, less than
//! a hop to another thread and back is worth, and nothing on the control thread waits for
//! microseconds. Between two batches other tasks have their turn.

mod connection;
mod version;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use weir_core::{Instant, ReaderId, ShardId};
use weir_mqtt::QoS;

use self::version::Versions;
use super::backoff::Backoff;
use super::echo::Echoes;
use super::error::LinkError;
use super::forwarder::{Forwarder, ForwarderOptions, Full, Place, Read};
use super::handle::UpstreamHandle;
use super::incoming::{Inbox, Receipt};
use super::link::{Link, LinkOptions};
use super::mqtt::AWAY;
use super::node;
use super::outgoing::Outgoing;
use super::program::Outlets;
use super::trend::Trend;
use crate::clock::{Clock, ClockWatch, unix_ms};
use crate::config::{
    HostPort, MqttVersion, Priority, Route, StartType, UpstreamConfig, UpstreamKind,
};
use crate::mailbox::{Mail, Mailbox, Mailboxes};
use crate::status::UpstreamState;
use crate::store::{Store, StoreError};

/// What all upstreams work with.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) store: Arc<Store>,
    /// Whose log they read.
    pub(crate) shard: ShardId,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) clock_watch: Arc<ClockWatch>,
    /// Where the program takes messages.
    pub(crate) outlets: Outlets,
}

/// Where an upstream begins.
pub(super) struct Beginning {
    /// Its readers of the log, one for each priority that is used.
    pub(super) places: Vec<Place>,
    /// By which it is known already; it counts on from there.
    pub(super) handle: UpstreamHandle,
}

/// One upstream; [`run`](Self::run) is its life.
pub(crate) struct Upstream {
    name: String,
    addresses: Vec<HostPort>,
    receive: Vec<Route>,
    /// Topic there that says whether it is connected.
    notification_topic: Option<String>,
    presence: Presence,
    /// Under which it publishes here.
    reader: ReaderId,
    link_options: LinkOptions,
    forwarder: Forwarder,
    around: Around,
    handle: UpstreamHandle,
    clock: Clock,
    trend: Trend,
    /// Where in `addresses` the next attempt goes.
    attempt: usize,
    /// Between two looks whether the first address answers again; none to stay with another one.
    primary_pause: Option<Duration>,
    /// What is spoken where it is to be MQTT 5.
    versions: Option<Versions>,
    /// Whether the operator was told of the other version.
    told_version: bool,
    /// Of an upstream that sends back what was forwarded to it.
    echoes: Option<Echoes>,
    inbox: Inbox,
    backoff: Backoff,
    durable: mpsc::UnboundedSender<Vec<Receipt>>,
    /// Bounded by the inbox.
    receipts: mpsc::UnboundedReceiver<Vec<Receipt>>,
    /// Whether the session at the far end has our subscriptions.
    is_subscribed: bool,
    reads_more: bool,
    read_again_at: Option<Instant>,
    /// What the operator was told last; empty once connected.
    told: String,
}

/// When it is connected.
struct Presence {
    start_type: StartType,
    threshold: u64,
    idle_ms: u64,
    /// When something happened last on the connection.
    busy_at: Instant,
}

impl Around {
    /// Where the log is written.
    fn mailbox(&self) -> &Mailbox {
        self.mailboxes.of(self.shard)
    }
}

impl Upstream {
    pub(super) fn new(config: UpstreamConfig, beginning: Beginning, around: Around) -> Self {
        let Beginning { places, handle } = beginning;
        let normal = places.iter().find(|place| place.priority == Priority::Normal);
        let reader = normal.expect("each upstream has it").reader;
        let keeps_session = !config.receive.is_empty();
        let link_options = LinkOptions::of(&config, &around.outlets);
        let window = match &link_options {
            LinkOptions::Mqtt(_) => config.window,
            LinkOptions::Sink(sink) => sink.window(),
        };
        let options = ForwarderOptions {
            name: config.name.clone(),
            shard: around.shard,
            node: node::name(config.remote_clientid.as_deref()),
            routes: config.forward,
            qos_max: qos_max(keeps_session),
            backlog_bytes_max: config.backlog_max_bytes,
            backlog_full: config.backlog_full,
            backlog_age_max_ms: config.backlog_max_age.map(milliseconds),
            drain_rate: config.drain_rate,
            live_first: config.live_first,
            window,
        };
        tell_limits(&options);
        let echoes = (keeps_session && config.bridge_protocol_version == MqttVersion::V311)
            .then(Echoes::default);
        // At Kafka an address only says where the brokers are.
        let stays = config.round_robin || config.kind == UpstreamKind::Kafka;
        let (durable, receipts) = mpsc::unbounded_channel();
        let mut forwarder = Forwarder::new(options, places);
        forwarder.count_on(handle.figures());
        Self {
            handle,
            reader,
            forwarder,
            inbox: Inbox::default(),
            backoff: Backoff::new(config.restart_timeout, seed()),
            link_options,
            name: config.name,
            addresses: config.address,
            presence: Presence {
                start_type: config.start_type,
                threshold: config.threshold.into(),
                idle_ms: milliseconds(config.idle_timeout),
                busy_at: Instant(0),
            },
            receive: config.receive,
            notification_topic: config.notification_topic,
            around,
            clock: Clock::start(),
            trend: Trend::default(),
            attempt: 0,
            versions: (config.kind == UpstreamKind::Mqtt
                && config.bridge_protocol_version == MqttVersion::V50)
                .then(Versions::new),
            told_version: false,
            primary_pause: (!stays).then_some(config.restart_timeout.max),
            echoes,
            durable,
            receipts,
            is_subscribed: false,
            reads_more: true,
            read_again_at: None,
            told: String::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs until `stopped`; answers how far it is in the log. Needs a tokio runtime with
    /// IO and time.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Vec<Place> {
        while !is_stopped(&stopped) {
            self.wait_for_messages(&mut stopped).await;
            let address = self.addresses[self.attempt % self.addresses.len()].clone();
            self.attempt += 1;
            self.handle.set_state(UpstreamState::Connecting, None);
            match self.use_connection(&address, &mut stopped).await {
                Ok(link) => {
                    // Without a will that is sent nobody there would know.
                    let _ = self.notify(&link, AWAY);
                    link.close().await;
                }
                // The same address is asked in another way.
                Err(error) if self.changes_version(&error) => self.attempt -= 1,
                Err(error) => {
                    let pause = self.backoff.failed(self.clock.now().monotonic);
                    self.tell_operator(&address, &error, pause);
                    let is_over = self.presence.start_type == StartType::Once;
                    if is_over {
                        self.handle.set_state(UpstreamState::Stopped, None);
                    }
                    self.stand_by((!is_over).then_some(pause), &mut stopped, |_| false).await;
                }
            }
        }
        self.handle.set_state(UpstreamState::Waiting, None);
        self.forwarder.places()
    }

    /// Says there whether this upstream is connected.
    fn notify(&mut self, link: &Link, text: &str) -> Result<(), Full> {
        let Some(topic) = &self.notification_topic else { return Ok(()) };
        let outgoing = Outgoing {
            topic: topic.clone(),
            qos: QoS::AtLeastOnce,
            retain: true,
            payload: text.into(),
            ..Outgoing::default()
        };
        link.publish(outgoing)
    }

    /// Whether the next connection is to be made at once in another version.
    fn changes_version(&mut self, error: &LinkError) -> bool {
        let Some(versions) = &mut self.versions else { return false };
        if !versions.handle_ended(Some(error)) {
            return false;
        }
        if versions.falls_back() && !std::mem::replace(&mut self.told_version, true) {
            tracing::warn!(
                upstream = self.name,
                error = error.text(),
                help = "if it never will, set `bridge_protocol_version = \"mqttv311\"`; `id`, `seq` \
                        and `src` are not told over 3.1.1",
                "3.1.1 is spoken to the upstream"
            );
        }
        true
    }

    /// Decides which version the next connection speaks.
    fn choose_version(&mut self) {
        let Some(versions) = &self.versions else { return };
        self.link_options.set_version(versions.next());
        let needs_guard = versions.falls_back() && !self.receive.is_empty();
        self.echoes = needs_guard.then(Echoes::default);
    }

    /// Connects and uses the connection until the upstream is stopped, or it fails.
    async fn use_connection(
        &mut self,
        address: &HostPort,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Link, LinkError> {
        self.choose_version();
        let mut link = Link::open(address, &self.link_options)?;
        let ended = self.serve(&mut link, address, stopped).await;
        self.handle.set_takes_live(false);
        self.forwarder.disconnected();
        match ended {
            Ok(()) => {
                if let Some(versions) = &mut self.versions {
                    versions.handle_ended(None);
                }
                Ok(link)
            }
            Err(LinkError::OnlyAsked) => {
                link.close().await;
                Err(LinkError::OnlyAsked)
            }
            Err(error) => Err(error),
        }
    }

    /// A lazy upstream is connected when enough waits, or something that cannot.
    async fn wait_for_messages(&mut self, stopped: &mut watch::Receiver<bool>) {
        let Presence { start_type: StartType::Lazy, threshold, .. } = self.presence else { return };
        self.handle.set_state(UpstreamState::Idle, None);
        self.handle.set_takes_live(true);
        let is_wanted =
            |upstream: &Self| upstream.forwarder.depth() >= threshold || upstream.handle.has_live();
        self.stand_by(None, stopped, is_wanted).await;
    }

    /// Stands by without a connection, for a while or until something is so; meanwhile the backlog
    /// is counted and kept within its limit.
    async fn stand_by(
        &mut self,
        pause: Option<Duration>,
        stopped: &mut watch::Receiver<bool>,
        is_over: impl Fn(&Self) -> bool,
    ) {
        let over = tokio::time::sleep(pause.unwrap_or(Duration::MAX));
        tokio::pin!(over);
        while !is_stopped(stopped) {
            self.read_log();
            self.tell_shard(false);
            if self.handle.take_drain() || is_over(self) {
                return;
            }
            let wake = self.wake_after();
            tokio::select! {
                () = &mut over => return,
                () = self.handle.woken() => {}
                _ = stopped.changed() => {}
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
                Some(receipts) = self.receipts.recv() => {
                    for receipt in receipts {
                        self.inbox.handle_durable(&receipt);
                    }
                }
            }
        }
    }

    /// Reads one batch of the log if there may be one.
    fn read_log(&mut self) {
        self.forwarder.distrust_clock(self.around.clock_watch.wrong_ms());
        self.forwarder.drop_aged(unix_ms());
        let now = self.clock.now().monotonic;
        if self.read_again_at.is_some_and(|at| now < at) {
            return;
        }
        let grew = self.handle.take_grew();
        if !grew && !self.reads_more && !self.forwarder.is_behind() {
            return;
        }
        let Around { store, shard, .. } = &self.around;
        let read = self.forwarder.read(|reader, after, bytes_max, out| {
            store.read_log(*shard, after, reader, bytes_max, out)
        });
        self.read_again_at = None;
        match read {
            Ok(read) => self.reads_more = read == Read::More,
            Err(error) => {
                // A store that has failed is told of by its writer, which tries again.
                if !matches!(error, StoreError::Failed { .. }) {
                    tracing::error!(upstream = self.name, %error, "the log cannot be read");
                }
                self.reads_more = true;
                self.read_again_at = Some(now + READ_AGAIN_MS);
            }
        }
    }

    /// Passes on what is done, and shows the figures.
    fn tell_shard(&mut self, at_once: bool) {
        let now = self.clock.now().monotonic;
        while let Some((reader, one_of)) = self.forwarder.take_admission() {
            self.around.mailbox().send(Mail::ReaderTakes { reader, one_of });
        }
        while let Some(turn) = self.forwarder.take_turn(now, at_once) {
            self.around.mailbox().send(Mail::Turn(turn));
        }
        let figures = self.forwarder.figures();
        self.trend.note(now, figures.depth);
        figures.empty_in_s = self.trend.empty_in_s(now, figures.depth);
        self.handle.set_figures(figures);
    }

    /// Says once what is wrong, and again only when something else is.
    fn tell_operator(&mut self, address: &HostPort, error: &LinkError, pause: Duration) {
        let text = error.text();
        let retry_in_ms = milliseconds(pause);
        if self.told == text {
            tracing::debug!(upstream = self.name, %address, error = text, retry_in_ms, "no upstream");
        } else {
            tracing::warn!(
                upstream = self.name,
                %address,
                error = text,
                help = error.help(),
                retry_in_ms,
                "no connection to the upstream"
            );
        }
        self.handle.set_state(UpstreamState::Waiting, Some(text.clone()));
        self.told = text;
    }

    /// When a lazy upstream that is connected has done nothing for long enough.
    fn idle_at(&self) -> Option<Instant> {
        let Presence { start_type, idle_ms, busy_at, .. } = self.presence;
        let is_lazy = start_type == StartType::Lazy && self.forwarder.is_connected();
        is_lazy.then(|| Instant(busy_at.0 + idle_ms))
    }

    /// When to look again although nothing has happened.
    fn wake_after(&self) -> Option<Duration> {
        let reads = (self.reads_more || self.forwarder.is_behind())
            .then(|| self.read_again_at.unwrap_or_default());
        let idle = self.idle_at();
        let due = [reads, self.forwarder.poll_timeout(), idle].into_iter().flatten().min()?;
        Some(self.clock.until(due))
    }
}

/// However it ends, what is acknowledged is not sent again after a restart.
impl Drop for Upstream {
    fn drop(&mut self) {
        self.tell_shard(true);
    }
}

/// Also when nobody is left who could say so.
fn is_stopped(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}

/// Says what the configuration asks for and does not get.
fn tell_limits(options: &ForwarderOptions) {
    let qos_max = options.qos_max;
    if options.routes.iter().any(|route| route.qos > u8::from(qos_max)) {
        tracing::warn!(
            upstream = options.name,
            help = "give `receive` an upstream of its own",
            "an upstream that receives too forwards with QoS 1 at most"
        );
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// For the length of pauses; std has no other source of randomness.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The highest QoS of what is sent. With a session that outlives the connection the far end also
/// remembers the packet identifiers of QoS 2 messages; the client begins with the same ones again
/// and would see a new message taken for a repetition, acknowledged and dropped.
fn qos_max(keeps_session: bool) -> QoS {
    if keeps_session { QoS::AtLeastOnce } else { QoS::ExactlyOnce }
}

/// How long to leave a log alone that could not be read.
const READ_AGAIN_MS: u64 = 5_000;
