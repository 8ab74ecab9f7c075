//! Sensirion SHT40, SHT41, SHT43 and SHT45: temperature and relative humidity.
//!
//! Every word of the chip carries a CRC-8, which the driver checks. The chip's formula goes from
//! -6 to 119 percent; a little beyond the ends of the scale is the tolerance of the part and is
//! cropped, as its data sheet allows, more than that is a defect and an error.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use sht4x::{Address, Error, Precision};

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// An SHT4x on an I2C bus, read with high precision: 9 ms for each sample.
#[derive(Debug)]
pub struct Sht4x<I, D> {
    driver: sht4x::Sht4x<I, D>,
    delay: D,
    ready: bool,
}

/// Address of an SHT4x; the part number says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sht4xAddress {
    /// 0x44, the most common: parts named `A`.
    A,
    /// 0x45: parts named `B`.
    B,
    /// 0x46: parts named `C`.
    C,
}

impl Sht4xAddress {
    /// The seven-bit address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::A => 0x44,
            Self::B => 0x45,
            Self::C => 0x46,
        }
    }
}

impl<I: I2c, D: DelayNs> Sht4x<I, D> {
    /// A sensor that has not been talked to yet: [`Sensor::reset`] comes first.
    pub fn new(bus: I, address: Sht4xAddress, delay: D) -> Self {
        let address = match address {
            Sht4xAddress::A => Address::Address0x44,
            Sht4xAddress::B => Address::Address0x45,
            Sht4xAddress::C => Address::Address0x46,
        };
        Self { driver: sht4x::Sht4x::new_with_address(bus, address), delay, ready: false }
    }
}

impl<I: I2c, D: DelayNs> Sensor for Sht4x<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        let measured =
            self.driver.measure(Precision::High, &mut self.delay).map_err(driver_error)?;
        let temperature_milli = i64::from(measured.temperature_milli_celsius());
        let humidity_milli = crop(i64::from(measured.humidity_milli_percent()));
        write_readings(&QUANTITIES, [temperature_milli, humidity_milli], out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        self.driver.soft_reset(&mut self.delay).map_err(driver_error)?;
        // Reading the serial number proves that the chip is one that answers with checksums.
        self.driver.serial_number(&mut self.delay).map_err(driver_error)?;
        self.ready = true;
        Ok(())
    }
}

/// Moves a humidity that is within the tolerance of an end of the scale to that end.
fn crop(humidity_milli: i64) -> i64 {
    let cropped = humidity_milli.clamp(0, 100_000);
    let beyond = (humidity_milli - cropped).abs();
    if beyond <= HUMIDITY_TOLERANCE_MILLI { cropped } else { humidity_milli }
}

fn driver_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> SenseError<E> {
    match error {
        Error::Crc => SenseError::Crc,
        Error::I2c(error) => sense_error(error),
        // The driver may grow errors. None of them could be a sample.
        _ => SenseError::NotReady,
    }
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        name: "temperature_c",
        unit: Unit::Celsius,
        min_milli: -40_000,
        max_milli: 125_000,
        decimals: 2,
    },
    Quantity {
        name: "humidity_pct",
        unit: Unit::Percent,
        min_milli: 0,
        max_milli: 100_000,
        decimals: 1,
    },
];

/// Worst tolerance of the family near the ends of the scale, with some drift.
const HUMIDITY_TOLERANCE_MILLI: i64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn humidity_within_the_tolerance_is_cropped_and_beyond_it_is_not() {
        assert_eq!(crop(-3_000), 0);
        assert_eq!(crop(-3_001), -3_001);
        assert_eq!(crop(103_000), 100_000);
        assert_eq!(crop(103_001), 103_001);
        assert_eq!(crop(43_210), 43_210);
    }
}
