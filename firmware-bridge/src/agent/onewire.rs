//! DS18B20 thermometers, through the files of the kernel's w1 driver.
//!
//! `w1_slave` is read, not `temperature`: it has the checksum of the scratchpad and its bytes.
//! A chip that has just got its power has 85 degrees in its scratchpad. As the first reading after
//! a reset that is taken for what it is: no measurement.

use std::path::{Path, PathBuf};
use std::{fs, io};

use weir_node::sense::{Quantity, Reading, SenseError, Sensor, Unit};

/// One thermometer.
#[derive(Debug)]
pub(crate) struct Ds18b20 {
    file: PathBuf,
    /// Whether nothing has been measured since the reset.
    is_first: bool,
}

impl Ds18b20 {
    /// A thermometer below a directory that is `/sys/bus/w1/devices` on a real machine.
    pub(crate) fn new(root: &Path, id: &str) -> Self {
        Self { file: root.join(id).join("w1_slave"), is_first: true }
    }
}

impl Sensor for Ds18b20 {
    type Error = io::Error;

    fn quantities(&self) -> &[Quantity] {
        &QUANTITIES
    }

    /// Takes three quarters of a second: the kernel starts a conversion and waits for it.
    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<io::Error>> {
        let text = fs::read_to_string(&self.file).map_err(file_error)?;
        let scratchpad = scratchpad(&text)?;
        let [low, high, ..] = scratchpad;
        // Sixteenths of a degree, or coarser; the bits below the resolution are then 0.
        let raw = i16::from_le_bytes([low, high]);
        let milli = i64::from(raw) * 1_000 / 16;
        if raw == POWER_ON_RAW && self.is_first {
            return Err(SenseError::NotReady);
        }
        let [quantity] = &QUANTITIES;
        if !quantity.accepts(milli) {
            return Err(SenseError::OutOfRange);
        }
        let first = out.first_mut().ok_or(SenseError::BufferTooSmall)?;
        *first = Reading { quantity: 0, milli };
        self.is_first = false;
        Ok(1)
    }

    fn reset(&mut self) -> Result<(), SenseError<io::Error>> {
        self.is_first = true;
        if self.file.exists() { Ok(()) } else { Err(SenseError::NotPresent) }
    }
}

/// The nine bytes of the scratchpad, whose checksum holds.
///
/// The file has two lines: the bytes with `crc=..` and YES or NO, and the bytes with `t=..`.
fn scratchpad<E>(text: &str) -> Result<[u8; 9], SenseError<E>> {
    let first = text.lines().next().unwrap_or_default();
    let mut bytes = [0; 9];
    let mut words = first.split_whitespace();
    for byte in &mut bytes {
        let word = words.next().unwrap_or_default();
        *byte = u8::from_str_radix(word, 16).map_err(|_| SenseError::NotReady)?;
    }
    // The kernel's word is not enough: some clones answer zeros, whose checksum is zero.
    let is_right = first.ends_with("YES") && crc8(&bytes) == 0 && bytes != [0; 9];
    if is_right { Ok(bytes) } else { Err(SenseError::Crc) }
}

/// Polynomial 0x31, bits reversed (Maxim application note 27).
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0x8c })
    })
}

fn file_error(error: io::Error) -> SenseError<io::Error> {
    match error.kind() {
        io::ErrorKind::NotFound => SenseError::NotPresent,
        _ => SenseError::Bus(error),
    }
}

/// 85 degrees.
const POWER_ON_RAW: i16 = 0x0550;

const QUANTITIES: [Quantity; 1] = [Quantity {
    name: "temperature_c",
    unit: Unit::Celsius,
    min_milli: -55_000,
    max_milli: 125_000,
    decimals: 2,
}];

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    /// What the kernel writes for a scratchpad.
    fn w1_slave(raw: i16, is_spoilt: bool) -> String {
        let [low, high] = raw.to_le_bytes();
        let mut bytes = vec![low, high, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10];
        let crc = crc8(&bytes);
        bytes.push(if is_spoilt { crc ^ 1 } else { crc });
        let shown: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let verdict = if is_spoilt { "NO" } else { "YES" };
        let shown = shown.join(" ");
        format!("{shown} : crc={crc:02x} {verdict}\n{shown} t={}\n", i64::from(raw) * 1_000 / 16)
    }

    fn sampled(sensor: &mut Ds18b20) -> Result<i64, SenseError<io::Error>> {
        let mut out = [Reading::default()];
        sensor.sample(&mut out).map(|_| out[0].milli)
    }

    fn thermometer(folder: &Folder) -> Ds18b20 {
        fs::create_dir_all(folder.path().join("28-000001")).unwrap();
        Ds18b20::new(folder.path(), "28-000001")
    }

    fn write(sensor: &Ds18b20, text: &str) {
        fs::write(&sensor.file, text).unwrap();
    }

    #[test]
    fn file_of_the_kernel_documentation_is_read() {
        let text = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n";
        let folder = Folder::new();
        let mut sensor = thermometer(&folder);
        write(&sensor, text);
        sensor.reset().unwrap();
        assert_eq!(sampled(&mut sensor).unwrap(), 23_125);
        write(&sensor, &w1_slave(-162, false));
        assert_eq!(sampled(&mut sensor).unwrap(), -10_125);
    }

    /// Behaviour 40.
    #[test]
    fn power_on_value_is_no_measurement_when_it_comes_first() {
        let folder = Folder::new();
        let mut sensor = thermometer(&folder);
        write(&sensor, &w1_slave(POWER_ON_RAW, false));
        sensor.reset().unwrap();
        assert!(matches!(sampled(&mut sensor), Err(SenseError::NotReady)));
        write(&sensor, &w1_slave(POWER_ON_RAW - 1, false));
        assert_eq!(sampled(&mut sensor).unwrap(), 84_937);
        write(&sensor, &w1_slave(POWER_ON_RAW, false));
        assert_eq!(sampled(&mut sensor).unwrap(), 85_000, "it became that warm");
    }

    #[test]
    fn wrong_checksum_and_what_cannot_be_read_give_no_value() {
        let folder = Folder::new();
        let mut sensor = thermometer(&folder);
        assert!(matches!(sensor.reset(), Err(SenseError::NotPresent)));
        assert!(matches!(sampled(&mut sensor), Err(SenseError::NotPresent)));
        write(&sensor, &w1_slave(350, true));
        assert!(matches!(sampled(&mut sensor), Err(SenseError::Crc)));
        let zeros = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 t=0\n";
        write(&sensor, zeros);
        assert!(matches!(sampled(&mut sensor), Err(SenseError::Crc)), "a shorted line");
        write(&sensor, "");
        assert!(matches!(sampled(&mut sensor), Err(SenseError::NotReady)));
        write(&sensor, &w1_slave(0x7ff0, false));
        assert!(matches!(sampled(&mut sensor), Err(SenseError::OutOfRange)));
    }
}
