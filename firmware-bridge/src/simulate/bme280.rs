//! Register model of the Bosch BME280.
//!
//! Has the registers of the data sheet: identity, reset, calibration, control, status, and the
//! data registers with their power-on values. A forced measurement takes as long as the chip may
//! take at most; until then the data registers hold what they held before. Oversampling sets the
//! resolution. The filter can be set and read back but filters nothing, and the standby time of the
//! normal mode is none: each read then finds a new measurement.

use super::bus::{BusError, ChipModel};
use super::spi::SpiModel;

/// The model of one BME280, measuring what a function of the time says.
pub struct Bme280Model<F> {
    air: F,
    registers: [u8; 256],
    pointer: u8,
    /// `ctrl_hum` as the last write of `ctrl_meas` took it over.
    humidity_oversampling: u8,
    running: Option<Running>,
    /// When it was last selected over SPI.
    selected_us: u64,
    /// What comes next over SPI.
    phase: Phase,
}

/// What a BME280 measures. The default is a room at sea level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Air {
    /// Temperature, degree Celsius.
    pub temperature_c: f64,
    /// Relative humidity, percent.
    pub humidity_pct: f64,
    /// Pressure, pascal.
    pub pressure_pa: f64,
}

impl Default for Air {
    fn default() -> Self {
        Self { temperature_c: 21.0, humidity_pct: 45.0, pressure_pa: 101_325.0 }
    }
}

impl<F: Fn(u64) -> Air + Send> Bme280Model<F> {
    /// A chip that has just got its power; `air` is asked with the time in milliseconds.
    pub fn new(air: F) -> Self {
        let mut model = Self {
            air,
            registers: [0; 256],
            pointer: 0,
            humidity_oversampling: 0,
            running: None,
            selected_us: 0,
            phase: Phase::Register,
        };
        model.power_on();
        model
    }

    fn power_on(&mut self) {
        self.registers = [0; 256];
        self.pointer = 0;
        self.humidity_oversampling = 0;
        self.running = None;
        self.registers[usize::from(CHIP_ID)] = 0x60;
        self.store(CALIBRATION_FIRST, &CALIBRATION.low_registers());
        self.store(CALIBRATION_SECOND, &CALIBRATION.high_registers());
        self.store(DATA, &[0x80, 0x00, 0x00, 0x80, 0x00, 0x00, 0x80, 0x00]);
    }

    fn store(&mut self, first: u8, bytes: &[u8]) {
        let first = usize::from(first);
        self.registers[first..first + bytes.len()].copy_from_slice(bytes);
    }

    fn set_register(&mut self, register: u8, value: u8, at_us: u64) {
        match register {
            RESET if value == RESET_COMMAND => self.power_on(),
            CTRL_HUM | CONFIG => self.registers[usize::from(register)] = value,
            CTRL_MEAS => {
                self.registers[usize::from(CTRL_MEAS)] = value;
                self.humidity_oversampling = self.registers[usize::from(CTRL_HUM)] & 0x07;
                if value & MODE_MASK != MODE_SLEEP {
                    self.start(at_us);
                }
            }
            // All others are read only, and a write to them is acknowledged.
            _ => {}
        }
    }

    /// The register at the pointer, which moves on.
    fn read_next(&mut self) -> u8 {
        self.registers[usize::from(STATUS)] = if self.running.is_some() { 0x08 } else { 0x00 };
        let content = self.registers[usize::from(self.pointer)];
        self.pointer = self.pointer.wrapping_add(1);
        content
    }

    fn start(&mut self, at_us: u64) {
        let control = self.registers[usize::from(CTRL_MEAS)];
        let times = |setting: u8| match setting {
            0 => 0,
            setting => 1u64 << (setting.min(5) - 1),
        };
        let temperature = times(control >> 5);
        let pressure = times((control >> 2) & 0x07);
        let humidity = times(self.humidity_oversampling);
        // Data sheet, 9.1: the greatest measurement time.
        let optional = |times: u64| if times == 0 { 0 } else { 2_300 * times + 575 };
        let duration_us = 1_250 + 2_300 * temperature + optional(pressure) + optional(humidity);
        self.running = Some(Running { started_us: at_us, ready_us: at_us + duration_us });
    }

