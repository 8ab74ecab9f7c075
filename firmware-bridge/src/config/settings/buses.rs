//! The names of buses and of what is on them.

use std::fmt;

/// Which I2C bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BusName {
    /// `/dev/i2c-N` of this machine.
    Device(u8),
    /// Chips that are simulated, each at the address of the sensor that names it.
    Simulated,
}

/// Which SPI device: a bus and a chip select, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpiName {
    /// A file of the kernel, such as `/dev/spidev0.0`.
    Device(String),
    /// A simulated chip, by its number on a simulated bus.
    Simulated(u8),
}

impl BusName {
    /// A number, or `sim`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "sim" => Some(Self::Simulated),
            number => number.parse().ok().map(Self::Device),
        }
    }
}

impl SpiName {
    /// A file, or `sim` with a number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("sim") {
            Some("") => Some(Self::Simulated(0)),
            Some(number) => {
                let number = number.strip_prefix('.')?.parse().ok()?;
                (number <= SIMULATED_SELECT_MAX).then_some(Self::Simulated(number))
            }
            None => text.starts_with('/').then(|| Self::Device(text.to_owned())),
        }
    }

    /// The name of the bus. Devices that differ in their chip select share one.
    pub fn bus(&self) -> &str {
        match self {
            Self::Device(path) => path.rsplit_once('.').map_or(path, |(bus, _)| bus),
            Self::Simulated(_) => "sim",
        }
    }
}

impl fmt::Display for BusName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(number) => write!(formatter, "{number}"),
            Self::Simulated => formatter.write_str("\"sim\""),
        }
    }
}

impl fmt::Display for SpiName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(formatter, "\"{path}\""),
            Self::Simulated(0) => formatter.write_str("\"sim\""),
            Self::Simulated(number) => write!(formatter, "\"sim.{number}\""),
        }
    }
}

/// Chips on a simulated SPI bus, less one.
const SIMULATED_SELECT_MAX: u8 = 15;
