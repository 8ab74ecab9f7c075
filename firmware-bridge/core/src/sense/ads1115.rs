//! Texas Instruments ADS1115: four voltages against ground.
//!
//! The chip has no checksum. Three habits of driver and chip are met here:
//! - The driver remembers a conversion that it started, also when a later transfer failed, and
//!   would take its result the next time, however old. It is made anew for each sample.
//! - The driver takes what the result register holds for the channel it asked for. A guard on the
//!   bus compares the settings of the chip with those written: a chip that lost its power has
//!   forgotten them.
//! - A voltage beyond the range reads as the end of the range. It is refused.

use ads1x1x::{Ads1x1x, DataRate16Bit, Error, FullScaleRange, TargetAddr, channel};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

use super::bus::sense_error;
use super::{Quantity, Reading, SenseError, Sensor, Unit, write_readings};

/// An ADS1115 on an I2C bus: about 45 ms for each sample.
#[derive(Debug)]
pub struct Ads1115<I, D> {
    bus: I,
    delay: D,
    address: Ads1115Address,
    range: Ads1115Range,
    ready: bool,
}

/// Address of an ADS1115; its pin ADDR chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ads1115Address {
    /// 0x48: ADDR at ground.
    Ground,
    /// 0x49: ADDR at the supply.
    Supply,
    /// 0x4a: ADDR at SDA.
    Sda,
    /// 0x4b: ADDR at SCL.
    Scl,
}

/// The greatest voltage that is measured. No input may be above the supply, whatever the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ads1115Range {
    /// 6.144 V, in steps of 187.5 uV.
    Mv6144,
    /// 4.096 V, in steps of 125 uV.
    Mv4096,
    /// 2.048 V, in steps of 62.5 uV.
    Mv2048,
    /// 1.024 V, in steps of 31.25 uV.
    Mv1024,
    /// 512 mV, in steps of 15.625 uV.
    Mv512,
    /// 256 mV, in steps of 7.8125 uV.
    Mv256,
}

impl Ads1115Address {
    /// The seven-bit address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ground => 0x48,
            Self::Supply => 0x49,
            Self::Sda => 0x4a,
            Self::Scl => 0x4b,
        }
    }
}

impl Ads1115Range {
    /// The greatest voltage in millivolt.
    pub const fn mv(self) -> u16 {
        match self {
            Self::Mv6144 => 6_144,
            Self::Mv4096 => 4_096,
            Self::Mv2048 => 2_048,
            Self::Mv1024 => 1_024,
            Self::Mv512 => 512,
            Self::Mv256 => 256,
        }
    }

    fn of_driver(self) -> FullScaleRange {
        match self {
            Self::Mv6144 => FullScaleRange::Within6_144V,
            Self::Mv4096 => FullScaleRange::Within4_096V,
            Self::Mv2048 => FullScaleRange::Within2_048V,
            Self::Mv1024 => FullScaleRange::Within1_024V,
            Self::Mv512 => FullScaleRange::Within0_512V,
            Self::Mv256 => FullScaleRange::Within0_256V,
        }
    }
}

impl<I: I2c, D: DelayNs> Ads1115<I, D> {
    /// A converter that has not been talked to yet: [`Sensor::reset`] comes first.
    pub fn new(bus: I, address: Ads1115Address, range: Ads1115Range, delay: D) -> Self {
        Self { bus, delay, address, range, ready: false }
    }

    fn measure(&mut self) -> Result<[i64; 4], SenseError<I::Error>> {
        let guard = Guard { bus: &mut self.bus, settings: 0 };
        let mut one_shot = OneShot {
            driver: Ads1x1x::new_ads1115(guard, driver_address(self.address)),
            delay: &mut self.delay,
            range_mv: i64::from(self.range.mv()),
        };
        one_shot.driver.set_data_rate(DataRate16Bit::Sps128).map_err(driver_error)?;
        one_shot.driver.set_full_scale_range(self.range.of_driver()).map_err(driver_error)?;
        Ok([
            one_shot.read(|driver| driver.read(channel::SingleA0))?,
            one_shot.read(|driver| driver.read(channel::SingleA1))?,
            one_shot.read(|driver| driver.read(channel::SingleA2))?,
            one_shot.read(|driver| driver.read(channel::SingleA3))?,
        ])
    }
}

impl<I: I2c, D: DelayNs> Sensor for Ads1115<I, D> {
    type Error = I::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<I::Error>> {
        if !self.ready {
            return Err(SenseError::NotReady);
        }
        let values = self.measure()?;
        write_readings(&QUANTITIES, values, out)
    }

