//! Simulated hardware for demonstrations and tests.
//!
//! Responsible for a [`Bus`] and an [`SpiBus`] that drivers on `embedded-hal` cannot tell from real
//! ones, for register models of chips on them, and for a [`Fleet`] of devices that give messages. Nothing here
//! reads a clock or draws randomness of its own: a seed and the times of the calls decide every
//! byte that comes out.

// A module uses modules listed below it, never above.
mod fleet;
mod surroundings;

mod machine;
mod station;

mod sample;

mod ads1115;
mod bme280;
mod ina219;
mod max31855;
mod scd4x;
mod sht3x;
mod sht4x;

mod checksum;

mod bus;
mod lines;
mod spi;

mod wire;

mod signal;

mod random;

pub use ads1115::Ads1115Model;
pub use bme280::{Air, Bme280Model};
pub use bus::{Attached, Bus, BusError, ChipModel, Faults};
pub use fleet::Fleet;
pub use ina219::{Ina219Model, Load};
pub use lines::{Edge, Lines};
pub use max31855::{Junction, Max31855Model, ThermocoupleFault};
pub use sample::Sample;
pub use scd4x::{Breath, Scd4xModel};
pub use sht3x::Sht3xModel;
pub use sht4x::{Climate, Sht4xModel};
pub use spi::{Level, SpiAttached, SpiBus, SpiModel, SpiSlot};
pub use surroundings::Surroundings;

/// A simulated bus of either kind, for its time.
#[derive(Clone, Debug)]
pub enum SimulatedBus {
    /// I2C.
    I2c(Bus),
    /// SPI.
    Spi(SpiBus),
}

impl SimulatedBus {
    /// Moves the time of the bus on, in milliseconds; it never goes back.
    pub fn advance_to(&self, now_ms: u64) {
        match self {
            Self::I2c(bus) => bus.advance_to(now_ms),
            Self::Spi(bus) => bus.advance_to(now_ms),
        }
    }
}
