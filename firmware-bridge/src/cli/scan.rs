//! `weir-bridge scan`: what is wired to this machine, as a configuration.
//!
//! Each address of an I2C bus is read once, a byte, which chips take without harm; where the answer
//! of a register says more, that register is read. Everything else is looked at through files.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use embedded_hal::i2c::I2c;
use linux_embedded_hal::I2cdev;

use super::{Answer, CliError, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is printed can be the start of a bridge.toml. Reading an address may disturb a device that
something else is talking to.")]
pub(crate) struct Arguments {
    /// Look at this I2C bus only, N of /dev/i2c-N
    #[arg(long, value_name = "N")]
    bus: Option<u8>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let root = Path::new("/");
    let buses = i2c_buses(root).into_iter();
    let buses: Vec<u8> =
        buses.filter(|bus| arguments.bus.is_none_or(|only| only == *bus)).collect();
    let mut report = Report::default();
    report.i2c(&buses, |bus| I2cdev::new(format!("/dev/i2c-{bus}")).map_err(|e| e.to_string()));
    if arguments.bus.is_none() {
        report.spi(root);
        report.onewire(&root.join("sys/bus/w1/devices"));
        report.gpio();
        report.pwm(&root.join("sys/class/pwm"));
        report.serial(&root.join("dev/serial/by-id"));
    }
    say(&report.text)?;
    Ok(Answer::Yes)
}

/// A configuration as it grows.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn i2c<B: I2c>(&mut self, buses: &[u8], open: impl Fn(u8) -> Result<B, String>) {
        if buses.is_empty() {
            self.comment("no I2C bus: is it enabled, and is the module i2c-dev loaded?");
        }
        for bus in buses {
            match open(*bus) {
                Ok(mut opened) => self.bus(*bus, &mut opened),
                Err(reason) => self.comment(&format!("I2C bus {bus}: {reason}")),
            }
        }
    }

    fn bus(&mut self, bus: u8, opened: &mut impl I2c) {
        self.line(&format!("[[i2c]]\nbus = {bus}\n"));
        let found: Vec<u8> = ADDRESSES.filter(|address| answers(opened, *address)).collect();
        if found.is_empty() {
            self.comment("nothing answers on it");
        }
        for address in found {
            match drivers(opened, address)[..] {
                [] => {
                    self.comment(&format!("0x{address:02x} answers, and is no chip that is known"))
                }
                [driver, ref others @ ..] => {
                    if !others.is_empty() {
                        self.comment(&format!("or {}", others.join(", or ")));
                    }
                    self.line(&format!(
                        "[[sensor]]\nname = \"{driver}-{bus}-{address:02x}\"\ndriver = \"{driver}\"\n\
                         bus = {bus}\naddress = 0x{address:02x}\n"
                    ));
                }
            }
        }
    }

    /// Over SPI nothing says whether a chip is there, or which: reading registers of a chip that is
    /// not known could command it.
    fn spi(&mut self, root: &Path) {
        let names = names(&root.join("dev")).into_iter();
        let devices: Vec<String> =
            names.filter(|name| name.starts_with("spidev")).map(|n| format!("/dev/{n}")).collect();
        if devices.is_empty() {
            self.comment("no SPI device: is it enabled, and is the module spidev loaded?");
        }
        for device in devices {
            self.comment(&format!(
                "{device}; a chip there needs its driver named\n#   [[spi]]\n#   device = \"{device}\"\n\
                 #   [[sensor]]\n#   name = \"kiln\"\n#   driver = \"max31855\"\n#   spi = \"{device}\""
            ));
        }
    }

    fn onewire(&mut self, folder: &Path) {
        let names = names(folder);
        let thermometers = names.iter().filter(|name| name.starts_with("28-"));
        let mut any = false;
        for id in thermometers {
            any = true;
            self.line(&format!("[[onewire]]\nname = \"w1-{id}\"\nid = \"{id}\"\n"));
        }
        if !any {
            self.comment("no 1-wire thermometer: is w1-gpio enabled?");
        }
    }

    fn gpio(&mut self) {
        let chips = gpiocdev::chip::chips().unwrap_or_default();
        if chips.is_empty() {
            self.comment("no GPIO chip that this user may use");
        }
        for path in chips {
            let info = gpiocdev::chip::Chip::from_path(&path).and_then(|chip| chip.info());
            match info {
                Ok(info) => self.comment(&format!(
                    "{} ({}) has {} lines; a [[gpio]] uses one with\n#   chip = \"{}\"",
                    info.name, info.label, info.num_lines, info.name
                )),
                Err(error) => self.comment(&format!("{}: {error}", path.display())),
            }
        }
    }

    fn pwm(&mut self, folder: &Path) {
        for chip in names(folder) {
            let channels = fs::read_to_string(folder.join(&chip).join("npwm"));
            let channels = channels.unwrap_or_default();
            self.comment(&format!("{chip} has {} PWM channels", channels.trim()));
        }
    }

    fn serial(&mut self, folder: &Path) {
        for name in names(folder) {
            let path = folder.join(name);
            self.comment(&format!("a serial line: {}", path.display()));
        }
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    fn line(&mut self, text: &str) {
        writeln!(self.text, "{text}").expect("a string takes everything");
    }
}

/// Numbers of the I2C buses, from their device files.
fn i2c_buses(root: &Path) -> Vec<u8> {
    let names = names(&root.join("dev")).into_iter();
    let mut buses: Vec<u8> =
        names.filter_map(|name| name.strip_prefix("i2c-")?.parse().ok()).collect();
    buses.sort_unstable();
    buses
}

