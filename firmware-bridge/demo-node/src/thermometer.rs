//! A sensor that is not there: a temperature that wanders slowly, the same after each start.

use core::convert::Infallible;

use weir_node::sense::{Quantity, Reading, SenseError, Sensor, Unit};

/// A simulated sensor. A real one is an adapter of `weir_node::sense` over a driver.
pub(crate) struct Thermometer {
    milli: i64,
    random: u32,
}

impl Thermometer {
    pub(crate) const fn new() -> Self {
        Self { milli: 21_500, random: 1 }
    }
}

impl Sensor for Thermometer {
    type Error = Infallible;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<Infallible>> {
        let first = out.first_mut().ok_or(SenseError::BufferTooSmall)?;
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let step_milli = i64::from(self.random >> 24) - 128;
        // Pulled back to 21.5 degrees, so that it stays in a room.
        self.milli += step_milli / 4 - (self.milli - 21_500) / 64;
        *first = Reading { quantity: 0, milli: self.milli };
        Ok(1)
    }

    fn reset(&mut self) -> Result<(), SenseError<Infallible>> {
        Ok(())
    }
}

const QUANTITIES: [Quantity; 1] = [Quantity {
    name: "temperature_c",
    unit: Unit::Celsius,
    min_milli: -40_000,
    max_milli: 125_000,
    decimals: 2,
}];
