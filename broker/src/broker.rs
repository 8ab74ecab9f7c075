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

mod fleet;
mod programs;
mod readers;
mod reload;
mod shard_threads;
mod start_error;
mod store;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mio::{Poll, Waker};
use weir_core::{Core, Input, Now, Placement, ReaderConfig, ShardId};

use crate::auth::{Authenticator, AuthenticatorHandle, LiveApiTokens, Rights, SaltKey, Settings};
use crate::bridge::{BridgeSeat, BridgeThreadError};
use crate::client::Clients;
use crate::clock::{Clock, ClockWatch};
use crate::config::{self, Config};
use crate::control::Control;
use crate::fleet::Fleet;
use crate::history::{self, HistoryHandle, HistoryThread, Pages};
use crate::inside::Door;
use crate::limits;
use crate::listener::{Entrance, Listener, Refused};
use crate::live_rules::LiveRules;
use crate::mailbox::{Mail, MailReceiver, Mailbox, Mailboxes, mailbox};
use crate::pipeline::{PipelineThread, Waiting};
use crate::probe::Probe;
use crate::pulse::Pulse;
use crate::reload::Reloader;
use crate::shard::{self, Parts, Shard};
use crate::status::Status;
use crate::store::{Loader, Store, Writer};
use crate::stream::TlsServer;
use crate::upstream::{Around, Outlets, Roster, Supervisor};
use crate::ways::Ways;

use readers::{Readers, SHARD};
use shard_threads::ShardThreads;
pub use start_error::StartError;
use store::{open_store, room_watch, tell_of_commits, writer_options};

/// How long a client waits that has the wrong password: long for a program that guesses, short
/// for a person.
const WRONG_CREDENTIALS_DELAY: Duration = Duration::from_secs(1);

/// What the bridge keeps, beside the store.
const BRIDGE: &str = "bridge";

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
    shards: ShardThreads,
    pipeline: PipelineThread,
    history: Option<HistoryThread>,
    writer: Writer,
    control: Control,
    upstreams: Arc<Roster>,
    bridge: Arc<BridgeSeat>,
    clients: Clients,
    #[cfg(test)]
    door: Door,
}

