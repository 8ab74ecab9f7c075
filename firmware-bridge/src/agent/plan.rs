//! From the configuration to devices, and to what each thread has to do.

use std::collections::{BTreeMap, BTreeSet};

use super::command::ActuatorId;
use super::device::{Actuator, ActuatorKind, Device, DeviceId, Field, Info};
use super::onewire::Ds18b20;
use super::round::fields;
use super::sensor::AnySensor;
use super::system::Machine;
use crate::config::{
    BusName, Config, Direction, GpioChip, GpioConfig, ModbusConfig, ModbusEnd, OneWireConfig,
    PwmConfig, SafeState, SensorConfig, SensorPlace, SpiConfig, SpiName, SystemConfig,
};
use crate::modbus::decimals;
use crate::simulate::{Bus, SpiBus};

/// Devices, and what each thread has to do.
#[derive(Debug, Default)]
pub struct Plan {
    pub(crate) devices: Vec<Device>,
    pub(crate) rounds: Vec<RoundPlan>,
    pub(crate) inputs: BTreeMap<GpioChip, Vec<(DeviceId, GpioConfig)>>,
    pub(crate) outputs: Vec<(ActuatorId, OutputPlan)>,
    pub(crate) modbus: BTreeMap<ModbusEnd, Vec<(DeviceId, ModbusConfig)>>,
}

/// Sensors that one thread reads.
#[derive(Debug)]
pub(crate) enum RoundPlan {
    /// Each with its address.
    I2c(BusName, Vec<(DeviceId, u8, SensorConfig)>),
    OneWire(Vec<(DeviceId, OneWireConfig)>),
    /// The name of the bus, and each with its place on it.
    Spi(String, Vec<(DeviceId, SpiConfig, SensorConfig)>),
    System(Vec<(DeviceId, SystemConfig)>),
}

/// An output that the thread of pins drives.
#[derive(Clone, Debug)]
pub(crate) enum OutputPlan {
    Gpio(GpioConfig),
    Pwm(PwmConfig),
}

impl Plan {
    /// The plan of a configuration.
    pub fn of(config: &Config) -> Self {
        let mut plan = Self::default();
        config.buses.iter().for_each(|bus| plan.add_i2c(*bus, &config.sensors));
        let buses: BTreeSet<&str> = config.spi.iter().map(|place| place.device.bus()).collect();
        buses.into_iter().for_each(|bus| plan.add_spi(bus, &config.sensors));
        let onewire = config.onewire.iter();
        let onewire: Vec<_> =
            onewire.map(|one| (plan.add(onewire_device(one)), one.clone())).collect();
        if !onewire.is_empty() {
            plan.rounds.push(RoundPlan::OneWire(onewire));
        }
        let system = config.system.iter();
        let system: Vec<_> =
            system.map(|one| (plan.add(system_device(one)), one.clone())).collect();
        if !system.is_empty() {
            plan.rounds.push(RoundPlan::System(system));
        }
        config.gpio.iter().for_each(|gpio| plan.add_gpio(gpio));
        config.pwm.iter().for_each(|pwm| plan.add_pwm(pwm));
        for modbus in &config.modbus {
            let device = plan.add(modbus_device(modbus));
            let end = plan.modbus.entry(modbus.end.clone()).or_default();
            end.push((device, modbus.clone()));
        }
        plan
    }

    fn add(&mut self, device: Device) -> DeviceId {
        self.devices.push(device);
        DeviceId(self.devices.len() - 1)
    }

    fn add_i2c(&mut self, wanted: BusName, sensors: &[SensorConfig]) {
        let mut on_bus = Vec::new();
        for sensor in sensors {
            if let SensorPlace::I2c { bus, address } = sensor.place
                && bus == wanted
            {
                on_bus.push((self.add(i2c_device(sensor, bus, address)), address, sensor.clone()));
            }
        }
        if !on_bus.is_empty() {
            self.rounds.push(RoundPlan::I2c(wanted, on_bus));
        }
    }

    fn add_spi(&mut self, wanted: &str, sensors: &[SensorConfig]) {
        let mut on_bus = Vec::new();
        for sensor in sensors {
            if let SensorPlace::Spi(place) = &sensor.place
                && place.device.bus() == wanted
            {
                let device = self.add(spi_device(sensor, &place.device));
                on_bus.push((device, place.clone(), sensor.clone()));
            }
        }
        if !on_bus.is_empty() {
            self.rounds.push(RoundPlan::Spi(wanted.to_owned(), on_bus));
        }
    }

