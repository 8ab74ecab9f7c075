//! This box as a member of its fleet: connects, sends, takes, and tells the shards what is wanted.
//!
//! A shell around what decides. Runs as one task on the control thread, as an upstream does, and
//! reads the log there for the same reason.

// `impl Fleet` in several files, by what is done.
mod connection;
mod in_step;
mod incoming;
mod outgoing;

mod reading;
mod session;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use weir_core::{Instant, Message, ReaderConfig, ReaderId, ReaderKind, Records, Sequence, ShardId};

use super::arrivals::{Arrivals, Receipt};
use super::boxes::{Boxes, Notice, Wants, common};
use super::bucket::Bucket;
use super::dispatch::{Dispatch, DispatchOptions};
use super::filters::bounded;
use super::handle::FleetHandle;
use super::names::{self, Names};
use super::setup::Limits;
use super::state_file::{State, StateFile};
use crate::clock::{Clock, ClockWatch, unix_ms};
use crate::config::{FleetConfig, HostPort};
use crate::inner_turn::{InnerTurn, OwnedPublication};
use crate::mailbox::{Mail, Mailboxes};
use crate::status::{BoxStatus, UpstreamState};
use crate::store::{Store, StoreError};
use crate::upstream::{Backoff, LinkError, NatsOptions, Read, node_name};

/// Where a member stands in its broker.
pub(crate) struct Place {
    /// The number under which it reads the log.
    pub(crate) reader: ReaderId,
    /// The number under which it is kept how far this box is in the stream.
    pub(crate) position: ReaderId,
    /// Whose log it reads.
    pub(crate) shard: ShardId,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) clock_watch: Arc<ClockWatch>,
}

/// This box in its fleet; [`run`](Self::run) is its life.
pub(crate) struct Fleet {
    names: Names,
    addresses: Vec<HostPort>,
    shared: Vec<String>,
    limits: Limits,
    options: NatsOptions,
    place: Place,
    handle: FleetHandle,
    clock: Clock,
    backoff: Backoff,
    file: StateFile,
    state: State,
    boxes: Boxes,
    dispatch: Dispatch,
    arrivals: Arrivals,
    bucket: Bucket,
    /// What the others want, as the shards were told it.
    wish: Vec<String>,
    durable: mpsc::UnboundedSender<Durable>,
    /// Bounded by what may be on its way to be durable.
    receipts: mpsc::UnboundedReceiver<Durable>,
    reads_more: bool,
    read_again_at: Option<Instant>,
    /// What the operator was told last; empty once connected.
    told: String,
    /// When the server had no room last.
    no_room_at: Instant,
    /// Until then the next message is sent when the one before is stored.
    one_by_one_until: Instant,
    /// The operator knows that more is asked for than is wanted.
    told_cut: bool,
    /// What is known has changed since it was kept.
    is_unsaved: bool,
    /// When it may be kept again.
    saves_after: Instant,
}

/// What has become durable, or has come from a shard.
enum Durable {
    /// So many messages that do not wait are published.
    Live(usize),
    Messages(Receipt),
    /// The position belongs to a stream that was made then.
    NewStream(String),
    /// Values of other boxes are here.
    Retained,
    /// What is retained here.
    RetainedHere(Records),
}

/// What the others wanted when this box ended, for a start without the server.
pub(crate) fn wanted_before(config: &FleetConfig, data_dir: &std::path::Path) -> Vec<String> {
    let state = StateFile::new(data_dir).read();
    boxes(config, &own_name(config), String::new(), &state).wanted(&config.filters)
}

