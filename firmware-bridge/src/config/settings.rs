//! The configuration as the rest of the program uses it: plain values in their ranges.

mod buses;
mod gateway;
mod modbus;
mod pins;
mod sensors;

use std::path::PathBuf;
use std::time::Duration;

pub use buses::{BusName, SpiName};
pub use gateway::{Framing, LinkConfig, LinkKind, NodeConfig, PredefinedConfig};
pub use modbus::{
    ModbusConfig, ModbusEnd, Parity, ReadConfig, RegisterPlace, RegisterType, SerialLine, Table,
    WordOrder, WriteConfig,
};
pub(crate) use modbus::{REGISTER_TYPES, WORD_ORDERS};
pub use pins::{Bias, Direction, GpioChip, GpioConfig, PwmConfig, SafeState};
pub(crate) use sensors::{DRIVERS, MEASURES};
pub use sensors::{
    Driver, Measure, OneWireConfig, SensorConfig, SensorPlace, SensorRules, SpiConfig, SystemConfig,
};

use crate::tls::TlsOptions;

/// Everything a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The bridge itself.
    pub bridge: BridgeConfig,
    /// TLS to the broker; `None` = there is none.
    pub tls: Option<TlsOptions>,
    /// I2C buses, each once.
    pub buses: Vec<BusName>,
    /// Places on SPI buses, each once.
    pub spi: Vec<SpiConfig>,
    /// Sensors; each bus is in `buses`, each place on an SPI bus in `spi`.
    pub sensors: Vec<SensorConfig>,
    /// 1-wire thermometers.
    pub onewire: Vec<OneWireConfig>,
    /// The machine as a device.
    pub system: Vec<SystemConfig>,
    /// Digital inputs and outputs.
    pub gpio: Vec<GpioConfig>,
    /// PWM outputs.
    pub pwm: Vec<PwmConfig>,
    /// Modbus devices.
    pub modbus: Vec<ModbusConfig>,
    /// Links of the MQTT-SN gateway.
    pub links: Vec<LinkConfig>,
    /// Topic ids that nodes know without registration.
    pub predefined: Vec<PredefinedConfig>,
    /// Nodes that may connect; empty = every node.
    pub nodes: Vec<NodeConfig>,
}

/// The bridge itself.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeConfig {
    /// Its name, one level of its topics.
    pub id: String,
    /// Where its topics start.
    pub root: String,
    /// How samples are published.
    pub layout: Layout,
    /// Whether samples are acknowledged: QoS 1 in place of 0.
    pub state_acknowledged: bool,
    /// Whether samples are retained.
    pub state_retain: bool,
    /// Prefix of Home Assistant; `None` = no discovery.
    pub discovery_prefix: Option<String>,
    /// Host and port of the broker.
    pub broker: String,
    /// User name at the broker.
    pub username: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Where the queue is kept; `None` = in memory.
    pub data_dir: Option<PathBuf>,
    /// Most bytes that wait for the broker.
    pub queue_bytes_max: u64,
    /// What has waited longer is dropped.
    pub queue_age_max: Duration,
    /// How long outputs stay as they are without a broker.
    pub safe_after: Duration,
    /// How long samples wait for a clock that is set.
    pub clock_wait: Duration,
    /// How often counters are published; `None` = never.
    pub metrics_every: Option<Duration>,
}

/// How samples are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A message for each quantity with its plain value.
    Flat,
    /// One JSON object with all quantities.
    Json,
}
