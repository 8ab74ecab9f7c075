//! Modbus devices that are simulated: they answer the requests that real ones would be sent.
//!
//! A device has the registers that its configuration reads and writes, and refuses all others with
//! the exceptions of the standard. What it measures depends on a seed and on the time of day; what
//! was written is kept until it is written again. Reads no clock of its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::register::encode;
use crate::config::{ModbusConfig, RegisterPlace, Table};
use crate::simulate::Surroundings;

/// The devices of one simulated connection.
#[derive(Debug)]
pub struct SimulatedDevices {
    surroundings: Surroundings,
    devices: Vec<ModbusConfig>,
    /// Of a unit, a table and a register.
    written: BTreeMap<(u8, Table, u16), u16>,
}

impl SimulatedDevices {
    /// Devices with the registers of their configurations.
    pub fn new(surroundings: Surroundings, devices: Vec<ModbusConfig>) -> Self {
        Self { surroundings, devices, written: BTreeMap::new() }
    }

    /// The answer of a unit to a request, both as the standard's protocol data unit, at a time of
    /// the Unix epoch in milliseconds; `None` if no device has this unit id.
    pub fn answer(&mut self, unit: u8, request: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        self.devices.iter().find(|device| device.unit == unit)?;
        let (function, rest) = request.split_first()?;
        let answer = match (*function, rest) {
            (READ_COILS, rest) => self.bits(unit, Table::Coil, rest, now_ms),
            (READ_DISCRETE, rest) => self.bits(unit, Table::Discrete, rest, now_ms),
            (READ_HOLDING, rest) => self.words(unit, Table::Holding, rest, now_ms),
            (READ_INPUT, rest) => self.words(unit, Table::Input, rest, now_ms),
            (WRITE_COIL, [a, b, c, d]) => {
                let is_on = u16::from_be_bytes([*c, *d]) == COIL_ON;
                let words = [u16::from(is_on)];
                self.write(unit, Table::Coil, u16::from_be_bytes([*a, *b]), &words)
                    .map(|()| rest.to_vec())
            }
            (WRITE_REGISTER, [a, b, c, d]) => {
                let words = [u16::from_be_bytes([*c, *d])];
                self.write(unit, Table::Holding, u16::from_be_bytes([*a, *b]), &words)
                    .map(|()| rest.to_vec())
            }
            (WRITE_REGISTERS, [a, b, c, d, _, values @ ..]) => {
                let words =
                    values.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
                let words: Vec<u16> = words.collect();
                self.write(unit, Table::Holding, u16::from_be_bytes([*a, *b]), &words)
                    .map(|()| vec![*a, *b, *c, *d])
            }
            _ => Err(ILLEGAL_FUNCTION),
        };
        Some(match answer {
            Ok(rest) => [&[*function][..], &rest].concat(),
            Err(exception) => vec![*function | IS_EXCEPTION, exception],
        })
    }

    fn bits(&self, unit: u8, table: Table, range: &[u8], now_ms: u64) -> Result<Vec<u8>, u8> {
        let words = self.held(unit, table, range, now_ms)?;
        let mut bytes = vec![0; words.len().div_ceil(8)];
        for (place, _) in words.iter().enumerate().filter(|(_, word)| **word != 0) {
            bytes[place / 8] |= 1 << (place % 8);
        }
        Ok(with_length(&bytes))
    }

    fn words(&self, unit: u8, table: Table, range: &[u8], now_ms: u64) -> Result<Vec<u8>, u8> {
        let words = self.held(unit, table, range, now_ms)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(with_length(&bytes))
    }

