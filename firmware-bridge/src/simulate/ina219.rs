//! Register model of the Texas Instruments INA219.
//!
//! Has the six registers of the data sheet, its power-on settings, and conversions that take their
//! time: until one has ended, the registers hold what the one before has given. The calibration
//! register can be written; the current and power registers stay at zero, as with calibration 0.

use super::bus::{BusError, ChipModel};

/// The model of one INA219, measuring what a function of the time says.
pub struct Ina219Model<F> {
    load: F,
    shunt_ohm: f64,
    registers: [u16; 6],
    pointer: usize,
    /// When the conversion that runs began.
    started_us: Option<u64>,
}

/// What an INA219 measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Voltage at the load, volt.
    pub voltage_v: f64,
    /// Current through the shunt, ampere.
    pub current_a: f64,
}

impl<F: Fn(u64) -> Load + Send> Ina219Model<F> {
    /// A chip with a shunt that has just got its power; `load` is asked with the time in
    /// milliseconds.
    pub fn new(shunt_ohm: f64, load: F) -> Self {
        let registers = [DEFAULT, 0, 0, 0, 0, 0];
        Self { load, shunt_ohm, registers, pointer: 0, started_us: Some(0) }
    }

    /// The time that both conversions take at most, in microseconds.
    fn duration_us(&self) -> u64 {
        let one = |bits: u16| match bits & 0x0f {
            0b1001..=0b1111 => 532 << (bits & 0x07),
            _ => 586,
        };
        one(self.registers[SETTINGS] >> 7) + one(self.registers[SETTINGS] >> 3)
    }

    /// Ends a conversion whose time has come.
    fn settle(&mut self, at_us: u64) {
        let Some(started_us) = self.started_us else { return };
        if at_us < started_us + self.duration_us() {
            return;
        }
        let load = (self.load)(started_us / 1_000);
        let shunt = (load.current_a * self.shunt_ohm * 1e5).round().clamp(-32_000.0, 32_000.0);
        let voltage = (load.voltage_v / 0.004).round().clamp(0.0, 8_000.0) as u16;
        self.registers[SHUNT] = (shunt as i16) as u16;
        self.registers[BUS] = voltage << 3 | READY;
        let is_continuous = self.registers[SETTINGS] & 0b100 != 0;
        self.started_us = is_continuous.then_some(at_us);
    }

    fn set(&mut self, register: usize, value: u16, at_us: u64) {
        match register {
            SETTINGS if value & 0x8000 != 0 => self.power_cycle_at(at_us),
            SETTINGS => {
                self.registers[SETTINGS] = value;
                self.registers[BUS] &= !READY;
                self.started_us = (value & 0b011 != 0).then_some(at_us);
            }
            CALIBRATION => self.registers[CALIBRATION] = value & !1,
            // All others are read only, and a write to them is acknowledged.
            _ => {}
        }
    }

    fn power_cycle_at(&mut self, at_us: u64) {
        self.registers = [DEFAULT, 0, 0, 0, 0, 0];
        self.pointer = 0;
        self.started_us = Some(at_us);
    }
}

impl<F: Fn(u64) -> Load + Send> ChipModel for Ina219Model<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        let Some(register) = bytes.first() else { return Ok(()) };
        self.pointer = usize::from(*register);
        if self.pointer >= self.registers.len() {
            return Err(BusError::DataNotAcknowledged);
        }
        if let [register, high, low] = *bytes {
            self.set(usize::from(register), u16::from_be_bytes([high, low]), at_us);
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        let bytes = self.registers[self.pointer].to_be_bytes();
        buffer.iter_mut().zip(bytes.into_iter().cycle()).for_each(|(to, from)| *to = from);
        if self.pointer == POWER {
            self.registers[BUS] &= !READY;
        }
        Ok(())
    }

    fn power_cycle(&mut self) {
        self.power_cycle_at(0);
    }
}

const SETTINGS: usize = 0;
const SHUNT: usize = 1;
const BUS: usize = 2;
const POWER: usize = 3;
const CALIBRATION: usize = 5;
const DEFAULT: u16 = 0x399f;
const READY: u16 = 0b10;
