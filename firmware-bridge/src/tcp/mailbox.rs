//! Commands on their way from the owner of a session to its connection.
//!
//! The owner never waits: what finds no room is refused. There is always room for acknowledgements,
//! of which there are no more than deliveries, for the newest will, and for the end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::session::{Command, Full, PUBLISHES_MAX, REQUESTS_MAX, Ticket, Will};

/// The commands of one session that its connection has not taken.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    content: Mutex<Content>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Content {
    commands: VecDeque<Command>,
    connected: bool,
    /// Messages among the commands that nobody waits for.
    qos_0: usize,
    qos_0_bytes: usize,
    /// Publishes with a ticket that are not answered, also those that were taken.
    publishes: usize,
    requests: usize,
}

impl Mailbox {
    pub(super) fn put(&self, command: Command) -> Result<(), Full> {
        let mut content = self.lock();
        match &command {
            Command::Acknowledge(_) | Command::Disconnect { .. } => {}
            Command::Publish { ticket: None, payload, topic, .. } => {
                let bytes = payload.len() + topic.len();
                let full =
                    content.qos_0 >= QOS_0_MAX || content.qos_0_bytes + bytes > QOS_0_BYTES_MAX;
                if !content.connected || full {
                    return Err(Full);
                }
                content.qos_0 += 1;
                content.qos_0_bytes += bytes;
            }
            Command::Publish { ticket: Some(_), .. } => {
                if !content.connected || content.publishes >= PUBLISHES_MAX {
                    return Err(Full);
                }
                content.publishes += 1;
            }
            Command::SetWill(will) => {
                let will = will.clone();
                if content.replace_will(will) {
                    return Ok(());
                }
            }
            Command::Subscribe { .. } | Command::Unsubscribe { .. } => {
                if content.requests >= REQUESTS_MAX {
                    return Err(Full);
                }
                content.requests += 1;
            }
        }
        content.commands.push_back(command);
        drop(content);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn take(&self) -> VecDeque<Command> {
        loop {
            let taken = {
                let mut content = self.lock();
                content.qos_0 = 0;
                content.qos_0_bytes = 0;
                std::mem::take(&mut content.commands)
            };
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.lock().connected = connected;
    }

    /// A publish with a ticket was answered.
    pub(super) fn published(&self, _: Ticket) {
        let mut content = self.lock();
        content.publishes = content.publishes.saturating_sub(1);
    }

    /// A subscribe or unsubscribe was answered.
    pub(super) fn answered(&self, _: Ticket) {
        let mut content = self.lock();
        content.requests = content.requests.saturating_sub(1);
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing is left half done by who panics: each change is one assignment.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// Puts a will in the place of one that was not taken yet, if nothing came after it.
    fn replace_will(&mut self, will: Option<Will>) -> bool {
        let Some(Command::SetWill(last)) =
            self.commands.iter_mut().rfind(|command| matches!(command, Command::SetWill(_)))
        else {
            return false;
        };
        *last = will;
        true
    }
}

/// Messages of QoS 0 of one session, and their bytes.
const QOS_0_MAX: usize = 16_384;
const QOS_0_BYTES_MAX: usize = 4 << 20;