    /// What is in a range of registers or bits, one word for each.
    fn held(&self, unit: u8, table: Table, range: &[u8], now_ms: u64) -> Result<Vec<u16>, u8> {
        let [a, b, c, d] = range else { return Err(ILLEGAL_VALUE) };
        let (first, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let most = if table.is_bits() { BITS_MAX } else { WORDS_MAX };
        if count == 0 || count > most {
            return Err(ILLEGAL_VALUE);
        }
        let registers = (0..count).map(|offset| first.checked_add(offset));
        registers
            .map(|register| {
                let register = register.ok_or(ILLEGAL_ADDRESS)?;
                self.word(unit, table, register, now_ms).ok_or(ILLEGAL_ADDRESS)
            })
            .collect()
    }

    fn word(&self, unit: u8, table: Table, register: u16, now_ms: u64) -> Option<u16> {
        if let Some(word) = self.written.get(&(unit, table, register)) {
            return Some(*word);
        }
        let devices = || self.devices.iter().filter(move |device| device.unit == unit);
        let measured = devices().find_map(|device| {
            let read = device.reads.iter().find(|read| has(&read.place, table, register))?;
            let name = format!("{}/{}", device.name, read.name);
            let value = match table.is_bits() {
                true => f64::from(u8::from(self.surroundings.is_on(&name, now_ms))),
                false => self.surroundings.measured(&name, &read.unit_name, now_ms),
            };
            Some((value, &read.place))
        });
        let set = || {
            devices().find_map(|device| {
                let write =
                    device.writes.iter().find(|write| has(&write.place, table, register))?;
                Some((write.safe_state.unwrap_or(write.min), &write.place))
            })
        };
        let (value, place) = measured.or_else(set)?;
        if table.is_bits() {
            return Some(u16::from(value != 0.0));
        }
        let (least, greatest) = place.range();
        let words = encode(value.clamp(least, greatest), place).ok()?;
        words.get(usize::from(register - place.register)).copied()
    }

    /// All or none.
    fn write(&mut self, unit: u8, table: Table, first: u16, words: &[u16]) -> Result<(), u8> {
        let places = (0u16..).zip(words).map(|(offset, word)| (first.checked_add(offset), *word));
        let places: Vec<_> = places.collect();
        let mut devices = self.devices.iter().filter(|device| device.unit == unit);
        let may = |device: &ModbusConfig, register| {
            device.writes.iter().any(|write| has(&write.place, table, register))
        };
        let device = devices.find(|device| {
            places.iter().all(|(register, _)| register.is_some_and(|one| may(device, one)))
        });
        device.ok_or(ILLEGAL_ADDRESS)?;
        for (register, word) in places {
            self.written.extend(register.map(|register| ((unit, table, register), word)));
        }
        Ok(())
    }
}

/// A connection to devices, in the framing of Modbus over TCP. They answer from a task of the
/// runtime that this is called in, until the connection is dropped.
pub(super) fn connect(
    devices: &Arc<Mutex<SimulatedDevices>>,
    now_ms: impl Fn() -> u64 + Send + 'static,
) -> DuplexStream {
    let (here, there) = duplex(FRAME_MAX * 2);
    let devices = Arc::clone(devices);
    tokio::spawn(async move {
        // It ends when nobody is at the other end any more.
        let _ = serve(there, &devices, now_ms).await;
    });
    here
}

async fn serve(
    mut line: DuplexStream,
    devices: &Mutex<SimulatedDevices>,
    now_ms: impl Fn() -> u64,
) -> io::Result<()> {
    let mut frame = [0; FRAME_MAX];
    loop {
        line.read_exact(&mut frame[..HEADER]).await?;
        // The length counts the unit id, which is the last octet of the header.
        let length = usize::from(u16::from_be_bytes([frame[4], frame[5]])).saturating_sub(1);
        let unit = frame[6];
        let request = frame.get_mut(HEADER..HEADER + length);
        let request = request.ok_or(io::ErrorKind::InvalidData)?;
        line.read_exact(request).await?;
        let answer = {
            // What was half written when somebody panicked is a register more or less.
            let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
            devices.answer(unit, request, now_ms())
        };
        let Some(answer) = answer else { continue };
        let length = (answer.len() as u16 + 1).to_be_bytes();
        let header = [frame[0], frame[1], 0, 0, length[0], length[1], unit];
        line.write_all(&[&header[..], &answer].concat()).await?;
    }
}

fn has(place: &RegisterPlace, table: Table, register: u16) -> bool {
    let offset = register.checked_sub(place.register);
    place.table == table && offset.is_some_and(|offset| offset < place.length())
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    // At most 250, by the greatest number of registers in a request.
    [&[bytes.len() as u8][..], bytes].concat()
}

const READ_COILS: u8 = 1;
const READ_DISCRETE: u8 = 2;
const READ_HOLDING: u8 = 3;
const READ_INPUT: u8 = 4;
const WRITE_COIL: u8 = 5;
const WRITE_REGISTER: u8 = 6;
const WRITE_REGISTERS: u8 = 16;
const COIL_ON: u16 = 0xff00;
const IS_EXCEPTION: u8 = 0x80;
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// Most bits and registers that are read at once, by the standard.
const BITS_MAX: u16 = 2_000;
const WORDS_MAX: u16 = 125;
const HEADER: usize = 7;
/// Longest frame over TCP.
const FRAME_MAX: usize = 260;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::{Answer, Fault, Line, Request, decode};
    use super::*;
    use crate::config::parse;

    const AT_MS: u64 = 1_780_000_000_000;
    const PATIENCE: Duration = Duration::from_secs(5);