    /// Ends a measurement whose time has come.
    fn settle(&mut self, at_us: u64) {
        let Some(running) = self.running.filter(|running| at_us >= running.ready_us) else {
            return;
        };
        let normal = self.registers[usize::from(CTRL_MEAS)] & MODE_MASK == MODE_NORMAL;
        let measured_us = if normal { at_us } else { running.started_us };
        let air = (self.air)(measured_us / 1_000);
        self.latch(&air);
        if !normal {
            self.running = None;
            self.registers[usize::from(CTRL_MEAS)] &= !MODE_MASK;
        }
    }

    /// Puts what the converters give for this air into the data registers.
    fn latch(&mut self, air: &Air) {
        let control = self.registers[usize::from(CTRL_MEAS)];
        let fine = CALIBRATION.fine(air.temperature_c);
        let temperature = resolved(CALIBRATION.raw_temperature(air.temperature_c), control >> 5);
        let pressure = CALIBRATION.raw_pressure(air.pressure_pa, fine);
        let pressure = resolved(pressure, (control >> 2) & 0x07);
        let humidity = match self.humidity_oversampling {
            0 => 0x8000,
            _ => CALIBRATION.raw_humidity(air.humidity_pct, fine),
        };
        let [_, high, middle, low] = (pressure << 4).to_be_bytes();
        self.store(DATA, &[high, middle, low]);
        let [_, high, middle, low] = (temperature << 4).to_be_bytes();
        self.store(DATA + 3, &[high, middle, low]);
        let [_, _, high, low] = humidity.to_be_bytes();
        self.store(DATA + 6, &[high, low]);
    }
}

impl<F: Fn(u64) -> Air + Send> ChipModel for Bme280Model<F> {
    fn write(&mut self, bytes: &[u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        let Some(first) = bytes.first() else { return Ok(()) };
        self.pointer = *first;
        // Pairs of register and value; a lone register only moves the pointer.
        for pair in bytes.chunks_exact(2) {
            self.set_register(pair[0], pair[1], at_us);
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], at_us: u64) -> Result<(), BusError> {
        self.settle(at_us);
        buffer.iter_mut().for_each(|byte| *byte = self.read_next());
        Ok(())
    }

    fn power_cycle(&mut self) {
        self.power_on();
    }
}

/// Data sheet, 6.3: the first octet is a register without its highest bit, which says whether it is
/// read; reading goes on to the next registers, writing takes pairs of register and value.
impl<F: Fn(u64) -> Air + Send> SpiModel for Bme280Model<F> {
    fn select(&mut self, at_us: u64) {
        self.settle(at_us);
        self.selected_us = at_us;
        self.phase = Phase::Register;
    }

    fn exchange(&mut self, octet: u8) -> u8 {
        match self.phase {
            Phase::Register => {
                self.pointer = octet | 0x80;
                self.phase = if octet & 0x80 == 0 { Phase::Write } else { Phase::Read };
                NOTHING_DRIVEN
            }
            Phase::Read => self.read_next(),
            Phase::Write => {
                self.set_register(self.pointer, octet, self.selected_us);
                self.phase = Phase::Register;
                NOTHING_DRIVEN
            }
        }
    }

