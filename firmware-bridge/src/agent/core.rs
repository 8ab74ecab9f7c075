//! The decisions of the host agent.
//!
//! Responsible for what is published when, for what a command does, and for where outputs go when
//! nobody can command them. Not for how a sensor is read (that is a `Probe`), and not for what
//! waits while the broker is away (that is the `Outbox`). Reads no clock and does no IO.

mod commands;
mod samples;

use std::collections::VecDeque;

use bytes::Bytes;

use super::clock::Now;
use super::command::{ActuatorId, OrderId};
use super::device::{Device, DeviceId};
use super::discovery::Discovery;
use super::held::Held;
use super::outbox::{Message, OutboxCounters};
use super::topics::Topics;
use crate::config::{BridgeConfig, Layout};
use crate::json::{JsonObject, Value};
use crate::probe::Availability;
use crate::questions::Numbers;
use crate::session::{Delivery, DeliveryId, QoS};

/// What the host agent knows and decides.
#[derive(Debug)]
pub struct Agent {
    topics: Topics,
    options: AgentOptions,
    discovery: Option<Discovery>,
    devices: Vec<Device>,
    held: Held,
    broker: BrokerState,
    next_order: u64,
    metrics_due_ms: Option<u64>,
    counters: AgentCounters,
    /// What the outbox has counted, as it was last told.
    outbox: OutboxCounters,
    effects: VecDeque<Effect>,
}

/// How the agent behaves.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// How samples are published.
    pub layout: Layout,
    /// Whether samples are of QoS 1.
    pub state_acknowledged: bool,
    /// Whether samples are retained.
    pub state_retain: bool,
    /// How long outputs stay as they are without a broker.
    pub safe_after_ms: u64,
    /// How often counters are published; `None` = never.
    pub metrics_every_ms: Option<u64>,
}

/// What the agent is told.
#[derive(Debug)]
pub enum Input {
    /// An order was carried out, or could not be. The value is what was read back, if it can be.
    Answered(OrderId, Result<f64, String>),
    /// The broker takes messages.
    Connected,
    /// A message of a subscription.
    Delivered(Delivery),
    /// What an actuator was found to be that nobody has ordered.
    Found(ActuatorId, f64),
    /// The broker is away.
    Lost,
    /// What came of a poll.
    Reported(Report),
    /// The bridge is about to end: outputs go to their safe states.
    Stopping,
}

/// What came of a poll of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The device.
    pub device: DeviceId,
    /// When the sample was taken.
    pub at: Now,
    /// Number of the quantity, and its value; empty without a sample.
    pub values: Vec<(usize, Value)>,
    /// Set when the device came online or went offline.
    pub change: Option<Availability>,
    /// What is worth an event.
    pub troubles: Vec<Trouble>,
    /// What was counted since the start.
    pub counters: Vec<(&'static str, u64)>,
}

/// Something that went wrong with a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// `nack`, `crc`, `range`, `bus`, `not_ready`, `timeout`, `exception`, `lost` or `overflow`.
    pub kind: &'static str,
    /// What happened, for people.
    pub text: String,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// A delivery has had its effect.
    Acknowledge(DeliveryId),
    /// An actuator is to be set, and read back; answered by [`Input::Answered`].
    Order {
        /// For the answer.
        id: OrderId,
        /// The actuator.
        actuator: ActuatorId,
        /// The value, in its range.
        value: f64,
    },
    /// A message is to be published.
    Publish(Message),
    /// The messages of a filter are wanted.
    Subscribe(String),
}

/// What the agent has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounters {
    /// Samples that were published.
    pub samples: u64,
    /// Samples that were dropped while the clock was not set.
    pub samples_dropped: u64,
    /// Commands that were carried out.
    pub commands: u64,
    /// Commands that were refused, failed or were not answered in time.
    pub commands_failed: u64,
    /// Events that were published.
    pub events: u64,
    /// Events that were only counted, because one of their kind had just been published.
    pub events_untold: u64,
    /// Times that the broker was lost.
    pub broker_losses: u64,
    /// Times that outputs were set to their safe states because the broker stayed away.
    pub safe_states: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BrokerState {
    Away {
        since_ms: u64,
        /// Whether the outputs are where they are to be without a broker.
        is_safe: bool,
    },
    There,
}

impl AgentOptions {
    /// What a configuration says.
    pub fn of(config: &BridgeConfig) -> Self {
        let ms = |duration: std::time::Duration| duration.as_millis() as u64;
        Self {
            layout: config.layout,
            state_acknowledged: config.state_acknowledged,
            state_retain: config.state_retain,
            safe_after_ms: ms(config.safe_after),
            metrics_every_ms: config.metrics_every.map(ms),
        }
    }
}

