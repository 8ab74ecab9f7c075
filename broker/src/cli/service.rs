//! `weir run` as a service: what the service manager is told while the broker starts, runs, reads its
//! files again and ends. Without a manager nothing is said and no thread is started.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use weir_firmware_bridge::systemd::{self, Manager, Notice};

use super::CliError;
use super::check::count;
use crate::broker::Broker;
use crate::pulse::Pulse;
use crate::status::{Status, UpstreamState};
use crate::worker::Worker;

/// Between two looks at a start that takes long, and for how much longer it may take after each.
const START_LOOK: Duration = Duration::from_secs(5);
const START_MORE: Duration = Duration::from_secs(30);
/// What a start does at least between two looks; a thread that waits for nothing does less.
const START_WORK_MIN: Duration = Duration::from_millis(1);
/// Between two looks at the broker when no sign of life is wanted.
const LOOK: Duration = Duration::from_secs(30);

/// The service that this process is, if it is one.
pub(super) struct Service {
    manager: Option<Arc<Manager>>,
    /// Looks at the start, and then at the running broker.
    watch: Option<Worker<Sender<()>>>,
}

impl Service {
    /// The broker is about to start, which can take long: a store is checked after a crash.
    pub(super) fn starting() -> Result<Self, CliError> {
        let Some(manager) = Manager::of_process().map(Arc::new) else {
            return Ok(Self { manager: None, watch: None });
        };
        manager.tell(&[Notice::Status("opening the store")]);
        let told = manager.clone();
        let watch = start(move |end| extend(&told, &end, START_LOOK, systemd::processor_time))?;
        Ok(Self { manager: Some(manager), watch: Some(watch) })
    }

    /// Clients can connect.
    pub(super) fn ready(&mut self, broker: &Broker) -> Result<(), CliError> {
        let Some(manager) = &self.manager else { return Ok(()) };
        self.watch = None;
        manager.tell(&[Notice::Ready, Notice::Status(&line(&broker.status()))]);
        let (told, mut pulse) = (manager.clone(), broker.pulse());
        let watchdog = systemd::watchdog();
        self.watch = Some(start(move |end| look_after(&told, &mut pulse, &end, watchdog))?);
        Ok(())
    }

    /// Does what reads the files again.
    pub(super) fn reloading(&self, reload: impl FnOnce()) {
        self.tell(&[Notice::Reloading]);
        reload();
        self.tell(&[Notice::Ready]);
    }

    /// The broker is about to end. Nothing of it is held any more when this returns.
    pub(super) fn stopping(mut self) {
        self.watch = None;
        self.tell(&[Notice::Stopping, Notice::Status("writing what was acknowledged")]);
    }

    fn tell(&self, notices: &[Notice<'_>]) {
        self.manager.iter().for_each(|manager| manager.tell(notices));
    }
}

fn start(run: impl FnOnce(Receiver<()>) + Send + 'static) -> Result<Worker<Sender<()>>, CliError> {
    let (sender, end) = mpsc::channel();
    // A thread that has ended need not be told.
    let tell = |sender: &Sender<()>| {
        let _ = sender.send(());
    };
    Worker::start("weir-service", sender, tell, move || run(end)).map_err(CliError::Runtime)
}

/// Asks for more time for as long as the start does something. One that is stuck does not, and the
/// manager ends it at its time.
fn extend(manager: &Manager, end: &Receiver<()>, every: Duration, work: impl Fn() -> Duration) {
    let mut before = work();
    while end.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let now = work();
        if now.saturating_sub(before) >= START_WORK_MIN {
            manager.tell(&[Notice::Extend(START_MORE)]);
        }
        before = work();
    }
}

/// Says how the broker is when that has changed, and that it is alive for as long as all of its
/// threads answer: twice in the time after which the manager ends the process.
fn look_after(
    manager: &Manager,
    pulse: &mut Pulse,
    end: &Receiver<()>,
    watchdog: Option<Duration>,
) {
    let every = watchdog.map_or(LOOK, |time| (time / 2).min(LOOK));
    let mut said = String::new();
    let mut next = Instant::now();
    loop {
        let status = match pulse.feel(every / 2) {
            Ok(()) => {
                // Before anything else is asked: that may take some time.
                if watchdog.is_some() {
                    manager.tell(&[Notice::Alive]);
                }
                line(&pulse.status())
            }
            Err(thread) => {
                tracing::error!(thread, "a thread does not answer");
                format!("the thread {thread} does not answer")
            }
        };
        if status != said {
            manager.tell(&[Notice::Status(&status)]);
            said = status;
        }
        next = (next + every).max(Instant::now());
        let pause = next.saturating_duration_since(Instant::now());
        if end.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// How the broker is, in one line.
fn line(status: &Status) -> String {
    let connections =
        count(usize::try_from(status.connections).unwrap_or(usize::MAX), "connection");
    let mut text = format!("{connections}, {}", count(status.rules.len(), "rule"));
    if !status.upstreams.is_empty() {
        let works = |state| matches!(state, UpstreamState::Connected | UpstreamState::Idle);
        let connected = status.upstreams.iter().filter(|one| works(one.state)).count();
        text.push_str(&format!(", {connected} of {}", count(status.upstreams.len(), "upstream")));
    }
    text.push_str(&format!(", store {}", status.store.status));
    text
}

#[cfg(test)]
mod tests;
