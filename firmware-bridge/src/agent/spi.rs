//! SPI devices of this machine.
//!
//! A device is opened and set up when it is first used, and again after a transfer has failed: the
//! module of the kernel may be loaded later than the bridge starts.

use embedded_hal::spi::{Error, ErrorKind, ErrorType, Operation, SpiDevice};
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::spidev::{SpiModeFlags, Spidev, SpidevOptions};

use crate::config::SpiConfig;

/// A chip select of a bus of the kernel.
pub(crate) struct KernelSpi {
    path: String,
    options: SpidevOptions,
    open: Option<SpidevDevice>,
}

/// Why a transfer failed, for people.
#[derive(Clone)]
pub(crate) struct SpiError(String);

impl std::fmt::Debug for SpiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for SpiError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl KernelSpi {
    /// The device at a path.
    pub(crate) fn new(path: &str, config: &SpiConfig) -> Self {
        let mut flags = SpiModeFlags::from_bits_truncate(u32::from(config.mode));
        flags.set(SpiModeFlags::SPI_CS_HIGH, config.cs_active_high);
        let mut options = SpidevOptions::new();
        options.bits_per_word(8).max_speed_hz(config.speed_hz).mode(flags);
        Self { path: path.to_owned(), options: options.build(), open: None }
    }

    fn opened(&mut self) -> Result<&mut SpidevDevice, SpiError> {
        match &mut self.open {
            Some(device) => Ok(device),
            closed => {
                let path = &self.path;
                let mut device = Spidev::open(path)
                    .map_err(|error| SpiError(format!("cannot open {path}: {error}")))?;
                device
                    .configure(&self.options)
                    .map_err(|error| SpiError(format!("cannot set up {path}: {error}")))?;
                Ok(closed.insert(SpidevDevice(device)))
            }
        }
    }
}

impl ErrorType for KernelSpi {
    type Error = SpiError;
}

impl SpiDevice for KernelSpi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), SpiError> {
        let result = self.opened()?.transaction(operations);
        result.map_err(|error| {
            self.open = None;
            SpiError(format!("{}: {error}", self.path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpiName;

    fn device(path: &str) -> KernelSpi {
        let device = SpiName::Device(path.to_owned());
        let config = SpiConfig { device, speed_hz: 1_000_000, mode: 0, cs_active_high: false };
        KernelSpi::new(path, &config)
    }

    #[test]
    fn device_that_is_not_there_is_an_error_that_names_it() {
        let error = device("/dev/spidev250.7").read(&mut [0]).unwrap_err();
        assert!(format!("{error:?}").contains("cannot open /dev/spidev250.7"), "{error:?}");
    }

    #[test]
    fn file_that_is_no_spi_device_is_an_error_that_names_it() {
        let error = device("/dev/null").read(&mut [0]).unwrap_err();
        assert!(format!("{error:?}").contains("cannot set up /dev/null"), "{error:?}");
    }
}
