//! Bosch BME280: temperature, relative humidity and air pressure.
//!
//! The chip has no checksum; what protects is its identity, its bounds and a fresh calibration
//! after each reset. Five habits of driver and chip are met here:
//! - The driver reads 40 ms after it started a measurement and does not look whether it ended.
//!   With its own default (pressure 16 times) the chip may need 46 ms, and the answer is then the
//!   measurement before. The oversampling below needs at most 19 ms.
//! - The chip's filter mixes earlier values into a new one. It stays off.
//! - The driver moves a temperature or pressure that is out of range to the nearest bound. A value
//!   on the bound is therefore not a measurement.
//! - The driver takes a BMP280 for a BME280, and the power-on values of a chip that has forgotten its
//!   settings for a measurement. A guard on the bus refuses both answers before the driver sees them.
//! - Over SPI the driver reads while it sends the number of the register, and what it takes for the
//!   answer starts an octet early. The guard reads after the number.

mod guard;

use bme280::spi::SPIError;
use bme280::{Configuration, Error, IIRFilter, Measurements, Oversampling, i2c, spi};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;

use self::guard::{Guard, GuardError};
use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// A BME280 on an I2C bus: 40 ms for each sample.
#[derive(Debug)]
pub struct Bme280<I, D> {
    driver: i2c::BME280<Guard<I>>,
    delay: D,
    ready: bool,
}

/// A BME280 on an SPI bus, in mode 0 or 3 and with at most 10 MHz: 40 ms for each sample.
#[derive(Debug)]
pub struct Bme280Spi<S, D> {
    /// `None` if it could not be made; making it touches no bus.
    driver: Option<spi::BME280<Guard<S>>>,
    delay: D,
    ready: bool,
}

/// Address of a BME280; its pin SDO chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bme280Address {
    /// 0x76: SDO at ground.
    Primary,
    /// 0x77: SDO at the supply.
    Secondary,
}

impl Bme280Address {
    /// The seven-bit address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Primary => 0x76,
            Self::Secondary => 0x77,
        }
    }
}

impl<I: I2c, D: DelayNs> Bme280<I, D> {
    /// A sensor that has not been talked to yet: [`Sensor::reset`] comes first.
    pub fn new(bus: I, address: Bme280Address, delay: D) -> Self {
        Self { driver: i2c::BME280::new(Guard(bus), address.bits()), delay, ready: false }
    }
}

impl<I: I2c, D: DelayNs> Sensor for Bme280<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        let measured = self.driver.measure(&mut self.delay).map_err(on_i2c)?;
        write_readings(&QUANTITIES, values_milli(&measured)?, out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        self.driver.init_with_config(&mut self.delay, configuration()).map_err(on_i2c)?;
        self.ready = true;
        Ok(())
    }
}

impl<S: SpiDevice, D: DelayNs> Bme280Spi<S, D> {
    /// A sensor that has not been talked to yet: [`Sensor::reset`] comes first.
    pub fn new(device: S, delay: D) -> Self {
        Self { driver: spi::BME280::new(Guard(device)).ok(), delay, ready: false }
    }
}

impl<S: SpiDevice, D: DelayNs> Sensor for Bme280Spi<S, D> {
    type Error = S::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<S::Error>> {
        let Some(driver) = self.driver.as_mut().filter(|_| self.ready) else {
            return Err(SenseError::NotReady);
        };
        let measured = driver.measure(&mut self.delay).map_err(on_spi)?;
        write_readings(&QUANTITIES, values_milli(&measured)?, out)
    }

    fn reset(&mut self) -> Result<(), SenseError<S::Error>> {
        self.ready = false;
        let driver = self.driver.as_mut().ok_or(SenseError::NotReady)?;
        driver.init_with_config(&mut self.delay, configuration()).map_err(on_spi)?;
        self.ready = true;
        Ok(())
    }
}

