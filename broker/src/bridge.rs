//! The bridge of devices that cannot speak MQTT, inside the broker: on a thread of its own, with
//! sessions that come in by the door.
//!
//! When it cannot go on the broker does; that is told, and a restart starts both anew. When its file
//! has changed, another bridge takes its place, and the one before comes back if that cannot be.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::watch;
use weir_firmware_bridge::agent::Hardware;
use weir_firmware_bridge::config::{Change, ChangeKind, Config, changes};
use weir_firmware_bridge::serve::{Askers, ServeError, Serving};

use crate::inside::{Door, InsideBroker};

/// Who the bridge is for the broker, unless its file says otherwise.
const USER: &str = "bridge";

/// The place of the bridge in a broker: one that runs, or none, and after a reload another one.
pub(crate) struct BridgeSeat {
    /// What is to outlive a restart; `None` = nothing is.
    folder: Option<PathBuf>,
    door: Door,
    /// Apart from the occupant, so that nobody waits for a bridge that comes or goes.
    askers: Mutex<Option<Askers>>,
    occupant: Mutex<Occupant>,
}

#[derive(Default)]
struct Occupant {
    config: Option<Arc<Config>>,
    thread: Option<BridgeThread>,
    /// The broker ends: nobody takes the place any more.
    is_closed: bool,
}

impl BridgeSeat {
    pub(crate) fn new(folder: Option<PathBuf>, door: Door) -> Self {
        let (askers, occupant) = (Mutex::default(), Mutex::default());
        Self { folder, door, askers, occupant }
    }

    /// Who can be asked, while there is a bridge.
    pub(crate) fn askers(&self) -> Option<Askers> {
        lock(&self.askers).clone()
    }

    /// What would differ with another bridge in the place of the one that is there.
    pub(crate) fn compare(&self, next: Option<&Arc<Config>>) -> Vec<Change> {
        lock(&self.occupant).compare(next)
    }

    /// Puts a bridge in the place of the one that is there. What differs is given back; when nothing
    /// does, the bridge stays as it is.
    ///
    /// # Errors
    /// The next one cannot be opened: then the one before is there again.
    pub(crate) fn exchange(
        &self,
        next: Option<&Arc<Config>>,
    ) -> Result<Vec<Change>, BridgeThreadError> {
        let mut occupant = lock(&self.occupant);
        let found = occupant.compare(next);
        if found.is_empty() || occupant.is_closed {
            return Ok(Vec::new());
        }
        self.leave(&mut occupant);
        if let Err(error) = self.sit(&mut occupant, next) {
            // It was open a moment ago, at the same places.
            let before = occupant.config.clone();
            if let Err(error) = self.sit(&mut occupant, before.as_ref()) {
                tracing::error!(%error, "the bridge cannot be opened again; restart weir");
            }
            return Err(error);
        }
        occupant.config = next.cloned();
        Ok(found)
    }

    /// Stops the bridge, if there is one, for good.
    pub(crate) fn close(&self) {
        let mut occupant = lock(&self.occupant);
        occupant.is_closed = true;
        self.leave(&mut occupant);
    }

    fn leave(&self, occupant: &mut Occupant) {
        *lock(&self.askers) = None;
        occupant.thread = None;
    }

    fn sit(
        &self,
        occupant: &mut Occupant,
        config: Option<&Arc<Config>>,
    ) -> Result<(), BridgeThreadError> {
        let Some(config) = config else { return Ok(()) };
        let thread = BridgeThread::start(config, self.folder.clone(), self.door.clone())?;
        *lock(&self.askers) = Some(thread.askers());
        occupant.thread = Some(thread);
        Ok(())
    }
}

impl Occupant {
    fn compare(&self, next: Option<&Arc<Config>>) -> Vec<Change> {
        match (&self.config, next) {
            (Some(before), Some(after)) => changes(before, after),
            (None, Some(_)) => vec![whole(ChangeKind::Added)],
            (Some(_), None) => vec![whole(ChangeKind::Removed)],
            (None, None) => Vec::new(),
        }
    }
}

fn whole(kind: ChangeKind) -> Change {
    Change { what: "bridge".to_owned(), kind }
}

/// What a panic interrupts is the exchange of one value for another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bridge that runs. Dropping it stops it.
struct BridgeThread {
    askers: Askers,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeThreadError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    System(#[from] io::Error),
}

impl BridgeThread {
    /// Returns once everything is open. What is to outlive a restart is in `folder`, unless the
    /// configuration names another one.
    fn start(
        config: &Arc<Config>,
        folder: Option<PathBuf>,
        door: Door,
    ) -> Result<Self, BridgeThreadError> {
        let mut config = Config::clone(config);
        let bridge = &mut config.bridge;
        bridge.data_dir = bridge.data_dir.take().or(folder);
        bridge.username.get_or_insert_with(|| USER.to_owned());
        bridge.password_file = None;
        let (stop, stopped) = watch::channel(false);
        let (opened, is_open) = mpsc::sync_channel::<Result<Askers, BridgeThreadError>>(1);
        let run = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                // Whoever waits is there.
                Err(error) => return drop(opened.send(Err(error.into()))),
            };
            runtime.block_on(async {
                let broker = || InsideBroker::new(door.clone());
                match Serving::open(&config, &Hardware::of_this_machine(), broker) {
                    Ok(serving) => {
                        let _ = opened.send(Ok(serving.askers()));
                        if let Err(error) = serving.run(stopped).await {
                            let help = error.help();
                            tracing::error!(%error, help, "the bridge has ended");
                        }
                    }
                    Err(error) => drop(opened.send(Err(error.into()))),
                }
            });
        };
        let thread = thread::Builder::new().name("weir-bridge".to_owned()).spawn(run)?;
        let ended = || io::Error::other("the thread of the bridge has ended");
        let askers = is_open.recv().unwrap_or_else(|_| Err(ended().into()))?;
        Ok(Self { askers, stop, thread: Some(thread) })
    }
}

impl BridgeThread {
    /// Who can be asked while it runs.
    fn askers(&self) -> Askers {
        self.askers.clone()
    }
}

impl Drop for BridgeThread {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the bridge panicked");
        }
    }
}
