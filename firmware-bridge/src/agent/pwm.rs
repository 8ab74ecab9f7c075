//! PWM channels, through the files of the kernel.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use std::{fs, io};

use crate::config::PwmConfig;

/// A channel.
#[derive(Debug)]
pub(crate) struct Pwm {
    chip: PathBuf,
    channel: u8,
    period_ns: u64,
    is_ready: bool,
}

impl Pwm {
    /// A channel below a directory that is `/sys/class/pwm` on a real machine.
    pub(crate) fn new(root: &Path, config: &PwmConfig) -> Self {
        Self {
            chip: root.join(format!("pwmchip{}", config.chip)),
            channel: config.channel,
            period_ns: config.period_ns,
            is_ready: false,
        }
    }

    /// Sets the share of the period that it is on, in percent; what it is then is given back.
    pub(crate) fn set(&mut self, percent: f64) -> Result<f64, String> {
        let duty_ns = (self.period_ns as f64 * percent.clamp(0.0, 100.0) / 100.0).round() as u64;
        let set = self.set_up().and_then(|()| {
            self.write("duty_cycle", duty_ns)?;
            self.read("duty_cycle")
        });
        match set {
            Ok(read_ns) if read_ns == duty_ns => Ok(duty_ns as f64 * 100.0 / self.period_ns as f64),
            Ok(read_ns) => Err(format!("{duty_ns} ns were written, but it reads {read_ns} ns")),
            Err(error) => {
                self.is_ready = false;
                Err(format!("channel {} of {}: {error}", self.channel, self.chip.display()))
            }
        }
    }

    /// Exports the channel if it is not, and sets its period.
    fn set_up(&mut self) -> io::Result<()> {
        if self.is_ready {
            return Ok(());
        }
        if !self.folder().exists() {
            fs::write(self.chip.join("export"), self.channel.to_string())?;
        }
        // The system gives the files to their group a moment later.
        for _ in 0..EXPORT_LOOKS {
            if self.folder().join("duty_cycle").exists() {
                break;
            }
            thread::sleep(EXPORT_PAUSE);
        }
        // The kernel refuses a period that is shorter than the time it is on.
        if self.read("period")? != self.period_ns {
            self.write("duty_cycle", 0)?;
            self.write("period", self.period_ns)?;
        }
        self.write("enable", 1)?;
        self.is_ready = true;
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.chip.join(format!("pwm{}", self.channel))
    }

    fn write(&self, file: &str, value: u64) -> io::Result<()> {
        fs::write(self.folder().join(file), value.to_string())
    }

    fn read(&self, file: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.folder().join(file))?;
        text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

const EXPORT_LOOKS: u32 = 20;
const EXPORT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::super::testing::Folder;
    use super::*;

    fn channel(folder: &Folder) -> Pwm {
        let config = PwmConfig {
            name: "fan".to_owned(),
            chip: 0,
            channel: 1,
            period_ns: 40_000,
            safe_milli_pct: 0,
        };
        Pwm::new(folder.path(), &config)
    }

    fn file(folder: &Folder, name: &str) -> String {
        fs::read_to_string(folder.path().join("pwmchip0/pwm1").join(name)).unwrap()
    }

    #[test]
    fn channel_is_set_up_once_and_set() {
        let folder = Folder::new();
        let exported = folder.path().join("pwmchip0/pwm1");
        fs::create_dir_all(&exported).unwrap();
        for (name, text) in [("period", "0\n"), ("duty_cycle", "0\n"), ("enable", "0\n")] {
            fs::write(exported.join(name), text).unwrap();
        }
        let mut pwm = channel(&folder);
        assert_eq!(pwm.set(25.0), Ok(25.0));
        let read = ["period", "duty_cycle", "enable"].map(|name| file(&folder, name));
        assert_eq!(read, ["40000", "10000", "1"]);
        assert_eq!(pwm.set(0.0), Ok(0.0));
        assert_eq!(file(&folder, "duty_cycle"), "0");
    }

    #[test]
    fn chip_that_is_not_there_is_an_error_that_names_it() {
        let folder = Folder::new();
        let error = channel(&folder).set(50.0).unwrap_err();
        assert!(error.contains("channel 1 of") && error.contains("pwmchip0"), "{error}");
    }
}
