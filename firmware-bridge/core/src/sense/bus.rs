//! From an error of the I2C bus to what it means for a sensor.

use embedded_hal::i2c::{Error, ErrorKind, NoAcknowledgeSource};

use super::SenseError;

/// A chip that does not acknowledge its address is not there; everything else is the bus.
pub(super) fn sense_error<E: Error>(error: E) -> SenseError<E> {
    match error.kind() {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address) => SenseError::NotPresent,
        _ => SenseError::Bus(error),
    }
}
