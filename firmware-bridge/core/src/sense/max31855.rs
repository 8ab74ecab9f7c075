//! Maxim MAX31855: temperature of a thermocouple, and of its cold junction in the chip.
//!
//! The chip has neither registers nor a checksum: it shifts out 32 bits of its last conversion, of
//! which there are ten in a second. What protects are the bits that are always zero, the bits that
//! say what is wrong with the thermocouple, and that nobody drives a line to all ones or all zeros:
//! a thermocouple and a junction that are both at exactly 0 degrees are taken for a chip that is
//! not there.

use embedded_hal::spi::SpiDevice;

use super::{Quantity, Reading, SenseError, Sensor, Unit, WiringFault, write_readings};

/// A MAX31855 on an SPI bus, in mode 0 and with at most 5 MHz. The kind of thermocouple is the last
/// letter of the name of the chip.
#[derive(Debug)]
pub struct Max31855<S> {
    device: S,
}

impl<S: SpiDevice> Max31855<S> {
    /// A sensor that has not been talked to yet.
    pub fn new(device: S) -> Self {
        Self { device }
    }

    fn read(&mut self) -> Result<u32, SenseError<S::Error>> {
        let mut word = [0; 4];
        self.device.read(&mut word).map_err(SenseError::Bus)?;
        let word = u32::from_be_bytes(word);
        if word == 0 || word & ALWAYS_ZERO != 0 {
            return Err(SenseError::NotPresent);
        }
        Ok(word)
    }
}

impl<S: SpiDevice> Sensor for Max31855<S> {
    type Error = S::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<S::Error>> {
        let word = self.read()?;
        if let Some(fault) = fault(word) {
            return Err(SenseError::Wiring(fault));
        }
        write_readings(&QUANTITIES, values_milli(word), out)
    }

    /// There is nothing to set; it says whether a chip is there.
    fn reset(&mut self) -> Result<(), SenseError<S::Error>> {
        self.read().map(|_| ())
    }
}

/// What the chip says about its thermocouple.
fn fault(word: u32) -> Option<WiringFault> {
    match word & (FAULT | FAULT_KINDS) {
        0 => None,
        bits if bits & SHORT_TO_SUPPLY != 0 => Some(WiringFault::ShortToSupply),
        bits if bits & SHORT_TO_GROUND != 0 => Some(WiringFault::ShortToGround),
        // Without a kind, a thermocouple is not to be trusted either.
        _ => Some(WiringFault::Open),
    }
}

fn values_milli(word: u32) -> [i64; 2] {
    let bits = word.cast_signed();
    // 14 bits of a quarter of a degree, and 12 bits of a sixteenth.
    let thermocouple = i64::from(bits >> 18) * 250;
    let junction = i64::from((bits << 16) >> 20) * 125;
    [thermocouple, junction.div_euclid(2)]
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        name: "temperature_c",
        unit: Unit::Celsius,
        min_milli: -270_000,
        max_milli: 1_800_000,
        decimals: 2,
    },
    Quantity {
        name: "cold_junction_c",
        unit: Unit::Celsius,
        min_milli: -55_000,
        max_milli: 127_000,
        decimals: 2,
    },
];

const ALWAYS_ZERO: u32 = 1 << 17 | 1 << 3;
const FAULT: u32 = 1 << 16;
const FAULT_KINDS: u32 = 0b111;
const SHORT_TO_SUPPLY: u32 = 1 << 2;
const SHORT_TO_GROUND: u32 = 1 << 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables 4 and 5 of the data sheet.
    #[test]
    fn examples_of_the_data_sheet_are_what_they_say() {
        for (bits, milli) in [
            (0b01_1001_0000_0000, 1_600_000),
            (0b00_1111_1010_0000, 1_000_000),
            (0b00_0001_1001_0011, 100_750),
            (0b00_0000_0110_0100, 25_000),
            (0b00_0000_0000_0000, 0),
            (0b11_1111_1111_1111, -250),
            (0b11_1111_1111_1100, -1_000),
            (0b11_1100_0001_1000, -250_000),
        ] {
            assert_eq!(values_milli(bits << 18)[0], milli, "{bits:014b}");
        }
        for (bits, milli) in [
            (0b0111_1111_0000, 127_000),
            (0b0110_0100_1001, 100_562),
            (0b0001_1001_0000, 25_000),
            (0b0000_0000_0000, 0),
            (0b1111_1111_1111, -63),
            (0b1111_1111_0000, -1_000),
            (0b1110_1100_0000, -20_000),
            (0b1100_1001_0000, -55_000),
        ] {
            assert_eq!(values_milli(bits << 4)[1], milli, "{bits:012b}");
        }
    }

    #[test]
    fn every_fault_of_a_thermocouple_has_its_name() {
        assert_eq!(fault(25 << 20), None);
        assert_eq!(fault(FAULT | 1), Some(WiringFault::Open));
        assert_eq!(fault(FAULT | SHORT_TO_GROUND), Some(WiringFault::ShortToGround));
        assert_eq!(fault(FAULT | SHORT_TO_SUPPLY), Some(WiringFault::ShortToSupply));
        assert_eq!(fault(FAULT), Some(WiringFault::Open), "a fault that is not named");
    }
}
