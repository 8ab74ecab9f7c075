//! A whole broker inside a process: the store, the shard, the rules, the upstreams, the admin
//! server, and the order in which they start and end.
//!
//! ```no_run
//! use weir_broker::{Broker, config::Config};
//!
//! let broker = Broker::start(Config::default())?;
//! println!("listening on {:?}", broker.addresses());
//! broker.shutdown();
//! # Ok::<(), weir_broker::StartError>(())
//! ```

mod readers;
mod reload;
mod start_error;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Waker};
use weir_core::{Core, Input, Now, Placement, ReaderConfig, ShardId, StoreRoom};

use crate::auth::{Authenticator, AuthenticatorHandle, Rights, SaltKey, Settings};
use crate::clock::{Clock, ClockWatch, unix_ms};
use crate::config::{self, Config};
use crate::control::Control;
use crate::history::{self, HistoryHandle, HistoryThread, Pages};
use crate::limits;
use crate::listener::{Listener, Refused};
use crate::live_rules::LiveRules;
use crate::mailbox::{Mail, MailReceiver, Mailbox, Mailboxes, mailbox};
use crate::pipeline::{PipelineThread, Waiting};
use crate::probe::Probe;
use crate::reload::Reloader;
use crate::shard::{self, Parts, Shard};
use crate::status::Status;
use crate::store::{
    Loader, RoomLimits, RoomWatch, Salvage, SalvagedTable, Store, StoreError, StoreOptions, Writer,
    WriterOptions, free_disk,
};
use crate::stream::TlsServer;
use crate::upstream::{Around, Roster, Supervisor};
use crate::ways::Ways;

use readers::{Readers, SHARD};
pub use start_error::StartError;

/// How long a client waits that has the wrong password: long for a program that guesses, short
/// for a person.
const WRONG_CREDENTIALS_DELAY: Duration = Duration::from_secs(1);

/// The file with the key for salts of users that do not exist.
const SALT_KEY: &str = "salt.key";

/// A running broker. Dropping it shuts it down.
pub struct Broker {
    addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    probe: Arc<Probe>,
    reloader: Arc<Reloader>,
    running: Option<Running>,
}

struct Running {
    mailboxes: Mailboxes,
    shards: Vec<JoinHandle<()>>,
    ended: mpsc::Receiver<io::Error>,
    pipeline: PipelineThread,
    history: Option<HistoryThread>,
    writer: Writer,
    control: Control,
}

impl Broker {
    /// Starts a broker and returns when clients can connect.
    ///
    /// # Errors
    /// Each variant of [`StartError`] says what is in the way and what to do.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let plan = weir_rules::compile(&config.rules).map_err(StartError::Rules)?;
        let sources = config.auth.sources();
        let rights = sources.read().map_err(StartError::Auth)?;
        let store = Arc::new(open_store(&config)?);
        let salts = salt_key(&config)?;
        let readers = Readers::register(&store, &config)?;
        let reader_configs = readers.configs(&config, &plan);
        let joined: Vec<String> = plan.joined_filters().map(str::to_owned).collect();
        let (mut pipeline, records) = readers.restore_pipeline(&store, &config, plan)?;
        let clock_watch = Arc::new(ClockWatch::new(config.clock_file.clone()));
        if let Some(at_ms) = clock_watch.set_at_ms() {
            pipeline.set_clock(at_ms);
        } else if !clock_watch.is_set() {
            tracing::info!("the clock of the machine is not set yet");
            pipeline.unset_clock();
        }
        let history = readers.restore_history(&store, &config)?;
        let refused = Arc::new(Refused::default());
        let tls = read_certificates(&config)?;
        let mut cores = cores(&store, &config, &reader_configs, &rights, clock.now())?;
        let waiting = Waiting { records, retained: cores[0].retained(&joined) };
        // Not before every session that was kept can be given messages.
        let listeners = bind(&config, &tls, &refused)?;
        let addresses = listeners.iter().filter_map(Listener::address).collect();

