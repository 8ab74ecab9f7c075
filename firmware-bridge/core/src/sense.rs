//! What a sensor is: named quantities and one way to sample all of them.
//!
//! Responsible for the [`Sensor`] trait and for the adapters that make drivers on `embedded-hal`
//! follow it. Not for when to sample, how often to try again, or what to do with a sensor that
//! stays silent.
//!
//! Invariant: a sample is whole and fresh or it is an error. An adapter never gives a value that
//! the chip did not just measure, that failed its checksum, or that is outside of what the chip
//! can measure.

#[cfg(feature = "ads1x1x")]
mod ads1115;
#[cfg(feature = "bme280")]
mod bme280;
#[cfg(feature = "i2c")]
mod bus;
#[cfg(feature = "ina219")]
mod ina219;
#[cfg(feature = "max31855")]
mod max31855;
#[cfg(feature = "scd4x")]
mod scd4x;
#[cfg(feature = "sht3x")]
mod sht3x;
#[cfg(feature = "sht4x")]
mod sht4x;

use thiserror::Error;

#[cfg(feature = "ads1x1x")]
pub use self::ads1115::{Ads1115, Ads1115Address, Ads1115Range};
#[cfg(feature = "bme280")]
pub use self::bme280::{Bme280, Bme280Address, Bme280Spi};
#[cfg(feature = "ina219")]
pub use self::ina219::{Ina219, Ina219Address};
#[cfg(feature = "max31855")]
pub use self::max31855::Max31855;
#[cfg(feature = "scd4x")]
pub use self::scd4x::Scd4x;
#[cfg(feature = "sht3x")]
pub use self::sht3x::{Sht3x, Sht3xAddress};
#[cfg(feature = "sht4x")]
pub use self::sht4x::{Sht4x, Sht4xAddress};

/// A sensor that measures one or more quantities at once.
///
/// ```
/// use core::convert::Infallible;
/// use weir_node::sense::{Quantity, Reading, SenseError, Sensor, Unit};
///
/// /// The share of a tank that is full, as a float switch tells it: all or nothing.
/// struct FloatSwitch(bool);
///
/// const LEVEL: [Quantity; 1] = [Quantity {
///     name: "level_pct",
///     unit: Unit::Percent,
///     min_milli: 0,
///     max_milli: 100_000,
///     decimals: 0,
/// }];
///
/// impl Sensor for FloatSwitch {
///     type Error = Infallible;
///
///     fn quantities(&self) -> &[Quantity] {
///         &LEVEL
///     }
///
///     fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<Infallible>> {
///         let first = out.first_mut().ok_or(SenseError::BufferTooSmall)?;
///         *first = Reading { quantity: 0, milli: if self.0 { 100_000 } else { 0 } };
///         Ok(1)
///     }
///
///     fn reset(&mut self) -> Result<(), SenseError<Infallible>> {
///         Ok(())
///     }
/// }
///
/// let mut out = [Reading::default()];
/// assert_eq!(FloatSwitch(true).sample(&mut out), Ok(1));
/// assert_eq!(out[0].milli, 100_000);
/// ```
pub trait Sensor {
    /// What the bus underneath reports.
    type Error;

    /// What is measured; a [`Reading`] points into this list. At most [`QUANTITIES_MAX`], always
    /// the same for one sensor.
    fn quantities(&self) -> &[Quantity];

    /// Measures now, writes one reading for each quantity in their order, and returns how many.
    ///
    /// # Errors
    /// Why there is no sample. What stands in `out` is then not a measurement.
    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<Self::Error>>;

    /// Brings the chip to a known state and loads its calibration. Must succeed once before the
    /// first sample, and again after the chip may have lost its power.
    ///
    /// # Errors
    /// The chip is still in an unknown state.
    fn reset(&mut self) -> Result<(), SenseError<Self::Error>>;
}

/// One thing a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quantity {
    /// Name as it is published, unit last, such as `temperature_c`.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: Unit,
    /// Least value that can be true, in thousandths of the unit.
    pub min_milli: i64,
    /// Greatest value that can be true, in thousandths of the unit.
    pub max_milli: i64,
    /// Digits after the point that mean something, at most 3.
    pub decimals: u8,
}

impl Quantity {
    /// Whether a value, in thousandths of the unit, can be true.
    pub const fn accepts(&self, milli: i64) -> bool {
        self.min_milli <= milli && milli <= self.max_milli
    }
}