/// Names in a directory, in order; none if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn answers(bus: &mut impl I2c, address: u8) -> bool {
    bus.read(address, &mut [0]).is_ok() || is_sensirion(bus, address)
}

/// A chip of Sensirion answers a read only after a command.
fn is_sensirion(bus: &mut impl I2c, address: u8) -> bool {
    // Nothing is commanded: an empty write asks for an acknowledgement only.
    matches!(address, 0x44..=0x46 | 0x62) && bus.write(address, &[]).is_ok()
}

/// What may be at an address, the most likely first.
fn drivers(bus: &mut impl I2c, address: u8) -> Vec<&'static str> {
    match address {
        0x76 | 0x77 => {
            let mut id = [0];
            match bus.write_read(address, &[BME280_ID_REGISTER], &mut id) {
                Ok(()) if id == [BME280_ID] => vec!["bme280"],
                _ => Vec::new(),
            }
        }
        0x62 => vec!["scd4x"],
        0x44 | 0x45 => vec!["sht4x", "sht3x", "ina219"],
        0x46 => vec!["sht4x", "ina219"],
        0x48..=0x4b => vec!["ads1115", "ina219"],
        0x40..=0x4f => vec!["ina219"],
        _ => Vec::new(),
    }
}

/// Seven-bit addresses that are not reserved (UM10204, table 4).
const ADDRESSES: std::ops::RangeInclusive<u8> = 0x08..=0x77;
const BME280_ID_REGISTER: u8 = 0xd0;
const BME280_ID: u8 = 0x60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BusName, SensorPlace, parse};
    use crate::simulate::{Ads1115Model, Air, Bme280Model, Bus, Climate, Sht4xModel};

    #[test]
    fn what_is_found_is_a_configuration() {
        let bus = Bus::new(0);
        let climate = Climate { temperature_c: 20.0, humidity_pct: 40.0 };
        bus.attach(0x76, Bme280Model::new(|_| Air::default()));
        bus.attach(0x44, Sht4xModel::new(1, move |_| climate));
        bus.attach(0x49, Ads1115Model::new(|_| [0.0; 4]));
        // A BMP280 or another chip at the address of a BME280.
        bus.attach(0x77, Ads1115Model::new(|_| [0.0; 4]));
        let mut report = Report::default();
        report.i2c(&[1], |_| Ok(bus.clone()));
        let folder = std::env::temp_dir().join(format!("weir-bridge-scan-{}", std::process::id()));
        fs::create_dir_all(folder.join("28-0316a2795aff")).unwrap();
        fs::create_dir_all(folder.join("w1_bus_master1")).unwrap();
        report.onewire(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let text = report.text;
        let config = parse("scanned", &text, Path::new("")).unwrap_or_else(|problems| {
            panic!("{}\n{text}", problems[0]);
        });
        let found: Vec<_> =
            config.sensors.iter().map(|one| (one.driver.name(), &one.place)).collect();
        let at = |address| SensorPlace::I2c { bus: BusName::Device(1), address };
        let expected = [("sht4x", &at(0x44)), ("ads1115", &at(0x49)), ("bme280", &at(0x76))];
        assert_eq!(found, expected, "{text}");
        assert_eq!(config.onewire[0].id, "28-0316a2795aff");
        assert!(text.contains("# or sht3x, or ina219"), "{text}");
        assert!(text.contains("0x77 answers, and is no chip that is known"), "{text}");
    }

    #[test]
    fn spi_devices_are_shown_with_what_uses_them() {
        let root = std::env::temp_dir().join(format!("weir-bridge-spi-{}", std::process::id()));
        fs::create_dir_all(root.join("dev/spidev1.0")).unwrap();
        fs::create_dir_all(root.join("dev/spidev0.1")).unwrap();
        fs::create_dir_all(root.join("dev/null")).unwrap();
        let mut report = Report::default();
        report.spi(&root);
        fs::remove_dir_all(&root).unwrap();
        let text = report.text;
        assert!(parse("scanned", &text, Path::new("")).is_ok(), "{text}");
        // Without its marks, what is shown for one device is a configuration.
        let shown: Vec<&str> = text.lines().skip(1).take(6).collect();
        let shown: String = shown.iter().map(|line| format!("{}\n", &line[4..])).collect();
        let config = parse("uncommented", &shown, Path::new("")).unwrap_or_else(|problems| {
            panic!("{}\n{text}", problems[0]);
        });
        assert_eq!(config.spi[0].device.to_string(), "\"/dev/spidev0.1\"");
        assert!(text.contains("# /dev/spidev1.0;") && !text.contains("null"), "{text}");
    }

    #[test]
    fn machine_without_anything_is_told_so() {
        let mut report = Report::default();
        report.i2c::<Bus>(&[], |_| Err(String::new()));
        report.i2c::<Bus>(&[3], |_| Err("permission denied".to_owned()));
        report.onewire(Path::new("/weir-is-not-there"));
        report.gpio();
        report.spi(Path::new("/weir-is-not-there"));
        assert!(report.text.contains("no SPI device"), "{}", report.text);
        assert!(report.text.contains("no I2C bus"), "{}", report.text);
        assert!(report.text.contains("I2C bus 3: permission denied"), "{}", report.text);
        assert!(report.text.contains("no 1-wire thermometer"), "{}", report.text);
        assert!(parse("scanned", &report.text, Path::new("")).is_ok());
    }
}