    fn devices() -> Vec<ModbusConfig> {
        let text = "[[modbus]]\nname = \"meter\"\ntcp = \"sim:502\"\nunit = 3\n\
                    [[modbus.read]]\nname = \"voltage_v\"\ntable = \"input\"\nregister = 0\n\
                    type = \"f32\"\nunit_name = \"V\"\n\
                    [[modbus.read]]\nname = \"energy_kwh\"\ntable = \"input\"\nregister = 2\n\
                    type = \"u32\"\nscale = 0.01\nunit_name = \"kWh\"\nword_order = \"low-first\"\n\
                    [[modbus.read]]\nname = \"alarm\"\ntable = \"discrete\"\nregister = 9\n\
                    [[modbus.write]]\nname = \"setpoint_c\"\nregister = 20\ntype = \"i16\"\n\
                    scale = 0.1\nmin = 5\nmax = 30\nsafe_state = 17\n\
                    [[modbus.write]]\nname = \"relay\"\ntable = \"coil\"\nregister = 4\n";
        parse("test", text, Path::new("")).unwrap().modbus
    }

    fn line(seed: u64) -> Line {
        let devices = SimulatedDevices::new(Surroundings::new(seed), devices());
        Line::simulated(devices, || AT_MS)
    }

    async fn read(line: &mut Line, table: Table, first: u16, count: u16) -> Result<Answer, Fault> {
        line.read(3, Request { table, first, count }, PATIENCE).await
    }

    #[tokio::test]
    async fn the_line_that_reads_real_devices_reads_these_and_a_seed_decides_what() {
        let mut answers = Vec::new();
        for seed in [1, 1, 2] {
            answers.push(read(&mut line(seed), Table::Input, 0, 4).await.unwrap());
        }
        assert_eq!(answers[0], answers[1]);
        assert_ne!(answers[0], answers[2]);
        let places: Vec<_> = devices()[0].reads.iter().map(|read| read.place).collect();
        let value = |offset, place| decode(&answers[0], offset, place).unwrap().to_string();
        let voltage: f64 = value(0, &places[0]).parse().unwrap();
        assert!((220.0..240.0).contains(&voltage), "{voltage}");
        let energy: f64 = value(2, &places[1]).parse().unwrap();
        assert!(energy > 0.0, "{energy}");
        let alarm = read(&mut line(1), Table::Discrete, 9, 1).await.unwrap();
        assert!(matches!(alarm, Answer::Bits(_)));
    }

    #[tokio::test]
    async fn what_is_written_is_read_back_until_it_is_written_again() {
        let (mut line, device) = (line(1), devices().remove(0));
        let [setpoint, relay] = &device.writes[..] else { panic!() };
        assert_eq!(line.held(3, setpoint, PATIENCE).await.unwrap(), 17.0);
        assert_eq!(line.write(3, setpoint, 21.5, PATIENCE).await, Ok(21.5));
        assert_eq!(line.held(3, setpoint, PATIENCE).await.unwrap(), 21.5);
        assert_eq!(line.write(3, relay, 1.0, PATIENCE).await, Ok(1.0));
        assert_eq!(line.write(3, relay, 0.0, PATIENCE).await, Ok(0.0));
    }

    #[tokio::test]
    async fn registers_and_units_that_are_not_there_are_refused_as_by_real_devices() {
        let mut line = line(1);
        let refused = read(&mut line, Table::Input, 100, 1).await;
        assert_eq!(refused, Err(Fault::Exception { code: ILLEGAL_ADDRESS }));
        let refused = read(&mut line, Table::Input, 3, 2).await;
        assert_eq!(refused, Err(Fault::Exception { code: ILLEGAL_ADDRESS }), "half of it is there");
        let mut devices = SimulatedDevices::new(Surroundings::new(1), devices());
        assert_eq!(devices.answer(4, &[READ_INPUT, 0, 0, 0, 1], AT_MS), None);
        let illegal = devices.answer(3, &[0x2b, 0x0e], AT_MS);
        assert_eq!(illegal, Some(vec![0xab, ILLEGAL_FUNCTION]));
        let too_many = devices.answer(3, &[READ_INPUT, 0, 0, 0, 126], AT_MS);
        assert_eq!(too_many, Some(vec![0x84, ILLEGAL_VALUE]));
        let read_only = devices.answer(3, &[WRITE_REGISTER, 0, 0, 0, 1], AT_MS);
        assert_eq!(read_only, Some(vec![0x86, ILLEGAL_ADDRESS]));
    }
}
