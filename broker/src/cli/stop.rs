//! The wait for the end: Ctrl-C at a terminal, SIGTERM from a service manager.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is told to end.
pub(crate) async fn wait() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
