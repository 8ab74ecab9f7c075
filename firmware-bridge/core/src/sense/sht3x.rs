//! Sensirion SHT30, SHT31 and SHT35: temperature and relative humidity.
//!
//! Every word of the chip carries a CRC-8, which the driver checks. The driver resets the chip when
//! it is made, and loses the bus if that fails. It is therefore made anew for each sample: that
//! costs 1.5 ms and means that no sample depends on what the chip remembers.
//!
//! The driver holds the clock of the bus while the chip measures (clock stretching, 15 ms). A bus
//! that does not support that gives errors; the software bus of a Raspberry Pi (`i2c-gpio`) does.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_sht3x::{Error, Repeatability};

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// An SHT3x on an I2C bus, read with high repeatability: 17 ms for each sample.
#[derive(Debug)]
pub struct Sht3x<I, D> {
    bus: I,
    delay: D,
    address: Sht3xAddress,
    ready: bool,
}

/// Address of an SHT3x; its pin ADDR chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sht3xAddress {
    /// 0x44: ADDR at ground.
    Low,
    /// 0x45: ADDR at the supply.
    High,
}

impl Sht3xAddress {
    /// The seven-bit address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Low => 0x44,
            Self::High => 0x45,
        }
    }
}

impl<I: I2c, D: DelayNs> Sht3x<I, D> {
    /// A sensor that has not been talked to yet: [`Sensor::reset`] comes first.
    pub fn new(bus: I, address: Sht3xAddress, delay: D) -> Self {
        Self { bus, delay, address, ready: false }
    }

    fn driver(&mut self) -> Result<embedded_sht3x::Sht3x<&mut I, &mut D>, SenseError<I::Error>> {
        let address = self.address.bits();
        let driver = embedded_sht3x::Sht3x::new(&mut self.bus, address, &mut self.delay);
        let mut driver = driver.map_err(driver_error)?;
        driver.repeatability = Repeatability::High;
        Ok(driver)
    }
}

impl<I: I2c, D: DelayNs> Sensor for Sht3x<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        let measured = self.driver()?.single_measurement().map_err(driver_error)?;
        let temperature = f64::from(measured.temperature.0);
        let humidity = f64::from(measured.relative_humidity.value());
        write_readings(&QUANTITIES, [milli(temperature), milli(humidity)], out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        // The status has a checksum: what answers is one of this family.
        self.driver()?.get_status().map_err(driver_error)?;
        self.ready = true;
        Ok(())
    }
}

/// Thousandths, rounded; the driver gives finite values only.
fn milli(value: f64) -> i64 {
    let rounding = if value < 0.0 { -0.5 } else { 0.5 };
    (value * 1_000.0 + rounding) as i64
}

fn driver_error<E: embedded_hal::i2c::Error>(error: Error<E>) -> SenseError<E> {
    match error {
        Error::BadCrc => SenseError::Crc,
        Error::I2c(error) => sense_error(error),
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