        let (mailboxes, receivers) = mailboxes(cores.len())?;
        let (supervisor, orders) = Supervisor::new();
        let around = Around {
            store: store.clone(),
            shard: SHARD,
            mailboxes: mailboxes.clone(),
            clock_watch: clock_watch.clone(),
        };
        let upstreams = Arc::new(readers.upstreams(&config, around, orders));
        let room = Arc::new(room_watch(&config, store.clone(), mailboxes.clone()));
        room.look();
        let history = match history {
            Some((recorder, waiting, reader)) => {
                let (store, mailboxes) = (store.clone(), mailboxes.clone());
                let clock_watch = clock_watch.clone();
                let shard = SHARD;
                let around = history::Around { store, shard, reader, mailboxes, clock_watch };
                Some(HistoryThread::run(recorder, waiting, around)?)
            }
            None => None,
        };
        let history_handle = history.as_ref().map(HistoryThread::handle);
        let writer = Writer::start(store.clone(), writer_options(&config), {
            let (mailboxes, upstreams, room) = (mailboxes.clone(), upstreams.clone(), room.clone());
            tell_of_commits(mailboxes, upstreams, history_handle.clone(), room)
        })?;
        let pipeline = PipelineThread::run(pipeline, waiting, mailboxes.clone())?;
        let probe = Arc::new(Probe {
            clock,
            clock_watch,
            mailboxes: mailboxes.clone(),
            store: store.clone(),
            writer: writer.sender(),
            pipeline: pipeline.handle(),
            upstreams: upstreams.clone(),
            history: history_handle,
            persistence: config.persistence,
            room: room.clone(),
            service: sources.service.as_ref().map(|service| service.figures.clone()),
            refused,
        });
        let (task, authenticator) = authenticator(&config, rights, salts, mailboxes.clone());
        let tls: Vec<Arc<TlsServer>> = tls.into_iter().flatten().collect();
        let reloader = Arc::new(Reloader {
            files: config.files.clone(),
            sources,
            authenticator: authenticator.clone(),
            tls,
            rules: Arc::new(LiveRules::new(&config, pipeline.handle())),
            upstreams: upstreams.clone(),
            mailboxes: mailboxes.clone(),
            turn: Mutex::default(),
        });
        let (control, admin_address) =
            Control::start(&config, supervisor, task, reloader.clone(), probe.clone(), room)?;
        let entrances: Vec<_> = listeners.iter().map(Listener::entrance).cloned().collect();
        let mut listeners = Some(listeners);
        let mut shards = Vec::new();
        let beginnings = Core::join(&mut cores, clock.now());
        let ways = Ways::between(mailboxes.all().to_vec());
        let parts = cores.into_iter().zip(beginnings).zip(ways).zip(receivers);
        for (id, (((core, effects), ways), (poll, mail))) in (0..).map(ShardId).zip(parts) {
            let mailbox = mailboxes.of(id).clone();
            let pages = pages(&config, probe.history.as_ref(), mailbox.clone())?;
            let answer = move |messages| mailbox.send(Mail::Loaded(messages));
            let parts = Parts {
                id,
                poll,
                core,
                effects,
                clock,
                mail,
                listeners: listeners.take().unwrap_or_default(),
                entrances: entrances.clone(),
                ways,
                store: writer.sender(),
                loader: Loader::start(store.clone(), id, answer)?,
                pages: pages.map(|pages| Box::new(move |request| pages.read(request)) as Box<_>),
                readers: readers.sinks(pipeline.handle(), &upstreams, probe.history.as_ref()),
                authenticator: authenticator.clone(),
            };
            shards.push(Shard::new(parts)?);
        }
        let (shards, ended) = start_shards(shards)?;
        let running =
            Some(Running { mailboxes, shards, ended, pipeline, history, writer, control });
        Ok(Self { addresses, admin_address, probe, reloader, running })
    }

    /// The addresses that clients can connect to over a network, in the order of the
    /// configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the admin server, if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// How the broker is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.probe.status()
    }

    /// The error that ended the broker, if one has: its clients are gone then, and the process
    /// had better end too.
    #[must_use]
    pub fn failure(&self) -> Option<io::Error> {
        let running = self.running.as_ref()?;
        let of_shards = || running.ended.try_recv().ok();
        let of_history = || running.history.as_ref().and_then(HistoryThread::failure);
        of_shards().or_else(|| running.pipeline.failure()).or_else(of_history)
    }

    /// Ends the broker: clients are told, and what was acknowledged is on the disk when this
    /// returns.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.control.stop();
        drop(running.pipeline);
        running.mailboxes.send_all(|| Mail::Stop);
        for shard in running.shards {
            if shard.join().is_err() {
                tracing::error!("the thread of a shard panicked");
            }
        }
        running.writer.stop();
        drop(running.history);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open_store(config: &Config) -> Result<Store, StoreError> {
    let options = StoreOptions {
        cache_bytes: usize::try_from(config.store.cache_bytes).unwrap_or(usize::MAX),
        ..StoreOptions::default()
    };
    if !config.persistence {
        return Store::in_memory(options);
    }
    let now_s = unix_ms() / 1000;
    let (store, salvage) = Store::start(&config.data_dir, options, config.store.on_damage, now_s)?;
    if let Some(salvage) = salvage {
        tell(&salvage);
    }
    Ok(store)
}