/// Unit of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unit {
    /// Degree Celsius.
    Celsius,
    /// Milliampere.
    Milliampere,
    /// Millivolt.
    Millivolt,
    /// Milliwatt.
    Milliwatt,
    /// A number without a unit.
    None,
    /// Parts in a million.
    PartsPerMillion,
    /// Pascal.
    Pascal,
    /// Percent; for humidity, of saturation.
    Percent,
}

impl Unit {
    /// The sign that people read.
    ///
    /// ```
    /// assert_eq!(weir_node::sense::Unit::Pascal.symbol(), "Pa");
    /// ```
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Celsius => "°C",
            Self::Milliampere => "mA",
            Self::Millivolt => "mV",
            Self::Milliwatt => "mW",
            Self::None => "",
            Self::PartsPerMillion => "ppm",
            Self::Pascal => "Pa",
            Self::Percent => "%",
        }
    }
}

/// One measured value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reading {
    /// Position in [`Sensor::quantities`].
    pub quantity: u8,
    /// The value in thousandths of the quantity's unit.
    pub milli: i64,
}

/// Why there is no sample.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SenseError<E> {
    /// `out` has less room than the sensor has quantities.
    #[error("room for fewer readings than the sensor has quantities")]
    BufferTooSmall,
    /// The transfer failed.
    #[error("bus: {0:?}")]
    Bus(E),
    /// The checksum of the chip's answer does not match.
    #[error("checksum of the answer does not match")]
    Crc,
    /// The chip works and has not finished a new measurement. It is no failure to ask again.
    #[error("the chip is still measuring, for {wait_ms} ms")]
    Measuring {
        /// When to ask again, in milliseconds.
        wait_ms: u32,
    },
    /// Nothing answers at the address, or a chip of another kind does.
    #[error("no such chip at the address")]
    NotPresent,
    /// The chip has not been reset, or has nothing to give yet.
    #[error("sensor is not ready")]
    NotReady,
    /// A value is outside of what the chip can measure.
    #[error("value outside of what the chip can measure")]
    OutOfRange,
    /// The chip works, and what it measures with is wired wrongly.
    #[error("{0}")]
    Wiring(WiringFault),
}

/// What is wrong between a chip and what it measures with, as a thermocouple.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WiringFault {
    /// A wire is broken or not connected.
    #[error("the sensing wire is open: a connection is loose or broken")]
    Open,
    /// A wire touches ground.
    #[error("the sensing wire touches ground")]
    ShortToGround,
    /// A wire touches the supply.
    #[error("the sensing wire touches the supply")]
    ShortToSupply,
}

/// Writes one reading for each value, all or none.
#[cfg(any(feature = "i2c", feature = "max31855"))]
fn write_readings<E, const N: usize>(
    quantities: &[Quantity; N],
    values_milli: [i64; N],
    out: &mut [Reading],
) -> Result<usize, SenseError<E>> {
    let out = out.get_mut(..N).ok_or(SenseError::BufferTooSmall)?;
    if !quantities.iter().zip(values_milli).all(|(quantity, milli)| quantity.accepts(milli)) {
        return Err(SenseError::OutOfRange);
    }
    for ((index, milli), reading) in (0u8..).zip(values_milli).zip(out) {
        *reading = Reading { quantity: index, milli };
    }
    Ok(N)
}

/// Most quantities of one sensor.
pub const QUANTITIES_MAX: usize = 8;

#[cfg(all(test, feature = "i2c"))]
mod tests {
    use super::*;

    const QUANTITIES: [Quantity; 2] = [
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
    ];

    fn written(
        values_milli: [i64; 2],
        out: &mut [Reading],
    ) -> Result<usize, SenseError<core::convert::Infallible>> {
        write_readings(&QUANTITIES, values_milli, out)
    }

    #[test]
    fn one_bad_value_discards_the_whole_sample() {
        let mut out = [Reading::default(); 2];
        assert_eq!(written([21_500, 100_001], &mut out), Err(SenseError::OutOfRange));
        assert_eq!(out, [Reading::default(); 2]);
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let mut out = [Reading::default(); 3];
        assert_eq!(written([-40_000, 100_000], &mut out), Ok(2));
        assert_eq!(out[1], Reading { quantity: 1, milli: 100_000 });
    }

    #[test]
    fn short_buffer_is_an_error_and_stays_untouched() {
        let mut out = [Reading::default(); 1];
        assert_eq!(written([21_500, 40_000], &mut out), Err(SenseError::BufferTooSmall));
        assert_eq!(out, [Reading::default(); 1]);
    }
}
