//! A bus that refuses the answers which the driver would misread, and reads where it would misread.

use embedded_hal::i2c::{self, I2c};
use embedded_hal::spi::{self, SpiDevice};

/// An I2C bus or an SPI device, guarded.
#[derive(Debug)]
pub(super) struct Guard<B>(pub(super) B);

#[derive(Debug)]
pub(super) enum GuardError<E> {
    Bus(E),
    OtherChip,
    PowerOnDefault,
}

impl<E: i2c::Error> i2c::Error for GuardError<E> {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::OtherChip | Self::PowerOnDefault => i2c::ErrorKind::Other,
        }
    }
}

impl<I: I2c> i2c::ErrorType for Guard<I> {
    type Error = GuardError<I::Error>;
}

impl<I: I2c> I2c for Guard<I> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), GuardError<I::Error>> {
        self.0.transaction(address, operations).map_err(GuardError::Bus)?;
        match operations {
            [i2c::Operation::Write([register]), i2c::Operation::Read(content)] => {
                check(*register, content)
            }
            _ => Ok(()),
        }
    }
}

impl<E: spi::Error> spi::Error for GuardError<E> {
    fn kind(&self) -> spi::ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::OtherChip | Self::PowerOnDefault => spi::ErrorKind::Other,
        }
    }
}

impl<S: SpiDevice> spi::ErrorType for Guard<S> {
    type Error = GuardError<S::Error>;
}

impl<S: SpiDevice> SpiDevice for Guard<S> {
    fn transaction(
        &mut self,
        operations: &mut [spi::Operation<'_, u8>],
    ) -> Result<(), GuardError<S::Error>> {
        match operations {
            [spi::Operation::Transfer(content, [register])] if !content.is_empty() => {
                let number = [*register];
                let mut read = [spi::Operation::Write(&number), spi::Operation::Read(content)];
                self.0.transaction(&mut read).map_err(GuardError::Bus)?;
                check(*register, content)
            }
            [spi::Operation::Transfer([], sent)] => self.0.write(sent).map_err(GuardError::Bus),
            other => self.0.transaction(other).map_err(GuardError::Bus),
        }
    }
}

/// Looks at what was read of a register.
fn check<E>(register: u8, content: &[u8]) -> Result<(), GuardError<E>> {
    let driven = |level: u8| content.iter().any(|octet| *octet != level);
    match register {
        CHIP_ID if content != [BME280_ID] => Err(GuardError::OtherChip),
        // Over SPI nobody says that nobody is there: the line stays where it is.
        DATA if !driven(0x00) || !driven(0xff) => Err(GuardError::OtherChip),
        // Both at once are no measurement: either value alone can be one.
        DATA if content.starts_with(&POWER_ON_PRESSURE_AND_TEMPERATURE) => {
            Err(GuardError::PowerOnDefault)
        }
        _ => Ok(()),
    }
}

const CHIP_ID: u8 = 0xd0;
const BME280_ID: u8 = 0x60;
const DATA: u8 = 0xf7;
const POWER_ON_PRESSURE_AND_TEMPERATURE: [u8; 6] = [0x80, 0x00, 0x00, 0x80, 0x00, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each read with the same bytes.
    struct Fixed([u8; 8]);

    impl i2c::ErrorType for Fixed {
        type Error = core::convert::Infallible;
    }

    impl I2c for Fixed {
        fn transaction(
            &mut self,
            _address: u8,
            operations: &mut [i2c::Operation<'_>],
        ) -> Result<(), Self::Error> {
            for operation in operations {
                if let i2c::Operation::Read(buffer) = operation {
                    buffer.iter_mut().zip(self.0).for_each(|(byte, answer)| *byte = answer);
                }
            }
            Ok(())
        }
    }

    #[test]
    fn bmp280_is_not_taken_for_a_bme280() {
        let mut guard = Guard(Fixed([0x58; 8]));
        let mut id = [0];
        let error = guard.write_read(0x76, &[CHIP_ID], &mut id).unwrap_err();
        assert!(matches!(error, GuardError::OtherChip));
    }

    #[test]
    fn power_on_values_are_no_measurement_but_one_of_them_alone_is() {
        let mut data = [0; 8];
        let mut guard = Guard(Fixed([0x80, 0, 0, 0x80, 0, 0, 0x80, 0]));
        let error = guard.write_read(0x76, &[DATA], &mut data).unwrap_err();
        assert!(matches!(error, GuardError::PowerOnDefault));
        let mut guard = Guard(Fixed([0x65, 0x5a, 0xc0, 0x80, 0, 0, 0x80, 0]));
        guard.write_read(0x76, &[DATA], &mut data).unwrap();
    }

    impl spi::ErrorType for Fixed {
        type Error = core::convert::Infallible;
    }

    impl SpiDevice for Fixed {
        fn transaction(
            &mut self,
            operations: &mut [spi::Operation<'_, u8>],
        ) -> Result<(), Self::Error> {
            let [spi::Operation::Write([_]), spi::Operation::Read(buffer)] = operations else {
                panic!("the number of a register is sent before its content is read");
            };
            buffer.iter_mut().zip(self.0).for_each(|(byte, answer)| *byte = answer);
            Ok(())
        }
    }

    #[test]
    fn content_of_a_register_over_spi_starts_after_its_number() {
        let mut data = [0; 8];
        let mut guard = Guard(Fixed([0x65, 0x5a, 0xc0, 0x7e, 0xed, 0, 0x6f, 0x11]));
        guard.transfer(&mut data, &[DATA]).unwrap();
        assert_eq!(data, guard.0.0);
    }

    #[test]
    fn line_that_nobody_drives_is_no_chip() {
        for level in [0x00, 0xff] {
            let mut data = [0; 8];
            let mut guard = Guard(Fixed([level; 8]));
            let error = guard.transfer(&mut data, &[DATA]).unwrap_err();
            assert!(matches!(error, GuardError::OtherChip), "{level:#x}");
            let error = guard.transfer(&mut data[..1], &[CHIP_ID]).unwrap_err();
            assert!(matches!(error, GuardError::OtherChip), "{level:#x}");
        }
    }
}
