//! The machine itself as a sensor: thermal zones, load, memory, a disk.

use std::path::{Path, PathBuf};
use std::{fs, io};

use weir_node::sense::{Quantity, Reading, SenseError, Sensor, Unit};

use crate::config::Measure;

/// What is measured of the machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// `/`, on a real machine.
    root: PathBuf,
    disk: PathBuf,
    measures: Vec<Measure>,
    quantities: Vec<Quantity>,
}

impl Machine {
    /// A machine whose files are below a root.
    pub(crate) fn new(root: &Path, measures: &[Measure], disk: &Path) -> Self {
        Self {
            root: root.to_owned(),
            disk: disk.to_owned(),
            measures: measures.to_vec(),
            quantities: measures.iter().map(|measure| quantity(*measure)).collect(),
        }
    }

    fn measure(&self, measure: Measure) -> Result<i64, SenseError<io::Error>> {
        match measure {
            Measure::CpuTemperature => self.hottest_milli(),
            Measure::Disk => used_disk_milli(&self.disk).map_err(SenseError::Bus),
            Measure::Load => {
                let text = self.read("proc/loadavg")?;
                let load = text.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
                load.map(|load| (load * 1_000.0).round() as i64).ok_or(SenseError::NotReady)
            }
            Measure::Memory => used_memory_milli(&self.read("proc/meminfo")?),
        }
    }

    fn hottest_milli(&self) -> Result<i64, SenseError<io::Error>> {
        let zones = fs::read_dir(self.root.join("sys/class/thermal"));
        let zones = zones.map_err(|_| SenseError::NotPresent)?.flatten();
        let files = zones.map(|zone| zone.path().join("temp")).take(ZONES_MAX);
        let milli = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        milli.max().ok_or(SenseError::NotPresent)
    }

    fn read(&self, file: &str) -> Result<String, SenseError<io::Error>> {
        fs::read_to_string(self.root.join(file)).map_err(SenseError::Bus)
    }
}

impl Sensor for Machine {
    type Error = io::Error;

    fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<io::Error>> {
        let length = self.measures.len();
        let out = out.get_mut(..length).ok_or(SenseError::BufferTooSmall)?;
        for (place, reading) in (0u8..).zip(out) {
            let place_in_lists = usize::from(place);
            let milli = self.measure(self.measures[place_in_lists])?;
            if !self.quantities[place_in_lists].accepts(milli) {
                return Err(SenseError::OutOfRange);
            }
            *reading = Reading { quantity: place, milli };
        }
        Ok(length)
    }

    fn reset(&mut self) -> Result<(), SenseError<io::Error>> {
        Ok(())
    }
}

/// The share of memory that could not be given to a program, in thousandths of a percent.
fn used_memory_milli(text: &str) -> Result<i64, SenseError<io::Error>> {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<i64>().ok()
    };
    let total = kilobytes("MemTotal:").filter(|total| *total > 0);
    match (total, kilobytes("MemAvailable:")) {
        (Some(total), Some(available)) => Ok((total - available).max(0) * 100_000 / total),
        _ => Err(SenseError::NotReady),
    }
}

/// As `df` counts: of what users may have.
fn used_disk_milli(path: &Path) -> io::Result<i64> {
    let disk = rustix::fs::statvfs(path)?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let usable = used.saturating_add(disk.f_bavail).max(1);
    Ok((u128::from(used) * 100_000 / u128::from(usable)) as i64)
}

fn quantity(measure: Measure) -> Quantity {
    let (unit, min_milli, max_milli, decimals) = match measure {
        Measure::CpuTemperature => (Unit::Celsius, -60_000, 200_000, 1),
        Measure::Disk | Measure::Memory => (Unit::Percent, 0, 100_000, 1),
        Measure::Load => (Unit::None, 0, 1_000_000_000, 2),
    };
    Quantity { name: measure.name(), unit, min_milli, max_milli, decimals }
}

const ZONES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let folder = Folder::new();
        for (file, text) in [
            ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
            ("sys/class/thermal/thermal_zone1/temp", "51000\n"),
            ("sys/class/thermal/cooling_device0/cur_state", "0\n"),
            ("proc/loadavg", "0.52 0.58 0.59 1/602 12345\n"),
            ("proc/meminfo", "MemTotal:  4000 kB\nMemFree: 5 kB\nMemAvailable:  3000 kB\n"),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let measures = [Measure::CpuTemperature, Measure::Load, Measure::Memory, Measure::Disk];
        let mut machine = Machine::new(folder.path(), &measures, folder.path());
        let mut out = [Reading::default(); 8];
        assert_eq!(machine.sample(&mut out).unwrap(), 4);
        assert_eq!([out[0].milli, out[1].milli, out[2].milli], [51_000, 520, 25_000]);
        assert!((0..=100_000).contains(&out[3].milli));
    }

    #[test]
    fn this_machine_can_be_measured() {
        let measures = [Measure::Load, Measure::Memory, Measure::Disk];
        let mut machine = Machine::new(Path::new("/"), &measures, Path::new("/"));
        let mut out = [Reading::default(); 3];
        assert_eq!(machine.sample(&mut out).unwrap(), 3);
        assert!(out[1].milli > 0 && out[2].milli > 0, "{out:?}");
    }

    #[test]
    fn machine_without_thermal_zones_says_so() {
        let folder = Folder::new();
        let mut machine = Machine::new(folder.path(), &[Measure::CpuTemperature], folder.path());
        let mut out = [Reading::default(); 1];
        assert!(matches!(machine.sample(&mut out), Err(SenseError::NotPresent)));
    }
}