/// Somebody has to know what is gone.
fn tell(salvage: &Salvage) {
    for problem in &salvage.problems {
        tracing::error!(%problem, "the store was damaged");
    }
    for table in salvage.tables.iter().filter(|table| table.lost != Some(0) || table.removed > 0) {
        let SalvagedTable { table, kept, lost, removed, .. } = table;
        let lost = lost.map_or_else(|| "all".to_owned(), |lost| lost.to_string());
        tracing::error!(table, kept, lost, removed, "rows of a damaged store are lost");
    }
    let (quarantined, report) = (salvage.quarantined.display(), salvage.report.display());
    tracing::error!(%quarantined, %report, "the store was salvaged; the damaged one is kept");
}

/// What reads the histories for the clients of a shard.
fn pages(
    config: &Config,
    history: Option<&HistoryHandle>,
    mailbox: Mailbox,
) -> io::Result<Option<Pages>> {
    let Some(history) = history else { return Ok(None) };
    let directories = history::directories(&config.data_dir, &config.history);
    let answer = move |(messages, next)| mailbox.send(Mail::HistoryRead(messages, next));
    Pages::start(directories, history.clone(), answer).map(Some)
}

/// The certificates of each listener that has some.
fn read_certificates(config: &Config) -> Result<Vec<Option<Arc<TlsServer>>>, StartError> {
    let read_one = |listener: &config::ListenerConfig| {
        let address = listener.address.to_string();
        let server = listener.tls.clone().map(TlsServer::start).transpose();
        server
            .map(|server| server.map(Arc::new))
            .map_err(|source| StartError::Tls { address, source })
    };
    config.listeners.iter().map(read_one).collect()
}

fn bind(
    config: &Config,
    tls: &[Option<Arc<TlsServer>>],
    refused: &Arc<Refused>,
) -> Result<Vec<Listener>, StartError> {
    let bind_one = |(listener, tls): (&config::ListenerConfig, &Option<Arc<TlsServer>>)| {
        let address = listener.address.to_string();
        Listener::bind(listener, tls.clone(), refused.clone())
            .map_err(|source| StartError::Listen { address, source })
    };
    config.listeners.iter().zip(tls).map(bind_one).collect()
}

/// Beside the store, once there are users who need it.
fn salt_key(config: &Config) -> Result<SaltKey, StartError> {
    if !config.persistence || config.auth.password_file.is_none() {
        return Ok(SaltKey::new()?);
    }
    let path = config.data_dir.join(SALT_KEY);
    SaltKey::keep(&path).map_err(|source| StartError::Key { path, source })
}

fn authenticator(
    config: &Config,
    rights: Rights,
    salts: SaltKey,
    mailboxes: Mailboxes,
) -> (Authenticator, AuthenticatorHandle) {
    let settings = Settings {
        failures_max: config.auth.max_failures.unwrap_or(0),
        ban: config.auth.ban,
        delay: WRONG_CREDENTIALS_DELAY,
        salts,
    };
    let answer = move |shard, connection, outcome| {
        mailboxes.of(shard).send(Mail::Authenticated(connection, outcome));
    };
    Authenticator::new(rights, settings, Box::new(answer))
}

