//! Where buses and pins come from: this machine, or a simulation.

use std::path::Path;

use weir_node::sense::{Quantity, Reading, SenseError, Sensor, Unit};

use super::clock::Now;
use super::onewire::Ds18b20;
use super::pins::{Inputs, Outputs, SimulatedInputs, SimulatedOutputs};
use super::plan::RoundPlan;
use super::round::Round;
use super::sensor::AnySensor;
use super::spi::KernelSpi;
use super::system::Machine;
use crate::config::{BusName, GpioChip, GpioConfig, SensorConfig, SpiConfig, SpiName};
use crate::simulate::{Bus, Climate, Lines, SimulatedBus, SpiBus, Surroundings};

/// What opens the inputs of a chip.
pub(crate) type OpenInputs = Box<dyn Fn(Vec<GpioConfig>) -> Result<Box<dyn Inputs>, String> + Send>;

/// Where buses and pins come from.
#[derive(Clone, Debug)]
pub struct Hardware {
    surroundings: Surroundings,
    lines: Lines,
    /// Whether everything is simulated, and not only what is called so.
    is_simulated: bool,
}

impl Hardware {
    /// That of this machine; what the configuration calls `sim` is simulated.
    pub fn of_this_machine() -> Self {
        Self { surroundings: Surroundings::new(0), lines: Lines::new(), is_simulated: false }
    }

    /// Nothing but a simulation that a seed decides. The machine itself is real.
    pub fn simulated(seed: u64) -> Self {
        Self { surroundings: Surroundings::new(seed), lines: Lines::new(), is_simulated: true }
    }

    /// Whether everything is simulated.
    pub fn is_simulated(&self) -> bool {
        self.is_simulated
    }

    /// What simulated devices measure, if everything is simulated.
    pub(crate) fn simulation(&self) -> Option<Surroundings> {
        self.is_simulated.then_some(self.surroundings)
    }

    /// The lines of all simulated chips.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The sensors of one thread, and its name.
    pub(crate) fn round(&self, plan: RoundPlan, now: Now) -> (String, Round) {
        match plan {
            RoundPlan::I2c(BusName::Device(number), sensors) if !self.is_simulated => {
                (format!("i2c-{number}"), kernel_round(number, &sensors, now))
            }
            RoundPlan::I2c(_, sensors) => ("i2c-sim".to_owned(), self.bus(&sensors, now)),
            RoundPlan::Spi(bus, sensors) => {
                let name = bus.rsplit('/').next().unwrap_or(&bus);
                (format!("spi-{name}"), self.spi(&sensors, now))
            }
            RoundPlan::OneWire(thermometers) => {
                let mut round = Round::new(None);
                for (device, config) in thermometers {
                    let sensor = match self.is_simulated {
                        true => AnySensor::new(self.thermometer(&config.name, now)),
                        false => AnySensor::new(Ds18b20::new(Path::new(W1), &config.id)),
                    };
                    let every_ms = config.rules.every.as_millis() as u64;
                    round.add(device, sensor.at_its_place(&config.rules), every_ms, now);
                }
                ("w1".to_owned(), round)
            }
            RoundPlan::System(machines) => {
                let mut round = Round::new(None);
                for (device, config) in machines {
                    let machine = Machine::new(Path::new("/"), &config.measure, &config.disk);
                    let sensor = AnySensor::new(machine).at_its_place(&config.rules);
                    round.add(device, sensor, config.rules.every.as_millis() as u64, now);
                }
                ("system".to_owned(), round)
            }
        }
    }

    /// What opens the inputs of a chip.
    pub(crate) fn inputs(&self, chip: GpioChip) -> OpenInputs {
        if self.is_simulated || chip == GpioChip::Simulated {
            let lines = self.lines.clone();
            let surroundings = self.is_simulated.then_some(self.surroundings);
            return Box::new(move |configs| {
                let inputs = SimulatedInputs::new(lines.clone(), configs, surroundings);
                Ok(Box::new(inputs) as Box<dyn Inputs>)
            });
        }
        Box::new(kernel_inputs)
    }

