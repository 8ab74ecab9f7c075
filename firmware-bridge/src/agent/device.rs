//! What a device is to the agent: its quantities, its actuators, and what is known of it.

use std::collections::VecDeque;

use super::command::{Done, Order};
use super::event::EventLimiter;
use crate::probe::Availability;

/// A device, by its place in the list that the agent was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceId(pub usize);

/// A device.
#[derive(Debug)]
pub struct Device {
    pub(crate) name: String,
    pub(crate) info: Info,
    pub(crate) fields: Vec<Field>,
    pub(crate) actuators: Vec<Actuator>,
    /// `None` until the first poll has told.
    pub(crate) availability: Option<Availability>,
    /// Number of the latest sample.
    pub(crate) seq: u64,
    pub(crate) counters: Vec<(&'static str, u64)>,
    pub(crate) events: EventLimiter,
}

/// What a device is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The chip or kind of device.
    pub hardware: String,
    /// How it is connected, such as `i2c-1`.
    pub link: String,
    /// Where on the link it is.
    pub address: String,
}

/// A quantity of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, with the unit.
    pub name: String,
    /// The unit that people read, or an empty text.
    pub unit: String,
    /// Whether it is on or off, not a number.
    pub is_flag: bool,
}

/// Something that takes commands.
#[derive(Debug)]
pub struct Actuator {
    pub(crate) name: String,
    pub(crate) kind: ActuatorKind,
    /// Where it goes when nobody is there to command it.
    pub(crate) safe: Option<f64>,
    /// How long an order may take.
    pub(crate) timeout_ms: u64,
    /// What it was last known to be.
    pub(crate) achieved: Option<f64>,
    pub(crate) orders: Vec<Order>,
    /// Commands that ended lately, for those that come twice.
    pub(crate) done: VecDeque<Done>,
}

/// What an actuator can be.
#[derive(Clone, Debug, PartialEq)]
pub enum ActuatorKind {
    /// A number.
    Number {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
        /// Digits after the point.
        decimals: u8,
        /// The unit that people read, or an empty text.
        unit: String,
    },
    /// On, which is 1, or off, which is 0.
    Switch,
}

impl Device {
    /// A device with quantities; actuators are added to it.
    pub fn new(name: impl Into<String>, info: Info, fields: Vec<Field>) -> Self {
        Self {
            name: name.into(),
            info,
            fields,
            actuators: Vec::new(),
            availability: None,
            seq: 0,
            counters: Vec::new(),
            events: EventLimiter::default(),
        }
    }

    /// The same device with one more actuator.
    #[must_use]
    pub fn with_actuator(mut self, actuator: Actuator) -> Self {
        self.actuators.push(actuator);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Actuator {
    /// An actuator that goes to `safe` without a broker, or stays as it is, and whose orders may
    /// take `timeout_ms`.
    pub fn new(
        name: impl Into<String>,
        kind: ActuatorKind,
        safe: Option<f64>,
        timeout_ms: u64,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            safe,
            timeout_ms,
            achieved: None,
            orders: Vec::new(),
            done: VecDeque::new(),
        }
    }

    /// A value as it is published.
    pub(crate) fn shown(&self, value: f64) -> String {
        match self.kind {
            ActuatorKind::Number { decimals, .. } => {
                format!("{value:.0$}", usize::from(decimals))
            }
            ActuatorKind::Switch => if value == 0.0 { "OFF" } else { "ON" }.to_owned(),
        }
    }

    /// A value as JSON.
    pub(crate) fn json(&self, value: f64) -> String {
        match self.kind {
            ActuatorKind::Number { .. } => self.shown(value),
            ActuatorKind::Switch => format!("\"{}\"", self.shown(value)),
        }
    }
}
