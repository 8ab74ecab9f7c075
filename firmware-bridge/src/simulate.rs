//! Simulated hardware for demonstrations and tests.
//!
//! Responsible for a [`Bus`] that drivers on `embedded-hal` cannot tell from a real one, and for
//! register models of chips on it. Nothing here
//! reads a clock or draws randomness of its own: a seed and the times of the calls decide every
//! byte that comes out.

// A module uses modules listed below it, never above.
mod bme280;
mod sht4x;

mod bus;

mod random;

pub use bme280::{Air, Bme280Model};
pub use bus::{Attached, Bus, BusError, ChipModel, Faults};
pub use sht4x::{Climate, Sht4xModel};
