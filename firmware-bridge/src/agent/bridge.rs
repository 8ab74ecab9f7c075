//! Runs the agent: one task that owns it, a session with a broker, and the threads.
//!
//! A turn takes everything that has come, lets the agent decide, and hands its effects to the
//! session, the outbox and the threads. Nothing here waits for a bus.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::core::{Agent, Effect, Input};
use super::hardware::Hardware;
use super::outbox::Outbox;
use super::plan::Plan;
use super::queue::QueueError;
use super::threads::Threads;
use super::topics::Topics;
use super::wall::Clock;
use crate::config::Config;
use crate::questions::{Asker, Questions, questions};
use crate::session::{
    Broker, Command, Credentials, Event, QoS, SessionId, SessionOptions, Ticket, Will, may_pass,
};

/// Why the agent cannot run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The queue on disk.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The broker has no room for a session.
    #[error("the broker takes no session")]
    Session,
}

/// A host agent with its session and its threads.
#[derive(Debug)]
pub struct Bridge<B> {
    broker: B,
    options: SessionOptions,
    session: SessionId,
    agent: Agent,
    outbox: Outbox,
    threads: Threads,
    inputs: mpsc::Receiver<Input>,
    clock: Clock,
    questions: Questions,
    asker: Asker,
    next_request: u64,
    is_connected: bool,
    is_closed: bool,
    /// When a session that was refused is tried again, in milliseconds since the start of the
    /// machine.
    reopen_ms: Option<u64>,
}

/// What has come until a turn.
#[derive(Default)]
struct Arrived {
    inputs: Vec<Input>,
    events: Vec<(SessionId, Event)>,
}

impl<B: Broker> Bridge<B> {
    /// Starts the threads, and opens a session. Ids of sessions are counted from `session`. Gives
    /// back where a damaged queue was put, if there was one.
    ///
    /// # Errors
    /// The queue cannot be opened, or the broker takes no session.
    pub fn start(
        config: &Config,
        credentials: Option<Credentials>,
        hardware: &Hardware,
        mut broker: B,
        session: SessionId,
    ) -> Result<(Self, Option<PathBuf>), BridgeError> {
        let (outbox, aside) = Outbox::of(&config.bridge)?;
        let clock = Clock;
        let now = clock.now();
        let mut plan = Plan::of(config);
        let devices = std::mem::take(&mut plan.devices);
        let agent = Agent::new(&config.bridge, devices, now);
        let topics = Topics::new(&config.bridge.root, &config.bridge.id);
        let options = SessionOptions {
            client_id: client_id(&config.bridge.id).into(),
            // Commands of a time when nobody could carry them out are not wanted.
            clean_session: true,
            keep_alive_s: KEEP_ALIVE_S,
            will: Some(Will {
                topic: topics.bridge_state().into(),
                payload: "offline".into(),
                qos: QoS::AtLeastOnce,
                retain: true,
            }),
            credentials,
        };
        broker.open(session, options.clone()).map_err(|_| BridgeError::Session)?;
        let (sender, inputs) = mpsc::channel(INPUTS_MAX);
        let threads = Threads::start(plan, hardware, clock, &sender);
        let (asker, questions) = questions();
        let bridge = Self {
            broker,
            options,
            session,
            agent,
            outbox,
            threads,
            inputs,
            clock,
            questions,
            asker,
            next_request: REQUESTS_FROM,
            is_connected: false,
            is_closed: false,
            reopen_ms: None,
        };
        Ok((bridge, aside))
    }