impl Fleet {
    /// A member that goes on where it was.
    pub(crate) fn new(config: &FleetConfig, place: Place) -> Self {
        let cursor = |reader| {
            place.store.reader_cursor(place.shard, reader).unwrap_or_else(|error| {
                // From the beginning nothing is lost, but what others have already comes again.
                tracing::error!(%error, "the place of the fleet in the log cannot be read");
                Sequence(0)
            })
        };
        let (done, taken) = (cursor(place.reader), cursor(place.position));
        let own = own_name(config);
        let file = StateFile::new(&place.data_dir);
        let state = file.read();
        let incarnation = format!("{:016x}", random());
        let boxes = boxes(config, &own, incarnation, &state);
        let wish = boxes.wanted(&config.filters);
        let options = DispatchOptions {
            reader: place.reader,
            shard: place.shard,
            own: own.clone(),
            shared: config.filters.clone(),
            backlog_bytes_max: config.backlog_max_bytes,
            backlog_age_max_ms: config.backlog_max_age.map(milliseconds),
        };
        let mut dispatch = Dispatch::new(options, done);
        dispatch.set_boxes(boxes.wanting());
        let mut arrivals = Arrivals::new(place.reader, place.position, &config.filters);
        arrivals.begin(taken);
        let credentials = config.username.clone().map(|name| {
            let password = config.password.as_ref().map(|secret| secret.reveal().to_owned());
            (name, password.unwrap_or_default())
        });
        let (durable, receipts) = mpsc::unbounded_channel();
        Self {
            handle: FleetHandle::new(&own),
            options: NatsOptions {
                name: format!("weir-fleet-{own}"),
                nats: config.nats.clone(),
                credentials,
                tls: config.tls.clone(),
            },
            names: Names::new(config.prefix.clone(), own),
            addresses: config.address.clone(),
            shared: config.filters.clone(),
            limits: Limits {
                away_max: config.away_max,
                messages_max_bytes: config.messages_max_bytes,
                retained_max_bytes: config.retained_max_bytes,
                replicas: config.replicas,
            },
            backoff: Backoff::new(config.restart_timeout, random()),
            clock: Clock::start(),
            place,
            file,
            state,
            boxes,
            dispatch,
            arrivals,
            bucket: Bucket::default(),
            wish,
            durable,
            receipts,
            reads_more: true,
            read_again_at: None,
            told: String::new(),
            no_room_at: Instant(0),
            one_by_one_until: Instant(0),
            told_cut: false,
            is_unsaved: false,
            saves_after: Instant(0),
        }
    }

    /// A way to reach it.
    pub(crate) fn handle(&self) -> FleetHandle {
        self.handle.clone()
    }

