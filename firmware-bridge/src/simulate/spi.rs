//! A simulated SPI bus.
//!
//! Responsible for chip selects, for what is on the line of a chip that is not there, and for the
//! virtual time of the bus; the chips are [`SpiModel`]s. As on a real bus, an octet comes in for
//! each that goes out, and nobody acknowledges anything. An [`SpiBus`] is a handle: clones are the
//! same bus. An [`SpiSlot`] is its own delay: a driver that waits moves the time of the bus on.

use std::convert::Infallible;

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{ErrorType, Operation, SpiDevice};

use super::wire::Wire;

/// A handle of a simulated SPI bus.
///
/// ```
/// use embedded_hal::spi::{Operation, SpiDevice};
/// use weir_firmware_bridge::simulate::{Air, Bme280Model, SpiBus};
///
/// let bus = SpiBus::new(0);
/// bus.attach(0, Bme280Model::new(|_| Air::default()));
/// let mut id = [0];
/// bus.slot(0).transaction(&mut [Operation::Write(&[0xd0]), Operation::Read(&mut id)])?;
/// assert_eq!(id, [0x60]);
/// bus.slot(1).read(&mut id)?;
/// assert_eq!(id, [0xff], "nothing is there, and nobody says so");
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpiBus(Wire<Chip>);

/// What a chip does with the octets on the bus.
pub trait SpiModel: Send {
    /// The chip was selected, at a time in microseconds: what comes is the start of a transfer.
    fn select(&mut self, at_us: u64);

    /// The octet that the chip shifts out while it takes one.
    fn exchange(&mut self, octet: u8) -> u8;

    /// The chip lost its power and has it again.
    fn power_cycle(&mut self);
}

/// What a line is at that nobody drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All octets are 0xff, as with a pull-up.
    High,
    /// All octets are 0x00, as with a pull-down.
    Low,
}

impl SpiBus {
    /// A bus without chips, at a time in milliseconds.
    pub fn new(now_ms: u64) -> Self {
        Self(Wire::new(now_ms))
    }

    /// Puts a chip at a chip select, in place of one that may have been there.
    pub fn attach(&self, select: u8, model: impl SpiModel + 'static) -> SpiAttached {
        self.0.state().chips.insert(select, Chip { model: Box::new(model), unplugged: None });
        SpiAttached { bus: self.clone(), select }
    }

    /// What a driver of the chip at a chip select owns.
    pub fn slot(&self, select: u8) -> SpiSlot {
        SpiSlot { bus: self.clone(), select }
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

/// One chip select of a bus.
#[derive(Clone, Debug)]
pub struct SpiSlot {
    bus: SpiBus,
    select: u8,
}

impl ErrorType for SpiSlot {
    type Error = Infallible;
}

impl SpiDevice for SpiSlot {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
        let mut state = self.bus.0.state();
        let at_us = state.now_us();
        let mut waited_ns = 0;
        let mut nobody = Chip::nobody();
        let chip = state.chips.get_mut(&self.select).unwrap_or(&mut nobody);
        chip.model.select(at_us);
        for operation in operations {
            match operation {
                Operation::DelayNs(ns) => waited_ns += u128::from(*ns),
                Operation::Read(buffer) => {
                    buffer.iter_mut().for_each(|octet| *octet = chip.exchange(0));
                }
                Operation::Transfer(read, write) => {
                    for place in 0..read.len().max(write.len()) {
                        let octet = chip.exchange(write.get(place).copied().unwrap_or(0));
                        if let Some(into) = read.get_mut(place) {
                            *into = octet;
                        }
                    }
                }
                Operation::TransferInPlace(buffer) => {
                    buffer.iter_mut().for_each(|octet| *octet = chip.exchange(*octet));
                }
                Operation::Write(buffer) => buffer.iter().for_each(|octet| {
                    chip.exchange(*octet);
                }),
            }
        }
        state.wait_ns(waited_ns);
        Ok(())
    }
}

impl DelayNs for SpiSlot {
    fn delay_ns(&mut self, ns: u32) {
        self.bus.0.state().wait_ns(u128::from(ns));
    }
}

/// A chip that has been put on a bus, to be troubled.
#[derive(Clone, Debug)]
pub struct SpiAttached {
    bus: SpiBus,
    select: u8,
}

impl SpiAttached {
    /// Pulls the chip off the bus, which leaves its line at a level.
    pub fn unplug(&self, level: Level) {
        if let Some(chip) = self.bus.0.state().chips.get_mut(&self.select) {
            chip.unplugged = Some(level);
        }
    }

    /// Puts the chip back. It has lost its power.
    pub fn plug_in(&self) {
        if let Some(chip) = self.bus.0.state().chips.get_mut(&self.select)
            && chip.unplugged.take().is_some()
        {
            chip.model.power_cycle();
        }
    }
}

struct Chip {
    model: Box<dyn SpiModel>,
    unplugged: Option<Level>,
}

impl Chip {
    fn nobody() -> Self {
        Self { model: Box::new(Nobody), unplugged: Some(Level::High) }
    }

    fn exchange(&mut self, octet: u8) -> u8 {
        match self.unplugged {
            None => self.model.exchange(octet),
            Some(Level::High) => 0xff,
            Some(Level::Low) => 0x00,
        }
    }
}

struct Nobody;

impl SpiModel for Nobody {
    fn select(&mut self, _at_us: u64) {}

    fn exchange(&mut self, _octet: u8) -> u8 {
        0xff
    }

    fn power_cycle(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::{Air, Bme280Model};
    use super::*;

    #[test]
    fn octet_comes_in_for_each_that_goes_out() {
        let bus = SpiBus::new(0);
        bus.attach(0, Bme280Model::new(|_| Air::default()));
        let mut read = [0; 2];
        bus.slot(0).transfer(&mut read, &[0xd0]).unwrap();
        assert_eq!(read[1], 0x60, "the id comes after the number of its register");
        assert_ne!(read[0], 0x60);
    }

    #[test]
    fn waiting_moves_the_time_of_every_handle() {
        let bus = SpiBus::new(5);
        bus.slot(0).delay_ms(2);
        bus.slot(1).transaction(&mut [Operation::DelayNs(1_000_000)]).unwrap();
        assert_eq!(bus.now_us(), 8_000);
        bus.advance_to(6);
        assert_eq!(bus.now_us(), 8_000, "time never goes back");
    }

    #[test]
    fn chip_that_was_pulled_leaves_its_line_where_it_is_and_its_neighbour_answers() {
        let bus = SpiBus::new(0);
        let first = bus.attach(0, Bme280Model::new(|_| Air::default()));
        bus.attach(1, Bme280Model::new(|_| Air::default()));
        let id = |select| {
            let mut id = [0x55];
            let mut read = [Operation::Write(&[0xd0]), Operation::Read(&mut id)];
            bus.slot(select).transaction(&mut read).unwrap();
            id[0]
        };
        first.unplug(Level::Low);
        assert_eq!((id(0), id(1)), (0x00, 0x60));
        first.unplug(Level::High);
        assert_eq!((id(0), id(1)), (0xff, 0x60));
        first.plug_in();
        assert_eq!((id(0), id(1)), (0x60, 0x60));
    }
}
