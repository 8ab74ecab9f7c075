//! The host agent: sensors and actuators wired to this machine, brought to a broker.
//!
//! The core is sans-IO: an [`Agent`] is told what was measured, what the broker delivered and what
//! became of orders, and answers with [`Effect`]s; an [`Outbox`] keeps what the broker has not
//! taken yet. Around it are threads, one for each bus, that block as long as they like: each has
//! its devices for itself and speaks to the agent through channels.

// A module uses modules listed below it, never above.
#[cfg(feature = "linux")]
mod bridge;
#[cfg(feature = "linux")]
mod threads;

#[cfg(feature = "linux")]
mod hardware;
#[cfg(feature = "linux")]
mod plan;

#[cfg(feature = "linux")]
mod gpio;
#[cfg(feature = "linux")]
mod i2c;
#[cfg(feature = "linux")]
mod onewire;
#[cfg(feature = "linux")]
mod pins;
#[cfg(feature = "linux")]
mod pwm;
#[cfg(feature = "linux")]
mod round;
#[cfg(feature = "linux")]
mod sensor;
#[cfg(feature = "linux")]
mod spi;
#[cfg(feature = "linux")]
mod system;
#[cfg(feature = "linux")]
mod wall;

mod core;

mod discovery;
mod held;

mod device;

mod command;
mod event;

mod outbox;
mod queue;

mod clock;
#[cfg(test)]
mod testing;
mod topics;

#[cfg(feature = "linux")]
pub(crate) use bridge::client_id;
pub use bridge::{Bridge, BridgeError};
pub use clock::Now;
pub use command::{ActuatorId, OrderId};
pub use core::{Agent, AgentCounters, AgentOptions, Effect, Input, Report, Trouble};
pub use device::{Actuator, ActuatorKind, Device, DeviceId, Field, Info};
#[cfg(feature = "linux")]
pub use hardware::Hardware;
pub use outbox::{Message, Outbox, OutboxCounters, OutboxLimits};
#[cfg(feature = "linux")]
pub use plan::Plan;
pub use queue::QueueError;
pub use topics::Topics;