impl Agent {
    /// An agent for devices, whose outputs go to their safe states first. `config` names the
    /// topics and how long samples wait for the clock.
    pub fn new(config: &BridgeConfig, devices: Vec<Device>, now: Now) -> Self {
        let topics = Topics::new(&config.root, &config.id);
        let discovery = config.discovery_prefix.as_deref();
        let discovery =
            discovery.map(|prefix| Discovery::new(prefix, &config.id, &topics, config.layout));
        let options = AgentOptions::of(config);
        let clock_wait_ms = config.clock_wait.as_millis() as u64;
        let mut agent = Self {
            topics,
            discovery,
            devices,
            held: Held::new(now.uptime_ms.saturating_add(clock_wait_ms)),
            broker: BrokerState::Away { since_ms: now.uptime_ms, is_safe: true },
            next_order: 0,
            metrics_due_ms: options.metrics_every_ms.map(|every_ms| now.uptime_ms + every_ms),
            options,
            counters: AgentCounters::default(),
            outbox: OutboxCounters::default(),
            effects: VecDeque::new(),
        };
        agent.order_safe_states(now);
        agent
    }

    /// Takes what has happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Answered(order, result) => self.handle_answer(now, order, result),
            Input::Connected => self.handle_connected(),
            Input::Delivered(delivery) => self.handle_delivery(now, &delivery),
            Input::Found(actuator, value) => self.handle_found(actuator, value),
            Input::Lost => self.handle_lost(now),
            Input::Reported(report) => self.handle_report(now, report),
            Input::Stopping => {
                self.order_safe_states(now);
                self.broker = BrokerState::Away { since_ms: now.uptime_ms, is_safe: true };
            }
        }
    }

    /// Does what is due.
    pub fn poll(&mut self, now: Now) {
        while let Some((sample, stamp)) = self.held.poll(now) {
            self.publish_sample(&sample, stamp);
        }
        self.expire_orders(now);
        if let BrokerState::Away { since_ms, is_safe: false } = self.broker
            && now.uptime_ms >= since_ms.saturating_add(self.options.safe_after_ms)
        {
            self.broker = BrokerState::Away { since_ms, is_safe: true };
            self.counters.safe_states += 1;
            self.order_safe_states(now);
        }
        if let Some(due_ms) = self.metrics_due_ms
            && now.uptime_ms >= due_ms
        {
            let every_ms = self.options.metrics_every_ms.unwrap_or(u64::MAX);
            self.metrics_due_ms = Some(now.uptime_ms.saturating_add(every_ms));
            self.publish_metrics();
        }
    }

    /// When [`Agent::poll`] has something to do, in milliseconds since the start of the machine.
    pub fn next_due_ms(&self) -> Option<u64> {
        let safe = match self.broker {
            BrokerState::Away { since_ms, is_safe: false } => {
                Some(since_ms.saturating_add(self.options.safe_after_ms))
            }
            _ => None,
        };
        let orders = self.devices.iter().flat_map(|device| &device.actuators);
        let orders = orders.flat_map(|actuator| &actuator.orders);
        let orders = orders.filter_map(|order| order.deadline_ms);
        let others = [self.held.next_due_ms(), safe, self.metrics_due_ms];
        others.into_iter().flatten().chain(orders).min()
    }

    /// The next thing to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes what the outbox has counted, to be published with the other counters.
    pub fn handle_outbox(&mut self, counters: OutboxCounters) {
        self.outbox = counters;
    }

    /// Whether the answer to an order is waited for.
    pub fn has_orders(&self) -> bool {
        let actuators = self.devices.iter().flat_map(|device| &device.actuators);
        let mut orders = actuators.flat_map(|actuator| &actuator.orders);
        orders.any(|order| order.deadline_ms.is_some())
    }

    /// The last messages of a bridge that ends: it and all its devices are offline.
    pub fn farewell(&self) -> Vec<Message> {
        let devices = self.devices.iter();
        let mut messages: Vec<Message> = devices
            .map(|device| {
                retained(self.topics.device(&device.name, "availability"), "offline".into())
            })
            .collect();
        messages.push(retained(self.topics.bridge_state(), "offline".into()));
        messages
    }

    /// What was counted.
    pub fn counters(&self) -> AgentCounters {
        let devices = self.devices.iter();
        let (events, events_untold) = devices.fold((0, 0), |(told, untold), device| {
            (told + device.events.told, untold + device.events.untold)
        });
        let samples_dropped = self.held.dropped;
        AgentCounters { samples_dropped, events, events_untold, ..self.counters }
    }

    /// What was counted of each device: its name, and names and values of its counters.
    pub fn device_counters(&self) -> impl Iterator<Item = (&str, &[(&'static str, u64)])> {
        self.devices.iter().map(|device| (device.name.as_str(), device.counters.as_slice()))
    }

    fn handle_connected(&mut self) {
        self.broker = BrokerState::There;
        if self.devices.iter().any(|device| !device.actuators.is_empty()) {
            self.effects.push_back(Effect::Subscribe(self.topics.command_filter()));
        }
        if let Some(discovery) = &self.discovery {
            self.effects.extend(discovery.filters().map(Effect::Subscribe));
        }
        self.publish(retained(self.topics.bridge_state(), "online".into()));
        self.announce();
    }

    /// Everything that others need to know of the devices, as it is now.
    fn announce(&mut self) {
        for place in 0..self.devices.len() {
            let device = &self.devices[place];
            if let Some(discovery) = &self.discovery {
                let message = discovery.config(device);
                self.publish(message);
            }
            let device = &self.devices[place];
            let info = retained(self.topics.device(&device.name, "info"), info(device));
            self.publish(info);
            // The broker may have an `online` from before a crash: until the first poll has told,
            // a device is not there.
            self.publish_availability(place);
            for actuator in 0..self.devices[place].actuators.len() {
                self.publish_achieved(place, actuator);
            }
        }
    }

    fn handle_lost(&mut self, now: Now) {
        if self.broker == BrokerState::There {
            self.counters.broker_losses += 1;
            self.broker = BrokerState::Away { since_ms: now.uptime_ms, is_safe: false };
        }
    }

    fn handle_delivery(&mut self, now: Now, delivery: &Delivery) {
        if let Some(discovery) = &self.discovery {
            if discovery.is_birth(&delivery.topic, &delivery.payload) {
                // What is retained at the start of Home Assistant was told to it already; a birth
                // that is retained is told with the subscription.
                if !delivery.retain {
                    self.announce();
                }
                self.effects.push_back(Effect::Acknowledge(delivery.id));
                return;
            }
            if let Some(message) = discovery.removal(&delivery.topic, &delivery.payload, |name| {
                self.devices.iter().any(|device| device.name == name)
            }) {
                self.publish(message);
            }
        }
        if !self.handle_command(now, delivery) {
            self.effects.push_back(Effect::Acknowledge(delivery.id));
        }
    }

    fn publish_availability(&mut self, place: usize) {
        let device = &self.devices[place];
        let state = match device.availability {
            Some(Availability::Online) => "online",
            Some(Availability::Offline) | None => "offline",
        };
        let message = retained(self.topics.device(&device.name, "availability"), state.into());
        self.publish(message);
    }

    /// What was counted by its name, without what each device counts.
    pub(crate) fn numbers(&self) -> Numbers {
        let counters = self.counters();
        let own = [
            ("samples", counters.samples),
            ("samples_dropped", counters.samples_dropped),
            ("commands", counters.commands),
            ("commands_failed", counters.commands_failed),
            ("events", counters.events),
            ("events_untold", counters.events_untold),
            ("broker_losses", counters.broker_losses),
            ("safe_states", counters.safe_states),
        ];
        own.into_iter().chain(self.outbox.named()).collect()
    }

    fn publish_metrics(&mut self) {
        let numbers = self.numbers().into_iter();
        let mut object =
            numbers.fold(JsonObject::new(), |object, (name, value)| object.field(name, value));
        for (name, counters) in self.device_counters() {
            let counted = counters.iter();
            let of_device = counted
                .fold(JsonObject::new(), |object, (name, value)| object.field(name, value))
                .end();
            object = object.field(name, of_device);
        }
        let topic = self.topics.bridge_devices();
        self.publish(Message { qos: QoS::AtMostOnce, ..told(topic, object.end()) });
    }

    fn publish(&mut self, message: Message) {
        self.effects.push_back(Effect::Publish(message));
    }
}

/// A message that says how something is now: when the broker is away, it is told anew later.
pub(super) fn retained(topic: String, payload: String) -> Message {
    Message { retain: true, ..told(topic, payload) }
}

/// A message that lets the broker forget what it has retained.
pub(super) fn retained_empty(topic: &str) -> Message {
    retained(topic.to_owned(), String::new())
}

/// A message that is of no use later.
fn told(topic: String, payload: String) -> Message {
    let payload = Bytes::from(payload);
    Message { topic: topic.into(), payload, qos: QoS::AtLeastOnce, retain: false, is_kept: false }
}

fn info(device: &Device) -> String {
    JsonObject::new()
        .text("fw", "weir-bridge")
        .text("version", env!("CARGO_PKG_VERSION"))
        .text("hw", &device.info.hardware)
        .text("link", &device.info.link)
        .text("address", &device.info.address)
        .end()
}

#[cfg(test)]
mod tests;
