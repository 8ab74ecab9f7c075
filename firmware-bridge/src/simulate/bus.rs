//! A simulated I2C bus.
//!
//! Responsible for addresses, acknowledgements, faults and the virtual time of the bus; the chips
//! behind the addresses are [`ChipModel`]s. A [`Bus`] is a handle: clones are the same bus, so that
//! each driver can own one. It is its own delay: a driver that waits moves the time of the bus on.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{
    Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress,
};

use super::random::Random;
use super::wire::Wire;

/// A handle of a simulated I2C bus.
///
/// ```
/// use embedded_hal::i2c::I2c;
/// use weir_firmware_bridge::simulate::{Air, Bme280Model, Bus};
///
/// let mut bus = Bus::new(0);
/// bus.attach(0x76, Bme280Model::new(|_| Air::default()));
/// let mut id = [0];
/// bus.write_read(0x76, &[0xd0], &mut id)?;
/// assert_eq!(id, [0x60]);
/// assert!(bus.read(0x77, &mut id).is_err(), "nothing answers there");
/// # Ok::<(), weir_firmware_bridge::simulate::BusError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bus(Wire<Chip>);

/// What a chip does with the bytes on the bus.
pub trait ChipModel: Send {
    /// The bytes of one write, at a time in microseconds.
    ///
    /// # Errors
    /// The chip does not acknowledge.
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError>;

    /// The chip fills the whole buffer.
    ///
    /// # Errors
    /// The chip does not acknowledge its address, because it is busy or has nothing to give.
    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError>;

    /// Makes one checksum of an answer wrong. A chip without checksums leaves it as it is.
    fn spoil_checksum(&self, _answer: &mut [u8]) {}

    /// The chip lost its power and has it again.
    fn power_cycle(&mut self);
}

/// How often a chip misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Transfers of a thousand that are not acknowledged.
    pub nack_per_mille: u16,
    /// Answers of a thousand whose checksum is wrong.
    pub wrong_crc_per_mille: u16,
}

impl Faults {
    /// A chip that never fails.
    pub const fn none() -> Self {
        Self { nack_per_mille: 0, wrong_crc_per_mille: 0 }
    }
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusError {
    /// Nothing acknowledged the address.
    #[error("address was not acknowledged")]
    AddressNotAcknowledged,
    /// The chip did not take a byte.
    #[error("data was not acknowledged")]
    DataNotAcknowledged,
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(match self {
            Self::AddressNotAcknowledged => NoAcknowledgeSource::Address,
            Self::DataNotAcknowledged => NoAcknowledgeSource::Data,
        })
    }
}

impl Bus {
    /// A bus without chips, at a time in milliseconds.
    pub fn new(now_ms: u64) -> Self {
        Self(Wire::new(now_ms))
    }

    /// Puts a chip at an address, in place of one that may have been there.
    pub fn attach(&self, address: SevenBitAddress, model: impl ChipModel + 'static) -> Attached {
        let chip = Chip {
            model: Box::new(model),
            faults: Faults::none(),
            random: Random::new(u64::from(address)),
            plugged: true,
        };
        self.0.state().chips.insert(address, chip);
        Attached { bus: self.clone(), address }
    }

    /// Moves the time of the bus on; it never goes back.
    pub fn advance_to(&self, now_ms: u64) {
        self.0.advance_to(now_ms);
    }

    /// The time of the bus in microseconds.
    pub fn now_us(&self) -> u64 {
        self.0.state().now_us()
    }
}

impl ErrorType for Bus {
    type Error = BusError;
}

impl I2c for Bus {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        let mut state = self.0.state();
        let at_us = state.now_us();
        let chip = state.chips.get_mut(&address).filter(|chip| chip.plugged);
        let chip = chip.ok_or(BusError::AddressNotAcknowledged)?;
        if chip.faulty(chip.faults.nack_per_mille) {
            return Err(BusError::DataNotAcknowledged);
        }
        for operation in operations {
            match operation {
                Operation::Read(buffer) => chip.read(buffer, at_us)?,
                // Nothing but the address: it asks whether somebody is there.
                Operation::Write([]) => {}
                Operation::Write(bytes) => chip.model.write(bytes, at_us)?,
            }
        }
        Ok(())
    }
}

impl DelayNs for Bus {
    fn delay_ns(&mut self, ns: u32) {
        self.0.state().wait_ns(u128::from(ns));
    }
}

/// A chip that has been put on a bus, to be troubled.
#[derive(Clone, Debug)]
pub struct Attached {
    bus: Bus,
    address: SevenBitAddress,
}

impl Attached {
    /// Sets how often the chip misbehaves; the seed decides when.
    pub fn with_faults(self, faults: Faults, seed: u64) -> Self {
        if let Some(chip) = self.bus.0.state().chips.get_mut(&self.address) {
            chip.faults = faults;
            chip.random = Random::new(seed);
        }
        self
    }

    /// Pulls the chip off the bus, or puts it back. What comes back has lost its power.
    pub fn set_plugged(&self, plugged: bool) {
        if let Some(chip) = self.bus.0.state().chips.get_mut(&self.address) {
            if plugged && !chip.plugged {
                chip.model.power_cycle();
            }
            chip.plugged = plugged;
        }
    }
}

struct Chip {
    model: Box<dyn ChipModel>,
    faults: Faults,
    random: Random,
    plugged: bool,
}

impl Chip {
    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        self.model.read(buffer, at_us)?;
        if self.faulty(self.faults.wrong_crc_per_mille) {
            self.model.spoil_checksum(buffer);
        }
        Ok(())
    }

    /// Draws only for a fault that can happen, so that one option does not move the other.
    fn faulty(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.random.next() % 1_000 < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Air, Bme280Model};
    use super::*;

    #[test]
    fn waiting_moves_the_time_of_every_handle() {
        let bus = Bus::new(5);
        bus.clone().delay_ms(2);
        assert_eq!(bus.now_us(), 7_000);
        bus.advance_to(6);
        assert_eq!(bus.now_us(), 7_000, "time never goes back");
    }

    #[test]
    fn chip_that_was_pulled_does_not_acknowledge_and_its_neighbour_does() {
        let mut bus = Bus::new(0);
        let first = bus.attach(0x76, Bme280Model::new(|_| Air::default()));
        bus.attach(0x77, Bme280Model::new(|_| Air::default()));
        first.set_plugged(false);
        let mut id = [0];
        let error = bus.write_read(0x76, &[0xd0], &mut id).unwrap_err();
        assert_eq!(error, BusError::AddressNotAcknowledged);
        bus.write_read(0x77, &[0xd0], &mut id).unwrap();
        first.set_plugged(true);
        bus.write_read(0x76, &[0xd0], &mut id).unwrap();
    }

    #[test]
    fn faults_come_as_often_as_asked_and_the_same_each_time() {
        let failures = || {
            let mut bus = Bus::new(0);
            bus.attach(0x76, Bme280Model::new(|_| Air::default()))
                .with_faults(Faults { nack_per_mille: 100, ..Faults::none() }, 9);
            let mut id = [0];
            (0..10_000)
                .filter(|_| bus.write_read(0x76, &[0xd0], &mut id).is_err())
                .collect::<Vec<_>>()
        };
        let first = failures();
        assert!((800..1_200).contains(&first.len()), "{} of 10000", first.len());
        assert_eq!(first, failures());
    }
}
