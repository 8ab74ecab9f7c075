//! Register model of the Texas Instruments ADS1115.
//!
//! Has the four registers of the data sheet and single conversions that take their time. Until one
//! has ended, the result register holds what the one before has given, of whichever channel.

use super::bus::{BusError, ChipModel};

/// The model of one ADS1115, measuring what a function of the time says.
pub struct Ads1115Model<F> {
    volts: F,
    registers: [u16; 4],
    pointer: usize,
    running: Option<Running>,
}

impl<F: Fn(u64) -> [f64; 4] + Send> Ads1115Model<F> {
    /// A chip that has just got its power; `volts` is asked with the time in milliseconds and gives
    /// the voltages of the four inputs.
    pub fn new(volts: F) -> Self {
        Self { volts, registers: DEFAULT, pointer: 0, running: None }
    }

    fn start(&mut self, at_us: u64) {
        let settings = self.registers[SETTINGS];
        let rate = [8, 16, 32, 64, 128, 250, 475, 860][usize::from(settings >> 5 & 0b111)];
        // The oscillator may be a tenth slow.
        let ready_us = at_us + 1_100_000 / rate;
        self.running = Some(Running { started_us: at_us, ready_us, settings });
    }

    /// Ends a conversion whose time has come.
    fn settle(&mut self, at_us: u64) {
        let Some(running) = self.running.take_if(|running| at_us >= running.ready_us) else {
            return;
        };
        let volts = (self.volts)(running.started_us / 1_000);
        let [a0, a1, a2, a3] = volts;
        let measured = match running.settings >> 12 & 0b111 {
            0 => a0 - a1,
            1 => a0 - a3,
            2 => a1 - a3,
            3 => a2 - a3,
            4 => a0,
            5 => a1,
            6 => a2,
            _ => a3,
        };
        let range = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256];
        let range = range[usize::from(running.settings >> 9 & 0b111)];
        // A cast saturates, as the converter does.
        self.registers[RESULT] = ((measured / range * 32_768.0).round() as i16) as u16;
    }
}

impl<F: Fn(u64) -> [f64; 4] + Send> ChipModel for Ads1115Model<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        let Some(register) = bytes.first() else { return Ok(()) };
        self.pointer = usize::from(register & 0b11);
        if let [_, high, low] = *bytes
            && self.pointer != RESULT
        {
            let value = u16::from_be_bytes([high, low]);
            self.registers[self.pointer] = value;
            // A conversion that runs goes on with its old settings.
            if self.pointer == SETTINGS && value & START != 0 && self.running.is_none() {
                self.start(at_us);
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        let mut value = self.registers[self.pointer];
        if self.pointer == SETTINGS {
            value = value & !START | if self.running.is_some() { 0 } else { START };
        }
        let bytes = value.to_be_bytes();
        buffer.iter_mut().zip(bytes.into_iter().cycle()).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn power_cycle(&mut self) {
        self.registers = DEFAULT;
        self.pointer = 0;
        self.running = None;
    }
}

#[derive(Clone, Copy)]
struct Running {
    started_us: u64,
    ready_us: u64,
    settings: u16,
}

const RESULT: usize = 0;
const SETTINGS: usize = 1;
const START: u16 = 0x8000;
const DEFAULT: [u16; 4] = [0, 0x8583, 0x8000, 0x7fff];
