//! Texas Instruments INA219: voltage, current and power.
//!
//! The chip has no checksum. What protects: the driver's check that what answers to a reset has the
//! registers of an INA219, a measurement that is started for each sample, and a look at the
//! settings after it, which a chip that lost its power in between has forgotten. Current and power
//! are computed here from the voltage at the shunt: the chip's own calibration would add errors.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use ina219::SyncIna219;
use ina219::address::Address;
use ina219::calibration::UnCalibrated;
use ina219::configuration::{Configuration, MeasuredSignals, OperatingMode, Resolution};
use ina219::errors::{
    BusVoltageReadError, ConfigurationReadError, InitializationErrorReason, MeasurementError,
    ShuntVoltageReadError,
};

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// An INA219 on an I2C bus, averaging over 17 ms for each sample.
#[derive(Debug)]
pub struct Ina219<I, D> {
    bus: I,
    delay: D,
    address: Ina219Address,
    shunt_microohm: u32,
    ready: bool,
}

/// Address of an INA219, 0x40 to 0x4f; its pins A0 and A1 choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ina219Address(u8);

impl Ina219Address {
    /// An address; `None` for what the pins cannot choose.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 0x40 && bits <= 0x4f { Some(Self(bits)) } else { None }
    }

    /// The seven-bit address.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl<I: I2c, D: DelayNs> Ina219<I, D> {
    /// A sensor with a shunt, at least one microohm, that has not been talked to yet:
    /// [`Sensor::reset`] comes first.
    pub fn new(bus: I, address: Ina219Address, shunt_microohm: u32, delay: D) -> Self {
        let shunt_microohm = if shunt_microohm == 0 { 1 } else { shunt_microohm };
        Self { bus, delay, address, shunt_microohm, ready: false }
    }

    fn driver_address<E>(&self) -> Result<Address, SenseError<E>> {
        Address::from_byte(self.address.bits()).map_err(|_| SenseError::NotPresent)
    }
}

impl<I: I2c, D: DelayNs> Sensor for Ina219<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        let address = self.driver_address()?;
        let mut driver = SyncIna219::new_unchecked(&mut self.bus, address, UnCalibrated);
        // Writing the settings starts a measurement and withdraws the one before.
        driver.set_configuration(CONFIGURATION).map_err(sense_error)?;
        self.delay.delay_ms(MEASURING_MS);
        let measured = driver.next_measurement().map_err(measurement_error)?;
        let measured = measured.ok_or(SenseError::NotReady)?;
        driver.configuration().map_err(|error| match error {
            ConfigurationReadError::I2cError(error) => sense_error(error),
            ConfigurationReadError::ConfigurationMismatch { .. } => SenseError::NotReady,
        })?;
        let voltage_mv = i64::from(measured.bus_voltage.voltage_mv());
        let shunt_uv = i64::from(measured.shunt_voltage.shunt_voltage_uv());
        let current_ua = shunt_uv * 1_000_000 / i64::from(self.shunt_microohm);
        let power_uw = voltage_mv * current_ua / 1_000;
        write_readings(&QUANTITIES, [voltage_mv * 1_000, current_ua, power_uw], out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        let address = self.driver_address()?;
        SyncIna219::new(&mut self.bus, address).map_err(|error| match error.reason {
            InitializationErrorReason::I2cError(error) => sense_error(error),
            InitializationErrorReason::BusVoltageOutOfRange
            | InitializationErrorReason::ShuntVoltageOutOfRange => SenseError::OutOfRange,
            InitializationErrorReason::ConfigurationNotDefaultAfterReset
            | InitializationErrorReason::RegisterNotZeroAfterReset(_) => SenseError::NotPresent,
        })?;
        self.ready = true;
        Ok(())
    }
}

fn measurement_error<E: embedded_hal::i2c::Error>(error: MeasurementError<E>) -> SenseError<E> {
    match error {
        MeasurementError::I2cError(error)
        | MeasurementError::ShuntVoltageReadError(ShuntVoltageReadError::I2cError(error))
        | MeasurementError::BusVoltageReadError(BusVoltageReadError::I2cError(error)) => {
            sense_error(error)
        }
        MeasurementError::ShuntVoltageReadError(_)
        | MeasurementError::BusVoltageReadError(_)
        | MeasurementError::MathOverflow(_) => SenseError::OutOfRange,
    }
}

/// 32 V, 320 mV, both averaged over 16 measurements, once.
const CONFIGURATION: Configuration = Configuration {
    reset: ina219::configuration::Reset::Run,
    bus_voltage_range: ina219::configuration::BusVoltageRange::Fsr32v,
    shunt_voltage_range: ina219::configuration::ShuntVoltageRange::Fsr320mv,
    bus_resolution: Resolution::Avg16,
    shunt_resolution: Resolution::Avg16,
    operating_mode: OperatingMode::Triggered(MeasuredSignals::ShutAndBusVoltage),
};
/// Two times 8.51 ms, and a fifth for the tolerance of the chip's clock.
const MEASURING_MS: u32 = 21;

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        name: "voltage_mv",
        unit: Unit::Millivolt,
        min_milli: 0,
        max_milli: 26_000_000,
        decimals: 0,
    },
    Quantity {
        name: "current_ma",
        unit: Unit::Milliampere,
        min_milli: -10_000_000_000,
        max_milli: 10_000_000_000,
        decimals: 1,
    },
    Quantity {
        name: "power_mw",
        unit: Unit::Milliwatt,
        min_milli: -260_000_000_000,
        max_milli: 260_000_000_000,
        decimals: 0,
    },
];