/// Tells whoever waits for it what the writer has done.
fn tell_of_commits(
    mailboxes: Mailboxes,
    upstreams: Arc<Roster>,
    history: Option<HistoryHandle>,
    room: Arc<RoomWatch>,
) -> impl Fn(Result<&[(ShardId, u64)], &StoreError>) + Send {
    let is_failing = Cell::new(false);
    move |outcome| match outcome {
        Ok(batches) => {
            if is_failing.replace(false) {
                tracing::info!("the store is written again: what waited goes on");
            }
            mailboxes.tell_committed(batches);
            upstreams.log_grew();
            history.iter().for_each(HistoryHandle::log_grew);
            room.written();
        }
        Err(error) => {
            is_failing.set(true);
            tracing::error!(%error, "nothing is acknowledged until the store is written");
            room.failed(matches!(error, StoreError::DiskFull { .. }));
        }
    }
}

fn writer_options(config: &Config) -> WriterOptions {
    WriterOptions {
        group_commit_max_delay: config.store.group_commit_max_delay,
        flush_interval: config.store.flush_interval,
        ..WriterOptions::default()
    }
}

/// Tells the shards whether there is room. A store in memory has no limits of its own.
fn room_watch(config: &Config, store: Arc<Store>, mailboxes: Mailboxes) -> RoomWatch {
    let limits = RoomLimits {
        store_bytes_max: config.store.max_store_bytes.filter(|_| config.persistence),
        free_disk_min: config.store.min_free_disk.filter(|_| config.persistence),
    };
    if let Some(max) = limits.store_bytes_max {
        store.set_tight_at(RoomLimits::eased(max));
    }
    let data_dir = config.data_dir.clone();
    let (used, free) = (store.clone(), store.clone());
    RoomWatch::new(
        limits,
        move || used.used_bytes(),
        // A file does not become shorter when messages go, but it does not grow either.
        move || Some(free_disk(&data_dir)? + free.reusable_bytes()),
        move |room| {
            store.set_tight(room == StoreRoom::Full);
            mailboxes.send_all(|| Mail::StoreRoom(room));
        },
    )
}

/// The cores of all shards, with what each finds in the store. There are no fewer than the store
/// has sessions of.
fn cores(
    store: &Store,
    config: &Config,
    readers: &[ReaderConfig],
    rights: &Rights,
    now: Now,
) -> Result<Vec<Core>, StartError> {
    let kept = store.clients()?;
    let needed = kept.iter().map(|(_, shard)| shard.0 + 1).max().unwrap_or(1);
    let shards = config.shards().max(needed);
    if shards > config.shards() {
        tracing::warn!(shards, "there are kept sessions of more shards than `shards` says");
    }
    let kept = kept.iter().map(|(client_id, shard)| (&**client_id, *shard));
    let placement = Placement::new(shards, kept);
    let limits = limits::of_shard(config, shards);
    let seed = seed()?;
    let of_shard = |shard| {
        let recovered = store.recover(shard, limits.queued_memory_eased_at)?;
        let (placement, limits) = (placement.clone(), limits.clone());
        let readers = readers.to_vec();
        let mut core = Core::of_shard(shard, placement, limits, readers, recovered, seed, now);
        core.handle(now, Input::Permissions(rights.acl.clone()));
        Ok(core)
    };
    (0..shards).map(ShardId).map(of_shard).collect()
}

fn start_shards(
    shards: Vec<Shard>,
) -> io::Result<(Vec<JoinHandle<()>>, mpsc::Receiver<io::Error>)> {
    let (report, ended) = mpsc::sync_channel(shards.len());
    let start = |(number, shard): (usize, Shard)| {
        let report = report.clone();
        std::thread::Builder::new().name(format!("weir-shard-{number}")).spawn(move || {
            if let Err(error) = shard.run() {
                tracing::error!(%error, "the shard has ended");
                // Whoever owns the broker may have dropped it already.
                let _ = report.try_send(error);
            }
        })
    };
    let threads = shards.into_iter().enumerate().map(start).collect::<io::Result<_>>()?;
    Ok((threads, ended))
}

/// A mailbox for each shard, and what its thread waits with.
fn mailboxes(shards: usize) -> io::Result<(Mailboxes, Vec<(Poll, MailReceiver)>)> {
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for _ in 0..shards {
        let poll = Poll::new()?;
        let (sender, mail) = mailbox(Waker::new(poll.registry(), shard::WAKER)?);
        senders.push(sender);
        receivers.push((poll, mail));
    }
    Ok((Mailboxes::new(senders), receivers))
}

fn seed() -> io::Result<u64> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