    fn power_cycle(&mut self) {
        self.power_on();
    }
}

/// What comes next over SPI.
#[derive(Clone, Copy)]
enum Phase {
    Read,
    Register,
    Write,
}

#[derive(Clone, Copy)]
struct Running {
    started_us: u64,
    ready_us: u64,
}

/// Without the filter, oversampling decides how many of the 20 bits are there.
fn resolved(raw: u32, oversampling: u8) -> u32 {
    match oversampling {
        0 => 0x8_0000,
        setting => raw & !((1u32 << (5 - setting.min(5))) - 1),
    }
}

/// The numbers that each chip is given in the factory, with the names of the data sheet.
struct Calibration {
    t1: u16,
    t2: i16,
    t3: i16,
    p1: u16,
    p: [i16; 8],
    h1: u8,
    h2: i16,
    h3: u8,
    h4: i16,
    h5: i16,
    h6: i8,
}

impl Calibration {
    fn low_registers(&self) -> [u8; 26] {
        let mut bytes = [0; 26];
        let words = [self.t1, self.t2 as u16, self.t3 as u16, self.p1].into_iter();
        let words = words.chain(self.p.iter().map(|word| *word as u16));
        for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[25] = self.h1;
        bytes
    }

    fn high_registers(&self) -> [u8; 7] {
        let [h2_low, h2_high] = self.h2.to_le_bytes();
        let nibbles = (self.h4 & 0x0f) as u8 | ((self.h5 & 0x0f) as u8) << 4;
        let [h4, h5] = [self.h4, self.h5].map(|word| (word >> 4) as u8);
        [h2_low, h2_high, self.h3, h4, nibbles, h5, self.h6 as u8]
    }

    /// The data sheet's `t_fine` of a temperature.
    fn fine(&self, temperature_c: f64) -> f64 {
        temperature_c * 5_120.0
    }

    fn raw_temperature(&self, temperature_c: f64) -> u32 {
        let wanted = self.fine(temperature_c);
        least_raw(20, |raw| self.fine_of_raw(raw) >= wanted)
    }

    fn raw_pressure(&self, pressure_pa: f64, fine: f64) -> u32 {
        // The greater the number, the lower the pressure.
        least_raw(20, |raw| self.pressure_of_raw(raw, fine) <= pressure_pa)
    }

    fn raw_humidity(&self, humidity_pct: f64, fine: f64) -> u32 {
        least_raw(16, |raw| self.humidity_of_raw(raw, fine) >= humidity_pct)
    }

    /// Data sheet, 8.1, in double precision.
    fn fine_of_raw(&self, raw: f64) -> f64 {
        let t1 = f64::from(self.t1);
        let first = (raw / 16_384.0 - t1 / 1_024.0) * f64::from(self.t2);
        let second = raw / 131_072.0 - t1 / 8_192.0;
        first + second * second * f64::from(self.t3)
    }

    fn pressure_of_raw(&self, raw: f64, fine: f64) -> f64 {
        let [p2, p3, p4, p5, p6, p7, p8, p9] = self.p.map(f64::from);
        let var1 = fine / 2.0 - 64_000.0;
        let var2 = var1 * var1 * p6 / 32_768.0 + var1 * p5 * 2.0;
        let var2 = var2 / 4.0 + p4 * 65_536.0;
        let var1 = (p3 * var1 * var1 / 524_288.0 + p2 * var1) / 524_288.0;
        let var1 = (1.0 + var1 / 32_768.0) * f64::from(self.p1);
        let pressure = (1_048_576.0 - raw - var2 / 4_096.0) * 6_250.0 / var1;
        pressure
            + (p9 * pressure * pressure / 2_147_483_648.0 + pressure * p8 / 32_768.0 + p7) / 16.0
    }