    /// Runs until `stopped`. Needs a tokio runtime with IO and time.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut attempt = 0;
        self.show();
        while !is_stopped(&stopped) {
            let address = self.addresses[attempt % self.addresses.len()].clone();
            attempt += 1;
            self.handle.upstream.set_state(UpstreamState::Connecting, None);
            let ended = self.use_connection(&address, &mut stopped).await;
            self.handle.upstream.set_takes_live(false);
            self.dispatch.pause();
            self.handle.upstream.set_state(UpstreamState::Waiting, None);
            if let Err(error) = ended {
                let mut pause = self.backoff.failed(self.clock.now().monotonic);
                if matches!(error, LinkError::Gone(_)) {
                    pause = pause.max(GONE_PAUSE);
                }
                self.tell_operator(&address, &error, pause);
                self.stand_by(pause, &mut stopped).await;
            }
        }
        self.save().await;
    }

    /// Stands by without a connection; meanwhile the backlog is counted and kept within its limit.
    async fn stand_by(&mut self, pause: Duration, stopped: &mut watch::Receiver<bool>) {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        while !is_stopped(stopped) {
            self.read_log();
            self.tell_shard(false);
            self.save_changes().await;
            let wake = self.wake_after();
            tokio::select! {
                () = &mut over => return,
                () = self.handle.upstream.woken() => {}
                _ = stopped.changed() => {}
                () = pause_for(wake), if wake.is_some() => {}
                Some(durable) = self.receipts.recv() => drop(self.handle_durable(durable)),
            }
        }
    }

    /// Reads one batch of the log if there may be one.
    fn read_log(&mut self) {
        self.dispatch.distrust_clock(self.place.clock_watch.wrong_ms());
        self.dispatch.drop_aged(unix_ms());
        let now = self.clock.now().monotonic;
        if self.read_again_at.is_some_and(|at| now < at) {
            return;
        }
        let grew = self.handle.upstream.take_grew();
        if !grew && !self.reads_more && !self.dispatch.is_behind() {
            return;
        }
        let Place { store, shard, reader, .. } = &self.place;
        let read = self
            .dispatch
            .read(|after, bytes_max, out| store.read_log(*shard, after, *reader, bytes_max, out));
        self.read_again_at = None;
        match read {
            Ok(read) => self.reads_more = read == Read::More,
            Err(error) => {
                // A store that has failed is told of by its writer, which tries again.
                if !matches!(error, StoreError::Failed { .. }) {
                    tracing::error!(%error, "the log cannot be read for the fleet");
                }
                self.reads_more = true;
                self.read_again_at = Some(now + READ_AGAIN_MS);
            }
        }
    }

    /// Passes on what is done, and shows the figures.
    fn tell_shard(&mut self, at_once: bool) {
        let now = self.clock.now().monotonic;
        if let Some(turn) = self.dispatch.take_turn(now, at_once) {
            self.place.mailboxes.first().send(Mail::Turn(turn));
        }
        self.handle.upstream.set_figures(self.dispatch.figures());
        if self.bucket.is_read() {
            let retained = self.bucket.messages();
            self.handle.change_status(|status| status.retained = retained);
        }
    }

    /// Something is durable. Answers where to acknowledge it, and what was asked of a shard.
    fn handle_durable(&mut self, durable: Durable) -> Option<Durable> {
        match durable {
            Durable::Messages(receipt) => {
                self.arrivals.handle_durable(&receipt).then_some(Durable::Messages(receipt))
            }
            Durable::NewStream(created) => {
                self.state.stream_created = created;
                self.is_unsaved = true;
                None
            }
            other => Some(other),
        }
    }

    /// Tells the shards what the others want, if that has changed.
    fn tell_wish(&mut self) {
        if !self.boxes.take_changed() {
            return;
        }
        self.dispatch.set_boxes(self.boxes.wanting());
        self.is_unsaved = true;
        let wish = self.boxes.wanted(&self.shared);
        if wish != self.wish {
            self.wish.clone_from(&wish);
            let wish = self.reader_wish();
            self.place
                .mailboxes
                .send_all(|| Mail::ReaderWants { wish: wish.clone(), retained: None });
        }
    }

    fn reader_wish(&self) -> ReaderConfig {
        let (reader, filters) = (self.place.reader, self.wish.clone());
        ReaderConfig { reader, filters, kind: ReaderKind::Fleet, names_publishers: true }
    }

    /// What this box wants of the topics that are shared.
    fn own_wants(&mut self) -> Wants {
        let filters = self.handle.interest();
        let wanted = filters.iter().flat_map(|filter| common(filter, &self.shared)).collect();
        let (filters, is_cut) = bounded(wanted, FILTERS_MAX, FILTERS_BYTES_MAX);
        if is_cut && !self.told_cut {
            tracing::warn!(
                limit = FILTERS_MAX,
                help = "nothing is lost; subscribe with wildcards, or share less with `filters` in \
                        [fleet]",
                "there are so many filters that more is asked of the fleet than is wanted"
            );
        }
        self.told_cut = is_cut;
        let count = filters.len() as u64;
        self.handle.change_status(|status| {
            status.filters = count;
            status.filters_are_cut = is_cut;
        });
        Wants { filters: filters.into_iter().collect(), is_cut }
    }

    /// Shows the other boxes in the status.
    fn show(&mut self) {
        let boxes = self.boxes.known().iter().map(|(name, known)| BoxStatus {
            name: name.clone(),
            is_here: known.is_here,
            heard_at_ms: known.heard_ns / 1_000_000,
            filters: known.wants.filters.len() as u64,
            version: known.version.clone(),
        });
        let boxes = boxes.collect();
        self.handle.change_status(|status| status.boxes = boxes);
    }

    fn tell(&self, notice: &Notice) {
        match notice {
            Notice::Away { name, has_stopped: true } => {
                tracing::info!(name, "a box of the fleet has stopped");
            }
            Notice::Away { name, has_stopped: false } => tracing::warn!(
                name,
                help = "what it wants is kept for it until `away_max`; see whether it has power and \
                        reaches the server",
                "nothing is heard of a box of the fleet any more"
            ),
            Notice::Gone { name } => tracing::warn!(
                name,
                help = "if it is to come back, raise `away_max` in [fleet]",
                "a box of the fleet was away for so long that nothing is kept for it any more"
            ),
            Notice::Here { name, version } => {
                tracing::info!(name, version, "a box of the fleet is here");
            }
        }
    }

    /// Says once what is wrong, and again only when something else is.
    fn tell_operator(&mut self, address: &HostPort, error: &LinkError, pause: Duration) {
        // The texts are those of upstreams.
        let text = error.text().replace("the upstream", "the server");
        let retry_in_ms = milliseconds(pause);
        if self.told == text {
            tracing::debug!(%address, error = text, retry_in_ms, "no fleet");
        } else {
            let help = match error {
                LinkError::Lost(_) => "nothing is lost; if it happens often, check the network",
                _ => error.help(),
            };
            let help = help.replace("the upstream", "the server");
            tracing::warn!(%address, error = text, help, retry_in_ms, "no connection to the fleet");
        }
        self.handle.upstream.set_state(UpstreamState::Waiting, Some(text.clone()));
        self.told = text;
    }

    /// Keeps what has changed, but not again and again.
    async fn save_changes(&mut self) {
        let now = self.clock.now().monotonic;
        if self.is_unsaved && now >= self.saves_after {
            self.saves_after = now + SAVE_PAUSE_MS;
            self.save().await;
        }
    }

    /// Keeps what is to be known after a restart.
    async fn save(&mut self) {
        self.is_unsaved = false;
        self.state.boxes = self.boxes.to_keep();
        let (file, state) = (self.file.clone(), self.state.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&state)).await;
        let Ok(Err(error)) = written else { return };
        tracing::error!(
            %error,
            help = "make room on the disk of `data_dir`, and let weir write there",
            "what is known of the fleet cannot be kept"
        );
    }

    /// When to look again although nothing has happened.
    fn wake_after(&self) -> Option<Duration> {
        let reads = (self.reads_more || self.dispatch.is_behind())
            .then(|| self.read_again_at.unwrap_or_default());
        let saves = self.is_unsaved.then_some(self.saves_after);
        let due = [reads, saves, self.dispatch.poll_timeout()].into_iter().flatten().min()?;
        Some(self.clock.until(due))
    }

    /// Values of other boxes take their place here, some of which subscribers are handed.
    fn retain_here(&self, messages: Vec<Message>, handed: Vec<OwnedPublication>) {
        let durable = self.durable.clone();
        let turn = InnerTurn {
            publications: handed,
            retained: messages,
            // Without a fleet nobody wants to know any more.
            committed: Some(Box::new(move || drop(durable.send(Durable::Retained)))),
            ..Default::default()
        };
        self.place.mailboxes.first().send(Mail::Turn(turn));
    }
}