    fn reset(&mut self) -> Result<(), SenseError<I::Error>> {
        self.ready = false;
        // Nothing is kept in the chip between samples; what is left is to see that it is there.
        let guard = Guard { bus: &mut self.bus, settings: 0 };
        let mut driver = Ads1x1x::new_ads1115(guard, driver_address(self.address));
        driver.set_data_rate(DataRate16Bit::Sps128).map_err(driver_error)?;
        driver.is_measurement_in_progress().map_err(driver_error)?;
        self.ready = true;
        Ok(())
    }
}

type Driver<'a, I> = Ads1x1x<
    Guard<'a, I>,
    ads1x1x::ic::Ads1115,
    ads1x1x::ic::Resolution16Bit,
    ads1x1x::mode::OneShot,
>;

/// One sample under way.
struct OneShot<'a, I, D> {
    driver: Driver<'a, I>,
    delay: &'a mut D,
    range_mv: i64,
}

impl<'a, I: I2c, D: DelayNs> OneShot<'a, I, D> {
    /// Converts one channel; the voltage in microvolt, which is thousandths of a millivolt.
    fn read(
        &mut self,
        mut convert: impl FnMut(&mut Driver<'a, I>) -> nb::Result<i16, Error<GuardError<I::Error>>>,
    ) -> Result<i64, SenseError<I::Error>> {
        for _ in 0..LOOKS_MAX {
            match convert(&mut self.driver) {
                Ok(i16::MIN | i16::MAX) => return Err(SenseError::OutOfRange),
                // A step is the range divided by 2^15.
                Ok(raw) => return Ok(i64::from(raw) * self.range_mv * 1_000 / 32_768),
                Err(nb::Error::Other(error)) => return Err(driver_error(error)),
                Err(nb::Error::WouldBlock) => self.delay.delay_ms(1),
            }
        }
        Err(SenseError::NotReady)
    }
}

fn driver_address(address: Ads1115Address) -> TargetAddr {
    match address {
        Ads1115Address::Ground => TargetAddr::Gnd,
        Ads1115Address::Supply => TargetAddr::Vdd,
        Ads1115Address::Sda => TargetAddr::Sda,
        Ads1115Address::Scl => TargetAddr::Scl,
    }
}

fn driver_error<E: embedded_hal::i2c::Error>(error: Error<GuardError<E>>) -> SenseError<E> {
    match error {
        Error::I2C(GuardError::Bus(error)) => sense_error(error),
        Error::I2C(GuardError::Forgotten) | Error::InvalidInputData => SenseError::NotReady,
    }
}

/// A bus that refuses an answer of a chip that has other settings than those written last.
#[derive(Debug)]
struct Guard<'a, I> {
    bus: &'a mut I,
    settings: u16,
}

#[derive(Debug)]
enum GuardError<E> {
    Bus(E),
    Forgotten,
}

impl<E: embedded_hal::i2c::Error> embedded_hal::i2c::Error for GuardError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::Forgotten => ErrorKind::Other,
        }
    }
}

impl<I: I2c> ErrorType for Guard<'_, I> {
    type Error = GuardError<I::Error>;
}

impl<I: I2c> I2c for Guard<'_, I> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), GuardError<I::Error>> {
        self.bus.transaction(address, operations).map_err(GuardError::Bus)?;
        match operations {
            [Operation::Write([SETTINGS, high, low])] => {
                self.settings = u16::from_be_bytes([*high, *low]) & !BUSY_BIT;
            }
            [Operation::Write([SETTINGS]), Operation::Read([high, low])]
                if u16::from_be_bytes([*high, *low]) & !BUSY_BIT != self.settings =>
            {
                return Err(GuardError::Forgotten);
            }
            _ => {}
        }
        Ok(())
    }
}

const QUANTITIES: [Quantity; 4] = {
    const fn voltage(name: &'static str) -> Quantity {
        Quantity {
            name,
            unit: Unit::Millivolt,
            // An input a little below ground is noise; more than 0.3 V below, the chip breaks.
            min_milli: -300_000,
            max_milli: 6_144_000,
            decimals: 2,
        }
    }
    [voltage("a0_mv"), voltage("a1_mv"), voltage("a2_mv"), voltage("a3_mv")]
};

const SETTINGS: u8 = 0x01;
/// Reads as 0 while the chip converts.
const BUSY_BIT: u16 = 0x8000;
/// Looks a millisecond apart, for two conversions of 8 ms and some: one may be under way.
const LOOKS_MAX: u32 = 24;