    fn humidity_of_raw(&self, raw: f64, fine: f64) -> f64 {
        let [h1, h3] = [self.h1, self.h3].map(f64::from);
        let [h2, h4, h5] = [self.h2, self.h4, self.h5].map(f64::from);
        let base = fine - 76_800.0;
        let linear = raw - (h4 * 64.0 + h5 / 16_384.0 * base);
        let slope = 1.0 + h3 / 67_108_864.0 * base;
        let slope = h2 / 65_536.0 * (1.0 + f64::from(self.h6) / 67_108_864.0 * base * slope);
        let humidity = linear * slope;
        humidity * (1.0 - h1 * humidity / 524_288.0)
    }
}

/// The least converter value for which `reached` holds, or the greatest there is.
fn least_raw(bits: u32, reached: impl Fn(f64) -> bool) -> u32 {
    let (mut low, mut high) = (0u32, (1 << bits) - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if reached(f64::from(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Temperature and pressure are the example of the data sheet of this family, humidity is typical.
const CALIBRATION: Calibration = Calibration {
    t1: 27_504,
    t2: 26_435,
    t3: -1_000,
    p1: 36_477,
    p: [-10_685, 3_024, 2_855, 140, -7, 15_500, -14_600, 6_000],
    h1: 75,
    h2: 370,
    h3: 0,
    h4: 309,
    h5: 50,
    h6: 30,
};

/// While the chip takes a register, nobody drives its line.
const NOTHING_DRIVEN: u8 = 0xff;
const CALIBRATION_FIRST: u8 = 0x88;
const CHIP_ID: u8 = 0xd0;
const RESET: u8 = 0xe0;
const CALIBRATION_SECOND: u8 = 0xe1;
const CTRL_HUM: u8 = 0xf2;
const STATUS: u8 = 0xf3;
const CTRL_MEAS: u8 = 0xf4;
const CONFIG: u8 = 0xf5;
const DATA: u8 = 0xf7;
const RESET_COMMAND: u8 = 0xb6;
const MODE_MASK: u8 = 0x03;
const MODE_SLEEP: u8 = 0x00;
const MODE_NORMAL: u8 = 0x03;

#[cfg(test)]
mod tests {
    use embedded_hal::delay::DelayNs;
    use embedded_hal::i2c::I2c;

    use super::super::bus::Bus;
    use super::*;

    #[test]
    fn compensation_gives_the_example_of_the_data_sheet() {
        let fine = CALIBRATION.fine_of_raw(519_888.0);
        assert!((fine / 5_120.0 - 25.08).abs() < 0.01);
        assert!((CALIBRATION.pressure_of_raw(415_148.0, fine) - 100_653.27).abs() < 1.0);
    }

    #[test]
    fn data_registers_keep_the_old_value_until_the_measurement_ends() {
        let mut bus = Bus::new(0);
        bus.attach(0x76, Bme280Model::new(|_| Air::default()));
        let mut data = [0; 3];
        // Temperature and pressure 16 times, forced.
        bus.write(0x76, &[CTRL_MEAS, 0b1011_0101]).unwrap();
        bus.delay_ms(70);
        bus.write_read(0x76, &[DATA], &mut data).unwrap();
        assert_eq!(data, [0x80, 0x00, 0x00], "power-on value");
        bus.delay_ms(10);
        bus.write_read(0x76, &[DATA], &mut data).unwrap();
        assert_ne!(data, [0x80, 0x00, 0x00]);
        let mut mode = [0];
        bus.write_read(0x76, &[CTRL_MEAS], &mut mode).unwrap();
        assert_eq!(mode[0] & MODE_MASK, MODE_SLEEP);
    }

    #[test]
    fn normal_mode_measures_again_and_again() {
        let mut bus = Bus::new(0);
        bus.attach(
            0x76,
            Bme280Model::new(|at_ms| Air { temperature_c: at_ms as f64 / 10.0, ..Air::default() }),
        );
        bus.write(0x76, &[CTRL_MEAS, 0b1011_0111]).unwrap();
        let mut seen = Vec::new();
        for _ in 0..3 {
            bus.delay_ms(100);
            let mut data = [0; 3];
            bus.write_read(0x76, &[DATA + 3], &mut data).unwrap();
            seen.push(data);
        }
        assert!(seen[0] < seen[1] && seen[1] < seen[2], "{seen:?}");
    }
}