fn configuration() -> Configuration {
    Configuration::default()
        .with_humidity_oversampling(Oversampling::Oversampling1X)
        .with_pressure_oversampling(Oversampling::Oversampling4X)
        .with_temperature_oversampling(Oversampling::Oversampling2X)
        .with_iir_filter(IIRFilter::Off)
}

fn values_milli<E, B>(measured: &Measurements<B>) -> Result<[i64; 3], SenseError<E>> {
    let temperature = milli(measured.temperature).ok_or(SenseError::OutOfRange)?;
    let humidity = milli(measured.humidity).ok_or(SenseError::OutOfRange)?;
    let pressure = milli(measured.pressure).ok_or(SenseError::OutOfRange)?;
    let [temperature_quantity, _, pressure_quantity] = &QUANTITIES;
    if on_bound(temperature_quantity, temperature) || on_bound(pressure_quantity, pressure) {
        return Err(SenseError::OutOfRange);
    }
    Ok([temperature, humidity, pressure])
}

/// Whether the driver may have moved the value here.
fn on_bound(quantity: &Quantity, milli: i64) -> bool {
    milli == quantity.min_milli || milli == quantity.max_milli
}

/// Thousandths, rounded; `None` for what is not a number.
fn milli(value: f32) -> Option<i64> {
    if !value.is_finite() {
        return None;
    }
    let scaled = f64::from(value) * 1000.0;
    let rounding = if scaled < 0.0 { -0.5 } else { 0.5 };
    // A cast saturates, and no quantity reaches that far.
    Some((scaled + rounding) as i64)
}

fn on_i2c<E: embedded_hal::i2c::Error>(error: Error<GuardError<E>>) -> SenseError<E> {
    driver_error(error, |error| error, sense_error)
}

fn on_spi<E>(error: Error<SPIError<GuardError<E>>>) -> SenseError<E> {
    driver_error(error, |SPIError::SPI(error)| error, SenseError::Bus)
}

/// What an error of the driver means. `unpack` takes off what the driver puts around that of its
/// bus.
fn driver_error<X, E>(
    error: Error<X>,
    unpack: impl FnOnce(X) -> GuardError<E>,
    bus: impl FnOnce(E) -> SenseError<E>,
) -> SenseError<E> {
    match error {
        Error::Bus(error) => match unpack(error) {
            GuardError::Bus(error) => bus(error),
            GuardError::OtherChip => SenseError::NotPresent,
            GuardError::PowerOnDefault => SenseError::NotReady,
        },
        Error::CompensationFailed | Error::InvalidData => SenseError::OutOfRange,
        Error::Delay | Error::NoCalibrationData => SenseError::NotReady,
        Error::UnsupportedChip => SenseError::NotPresent,
    }
}

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        name: "temperature_c",
        unit: Unit::Celsius,
        min_milli: -40_000,
        max_milli: 85_000,
        decimals: 2,
    },
    Quantity {
        name: "humidity_pct",
        unit: Unit::Percent,
        min_milli: 0,
        max_milli: 100_000,
        decimals: 1,
    },
    Quantity {
        name: "pressure_pa",
        unit: Unit::Pascal,
        min_milli: 30_000_000,
        max_milli: 110_000_000,
        decimals: 0,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_has_no_thousandths() {
        assert_eq!(milli(f32::NAN), None);
        assert_eq!(milli(f32::INFINITY), None);
        assert_eq!(milli(-18.25), Some(-18_250));
        assert_eq!(milli(21.0004), Some(21_000));
        assert_eq!(milli(21.0006), Some(21_001));
    }

    #[test]
    fn value_that_the_driver_moved_to_a_bound_is_refused() {
        let [temperature, _, pressure] = &QUANTITIES;
        assert!(on_bound(temperature, 85_000));
        assert!(on_bound(pressure, 30_000_000));
        assert!(!on_bound(pressure, 101_325_000));
    }
}
