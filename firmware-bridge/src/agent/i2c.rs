//! I2C buses of this machine.
//!
//! A bus is opened when it is first used, and again after it could not be opened: an adapter on USB
//! may come later than the bridge, and again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use rustix::io::Errno;

/// A handle of a bus; clones are the same bus.
#[derive(Clone)]
pub(crate) struct KernelBus(Arc<Mutex<State>>);

struct State {
    path: PathBuf,
    open: Option<I2cdev>,
}

/// Why a transfer failed, for people.
#[derive(Clone)]
pub(crate) struct BusError {
    kind: ErrorKind,
    text: String,
}

impl std::fmt::Debug for BusError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl KernelBus {
    /// The bus `/dev/i2c-N`.
    pub(crate) fn new(number: u8) -> Self {
        let path = PathBuf::from(format!("/dev/i2c-{number}"));
        Self(Arc::new(Mutex::new(State { path, open: None })))
    }
}

impl ErrorType for KernelBus {
    type Error = BusError;
}

impl I2c for KernelBus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        // A transfer that panicked has left nothing half done: the next one starts anew.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { path, open } = &mut *state;
        let bus = match open {
            Some(bus) => bus,
            None => {
                let bus = I2cdev::new(&*path).map_err(|error| BusError {
                    kind: ErrorKind::Other,
                    text: format!("cannot open {}: {error}", path.display()),
                })?;
                open.insert(bus)
            }
        };
        let result = bus.transaction(address, operations).map_err(|error| {
            let errno = match error.inner() {
                LinuxI2CError::Errno(errno) => Some(*errno),
                LinuxI2CError::Io(error) => error.raw_os_error(),
            };
            let text = format!("0x{address:02x} on {}: {error}", path.display());
            BusError { kind: kind(errno), text }
        });
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::Other) {
            *open = None;
        }
        result
    }
}

/// What an error number of the kernel means. Adapters differ in what they say about a chip that
/// does not answer: ENXIO is what the documentation of the kernel asks for, that of a Raspberry Pi
/// says EREMOTEIO.
fn kind(errno: Option<i32>) -> ErrorKind {
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::NXIO | Errno::REMOTEIO) => {
            ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
        }
        Some(Errno::AGAIN) => ErrorKind::ArbitrationLoss,
        Some(Errno::BUSY | Errno::IO | Errno::INVAL | Errno::TIMEDOUT) => ErrorKind::Bus,
        // The adapter itself is gone, or nobody knows.
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chip_that_does_not_answer_is_known_on_every_adapter() {
        let not_there = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        assert_eq!(kind(Some(6)), not_there, "ENXIO");
        assert_eq!(kind(Some(121)), not_there, "EREMOTEIO");
        assert_eq!(kind(Some(110)), ErrorKind::Bus, "ETIMEDOUT: a bus that hangs");
        assert_eq!(kind(Some(19)), ErrorKind::Other, "ENODEV: the adapter was pulled out");
        assert_eq!(kind(None), ErrorKind::Other);
    }

    #[test]
    fn bus_that_is_not_there_is_an_error_that_names_it() {
        let error = KernelBus::new(251).read(0x76, &mut [0]).unwrap_err();
        assert!(format!("{error:?}").contains("/dev/i2c-251"), "{error:?}");
    }
}
