//! Modbus devices and their registers.

use std::path::PathBuf;
use std::time::Duration;

/// A Modbus device.
#[derive(Clone, Debug, PartialEq)]
pub struct ModbusConfig {
    /// Name of the device.
    pub name: String,
    /// How it is reached. Devices with the same end share it.
    pub end: ModbusEnd,
    /// Unit id.
    pub unit: u8,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Registers that are read.
    pub reads: Vec<ReadConfig>,
    /// Registers that are written.
    pub writes: Vec<WriteConfig>,
}

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModbusEnd {
    /// A serial line, Modbus RTU.
    Serial(SerialLine),
    /// Host and port, Modbus TCP.
    Tcp(String),
}

/// A serial line and its settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SerialLine {
    /// Its device.
    pub path: PathBuf,
    /// Bits in a second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parity {
    /// Even.
    Even,
    /// None.
    None,
    /// Odd.
    Odd,
}

/// Where a number stands in a device, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegisterPlace {
    /// The table.
    pub table: Table,
    /// Address, from 0.
    pub register: u16,
    /// How registers are read; of no meaning for bits.
    pub type_: RegisterType,
    /// Which half comes first.
    pub word_order: WordOrder,
    /// What the number in the register is multiplied with, not 0.
    pub scale: f64,
}

/// One of the four tables of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Bits that can be written.
    Coil,
    /// Bits that can only be read.
    Discrete,
    /// Registers that can be written.
    Holding,
    /// Registers that can only be read.
    Input,
}

/// How registers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterType {
    /// IEEE 754 single precision, two registers.
    F32,
    /// Two's complement, one register.
    I16,
    /// Two's complement, two registers.
    I32,
    /// Without sign, one register.
    U16,
    /// Without sign, two registers.
    U32,
}

/// Which of two registers comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordOrder {
    /// The high half.
    HighFirst,
    /// The low half.
    LowFirst,
}

/// A register that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadConfig {
    /// Name of the quantity.
    pub name: String,
    /// Where it stands.
    pub place: RegisterPlace,
    /// Unit that people read, or an empty text.
    pub unit_name: String,
    /// How often.
    pub every: Duration,
}

/// A register that commands write.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteConfig {
    /// Name of the actuator.
    pub name: String,
    /// Where it stands.
    pub place: RegisterPlace,
    /// Unit that people read, or an empty text.
    pub unit_name: String,
    /// Least value of a command.
    pub min: f64,
    /// Greatest value of a command.
    pub max: f64,
    /// What is written when the broker is lost; `None` = it is left as it is.
    pub safe_state: Option<f64>,
    /// Whether it is read back.
    pub read_back: bool,
}

impl Table {
    /// Whether it holds bits, not registers.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

impl RegisterType {
    /// Registers it takes.
    pub fn registers(self) -> u16 {
        match self {
            Self::I16 | Self::U16 => 1,
            Self::F32 | Self::I32 | Self::U32 => 2,
        }
    }

    /// Least and greatest number it can hold.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
            Self::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            Self::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Self::U16 => (0.0, f64::from(u16::MAX)),
            Self::U32 => (0.0, f64::from(u32::MAX)),
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        match name {
            "f32" => Self::F32,
            "i16" => Self::I16,
            "i32" => Self::I32,
            "u32" => Self::U32,
            _ => Self::U16,
        }
    }
}

impl RegisterPlace {
    /// Registers or bits it takes.
    pub fn length(&self) -> u16 {
        if self.table.is_bits() { 1 } else { self.type_.registers() }
    }

    /// Least and greatest value, scaled.
    pub fn range(&self) -> (f64, f64) {
        if self.table.is_bits() {
            return (0.0, 1.0);
        }
        let (least, greatest) = self.type_.range();
        let ends = (least * self.scale, greatest * self.scale);
        if ends.0 <= ends.1 { ends } else { (ends.1, ends.0) }
    }
}

/// The names of [`RegisterType`].
pub(crate) const REGISTER_TYPES: [&str; 5] = ["u16", "i16", "u32", "i32", "f32"];
/// The names of [`WordOrder`].
pub(crate) const WORD_ORDERS: [&str; 2] = ["high-first", "low-first"];
