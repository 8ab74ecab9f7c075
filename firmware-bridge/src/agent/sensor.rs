//! Sensors of any kind, as the agent polls them: with the errors of their buses as text, and with
//! the offset and the bounds of their place.

use std::fmt::Debug;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;
use weir_node::sense::{
    Ads1115, Ads1115Address, Ads1115Range, Bme280, Bme280Address, Bme280Spi, Ina219, Ina219Address,
    Max31855, Quantity, Reading, Scd4x, SenseError, Sensor, Sht3x, Sht3xAddress, Sht4x,
    Sht4xAddress,
};

use crate::config::{Driver, SensorConfig, SensorRules};

/// A sensor of any kind.
pub(crate) struct AnySensor {
    sensor: Box<dyn Sensor<Error = String> + Send>,
    last_error: Option<String>,
}

impl AnySensor {
    pub(crate) fn new<S>(sensor: S) -> Self
    where
        S: Sensor + Send + 'static,
        S::Error: Debug,
    {
        Self { sensor: Box::new(Texted(sensor)), last_error: None }
    }

    /// What the last try that failed said.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// The same sensor, with the offset and the bounds of its place.
    pub(crate) fn at_its_place(self, rules: &SensorRules) -> Self {
        let quantities = self.quantities().iter();
        let adjustments = quantities.map(|quantity| Adjustment::of(quantity, rules)).collect();
        Self { sensor: Box::new(AtItsPlace { sensor: self, adjustments }), last_error: None }
    }

    /// The sensor of a configuration, at an SPI device. The configuration has checked that there is
    /// a way to speak to it so.
    pub(crate) fn on_spi<S>(
        config: &SensorConfig,
        device: S,
        delay: impl DelayNs + Send + 'static,
    ) -> Self
    where
        S: SpiDevice + Send + 'static,
        S::Error: Debug,
    {
        let sensor = match config.driver {
            Driver::Bme280 => Self::new(Bme280Spi::new(device, delay)),
            Driver::Max31855 => Self::new(Max31855::new(device)),
            other => unreachable!("{} is not for SPI", other.name()),
        };
        sensor.at_its_place(&config.rules)
    }

    /// The sensor of a configuration, at an address of an I2C bus. The configuration has checked
    /// that it can be there.
    pub(crate) fn on_i2c<B>(
        config: &SensorConfig,
        address: u8,
        bus: B,
        delay: impl DelayNs + Send + 'static,
    ) -> Self
    where
        B: I2c + Send + 'static,
        B::Error: Debug,
    {
        let second = config.driver.addresses().first() != Some(&address);
        let sensor = match config.driver {
            Driver::Ads1115 => {
                let address = match address {
                    0x49 => Ads1115Address::Supply,
                    0x4a => Ads1115Address::Sda,
                    0x4b => Ads1115Address::Scl,
                    _ => Ads1115Address::Ground,
                };
                Self::new(Ads1115::new(bus, address, ads1115_range(config.range_mv), delay))
            }
            Driver::Bme280 => {
                let address =
                    if second { Bme280Address::Secondary } else { Bme280Address::Primary };
                Self::new(Bme280::new(bus, address, delay))
            }
            Driver::Ina219 => {
                let address = Ina219Address::new(address);
                let address = address.expect("the configuration allows those only");
                Self::new(Ina219::new(bus, address, config.shunt_microohm, delay))
            }
            other @ Driver::Max31855 => unreachable!("{} is not for I2C", other.name()),
            Driver::Scd4x => Self::new(Scd4x::new(bus, config.altitude_m, delay)),
            Driver::Sht3x => {
                let address = if second { Sht3xAddress::High } else { Sht3xAddress::Low };
                Self::new(Sht3x::new(bus, address, delay))
            }
            Driver::Sht4x => {
                let address = match address {
                    0x45 => Sht4xAddress::B,
                    0x46 => Sht4xAddress::C,
                    _ => Sht4xAddress::A,
                };
                Self::new(Sht4x::new(bus, address, delay))
            }
        };
        sensor.at_its_place(&config.rules)
    }
}

impl Sensor for AnySensor {
    type Error = String;

    fn quantities(&self) -> &[Quantity] {
        self.sensor.quantities()
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<String>> {
        let result = self.sensor.sample(out);
        self.keep_error(result)
    }

    fn reset(&mut self) -> Result<(), SenseError<String>> {
        let result = self.sensor.reset();
        self.keep_error(result)
    }
}

impl AnySensor {
    fn keep_error<T>(
        &mut self,
        result: Result<T, SenseError<String>>,
    ) -> Result<T, SenseError<String>> {
        if let Err(error) = &result {
            self.last_error = Some(match error {
                SenseError::Bus(text) => text.clone(),
                error => error.to_string(),
            });
        }
        result
    }
}

impl Debug for AnySensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.quantities().iter().map(|quantity| quantity.name);
        formatter.debug_list().entries(names).finish()
    }
}

/// A sensor whose bus speaks text.
struct Texted<S>(S);