/// However it ends, what is stored at the server is not sent again after a restart.
impl Drop for Fleet {
    fn drop(&mut self) {
        self.tell_shard(true);
    }
}

fn own_name(config: &FleetConfig) -> String {
    config.name.clone().unwrap_or_else(|| names::of_host(&node_name(None)))
}

fn boxes(config: &FleetConfig, own: &str, incarnation: String, state: &State) -> Boxes {
    let before = Some(state.incarnation.clone()).filter(|before| !before.is_empty());
    Boxes::new(own, (incarnation, unix_ms()), before, config.away_max, state.boxes.clone())
}

/// Also when nobody is left who could say so.
fn is_stopped(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}

async fn pause_for(wake: Option<Duration>) {
    match wake {
        // Others have their turn between two batches.
        Some(Duration::ZERO) => tokio::task::yield_now().await,
        Some(wake) => tokio::time::sleep(wake).await,
        None => {}
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// For names and the length of pauses; std has no other source of randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Between two times that what has changed is kept: the disk may be a slow one.
const SAVE_PAUSE_MS: u64 = 100;
/// How long to leave a log alone that could not be read.
const READ_AGAIN_MS: u64 = 5_000;
/// How long to leave a server alone of which a stream was removed: nats-server 2.9 still removes its
/// files after it has said so, and those of one with the same name with them.
const GONE_PAUSE: Duration = Duration::from_secs(5);
/// Filters that this box tells the others, and their bytes; beyond it they are cut.
const FILTERS_MAX: usize = 4096;
const FILTERS_BYTES_MAX: usize = 256 * 1024;
