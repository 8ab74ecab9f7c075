//! What the agent asks of pins, and the simulated ones.

use std::time::Duration;

use super::wall::Clock;
use crate::config::{Direction, GpioConfig};
use crate::simulate::{Lines, Surroundings};

/// Outputs of one chip.
pub(crate) trait Outputs: Send {
    /// Sets a line and reads it back.
    fn set(&mut self, config: &GpioConfig, is_on: bool) -> Result<bool, String>;

    /// Takes a line as it is, and says how that is.
    fn keep(&mut self, config: &GpioConfig) -> Result<bool, String>;
}

/// Inputs of one chip.
pub(crate) trait Inputs: Send {
    /// The next debounced change: the place in the list of inputs, the level since, and when that
    /// was in milliseconds since the start of the machine. Nothing if it takes longer than
    /// `patience`.
    fn wait(&mut self, patience: Duration) -> Result<Option<Change>, String>;

    /// Whether an input is on, by its place.
    fn is_on(&mut self, place: usize) -> Result<bool, String>;
}

/// A change of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) place: usize,
    pub(crate) is_on: bool,
    pub(crate) uptime_ms: u64,
}

/// Outputs on simulated lines.
#[derive(Debug)]
pub(crate) struct SimulatedOutputs(pub(crate) Lines);

impl Outputs for SimulatedOutputs {
    fn set(&mut self, config: &GpioConfig, is_on: bool) -> Result<bool, String> {
        self.0.set(config.line, is_on != config.active_low);
        self.keep(config)
    }

    fn keep(&mut self, config: &GpioConfig) -> Result<bool, String> {
        Ok(self.0.level(config.line) != config.active_low)
    }
}

/// Inputs on simulated lines, whose world outside has the time of the machine.
#[derive(Debug)]
pub(crate) struct SimulatedInputs {
    lines: Lines,
    inputs: Vec<GpioConfig>,
    /// Where the world outside has them; `None` leaves that to whoever holds the lines.
    surroundings: Option<Surroundings>,
}

impl SimulatedInputs {
    pub(crate) fn new(
        lines: Lines,
        inputs: Vec<GpioConfig>,
        surroundings: Option<Surroundings>,
    ) -> Self {
        for input in &inputs {
            if let Direction::In { debounce_ms, .. } = input.direction {
                lines.request_input(input.line, debounce_ms);
            }
        }
        let mut this = Self { lines, inputs, surroundings };
        this.let_it_happen();
        this
    }

    fn let_it_happen(&mut self) {
        let Some(surroundings) = self.surroundings else { return };
        let now = Clock.now();
        for input in &self.inputs {
            let is_on = surroundings.is_on(&input.name, now.wall_ms.unwrap_or(now.uptime_ms));
            self.lines.drive(input.line, is_on != input.active_low, now.uptime_ms);
        }
        self.lines.advance_to(now.uptime_ms);
    }
}

impl Inputs for SimulatedInputs {
    fn wait(&mut self, patience: Duration) -> Result<Option<Change>, String> {
        self.let_it_happen();
        let Some(edge) = self.lines.wait(patience) else { return Ok(None) };
        let place = self.inputs.iter().position(|input| input.line == edge.line);
        Ok(place.map(|place| Change {
            place,
            is_on: edge.is_high != self.inputs[place].active_low,
            uptime_ms: edge.at_ms,
        }))
    }

    fn is_on(&mut self, place: usize) -> Result<bool, String> {
        let input = self.inputs.get(place).ok_or("no such input")?;
        Ok(self.lines.level(input.line) != input.active_low)
    }
}