    /// Asks for what was counted while it runs.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Runs until `stop`. Then outputs go to their safe states, the broker is told, and what waits
    /// is put on disk: within two seconds.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            self.carry_out();
            let mut timer = pin!(sleep(self.until_due()));
            let mut arrived = Arrived::default();
            let is_stopped = poll_fn(|context| {
                let is_stopped = stop.as_mut().poll(context).is_ready();
                match (is_stopped, self.poll_arrived(context, timer.as_mut(), &mut arrived)) {
                    (true, _) => Poll::Ready(true),
                    (false, Poll::Ready(())) => Poll::Ready(false),
                    (false, Poll::Pending) => Poll::Pending,
                }
            })
            .await;
            self.handle(arrived);
            if is_stopped {
                break;
            }
        }
        self.shut_down().await;
    }

    fn poll_arrived(
        &mut self,
        context: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
        arrived: &mut Arrived,
    ) -> Poll<()> {
        self.questions.poll(context, || self.agent.numbers());
        let events = self.broker.poll_events(context, &mut arrived.events).is_ready();
        let inputs = self.inputs.poll_recv_many(context, &mut arrived.inputs, INPUTS_AT_ONCE);
        // Without a device there is no thread that could send any, which is not an input.
        let has_inputs = matches!(inputs, Poll::Ready(count) if count > 0);
        if events | has_inputs | timer.poll(context).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn handle(&mut self, arrived: Arrived) {
        for (session, event) in arrived.events {
            if session == self.session {
                self.handle_event(event);
            }
        }
        let now = self.clock.now();
        for input in arrived.inputs {
            self.agent.handle(now, input);
        }
        self.agent.handle_outbox(self.outbox.counters());
        self.agent.poll(now);
        if self.reopen_ms.is_some_and(|due_ms| now.uptime_ms >= due_ms) {
            self.reopen_ms = None;
            self.session = SessionId(self.session.0 + 1);
            // Without room it is tried again like one that is refused.
            if self.broker.open(self.session, self.options.clone()).is_err() {
                self.reopen_ms = Some(now.uptime_ms + REOPEN_MS);
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Connected { .. } => {
                tracing::info!("the broker is there");
                self.is_connected = true;
                self.outbox.handle_connected();
                self.agent.handle(now, Input::Connected);
            }
            Event::Delivered(delivery) => self.agent.handle(now, Input::Delivered(delivery)),
            Event::Lost(reason) => {
                tracing::warn!(%reason, "the broker is away");
                self.lose();
            }
            Event::Closed => {
                self.is_closed = true;
                self.lose();
            }
            Event::Refused(reason) => {
                tracing::error!(%reason, "the broker does not let the bridge in; trying again in a minute");
                self.reopen_ms = Some(now.uptime_ms + REOPEN_MS);
                self.lose();
            }
            Event::Published(ticket) => self.outbox.handle_published(ticket),
            Event::PublishFailed(ticket) => self.outbox.handle_failed(ticket),
            Event::PublishRefused { ticket, reason } if may_pass(reason) => {
                self.outbox.handle_failed(ticket);
            }
            Event::PublishRefused { ticket, .. } => {
                self.outbox.handle_refused(ticket);
                // Said once: whatever the broker refuses now it refuses later, too.
                if self.outbox.counters().refused == 1 {
                    tracing::error!(
                        "the broker refuses messages of the bridge: may its user publish there?"
                    );
                }
            }
            Event::Subscribed { granted: None, .. } if self.is_connected => {
                tracing::error!("the broker refuses a subscription: commands do not arrive");
            }
            Event::Subscribed { .. } | Event::Unsubscribed(_) => {}
        }
    }

    fn lose(&mut self) {
        self.is_connected = false;
        self.outbox.handle_lost();
        self.agent.handle(self.clock.now(), Input::Lost);
    }

    /// Hands on what the agent has decided, and what the session has room for.
    fn carry_out(&mut self) {
        while let Some(effect) = self.agent.next_effect() {
            let now = self.clock.now();
            match effect {
                Effect::Acknowledge(delivery) => self.command(Command::Acknowledge(delivery)),
                Effect::Order { id, actuator, value } => {
                    if let Err(reason) = self.threads.order(id, actuator, value) {
                        self.agent.handle(now, Input::Answered(id, Err(reason)));
                    }
                }
                Effect::Publish(message) => self.outbox.push(now, message),
                Effect::Subscribe(filter) => {
                    let ticket = Ticket(self.next_request);
                    self.next_request += 1;
                    let (filter, qos) = (filter.into(), QoS::AtLeastOnce);
                    self.command(Command::Subscribe { ticket, filter, qos });
                }
            }
        }
        let now = self.clock.now();
        while let Some((ticket, message)) = self.outbox.take(now) {
            let publish = Command::Publish {
                ticket,
                topic: message.topic,
                payload: message.payload,
                qos: message.qos,
                retain: message.retain,
            };
            if self.broker.command(self.session, publish).is_err() {
                match ticket {
                    Some(ticket) => self.outbox.handle_failed(ticket),
                    // It is of QoS 0, and may be lost.
                    None => self.outbox.handle_dropped(),
                }
                break;
            }
        }
        self.flush(false);
    }

    fn flush(&mut self, at_once: bool) {
        if let Err(error) = self.outbox.flush(self.clock.now(), at_once) {
            tracing::error!(%error, "messages cannot be put on disk; they wait in memory");
        }
    }

    fn command(&mut self, command: Command) {
        if self.broker.command(self.session, command).is_err() {
            // Few are asked for at once; it does not happen with a broker that answers.
            tracing::error!("a request to the broker found no room");
        }
    }

    fn until_due(&self) -> Duration {
        let due_ms = [self.agent.next_due_ms(), self.outbox.next_due_ms(), self.reopen_ms];
        let now_ms = self.clock.now().uptime_ms;
        let wait_ms = due_ms.into_iter().flatten().map(|due_ms| due_ms.saturating_sub(now_ms));
        Duration::from_millis(wait_ms.min().unwrap_or(IDLE_MS).min(IDLE_MS))
    }

    async fn shut_down(mut self) {
        self.agent.handle(self.clock.now(), Input::Stopping);
        self.wait_for(ORDERS_PATIENCE, |bridge| !bridge.agent.has_orders()).await;
        for message in self.agent.farewell() {
            self.outbox.push(self.clock.now(), message);
        }
        if self.is_connected {
            self.wait_for(FAREWELL_PATIENCE, |bridge| {
                bridge.outbox.is_empty() || !bridge.is_connected
            })
            .await;
            self.command(Command::Disconnect { publish_will: false });
            self.wait_for(FAREWELL_PATIENCE, |bridge| bridge.is_closed).await;
        }
        self.outbox.handle_lost();
        self.flush(true);
        // A thread that waits for room to tell something is not to wait any longer.
        self.inputs.close();
        self.threads.stop(JOIN_PATIENCE);
    }

    /// Goes on until something is so, or for as long as there is patience.
    async fn wait_for(&mut self, patience: Duration, is_so: impl Fn(&Self) -> bool) {
        let mut patience = pin!(sleep(patience));
        loop {
            self.carry_out();
            if is_so(self) {
                return;
            }
            let mut arrived = Arrived::default();
            let is_over = poll_fn(|context| {
                let timer = patience.as_mut();
                let before = timer.is_elapsed();
                match self.poll_arrived(context, timer, &mut arrived) {
                    Poll::Ready(()) => Poll::Ready(before || patience.is_elapsed()),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            self.handle(arrived);
            if is_over {
                self.carry_out();
                return;
            }
        }
    }
}

/// Who the agent of a bridge with this id is for the broker.
pub(crate) fn client_id(bridge: &str) -> String {
    format!("weir-bridge-{bridge}")
}

const KEEP_ALIVE_S: u16 = 30;
const INPUTS_MAX: usize = 1_024;
const INPUTS_AT_ONCE: usize = 256;
/// Tickets of subscriptions; those of messages count from 0.
const REQUESTS_FROM: u64 = 1 << 63;
const REOPEN_MS: u64 = 60_000;
const IDLE_MS: u64 = 60_000;
/// Together with the two farewells and the threads below two seconds.
const ORDERS_PATIENCE: Duration = Duration::from_millis(700);
const FAREWELL_PATIENCE: Duration = Duration::from_millis(400);
const JOIN_PATIENCE: Duration = Duration::from_millis(300);