    /// The outputs of a chip.
    pub(crate) fn outputs(&self, chip: &GpioChip) -> Box<dyn Outputs> {
        if self.is_simulated || *chip == GpioChip::Simulated {
            return Box::new(SimulatedOutputs(self.lines.clone()));
        }
        kernel_outputs()
    }

    /// Sensors on one SPI bus, of this machine or simulated.
    fn spi(&self, sensors: &[(super::DeviceId, SpiConfig, SensorConfig)], now: Now) -> Round {
        let bus = SpiBus::new(now.wall_ms.unwrap_or(now.uptime_ms));
        let mut round = Round::new(Some(SimulatedBus::Spi(bus.clone())));
        for (number, (device, place, config)) in (0u8..).zip(sensors) {
            let sensor = match &place.device {
                SpiName::Device(path) if !self.is_simulated => {
                    let device = KernelSpi::new(path, place);
                    AnySensor::on_spi(config, device, linux_embedded_hal::Delay)
                }
                _ => {
                    self.surroundings.attach_spi(&bus, number, config);
                    AnySensor::on_spi(config, bus.slot(number), bus.slot(number))
                }
            };
            round.add(*device, sensor, config.rules.every.as_millis() as u64, now);
        }
        round
    }

    fn bus(&self, sensors: &[(super::DeviceId, u8, SensorConfig)], now: Now) -> Round {
        let bus = Bus::new(now.wall_ms.unwrap_or(now.uptime_ms));
        let mut round = Round::new(Some(SimulatedBus::I2c(bus.clone())));
        for (device, address, config) in sensors {
            self.surroundings.attach(&bus, *address, config);
            let sensor = AnySensor::on_i2c(config, *address, bus.clone(), bus.clone());
            round.add(*device, sensor, config.rules.every.as_millis() as u64, now);
        }
        round
    }

    fn thermometer(&self, name: &str, now: Now) -> SimulatedThermometer {
        let climate = Box::new(self.surroundings.climate(name));
        SimulatedThermometer { climate, start_ms: now.wall_ms.unwrap_or(now.uptime_ms), samples: 0 }
    }
}

/// A thermometer without a bus.
struct SimulatedThermometer {
    climate: Box<dyn Fn(u64) -> Climate + Send>,
    start_ms: u64,
    samples: u64,
}

impl Sensor for SimulatedThermometer {
    type Error = std::convert::Infallible;

    fn quantities(&self) -> &[Quantity] {
        &THERMOMETER
    }

    fn sample(&mut self, out: &mut [Reading]) -> Result<usize, SenseError<Self::Error>> {
        let first = out.first_mut().ok_or(SenseError::BufferTooSmall)?;
        // A thermometer has no clock: it is as warm as it was as many samples after the start.
        let climate = (self.climate)(self.start_ms + self.samples * SAMPLE_MS);
        self.samples += 1;
        *first = Reading { quantity: 0, milli: (climate.temperature_c * 1_000.0).round() as i64 };
        Ok(1)
    }

    fn reset(&mut self) -> Result<(), SenseError<Self::Error>> {
        Ok(())
    }
}

fn kernel_round(number: u8, sensors: &[(super::DeviceId, u8, SensorConfig)], now: Now) -> Round {
    let bus = super::i2c::KernelBus::new(number);
    let mut round = Round::new(None);
    for (device, address, config) in sensors {
        let sensor = AnySensor::on_i2c(config, *address, bus.clone(), linux_embedded_hal::Delay);
        round.add(*device, sensor, config.rules.every.as_millis() as u64, now);
    }
    round
}

fn kernel_inputs(configs: Vec<GpioConfig>) -> Result<Box<dyn Inputs>, String> {
    let inputs: Box<dyn Inputs> = Box::new(super::gpio::KernelInputs::new(configs)?);
    Ok(inputs)
}

fn kernel_outputs() -> Box<dyn Outputs> {
    Box::new(super::gpio::KernelOutputs::default())
}

const W1: &str = "/sys/bus/w1/devices";
const SAMPLE_MS: u64 = 10_000;

const THERMOMETER: [Quantity; 1] = [Quantity {
    name: "temperature_c",
    unit: Unit::Celsius,
    min_milli: -55_000,
    max_milli: 125_000,
    decimals: 2,
}];
