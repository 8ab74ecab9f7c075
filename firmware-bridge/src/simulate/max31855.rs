//! Model of the Maxim MAX31855, a converter for thermocouples.
//!
//! Shifts out the 32 bits of the data sheet: the temperature of the thermocouple and of the chip,
//! and what is wrong with the thermocouple. A conversion takes a tenth of a second, and what is read
//! is the last one that ended.

use super::spi::SpiModel;

/// The model of one MAX31855, measuring what a function of the time says.
pub struct Max31855Model<F> {
    junction: F,
    /// When the first conversion began, in microseconds; `None` = as long ago as it takes.
    powered_us: Option<u64>,
    /// Whether the next look is the first one since the chip got its power.
    is_fresh: bool,
    shifting: u32,
}

/// What a MAX31855 measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Junction {
    /// Temperature of the hot end, degree Celsius.
    pub temperature_c: f64,
    /// Temperature of the chip, degree Celsius.
    pub cold_junction_c: f64,
    /// What is wrong with the thermocouple.
    pub fault: Option<ThermocoupleFault>,
}

/// What is wrong with a thermocouple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThermocoupleFault {
    /// It is not connected.
    Open,
    /// It touches ground.
    ShortToGround,
    /// It touches the supply.
    ShortToSupply,
}

impl<F: Fn(u64) -> Junction + Send> Max31855Model<F> {
    /// A chip that has just got its power; `junction` is asked with the time in milliseconds.
    pub fn new(junction: F) -> Self {
        Self { junction, powered_us: None, is_fresh: false, shifting: 0 }
    }

    /// The last conversion that has ended; before the first one there is nothing but zeros.
    fn converted(&self, at_us: u64) -> u32 {
        let started_us = match self.powered_us {
            None => at_us.saturating_sub(CONVERSION_US),
            Some(powered_us) => {
                let Some(before) =
                    (at_us.saturating_sub(powered_us) / CONVERSION_US).checked_sub(1)
                else {
                    return 0;
                };
                powered_us + before * CONVERSION_US
            }
        };
        let Junction { temperature_c, cold_junction_c, fault } =
            (self.junction)(started_us / 1_000);
        // Casts saturate, as the converter of the chip does.
        let hot = ((temperature_c * 4.0).round() as i32).clamp(-1_080, 7_200);
        let cold = ((cold_junction_c * 16.0).round() as i32).clamp(-880, 2_032);
        let fault = match fault {
            None => 0,
            Some(ThermocoupleFault::Open) => FAULT | 0b001,
            Some(ThermocoupleFault::ShortToGround) => FAULT | 0b010,
            Some(ThermocoupleFault::ShortToSupply) => FAULT | 0b100,
        };
        hot.cast_unsigned() << 18 | (cold.cast_unsigned() & 0xfff) << 4 | fault
    }
}

impl<F: Fn(u64) -> Junction + Send> SpiModel for Max31855Model<F> {
    fn select(&mut self, at_us: u64) {
        if std::mem::take(&mut self.is_fresh) {
            self.powered_us = Some(at_us);
        }
        self.shifting = self.converted(at_us);
    }

    fn exchange(&mut self, _octet: u8) -> u8 {
        let [first, ..] = self.shifting.to_be_bytes();
        self.shifting <<= 8;
        first
    }

    fn power_cycle(&mut self) {
        self.is_fresh = true;
    }
}

const CONVERSION_US: u64 = 100_000;
const FAULT: u32 = 1 << 16;
