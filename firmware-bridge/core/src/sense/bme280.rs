//! Bosch BME280: temperature, relative humidity and air pressure.
//!
//! The chip has no checksum; what protects is its identity, its bounds and a fresh calibration
//! after each reset. Four habits of driver and chip are met here:
//! - The driver reads 40 ms after it started a measurement and does not look whether it ended.
//!   With its own default (pressure 16 times) the chip may need 46 ms, and the answer is then the
//!   measurement before. The oversampling below needs at most 19 ms.
//! - The chip's filter mixes earlier values into a new one. It stays off.
//! - The driver moves a temperature or pressure that is out of range to the nearest bound. A value
//!   on the bound is therefore not a measurement.
//! - The driver takes a BMP280 for a BME280, and the power-on values of a chip that has forgotten its
//!   settings for a measurement. A guard on the bus refuses both answers before the driver sees them.

use bme280::i2c::BME280;
use bme280::{Configuration, Error, IIRFilter, Measurements, Oversampling};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// A BME280 on an I2C bus: 40 ms for each sample.
#[derive(Debug)]
pub struct Bme280<I, D> {
    driver: BME280<Guard<I>>,
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
        Self { driver: BME280::new(Guard(bus), address.bits()), delay, ready: false }
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
        let measured = self.driver.measure(&mut self.delay).map_err(driver_error)?;
        write_readings(&QUANTITIES, values_milli(&measured)?, out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        let configuration = Configuration::default()
            .with_humidity_oversampling(Oversampling::Oversampling1X)
            .with_pressure_oversampling(Oversampling::Oversampling4X)
            .with_temperature_oversampling(Oversampling::Oversampling2X)
            .with_iir_filter(IIRFilter::Off);
        self.driver.init_with_config(&mut self.delay, configuration).map_err(driver_error)?;
        self.ready = true;
        Ok(())
    }
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

fn driver_error<E: embedded_hal::i2c::Error>(error: Error<GuardError<E>>) -> SenseError<E> {
    match error {
        Error::Bus(GuardError::Bus(error)) => sense_error(error),
        Error::CompensationFailed | Error::InvalidData => SenseError::OutOfRange,
        Error::Bus(GuardError::PowerOnDefault) | Error::Delay | Error::NoCalibrationData => {
            SenseError::NotReady
        }
        Error::Bus(GuardError::OtherChip) | Error::UnsupportedChip => SenseError::NotPresent,
    }
}

/// A bus that refuses the answers which the driver would misread.
#[derive(Debug)]
struct Guard<I>(I);

#[derive(Debug)]
enum GuardError<E> {
    Bus(E),
    OtherChip,
    PowerOnDefault,
}

impl<E: embedded_hal::i2c::Error> embedded_hal::i2c::Error for GuardError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::OtherChip | Self::PowerOnDefault => ErrorKind::Other,
        }
    }
}

impl<I: I2c> ErrorType for Guard<I> {
    type Error = GuardError<I::Error>;
}

impl<I: I2c> I2c for Guard<I> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), GuardError<I::Error>> {
        self.0.transaction(address, operations).map_err(GuardError::Bus)?;
        match operations {
            [Operation::Write([CHIP_ID]), Operation::Read([id])] if *id != BME280_ID => {
                Err(GuardError::OtherChip)
            }
            // Both at once are no measurement: either value alone can be one.
            [Operation::Write([DATA]), Operation::Read(data)]
                if data.starts_with(&POWER_ON_PRESSURE_AND_TEMPERATURE) =>
            {
                Err(GuardError::PowerOnDefault)
            }
            _ => Ok(()),
        }
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

const CHIP_ID: u8 = 0xd0;
const BME280_ID: u8 = 0x60;
const DATA: u8 = 0xf7;
const POWER_ON_PRESSURE_AND_TEMPERATURE: [u8; 6] = [0x80, 0x00, 0x00, 0x80, 0x00, 0x00];

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

    /// Answers each read with the same bytes.
    struct Fixed([u8; 8]);

    impl ErrorType for Fixed {
        type Error = core::convert::Infallible;
    }

    impl I2c for Fixed {
        fn transaction(
            &mut self,
            _address: u8,
            operations: &mut [Operation<'_>],
        ) -> Result<(), Self::Error> {
            for operation in operations {
                if let Operation::Read(buffer) = operation {
                    buffer.iter_mut().zip(self.0).for_each(|(byte, answer)| *byte = answer);
                }
            }
            Ok(())
        }
    }

    #[test]
    fn bmp280_is_not_taken_for_a_bme280() {
        let mut guard = Guard(Fixed([0x58; 8]));
        let mut id = [0];
        let error = guard.write_read(0x76, &[CHIP_ID], &mut id).unwrap_err();
        assert!(matches!(driver_error(Error::Bus(error)), SenseError::NotPresent));
    }

    #[test]
    fn power_on_values_are_no_measurement_but_one_of_them_alone_is() {
        let mut data = [0; 8];
        let mut guard = Guard(Fixed([0x80, 0, 0, 0x80, 0, 0, 0x80, 0]));
        let error = guard.write_read(0x76, &[DATA], &mut data).unwrap_err();
        assert!(matches!(driver_error(Error::Bus(error)), SenseError::NotReady));
        let mut guard = Guard(Fixed([0x65, 0x5a, 0xc0, 0x80, 0, 0, 0x80, 0]));
        guard.write_read(0x76, &[DATA], &mut data).unwrap();
    }
}
