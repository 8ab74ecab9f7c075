//! Register model of the Sensirion SHT4x.
//!
//! Answers the commands of the data sheet (measure, heat and measure, serial number, soft reset)
//! with its times and its CRC-8 after each word. A read before the answer is ready is not
//! acknowledged, and an answer can be read once. The heater warms nothing.

use super::bus::{BusError, ChipModel};
use super::checksum::{answer_words, spoil};

/// The model of one SHT4x, measuring what a function of the time says.
pub struct Sht4xModel<F> {
    climate: F,
    serial: u32,
    answer: Option<Answer>,
}

/// What an SHT4x measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Climate {
    /// Temperature of the air, degree Celsius.
    pub temperature_c: f64,
    /// Relative humidity, percent.
    pub humidity_pct: f64,
}

impl<F: Fn(u64) -> Climate + Send> Sht4xModel<F> {
    /// A chip with a serial number; `climate` is asked with the time in milliseconds.
    pub fn new(serial: u32, climate: F) -> Self {
        Self { climate, serial, answer: None }
    }

    fn measured(&self, at_us: u64) -> [u16; 2] {
        let climate = (self.climate)(at_us / 1_000);
        let temperature = (climate.temperature_c + 45.0) / 175.0;
        let humidity = (climate.humidity_pct + 6.0) / 125.0;
        // A cast saturates, as the converter of the chip does.
        [temperature, humidity].map(|share| (share * 65_535.0).round() as u16)
    }
}

impl<F: Fn(u64) -> Climate + Send> ChipModel for Sht4xModel<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        let [command] = bytes else { return Err(BusError::DataNotAcknowledged) };
        if self.answer.is_some_and(|answer| at_us < answer.ready_us) {
            return Err(BusError::AddressNotAcknowledged);
        }
        self.answer = None;
        let (words, duration_us) = match *command {
            0xfd => (self.measured(at_us), 8_300),
            0xf6 => (self.measured(at_us), 4_500),
            0xe0 => (self.measured(at_us), 1_600),
            0x39 | 0x2f | 0x1e => (self.measured(at_us), 1_100_000),
            0x32 | 0x24 | 0x15 => (self.measured(at_us), 110_000),
            0x89 => ([(self.serial >> 16) as u16, self.serial as u16], 500),
            0x94 => return Ok(()),
            _ => return Err(BusError::DataNotAcknowledged),
        };
        self.answer = Some(Answer { words, ready_us: at_us + duration_us });
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        let answer = self.answer.filter(|answer| at_us >= answer.ready_us);
        let answer = answer.ok_or(BusError::AddressNotAcknowledged)?;
        self.answer = None;
        answer_words(buffer, &answer.words);
        Ok(())
    }

    fn spoil_checksum(&self, answer: &mut [u8]) {
        spoil(answer);
    }

    fn power_cycle(&mut self) {
        self.answer = None;
    }
}

#[derive(Clone, Copy)]
struct Answer {
    words: [u16; 2],
    ready_us: u64,
}

#[cfg(test)]
mod tests {
    use embedded_hal::delay::DelayNs;
    use embedded_hal::i2c::I2c;

    use super::super::bus::Bus;
    use super::*;

    #[test]
    fn answer_comes_when_it_is_ready_and_only_once() {
        let mut bus = Bus::new(0);
        let climate = Climate { temperature_c: -45.0, humidity_pct: 119.0 };
        bus.attach(0x44, Sht4xModel::new(7, move |_| climate));
        let mut answer = [0; 6];
        bus.write(0x44, &[0xfd]).unwrap();
        bus.delay_ms(8);
        assert!(bus.read(0x44, &mut answer).is_err(), "still measuring");
        bus.delay_ms(1);
        bus.read(0x44, &mut answer).unwrap();
        assert_eq!(answer, [0x00, 0x00, 0x81, 0xff, 0xff, 0xac]);
        assert!(bus.read(0x44, &mut answer).is_err(), "nothing more to give");
    }

    #[test]
    fn unknown_command_is_not_acknowledged() {
        let mut bus = Bus::new(0);
        let climate = Climate { temperature_c: 20.0, humidity_pct: 50.0 };
        bus.attach(0x44, Sht4xModel::new(7, move |_| climate));
        assert_eq!(bus.write(0x44, &[0x00]), Err(BusError::DataNotAcknowledged));
        assert_eq!(bus.write(0x44, &[0xfd, 0x00]), Err(BusError::DataNotAcknowledged));
    }
}
