//! The control thread: everything that waits for others and is not on the way of a message. One
//! tokio runtime on one thread runs the upstream connections, the admin server, the check of
//! credentials, the clock of the `$SYS` tree, and the looks at the files of certificates and of
//! tables and at the room of the store.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::admin::{self, AdminKey, Api};
use crate::auth::Authenticator;
use crate::broker::StartError;
use crate::config::Config;
use crate::fleet::Fleet;
use crate::live_rules::LiveRules;
use crate::probe::Probe;
use crate::reload::Reloader;
use crate::store::RoomWatch;
use crate::stream::TlsServer;
use crate::upstream::Supervisor;

/// How long the upstreams may take to say goodbye.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at the files of certificates and tables: soon enough for whoever has changed them, and
/// rare enough for an idle machine.
const LOOK: Duration = Duration::from_secs(5);

/// Between two looks at the room of a store that has none.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

/// Between two looks for a clock that is not set.
const LOOK_FOR_CLOCK: Duration = Duration::from_secs(1);

/// The running thread.
pub(crate) struct Control {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Starts the thread; answers the address of the admin server too.
    pub(crate) fn start(
        config: &Config,
        upstreams: Supervisor,
        fleet: Option<Fleet>,
        authenticator: Authenticator,
        reloader: Arc<Reloader>,
        probe: Arc<Probe>,
        room: Arc<RoomWatch>,
    ) -> Result<(Self, Option<SocketAddr>), StartError> {
        let admin = bind_admin(config)?;
        let key = admin_key(config)?;
        let tokens = reloader.api_tokens.clone();
        let (around, files) = (probe.clone(), reloader.clone());
        let api = Api::new(key.as_ref(), tokens, config, around, files);
        let admin_tls = reloader.admin_tls.clone();
        let admin_address = match &admin {
            Some(listener) => Some(listener.local_addr()?),
            None => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let sys_interval = config.sys_interval;
        let thread =
            std::thread::Builder::new().name("weir-control".to_owned()).spawn(move || {
                let tasks = LocalSet::new();
                let mut links = JoinSet::new();
                links.spawn_local_on(upstreams.run(stopped.clone()), &tasks);
                if let Some(fleet) = fleet {
                    links.spawn_local_on(fleet.run(stopped.clone()), &tasks);
                }
                tasks.spawn_local(authenticator.run());
                tasks.spawn_local(look_at_room(room));
                if let Some(every) = sys_interval {
                    tasks.spawn_local(tell_surroundings(probe.clone(), every));
                }
                if !reloader.tls.is_empty() || reloader.admin_tls.is_some() {
                    let (tls, admin_tls) = (reloader.tls.clone(), reloader.admin_tls.clone());
                    tasks.spawn_local(look_at_certificates(tls, admin_tls, probe.clone()));
                }
                tasks.spawn_local(look_at_tables(reloader.rules.clone()));
                tasks.spawn_local(look_at_clock(probe.clone()));
                if let Some(listener) = admin {
                    let stopped = stopped.clone();
                    tasks.spawn_local(async move {
                        let served = admin::serve(listener, admin_tls, api, until(stopped));
                        if let Err(error) = served.await {
                            tracing::error!(%error, "the admin server has ended");
                        }
                    });
                }
                runtime.block_on(tasks.run_until(async {
                    until(stopped).await;
                    // A far end that does not answer is left without a goodbye.
                    let _ = timeout(GOODBYE_PATIENCE, links.join_all()).await;
                }));
            })?;
        Ok((Self { stop, thread }, admin_address))
    }

    /// Ends what runs there.
    pub(crate) fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Never ends. A file system may let a read wait, so it is not done on this thread.
async fn look_at_certificates(
    listeners: Vec<Arc<TlsServer>>,
    admin: Option<Arc<TlsServer>>,
    probe: Arc<Probe>,
) {
    let listeners: Arc<[Arc<TlsServer>]> = listeners.into();
    loop {
        sleep(LOOK).await;
        let (listeners, admin) = (listeners.clone(), admin.clone());
        let refresh = move || {
            admin.inspect(|server| _ = server.refresh());
            listeners.iter().filter(|server| server.refresh()).count()
        };
        // A panic there has been reported, and the next look comes.
        if spawn_blocking(refresh).await.is_ok_and(|changed| changed > 0) {
            probe.tell_certificates();
        }
    }
}

/// Never ends.
async fn look_at_tables(rules: Arc<LiveRules>) {
    loop {
        sleep(LOOK).await;
        if rules.has_tables() {
            let rules = rules.clone();
            // A panic there has been reported, and the next look comes.
            let _ = spawn_blocking(move || rules.refresh()).await;
        }
    }
}

/// Ends when the clock of the machine is set.
async fn look_at_clock(probe: Arc<Probe>) {
    while !probe.clock_watch.is_set() {
        sleep(LOOK_FOR_CLOCK).await;
        if let Some(at_ms) = probe.clock_watch.look() {
            tracing::info!("the clock of the machine is set");
            probe.pipeline.set_clock(at_ms);
        }
    }
}

/// Never ends. Whatever weir writes is looked at when it is written; this is for what others do.
async fn look_at_room(room: Arc<RoomWatch>) {
    loop {
        sleep(if room.shortage().is_some() { LOOK_FOR_ROOM } else { LOOK }).await;
        room.look();
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error says that the sender is gone, which means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Lets the shard bring its `$SYS` tree up to date, for the first time at once.
async fn tell_surroundings(probe: Arc<Probe>, every: Duration) {
    let mut interval = interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let probe = probe.clone();
        // A panic there has been reported, and the next time comes.
        let _ = spawn_blocking(move || probe.tell_surroundings()).await;
    }
}

/// What shows that somebody may have more than the status; only the admin server asks for it.
fn admin_key(config: &Config) -> Result<Option<AdminKey>, StartError> {
    if !config.persistence || config.admin.address.is_none() {
        return Ok(None);
    }
    let path = || config.data_dir.join("admin.key");
    let key = AdminKey::keep(&config.data_dir);
    key.map(Some).map_err(|source| StartError::Key { path: path(), source })
}

fn bind_admin(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = &config.admin.address else { return Ok(None) };
    let address = address.to_string();
    let listener = TcpListener::bind(&address);
    listener.map(Some).map_err(|source| StartError::Admin { address, source })
}