    fn add_gpio(&mut self, config: &GpioConfig) {
        let chip = match &config.chip {
            GpioChip::Device(name) => name.clone(),
            GpioChip::Simulated => "sim".to_owned(),
        };
        let info = info("gpio", &chip, &format!("line {}", config.line));
        match config.direction {
            Direction::In { .. } => {
                let field = Field { name: "on".to_owned(), unit: String::new(), is_flag: true };
                let device = self.add(Device::new(&config.name, info, vec![field]));
                let inputs = self.inputs.entry(config.chip.clone()).or_default();
                inputs.push((device, config.clone()));
            }
            Direction::Out { safe_state } => {
                let safe = match safe_state {
                    SafeState::Keep => None,
                    SafeState::Off => Some(0.0),
                    SafeState::On => Some(1.0),
                };
                let actuator = Actuator::new("switch", ActuatorKind::Switch, safe, PIN_TIMEOUT_MS);
                let device = Device::new(&config.name, info, Vec::new()).with_actuator(actuator);
                self.add_output(device, OutputPlan::Gpio(config.clone()));
            }
        }
    }

    fn add_pwm(&mut self, config: &PwmConfig) {
        let info =
            info("pwm", &format!("pwmchip{}", config.chip), &format!("channel {}", config.channel));
        let kind = ActuatorKind::Number { min: 0.0, max: 100.0, decimals: 2, unit: "%".to_owned() };
        let safe = config.safe_milli_pct as f64 / 1_000.0;
        let actuator = Actuator::new("level", kind, Some(safe), PIN_TIMEOUT_MS);
        let device = Device::new(&config.name, info, Vec::new()).with_actuator(actuator);
        self.add_output(device, OutputPlan::Pwm(config.clone()));
    }

    fn add_output(&mut self, device: Device, output: OutputPlan) {
        let device = self.add(device);
        self.outputs.push((ActuatorId { device, actuator: 0 }, output));
    }
}

fn spi_device(config: &SensorConfig, name: &SpiName) -> Device {
    let (link, address) = match name {
        SpiName::Device(path) => (path.clone(), String::new()),
        SpiName::Simulated(number) => ("spi-sim".to_owned(), number.to_string()),
    };
    // What a driver measures does not depend on the device it speaks through.
    let slot = SpiBus::new(0).slot(0);
    let sensor = AnySensor::on_spi(config, slot.clone(), slot);
    Device::new(&config.name, info(config.driver.name(), &link, &address), fields(&sensor))
}

fn i2c_device(config: &SensorConfig, bus: BusName, address: u8) -> Device {
    let link = match bus {
        BusName::Device(number) => format!("i2c-{number}"),
        BusName::Simulated => "i2c-sim".to_owned(),
    };
    // What a driver measures does not depend on the bus it is on.
    let sensor = AnySensor::on_i2c(config, address, Bus::new(0), Bus::new(0));
    let info = info(config.driver.name(), &link, &format!("0x{address:02x}"));
    Device::new(&config.name, info, fields(&sensor))
}

fn onewire_device(config: &OneWireConfig) -> Device {
    let sensor = AnySensor::new(Ds18b20::new("".as_ref(), &config.id));
    Device::new(&config.name, info("ds18b20", "w1", &config.id), fields(&sensor))
}

fn system_device(config: &SystemConfig) -> Device {
    let sensor = AnySensor::new(Machine::new("".as_ref(), &config.measure, &config.disk));
    Device::new(&config.name, info("system", "", ""), fields(&sensor))
}

fn modbus_device(config: &ModbusConfig) -> Device {
    let link = match &config.end {
        ModbusEnd::Serial(line) => line.path.display().to_string(),
        ModbusEnd::Tcp(address) => address.clone(),
    };
    let fields = config.reads.iter().map(|read| Field {
        name: read.name.clone(),
        unit: read.unit_name.clone(),
        is_flag: read.place.table.is_bits(),
    });
    let info = info("modbus", &link, &format!("unit {}", config.unit));
    let mut device = Device::new(&config.name, info, fields.collect());
    // Three tries and reading it back, behind a poll of a neighbour that does not answer.
    let timeout_ms = config.timeout.as_millis() as u64 * 8 + 2_000;
    for write in &config.writes {
        let kind = if write.place.table.is_bits() {
            ActuatorKind::Switch
        } else {
            ActuatorKind::Number {
                min: write.min,
                max: write.max,
                decimals: decimals(write.place.scale),
                unit: write.unit_name.clone(),
            }
        };
        let actuator = Actuator::new(&write.name, kind, write.safe_state, timeout_ms);
        device = device.with_actuator(actuator);
    }
    device
}

fn info(hardware: &str, link: &str, address: &str) -> Info {
    Info { hardware: hardware.to_owned(), link: link.to_owned(), address: address.to_owned() }
}

const PIN_TIMEOUT_MS: u64 = 5_000;
