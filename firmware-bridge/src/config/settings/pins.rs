//! Digital inputs and outputs, and PWM.

/// A line of a GPIO chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioConfig {
    /// Name of the device.
    pub name: String,
    /// The chip it belongs to.
    pub chip: GpioChip,
    /// Number of the line on the chip.
    pub line: u32,
    /// Whether ON is the low level.
    pub active_low: bool,
    /// What it does.
    pub direction: Direction,
}

/// A GPIO chip.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GpioChip {
    /// A name below `/dev`.
    Device(String),
    /// Lines in memory.
    Simulated,
}

/// Whether a line is read or driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Its edges are published.
    In {
        /// Resistor inside of the chip.
        bias: Bias,
        /// How long it must be quiet, in milliseconds.
        debounce_ms: u32,
    },
    /// It takes commands.
    Out {
        /// Where it goes without a broker.
        safe_state: SafeState,
    },
}

/// Resistor of an input inside of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// As it was set before.
    AsIs,
    /// None.
    Disabled,
    /// To ground.
    PullDown,
    /// To the supply.
    PullUp,
}

/// Where an output goes at the start, at the end, and when the broker is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeState {
    /// It stays as it is.
    Keep,
    /// Off.
    Off,
    /// On.
    On,
}

/// A PWM channel.
#[derive(Clone, Debug, PartialEq)]
pub struct PwmConfig {
    /// Name of the device.
    pub name: String,
    /// N of `pwmchipN`.
    pub chip: u8,
    /// Channel of the chip.
    pub channel: u8,
    /// Length of a period in nanoseconds.
    pub period_ns: u64,
    /// Share that it is on when safe, in thousandths of a percent.
    pub safe_milli_pct: i64,
}
