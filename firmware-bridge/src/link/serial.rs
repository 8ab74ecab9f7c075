//! MQTT-SN over a serial line, which may be pulled and put back.
//!
//! A line that cannot be opened or breaks is tried again after 0.5, 1, 2 ... 30 seconds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serial2_tokio::SerialPort;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::framing::{Framer, FramerCounts};
use super::{FromLink, Inbox};
use crate::gateway::{LinkId, Peer};

// A module uses modules listed below it, never above.
mod framing;

pub use self::framing::Framing;

/// What is configured about a serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialOptions {
    /// The device, such as `/dev/ttyUSB0`.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// How datagrams are told apart.
    pub framing: Framing,
}

/// An open line, or one that is tried again. Closed when it is dropped.
#[derive(Debug)]
pub(crate) struct SerialLink {
    sender: mpsc::Sender<Box<[u8]>>,
}

impl SerialLink {
    /// Starts a task of the current runtime.
    pub(crate) fn open(link: LinkId, options: SerialOptions, inbox: Inbox) -> Self {
        let (sender, receiver) = mpsc::channel(DATAGRAMS_MAX);
        let line = Line { link, options, inbox, counts: FramerCounts::default() };
        tokio::spawn(line.run(receiver));
        Self { sender }
    }

    /// What the line does not take in time is lost.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        self.sender.try_send(bytes.into()).is_ok()
    }
}

struct Line {
    link: LinkId,
    options: SerialOptions,
    inbox: Inbox,
    counts: FramerCounts,
}

/// Why a line is not served any more.
enum Ended {
    /// Nobody uses it.
    Closed,
    /// It broke.
    Unplugged,
}

impl Line {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Box<[u8]>>) {
        let mut backoff = BACKOFF_MIN;
        let mut is_down = false;
        loop {
            let path = self.options.path.clone();
            match open(&path, self.options.baud) {
                Ok(port) => {
                    tracing::info!(path = %path.display(), "serial line opened");
                    backoff = BACKOFF_MIN;
                    is_down = false;
                    if let Ended::Closed = self.serve(&port, &mut outgoing).await {
                        return;
                    }
                    tracing::warn!(path = %path.display(),
                        "serial line broke and will be opened again");
                }
                Err(error) if !is_down => {
                    tracing::warn!(path = %path.display(), %error,
                        "serial line cannot be opened and will be tried again");
                }
                Err(_) => {}
            }
            if !is_down && !self.inbox.put_surely(FromLink::Down(self.link)).await {
                return;
            }
            is_down = true;
            if !wait(&mut outgoing, backoff).await {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Reads and writes at the same time: a peer that does not take what it is sent is still heard.
    async fn serve(
        &mut self,
        port: &SerialPort,
        outgoing: &mut mpsc::Receiver<Box<[u8]>>,
    ) -> Ended {
        let framing = self.options.framing;
        tokio::select! {
            ended = self.read(port) => ended,
            ended = write(port, framing, outgoing) => ended,
        }
    }

    async fn read(&mut self, port: &SerialPort) -> Ended {
        let mut framer = Framer::new(self.options.framing);
        let mut buffer = [0; 1_024];
        loop {
            let Ok(length @ 1..) = port.read(&mut buffer).await else { return Ended::Unplugged };
            let (link, inbox) = (self.link, &self.inbox);
            let mut is_heard = true;
            framer.push(&buffer[..length], &mut self.counts, |datagram| {
                is_heard &= inbox.put(FromLink::Datagram(link, Peer::Line, datagram.into()));
            });
            let FramerCounts { crc, broken: other, .. } = std::mem::take(&mut self.counts);
            if crc + other > 0 {
                is_heard &= inbox.put(FromLink::Broken { crc, other });
            }
            if !is_heard {
                return Ended::Closed;
            }
        }
    }
}

/// A datagram that the line does not take in time is lost; the peer sees a frame that is cut off.
async fn write(
    port: &SerialPort,
    framing: Framing,
    outgoing: &mut mpsc::Receiver<Box<[u8]>>,
) -> Ended {
    let mut bytes = Vec::new();
    loop {
        let Some(datagram) = outgoing.recv().await else { return Ended::Closed };
        bytes.clear();
        framing.encode(&datagram, &mut bytes);
        if let Ok(Err(_)) = timeout(WRITE_TIME, port.write_all(&bytes)).await {
            return Ended::Unplugged;
        }
    }
}

fn open(path: &Path, baud: u32) -> std::io::Result<SerialPort> {
    SerialPort::open(path, baud)
}

/// Waits, and forgets what nobody can be sent meanwhile. False when nobody uses the line any more.
async fn wait(outgoing: &mut mpsc::Receiver<Box<[u8]>>, time: Duration) -> bool {
    let mut time = std::pin::pin!(sleep(time));
    loop {
        tokio::select! {
            () = &mut time => return true,
            datagram = outgoing.recv() => if datagram.is_none() { return false },
        }
    }
}

/// Datagrams that wait for the line.
const DATAGRAMS_MAX: usize = 64;
/// How long a line may take for one datagram: two seconds are 240 bytes at 1200 baud.
const WRITE_TIME: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
