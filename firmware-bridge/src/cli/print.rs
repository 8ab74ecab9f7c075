//! A broker that prints what is published, for `--print`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::task::{Context, Poll, Waker};

use crate::session::{Broker, Command, Event, Full, SessionId, SessionOptions};

/// Prints topics and payloads, a line for each message, and takes nothing back.
#[derive(Debug, Default)]
pub(crate) struct PrintBroker {
    events: VecDeque<(SessionId, Event)>,
    waker: Option<Waker>,
}

impl PrintBroker {
    fn tell(&mut self, session: SessionId, event: Event) {
        self.events.push_back((session, event));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Broker for PrintBroker {
    fn open(&mut self, session: SessionId, _options: SessionOptions) -> Result<(), Full> {
        self.tell(session, Event::Connected { session_present: false });
        Ok(())
    }

    fn command(&mut self, session: SessionId, command: Command) -> Result<(), Full> {
        match command {
            Command::Publish { ticket, topic, payload, .. } => {
                let text = String::from_utf8_lossy(&payload);
                // Whoever read it has seen enough; the bridge ends with its own signal.
                writeln!(io::stdout(), "{topic} {text}").ok();
                if let Some(ticket) = ticket {
                    self.tell(session, Event::Published(ticket));
                }
            }
            Command::Subscribe { ticket, qos, .. } => {
                self.tell(session, Event::Subscribed { ticket, granted: Some(qos) });
            }
            Command::Unsubscribe { ticket, .. } => self.tell(session, Event::Unsubscribed(ticket)),
            Command::Disconnect { .. } => self.tell(session, Event::Closed),
            Command::Acknowledge(_) | Command::SetWill(_) => {}
        }
        Ok(())
    }

    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<(SessionId, Event)>,
    ) -> Poll<()> {
        if self.events.is_empty() {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        events.extend(self.events.drain(..));
        Poll::Ready(())
    }
}
