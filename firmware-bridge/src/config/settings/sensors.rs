//! What measures.

use std::path::PathBuf;
use std::time::Duration;

use super::{BusName, SpiName};

/// A sensor on an I2C or SPI bus.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorConfig {
    /// Name of the device.
    pub name: String,
    /// The chip.
    pub driver: Driver,
    /// Where it is.
    pub place: SensorPlace,
    /// How it is read.
    pub rules: SensorRules,
    /// Greatest voltage of an ads1115, in millivolt.
    pub range_mv: u16,
    /// Resistor of an ina219, in microohm.
    pub shunt_microohm: u32,
    /// Height above the sea of an scd4x, in metres.
    pub altitude_m: u16,
}

/// Where a sensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SensorPlace {
    /// On an I2C bus, at a seven-bit address.
    I2c {
        /// The bus.
        bus: BusName,
        /// Seven-bit address.
        address: u8,
    },
    /// On an SPI bus.
    Spi(SpiConfig),
}

/// A place on an SPI bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiConfig {
    /// The bus and its chip select.
    pub device: SpiName,
    /// Clock of the bus, in hertz.
    pub speed_hz: u32,
    /// 0 to 3: polarity and phase of the clock.
    pub mode: u8,
    /// Whether a high level selects the chip.
    pub cs_active_high: bool,
}

/// How a sensor is read, and what of it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorRules {
    /// How often.
    pub every: Duration,
    /// Least and greatest value that can be true, in thousandths, by quantity.
    pub bounds: Vec<(String, i64, i64)>,
    /// What is added, in thousandths, by quantity.
    pub offset: Vec<(String, i64)>,
}

/// A chip that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// Texas Instruments ADS1115.
    Ads1115,
    /// Bosch BME280.
    Bme280,
    /// Texas Instruments INA219.
    Ina219,
    /// Maxim MAX31855, a thermocouple.
    Max31855,
    /// Sensirion SCD40 and SCD41.
    Scd4x,
    /// Sensirion SHT30, SHT31 and SHT35.
    Sht3x,
    /// Sensirion SHT40 to SHT45.
    Sht4x,
}

/// A DS18B20 thermometer.
#[derive(Clone, Debug, PartialEq)]
pub struct OneWireConfig {
    /// Name of the device.
    pub name: String,
    /// Its id as the kernel shows it.
    pub id: String,
    /// How it is read.
    pub rules: SensorRules,
}

/// The machine as a device.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemConfig {
    /// Name of the device.
    pub name: String,
    /// What is measured, each once.
    pub measure: Vec<Measure>,
    /// A path on the disk that is measured.
    pub disk: PathBuf,
    /// How it is read.
    pub rules: SensorRules,
}

/// What can be measured of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The hottest thermal zone.
    CpuTemperature,
    /// Space in use on a disk.
    Disk,
    /// Processes that run or wait, averaged over a minute.
    Load,
    /// Memory that is not available.
    Memory,
}

impl Driver {
    const ALL: [Self; 7] = [
        Self::Ads1115,
        Self::Bme280,
        Self::Ina219,
        Self::Max31855,
        Self::Scd4x,
        Self::Sht3x,
        Self::Sht4x,
    ];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        DRIVERS[self as usize]
    }

    /// The addresses that its pins can choose, the usual one first; none if it is not for I2C.
    pub fn addresses(self) -> &'static [u8] {
        match self {
            Self::Ads1115 => &[0x48, 0x49, 0x4a, 0x4b],
            Self::Bme280 => &[0x76, 0x77],
            Self::Ina219 => &[
                0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d,
                0x4e, 0x4f,
            ],
            Self::Max31855 => &[],
            Self::Scd4x => &[0x62],
            Self::Sht3x => &[0x44, 0x45],
            Self::Sht4x => &[0x44, 0x45, 0x46],
        }
    }

    /// How it is spoken to over SPI: the modes, and the fastest clock in hertz. `None` if it is not
    /// for SPI.
    pub fn spi(self) -> Option<(&'static [u8], u32)> {
        match self {
            Self::Bme280 => Some((&[0, 3], 10_000_000)),
            Self::Max31855 => Some((&[0], 5_000_000)),
            _ => None,
        }
    }

    /// The names of what it measures.
    pub fn quantities(self) -> &'static [&'static str] {
        match self {
            Self::Ads1115 => &["a0_mv", "a1_mv", "a2_mv", "a3_mv"],
            Self::Bme280 => &["temperature_c", "humidity_pct", "pressure_pa"],
            Self::Ina219 => &["voltage_mv", "current_ma", "power_mw"],
            Self::Max31855 => &["temperature_c", "cold_junction_c"],
            Self::Scd4x => &["co2_ppm", "temperature_c", "humidity_pct"],
            Self::Sht3x | Self::Sht4x => &["temperature_c", "humidity_pct"],
        }
    }

    /// The least time between two samples.
    pub fn every_min(self) -> Duration {
        match self {
            // The chip measures every five seconds.
            Self::Scd4x => Duration::from_secs(5),
            _ => Duration::from_millis(100),
        }
    }
}

impl Measure {
    const ALL: [Self; 4] = [Self::CpuTemperature, Self::Load, Self::Memory, Self::Disk];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name)
    }

    /// Name of the quantity.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuTemperature => "cpu_c",
            Self::Disk => "disk_pct",
            Self::Load => "load_1m",
            Self::Memory => "memory_pct",
        }
    }
}

/// The names of [`Driver`], in its order.
pub(crate) const DRIVERS: [&str; 7] =
    ["ads1115", "bme280", "ina219", "max31855", "scd4x", "sht3x", "sht4x"];
/// The names of [`Measure`].
pub(crate) const MEASURES: [&str; 4] = ["cpu_c", "load_1m", "memory_pct", "disk_pct"];
