//! Simulated hardware for demonstrations and tests.
//!
//! Responsible for a [`Bus`] that drivers on `embedded-hal` cannot tell from a real one, for
//! register models of chips on it, and for a [`Fleet`] of devices that give messages. Nothing here
//! reads a clock or draws randomness of its own: a seed and the times of the calls decide every
//! byte that comes out.

// A module uses modules listed below it, never above.
mod fleet;

mod machine;
mod station;

mod sample;

mod bme280;
mod sht4x;

mod bus;

mod signal;

mod random;

pub use bme280::{Air, Bme280Model};
pub use bus::{Attached, Bus, BusError, ChipModel, Faults};
pub use fleet::Fleet;
pub use sample::Sample;
pub use sht4x::{Climate, Sht4xModel};
