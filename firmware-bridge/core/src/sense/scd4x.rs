//! Sensirion SCD40 and SCD41: carbon dioxide, temperature and relative humidity.
//!
//! The chip measures by itself every five seconds and gives each measurement once. Until the next
//! one is there, a sample is [`SenseError::Measuring`]: nobody waits for it on the bus, and no
//! value is given twice. Every word carries a CRC-8, which the driver checks.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use scd4x::Error;

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// An SCD4x on an I2C bus, at its only address 0x62.
#[derive(Debug)]
pub struct Scd4x<I, D> {
    driver: scd4x::Scd4x<I, D>,
    altitude_m: u16,
    ready: bool,
}

impl<I: I2c, D: DelayNs> Scd4x<I, D> {
    /// A sensor at a height above the sea, at most 3,000 m, that has not been talked to yet:
    /// [`Sensor::reset`] comes first.
    pub fn new(bus: I, altitude_m: u16, delay: D) -> Self {
        let altitude_m = if altitude_m > ALTITUDE_MAX_M { ALTITUDE_MAX_M } else { altitude_m };
        Self { driver: scd4x::Scd4x::new(bus, delay), altitude_m, ready: false }
    }
}

impl<I: I2c, D: DelayNs> Sensor for Scd4x<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        if !self.driver.data_ready_status().map_err(driver_error)? {
            return Err(SenseError::Measuring { wait_ms: WAIT_MS });
        }
        let measured = self.driver.measurement().map_err(driver_error)?;
        let values = [
            i64::from(measured.co2) * 1_000,
            milli(measured.temperature),
            milli(measured.humidity),
        ];
        write_readings(&QUANTITIES, values, out)
    }

    /// Takes half a second: so long the chip needs to stop measuring.
    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        // Whether it measures is not known: it may have kept its power when we did not.
        self.driver.stop_periodic_measurement().map_err(driver_error)?;
        self.driver.reinit().map_err(driver_error)?;
        self.driver.serial_number().map_err(driver_error)?;
        self.driver.set_altitude(self.altitude_m).map_err(driver_error)?;
        self.driver.start_periodic_measurement().map_err(driver_error)?;
        self.ready = true;
        Ok(())
    }
}

/// Thousandths, rounded; the driver gives finite values only.
fn milli(value: f32) -> i64 {
    let rounding = if value < 0.0 { -0.5 } else { 0.5 };
    (f64::from(value) * 1_000.0 + rounding) as i64
}

fn driver_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> SenseError<E> {
    match error {
        Error::Crc => SenseError::Crc,
        Error::I2c(error) => sense_error(error),
        Error::Internal | Error::NotAllowed | Error::SelfTest => SenseError::NotReady,
    }
}

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        name: "co2_ppm",
        unit: Unit::PartsPerMillion,
        // The chip gives 0 for what it could not measure; air has more than that.
        min_milli: 1_000,
        max_milli: 40_000_000,
        decimals: 0,
    },
    Quantity {
        name: "temperature_c",
        unit: Unit::Celsius,
        min_milli: -10_000,
        max_milli: 60_000,
        decimals: 1,
    },
    Quantity {
        name: "humidity_pct",
        unit: Unit::Percent,
        min_milli: 0,
        max_milli: 100_000,
        decimals: 0,
    },
];

/// A fifth of the time between two measurements.
const WAIT_MS: u32 = 1_000;
const ALTITUDE_MAX_M: u16 = 3_000;
