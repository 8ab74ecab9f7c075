//! What simulated chips measure.
//!
//! Each chip gets quantities that follow the day and wander a little, from a seed and its own
//! name, so that two chips differ and the same chip is the same again.

use super::ads1115::Ads1115Model;
use super::bme280::{Air, Bme280Model};
use super::bus::{Attached, Bus};
use super::ina219::{Ina219Model, Load};
use super::max31855::{Junction, Max31855Model};
use super::random::hash;
use super::scd4x::{Breath, Scd4xModel};
use super::sht3x::Sht3xModel;
use super::sht4x::{Climate, Sht4xModel};
use super::signal::{Daily, smooth_noise};
use super::spi::{SpiAttached, SpiBus};
use crate::config::{Driver, SensorConfig};

/// What simulated chips measure, decided by a seed.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    seed: u64,
}

impl Surroundings {
    /// Surroundings that a seed decides.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Puts the chip of a sensor on an SPI bus; `None` if it is not for SPI.
    pub fn attach_spi(
        &self,
        bus: &SpiBus,
        select: u8,
        config: &SensorConfig,
    ) -> Option<SpiAttached> {
        match config.driver {
            Driver::Bme280 => Some(bus.attach(select, Bme280Model::new(self.air(&config.name)))),
            Driver::Max31855 => {
                Some(bus.attach(select, Max31855Model::new(self.junction(&config.name))))
            }
            _ => None,
        }
    }

    /// Puts the chip of a sensor at an address of an I2C bus; `None` if it is not for I2C.
    pub fn attach(&self, bus: &Bus, address: u8, config: &SensorConfig) -> Option<Attached> {
        let seed = self.of(&config.name);
        let climate = self.climate(&config.name);
        Some(match config.driver {
            Driver::Ads1115 => {
                // A quarter of the range and some, so that no range is too small.
                let scale = f64::from(config.range_mv) / 4_000.0;
                let volts = move |at_ms| {
                    [1u64, 2, 3, 4].map(|input| {
                        scale * (1.0 + 0.5 * smooth_noise(seed ^ input, at_ms, 60_000))
                    })
                };
                bus.attach(address, Ads1115Model::new(volts))
            }
            Driver::Bme280 => bus.attach(address, Bme280Model::new(self.air(&config.name))),
            Driver::Ina219 => {
                let load = move |at_ms| Load {
                    voltage_v: 12.4 + 0.3 * smooth_noise(seed, at_ms, 600_000),
                    current_a: 0.8 + 0.6 * smooth_noise(seed ^ 1, at_ms, 20_000),
                };
                let shunt_ohm = f64::from(config.shunt_microohm) / 1e6;
                bus.attach(address, Ina219Model::new(shunt_ohm, load))
            }
            Driver::Max31855 => return None,
            Driver::Scd4x => {
                let breath = move |at_ms| {
                    let Climate { temperature_c, humidity_pct } = climate(at_ms);
                    let co2_ppm = 750.0 + 300.0 * smooth_noise(seed, at_ms, 1_800_000);
                    Breath { co2_ppm, temperature_c, humidity_pct }
                };
                bus.attach(address, Scd4xModel::new(seed, breath))
            }
            Driver::Sht3x => bus.attach(address, Sht3xModel::new(climate)),
            Driver::Sht4x => bus.attach(address, Sht4xModel::new(seed as u32, climate)),
        })
    }

    fn air(&self, place: &str) -> impl Fn(u64) -> Air + Send + 'static {
        let seed = self.of(place);
        let climate = self.climate(place);
        move |at_ms| {
            let Climate { temperature_c, humidity_pct } = climate(at_ms);
            let pressure_pa = 100_800.0 + 900.0 * smooth_noise(seed, at_ms, 6 * 3_600_000);
            Air { temperature_c, humidity_pct, pressure_pa }
        }
    }

    /// A kiln that is held at its temperature.
    fn junction(&self, place: &str) -> impl Fn(u64) -> Junction + Send + 'static {
        let seed = self.of(place);
        let climate = self.climate(place);
        move |at_ms| Junction {
            temperature_c: 860.0 + 12.0 * smooth_noise(seed, at_ms, 90_000),
            cold_junction_c: climate(at_ms).temperature_c + 9.0,
            fault: None,
        }
    }

    /// The climate at a place, in time of the Unix epoch in milliseconds.
    pub fn climate(&self, place: &str) -> impl Fn(u64) -> Climate + Send + 'static {
        let seed = self.of(place);
        let mean = 19.0 + (seed % 5) as f64;
        let temperature = Daily { mean, swing: 1.5, peak_hour: 15.0, wander: 0.8, seed };
        let humidity = Daily { mean: 46.0, swing: 6.0, peak_hour: 5.0, wander: 4.0, seed };
        move |at_ms| Climate {
            temperature_c: temperature.at(at_ms),
            humidity_pct: humidity.at(at_ms),
        }
    }

    /// What a meter at a place measures in a unit, in time of the Unix epoch in milliseconds.
    pub fn measured(&self, place: &str, unit: &str, at_ms: u64) -> f64 {
        let seed = self.of(place);
        let wander = |period_ms| smooth_noise(seed, at_ms, period_ms);
        match unit {
            "A" => 6.0 + 4.0 * wander(30_000),
            "Hz" => 50.0 + 0.04 * wander(20_000),
            "V" => 230.0 + 4.0 * wander(120_000),
            "W" => 1_400.0 + 900.0 * wander(30_000),
            "bar" => 2.1 + 0.3 * wander(300_000),
            "kW" => 1.4 + 0.9 * wander(30_000),
            // It only grows, by half a kilowatt.
            "kWh" => at_ms as f64 / 3_600_000.0 * 0.5 - 240_000.0,
            "°C" => self.climate(place)(at_ms).temperature_c,
            _ => 50.0 + 20.0 * wander(60_000),
        }
    }

    /// Whether a contact is closed, in time of the Unix epoch in milliseconds: it changes every few
    /// seconds.
    pub fn is_on(&self, contact: &str, at_ms: u64) -> bool {
        hash(self.of(contact), at_ms / CONTACT_MS) & 1 == 1
    }

    fn of(&self, place: &str) -> u64 {
        place.bytes().fold(self.seed, |seed, byte| hash(seed, u64::from(byte)))
    }
}

/// A contact is looked at anew each time that this has passed.
const CONTACT_MS: u64 = 4_000;
