//! Register model of the Sensirion SCD4x.
//!
//! Measures every five seconds once it has been told to, gives each measurement once, and does not
//! acknowledge what its data sheet does not allow: most commands while it measures, all of them
//! while it stops, a read without an answer.

use super::bus::{BusError, ChipModel};
use super::checksum::{answer_words, crc8, spoil};

/// The model of one SCD4x, measuring what a function of the time says.
pub struct Scd4xModel<F> {
    air: F,
    serial: u64,
    /// Since when it measures.
    running_us: Option<u64>,
    /// How many of the measurements since then have been read or replaced by a read one.
    given: u64,
    busy_until_us: u64,
    answer: Option<Vec<u16>>,
    altitude_m: u16,
}

/// What an SCD4x measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breath {
    /// Carbon dioxide, parts in a million.
    pub co2_ppm: f64,
    /// Temperature, degree Celsius.
    pub temperature_c: f64,
    /// Relative humidity, percent.
    pub humidity_pct: f64,
}

impl<F: Fn(u64) -> Breath + Send> Scd4xModel<F> {
    /// An idle chip with a serial number of 48 bits; `air` is asked with the time in milliseconds.
    pub fn new(serial: u64, air: F) -> Self {
        Self {
            air,
            serial,
            running_us: None,
            given: 0,
            busy_until_us: 0,
            answer: None,
            altitude_m: 0,
        }
    }

    /// Measurements that have ended since it was started.
    fn ended(&self, at_us: u64) -> u64 {
        self.running_us.map_or(0, |since_us| at_us.saturating_sub(since_us) / MEASURING_US)
    }

    fn measured(&self, number: u64) -> Vec<u16> {
        let ended_us = self.running_us.unwrap_or_default() + number * MEASURING_US;
        let air = (self.air)(ended_us / 1_000);
        let temperature = (air.temperature_c + 45.0) / 175.0 * 65_535.0;
        let humidity = air.humidity_pct / 100.0 * 65_535.0;
        [air.co2_ppm, temperature, humidity].map(|value| value.round() as u16).to_vec()
    }

    fn command(&mut self, command: u16, at_us: u64) -> Result<(), BusError> {
        let is_running = self.running_us.is_some();
        match (command, is_running) {
            (0x21b1, false) => {
                self.running_us = Some(at_us);
                self.given = 0;
            }
            (0x3f86, _) => {
                self.running_us = None;
                self.busy_until_us = at_us + STOPPING_US;
            }
            (0x3646, false) => self.busy_until_us = at_us + REINIT_US,
            (0x3682, false) => {
                let words = [32, 16, 0].map(|shift| (self.serial >> shift) as u16);
                self.answer = Some(words.to_vec());
            }
            (0x2322, false) => self.answer = Some(vec![self.altitude_m]),
            (0xe4b8, _) => {
                let is_ready = self.ended(at_us) > self.given;
                self.answer = Some(vec![if is_ready { 0x8006 } else { 0x8000 }]);
            }
            (0xec05, true) if self.ended(at_us) > self.given => {
                self.given = self.ended(at_us);
                self.answer = Some(self.measured(self.given));
            }
            // Nothing to give: the read that follows is not acknowledged.
            (0xec05, _) => {}
            _ => return Err(BusError::DataNotAcknowledged),
        }
        Ok(())
    }
}

impl<F: Fn(u64) -> Breath + Send> ChipModel for Scd4xModel<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        if at_us < self.busy_until_us {
            return Err(BusError::AddressNotAcknowledged);
        }
        self.answer = None;
        match *bytes {
            [high, low] => self.command(u16::from_be_bytes([high, low]), at_us),
            [0x24, 0x27, high, low, checksum]
                if self.running_us.is_none() && crc8([high, low]) == checksum =>
            {
                self.altitude_m = u16::from_be_bytes([high, low]);
                Ok(())
            }
            _ => Err(BusError::DataNotAcknowledged),
        }
    }

    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        if at_us < self.busy_until_us {
            return Err(BusError::AddressNotAcknowledged);
        }
        let words = self.answer.take().ok_or(BusError::AddressNotAcknowledged)?;
        answer_words(buffer, &words);
        Ok(())
    }

    fn spoil_checksum(&self, answer: &mut [u8]) {
        spoil(answer);
    }

    fn power_cycle(&mut self) {
        self.running_us = None;
        self.given = 0;
        self.busy_until_us = 0;
        self.answer = None;
    }
}

const MEASURING_US: u64 = 5_000_000;
const STOPPING_US: u64 = 500_000;
const REINIT_US: u64 = 20_000;