impl Broker {
    /// Starts a broker and returns when clients can connect.
    ///
    /// # Errors
    /// Each variant of [`StartError`] says what is in the way and what to do.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        programs::check(&config.upstreams)?;
        let plan = weir_rules::compile(&config.rules).map_err(StartError::Rules)?;
        let sources = config.sources();
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
        let admin_tls = read_admin_certificate(&config)?;
        let api_tokens = Arc::new(LiveApiTokens::new(rights.api_tokens.clone()));
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
            outlets: Outlets::default(),
        };
        let upstreams = Arc::new(readers.upstreams(around, orders));
        let fleet = readers.fleet();
        let fleet = fleet.map(|one| one.member(&config, &store, &mailboxes, &clock_watch));
        let fleet_handle = fleet.as_ref().map(Fleet::handle);
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
            let fleet = fleet_handle.clone();
            tell_of_commits(mailboxes, upstreams, fleet, history_handle.clone(), room)
        })?;
        let pipeline = PipelineThread::run(pipeline, waiting, mailboxes.clone())?;
        let mut entrances: Vec<_> = listeners.iter().map(Listener::entrance).cloned().collect();
        let inside = Arc::new(Entrance::inside(refused.clone()));
        let number = u16::try_from(entrances.len()).expect("a file has fewer listeners");
        let door = Door::new(mailboxes.clone(), inside.clone(), number);
        let watching = Arc::new(Entrance::watching(refused.clone()));
        entrances.extend([inside, watching.clone()]);
        let folder = config.persistence.then(|| config.data_dir.join(BRIDGE));
        let bridge = Arc::new(BridgeSeat::new(folder, door.clone()));
        let probe = Arc::new(Probe {
            clock,
            clock_watch,
            mailboxes: mailboxes.clone(),
            store: store.clone(),
            writer: writer.sender(),
            pipeline: pipeline.handle(),
            upstreams: upstreams.clone(),
            fleet: fleet_handle,
            bridge: bridge.clone(),
            door: Door::new(mailboxes.clone(), watching, number + 1),
            history: history_handle,
            persistence: config.persistence,
            data_dir: config.persistence.then(|| config.data_dir.clone()),
            room: room.clone(),
            service: sources.service.as_ref().map(|service| service.figures.clone()),
            refused,
            listeners: names(&listeners),
        });
        let (task, authenticator) = authenticator(&config, rights, salts, mailboxes.clone());
        let tls: Vec<Arc<TlsServer>> = tls.into_iter().flatten().collect();
        let reloader = Arc::new(Reloader {
            files: config.files.clone(),
            sources,
            authenticator: authenticator.clone(),
            tls,
            admin_tls,
            api_tokens,
            rules: Arc::new(LiveRules::new(&config, pipeline.handle())),
            upstreams: upstreams.clone(),
            bridge: bridge.clone(),
            mailboxes: mailboxes.clone(),
            turn: Mutex::default(),
        });
        let (control, admin_address) = Control::start(
            &config,
            supervisor,
            fleet,
            task,
            reloader.clone(),
            probe.clone(),
            room,
        )?;
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
                readers: readers.sinks(
                    pipeline.handle(),
                    &upstreams,
                    probe.history.as_ref(),
                    probe.fleet.as_ref(),
                ),
                interest: probe
                    .fleet
                    .clone()
                    .map(|fleet| Box::new(move |changes| fleet.note_interest(changes)) as Box<_>),
                authenticator: authenticator.clone(),
            };
            shards.push(Shard::new(parts)?);
        }
        let running = Running {
            mailboxes,
            shards: ShardThreads::start(shards)?,
            pipeline,
            history,
            writer,
            control,
            upstreams: upstreams.clone(),
            bridge,
            clients: Clients::new(&config, door.clone()),
            #[cfg(test)]
            door,
        };
        if let Err(error) = running.bridge.exchange(config.bridge.as_ref()) {
            running.stop();
            return Err(match error {
                BridgeThreadError::Serve(source) => StartError::Bridge { source },
                BridgeThreadError::System(error) => StartError::System(error),
            });
        }
        Ok(Self { addresses, admin_address, probe, reloader, running: Some(running) })
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

    /// Where sessions come in that are opened inside the process.
    #[cfg(test)]
    pub(crate) fn door(&self) -> Door {
        self.running.as_ref().expect("it was started").door.clone()
    }

    /// How the broker is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.probe.status()
    }

    /// What feels whether its threads answer. It holds the store open: drop it before the broker.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse::new(self.probe.clone())
    }

    /// The error that ended the broker, if one has: its clients are gone then, and the process
    /// had better end too.
    #[must_use]
    pub fn failure(&self) -> Option<io::Error> {
        let running = self.running.as_ref()?;
        let of_history = || running.history.as_ref().and_then(HistoryThread::failure);
        running.shards.failure().or_else(|| running.pipeline.failure()).or_else(of_history)
    }

    /// The same, once it is so; never before.
    pub async fn failed(&self) -> io::Error {
        let Some(running) = &self.running else { return pending().await };
        let of_history = async {
            match &running.history {
                Some(history) => history.failed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            error = running.shards.failed() => error,
            error = running.pipeline.failed() => error,
            error = of_history => error,
        }
    }

    /// Ends the broker: clients are told, and what was acknowledged is on the disk when this
    /// returns.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl Running {
    fn stop(self) {
        // Its devices say goodbye to a broker that is there, and so do clients.
        self.bridge.close();
        self.clients.stop();
        self.control.stop();
        self.upstreams.end();
        drop(self.pipeline);
        self.mailboxes.send_all(|| Mail::Stop);
        self.shards.join();
        self.writer.stop();
        drop(self.history);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
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

/// That of the admin server, if it has one.
fn read_admin_certificate(config: &Config) -> Result<Option<Arc<TlsServer>>, StartError> {
    let (Some(address), Some(tls)) = (&config.admin.address, &config.admin.tls) else {
        return Ok(None);
    };
    let server = TlsServer::start(tls.clone());
    let address = address.to_string();
    server
        .map(|server| Some(Arc::new(server)))
        .map_err(|source| StartError::Tls { address, source })
}

/// The names of the listeners in their order, and of those inside.
fn names(listeners: &[Listener]) -> Vec<Box<str>> {
    let names = listeners.iter().map(|listener| listener.entrance().name());
    names.chain(["inside", "api"]).map(Box::from).collect()
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
