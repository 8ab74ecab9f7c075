//! The wait for the end: Ctrl-C at a terminal, SIGTERM from a service manager.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::CliError;

/// The signals that ask for the end.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on they do not end the process, but wait to be heard. To be called within a
    /// runtime, and before anybody can know that there is something to end.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(CliError::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits until the process is told to end.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
