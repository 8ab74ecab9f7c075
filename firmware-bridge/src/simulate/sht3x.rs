//! Register model of the Sensirion SHT3x.
//!
//! Answers the commands that the data sheet has for single measurements with clock stretching, the
//! status and the soft reset. Clock stretching holds the bus until the answer is there; on this bus
//! it takes no time.

use super::bus::{BusError, ChipModel};
use super::checksum::{answer_words, spoil};
use super::sht4x::Climate;

/// The model of one SHT3x, measuring what a function of the time says.
pub struct Sht3xModel<F> {
    climate: F,
    answer: Option<Vec<u16>>,
    was_reset: bool,
}

impl<F: Fn(u64) -> Climate + Send> Sht3xModel<F> {
    /// A chip that has just got its power; `climate` is asked with the time in milliseconds.
    pub fn new(climate: F) -> Self {
        Self { climate, answer: None, was_reset: true }
    }

    fn measured(&self, at_us: u64) -> Vec<u16> {
        let climate = (self.climate)(at_us / 1_000);
        let temperature = (climate.temperature_c + 45.0) / 175.0;
        let humidity = climate.humidity_pct / 100.0;
        // A cast saturates, as the converter of the chip does.
        [temperature, humidity].map(|share| (share * 65_535.0).round() as u16).to_vec()
    }
}

impl<F: Fn(u64) -> Climate + Send> ChipModel for Sht3xModel<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        let [high, low] = bytes else { return Err(BusError::DataNotAcknowledged) };
        self.answer = None;
        match u16::from_be_bytes([*high, *low]) {
            0x2c06 | 0x2c0d | 0x2c10 => self.answer = Some(self.measured(at_us)),
            0x3041 => self.was_reset = false,
            0x30a2 => self.was_reset = true,
            0xf32d => self.answer = Some(vec![u16::from(self.was_reset) << 4]),
            _ => return Err(BusError::DataNotAcknowledged),
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], _at_us: u64) -> Result<(), BusError> {
        let words = self.answer.take().ok_or(BusError::AddressNotAcknowledged)?;
        answer_words(buffer, &words);
        Ok(())
    }

    fn spoil_checksum(&self, answer: &mut [u8]) {
        spoil(answer);
    }

    fn power_cycle(&mut self) {
        self.answer = None;
        self.was_reset = true;
    }
}
