//! A broker that answers everything at once and keeps nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use weir_firmware_bridge::gateway::{Effect, Gateway, Input};
use weir_firmware_bridge::session::{Broker, Command, Event, Full, SessionId, SessionOptions};

#[derive(Debug)]
pub(crate) struct InstantBroker {
    events: VecDeque<(SessionId, Event)>,
    waker: Option<Waker>,
    published: Arc<AtomicU64>,
}

impl InstantBroker {
    pub(crate) fn new(published: Arc<AtomicU64>) -> Self {
        Self { events: VecDeque::new(), waker: None, published }
    }

    /// Does what a gateway without a shell wants.
    pub(crate) fn serve(&mut self, gateway: &mut Gateway, now: u64) {
        loop {
            gateway.drain_effects(|effect| match effect {
                Effect::Command { session, command } => self.command(session, command).unwrap(),
                Effect::Open { session, options } => self.open(session, options).unwrap(),
                Effect::Broadcast { .. } | Effect::Refused(_) | Effect::Send { .. } => {}
            });
            let Some((session, event)) = self.events.pop_front() else { return };
            gateway.handle(now, Input::Session(session, event));
        }
    }

    fn tell(&mut self, session: SessionId, event: Event) {
        self.events.push_back((session, event));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Broker for InstantBroker {
    fn open(&mut self, session: SessionId, _: SessionOptions) -> Result<(), Full> {
        self.tell(session, Event::Connected { session_present: false });
        Ok(())
    }

    fn command(&mut self, session: SessionId, command: Command) -> Result<(), Full> {
        match command {
            Command::Disconnect { .. } => self.tell(session, Event::Closed),
            Command::Publish { ticket, topic, .. } => {
                if topic.starts_with("bench/") {
                    self.published.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(ticket) = ticket {
                    self.tell(session, Event::Published(ticket));
                }
            }
            Command::Subscribe { ticket, qos, .. } => {
                self.tell(session, Event::Subscribed { ticket, granted: Some(qos) });
            }
            Command::Unsubscribe { ticket, .. } => self.tell(session, Event::Unsubscribed(ticket)),
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