impl<S: Sensor> Sensor for Texted<S>
where
    S::Error: Debug,
{
    type Error = String;

    fn quantities(&self) -> &[Quantity] {
        self.0.quantities()
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<String>> {
        self.0.sample(out).map_err(texted)
    }

    fn reset(&mut self) -> Result<(), SenseError<String>> {
        self.0.reset().map_err(texted)
    }
}

fn texted<E: Debug>(error: SenseError<E>) -> SenseError<String> {
    match error {
        SenseError::BufferTooSmall => SenseError::BufferTooSmall,
        SenseError::Bus(error) => SenseError::Bus(format!("{error:?}")),
        SenseError::Crc => SenseError::Crc,
        SenseError::Measuring { wait_ms } => SenseError::Measuring { wait_ms },
        SenseError::NotPresent => SenseError::NotPresent,
        SenseError::OutOfRange => SenseError::OutOfRange,
        SenseError::Wiring(fault) => SenseError::Wiring(fault),
        // There may be more errors one day; none of them is a sample.
        _ => SenseError::NotReady,
    }
}

/// A sensor with the offset and the bounds of its place.
struct AtItsPlace {
    sensor: AnySensor,
    adjustments: Vec<Adjustment>,
}

/// What is added to a quantity, and what can then be true.
struct Adjustment {
    offset_milli: i64,
    min_milli: i64,
    max_milli: i64,
}

impl Adjustment {
    fn of(quantity: &Quantity, rules: &SensorRules) -> Self {
        let offset = rules.offset.iter().find(|(name, _)| name == quantity.name);
        let bounds = rules.bounds.iter().find(|(name, _, _)| name == quantity.name);
        Self {
            offset_milli: offset.map_or(0, |(_, offset)| *offset),
            min_milli: bounds.map_or(i64::MIN, |(_, min, _)| *min),
            max_milli: bounds.map_or(i64::MAX, |(_, _, max)| *max),
        }
    }
}

impl Sensor for AtItsPlace {
    type Error = String;

    fn quantities(&self) -> &[Quantity] {
        self.sensor.quantities()
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<String>> {
        let length = self.sensor.sample(out)?;
        for reading in out.iter_mut().take(length) {
            let Some(adjustment) = self.adjustments.get(usize::from(reading.quantity)) else {
                continue;
            };
            reading.milli = reading.milli.saturating_add(adjustment.offset_milli);
            if reading.milli < adjustment.min_milli || reading.milli > adjustment.max_milli {
                return Err(SenseError::OutOfRange);
            }
        }
        Ok(length)
    }

    fn reset(&mut self) -> Result<(), SenseError<String>> {
        self.sensor.reset()
    }
}

fn ads1115_range(range_mv: u16) -> Ads1115Range {
    match range_mv {
        6_144 => Ads1115Range::Mv6144,
        2_048 => Ads1115Range::Mv2048,
        1_024 => Ads1115Range::Mv1024,
        512 => Ads1115Range::Mv512,
        256 => Ads1115Range::Mv256,
        _ => Ads1115Range::Mv4096,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::simulate::{Bus, Climate, Sht4xModel, SpiBus};

    fn sensor(keys: &str, temperature_c: f64) -> AnySensor {
        let text = format!(
            "[[i2c]]\nbus = \"sim\"\n[[sensor]]\nname = \"a\"\ndriver = \"sht4x\"\nbus = \"sim\"\n\
             {keys}\n"
        );
        let config = config::parse("test", &text, Path::new("")).unwrap();
        let bus = Bus::new(0);
        let climate = Climate { temperature_c, humidity_pct: 40.0 };
        bus.attach(0x44, Sht4xModel::new(1, move |_| climate));
        let mut sensor = AnySensor::on_i2c(&config.sensors[0], 0x44, bus.clone(), bus);
        sensor.reset().unwrap();
        sensor
    }

    #[test]
    fn offset_is_added_before_the_bounds_are_checked() {
        let keys = "offset = { temperature_c = -1.5 }\nbounds = { temperature_c = [0, 30] }";
        let mut out = [Reading::default(); 2];
        assert_eq!(sensor(keys, 21.5).sample(&mut out), Ok(2));
        assert!((out[0].milli - 20_000).abs() <= 6, "{out:?}");
        assert!((out[1].milli - 40_000).abs() <= 6, "{out:?}");
        assert_eq!(sensor(keys, 31.0).sample(&mut out), Ok(2));
        assert_eq!(sensor(keys, 32.0).sample(&mut out), Err(SenseError::OutOfRange));
        assert_eq!(sensor(keys, 1.0).sample(&mut out), Err(SenseError::OutOfRange));
        assert_eq!(sensor("", 1.0).sample(&mut out), Ok(2));
    }

    #[test]
    fn names_of_quantities_in_the_configuration_are_those_of_the_drivers() {
        for driver in ["ads1115", "bme280", "ina219", "scd4x", "sht3x", "sht4x"] {
            let text = format!(
                "[[i2c]]\nbus = \"sim\"\n[[sensor]]\nname = \"a\"\ndriver = \"{driver}\"\n\
                 bus = \"sim\"\n"
            );
            let config = config::parse("test", &text, Path::new("")).unwrap();
            let sensor = AnySensor::on_i2c(&config.sensors[0], 0x44, Bus::new(0), Bus::new(0));
            let names: Vec<_> = sensor.quantities().iter().map(|quantity| quantity.name).collect();
            assert_eq!(names, config.sensors[0].driver.quantities());
        }
        for driver in ["bme280", "max31855"] {
            let text = format!(
                "[[spi]]\ndevice = \"sim\"\n[[sensor]]\nname = \"a\"\ndriver = \"{driver}\"\n\
                 spi = \"sim\"\n"
            );
            let config = config::parse("test", &text, Path::new("")).unwrap();
            let slot = SpiBus::new(0).slot(0);
            let sensor = AnySensor::on_spi(&config.sensors[0], slot.clone(), slot);
            let names: Vec<_> = sensor.quantities().iter().map(|quantity| quantity.name).collect();
            assert_eq!(names, config.sensors[0].driver.quantities());
        }
    }
}
