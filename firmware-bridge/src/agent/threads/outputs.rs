//! The thread of pins that are driven.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::Receiver;

use tokio::sync::mpsc::Sender;

use super::super::command::{ActuatorId, OrderId};
use super::super::core::{Input, Report, Trouble};
use super::super::hardware::Hardware;
use super::super::pins::Outputs;
use super::super::plan::OutputPlan;
use super::super::pwm::Pwm;
use crate::config::{Direction, GpioChip, GpioConfig, SafeState};
use crate::probe::Availability;

/// What a pin is to be.
#[derive(Debug)]
pub(super) struct PinOrder {
    pub(super) id: OrderId,
    /// Place in the list of outputs.
    pub(super) place: usize,
    pub(super) value: f64,
}

/// The pins that are driven.
pub(super) struct Pins {
    chips: BTreeMap<GpioChip, Box<dyn Outputs>>,
    pins: Vec<(ActuatorId, Pin)>,
}

enum Pin {
    Gpio(GpioConfig),
    Pwm(Pwm),
    /// A PWM channel that is only simulated: what it was set to.
    Simulated,
}

impl Pins {
    pub(super) fn new(outputs: Vec<(ActuatorId, OutputPlan)>, hardware: &Hardware) -> Self {
        let mut chips = BTreeMap::new();
        let mut pins = Vec::new();
        for (id, output) in outputs {
            let pin = match output {
                OutputPlan::Gpio(config) => {
                    let chip = config.chip.clone();
                    chips.entry(chip).or_insert_with_key(|chip| hardware.outputs(chip));
                    Pin::Gpio(config)
                }
                OutputPlan::Pwm(_) if hardware.is_simulated() => Pin::Simulated,
                OutputPlan::Pwm(config) => Pin::Pwm(Pwm::new(Path::new("/sys/class/pwm"), &config)),
            };
            pins.push((id, pin));
        }
        Self { chips, pins }
    }

    /// Carries out orders until nobody gives any.
    pub(super) fn run(mut self, orders: &Receiver<PinOrder>, inputs: &Sender<Input>) {
        let mut availability = vec![None; self.pins.len()];
        for (place, before) in availability.iter_mut().enumerate() {
            let Some((id, kept)) = self.kept(place) else { continue };
            let now = if kept.is_ok() { Availability::Online } else { Availability::Offline };
            *before = Some(now);
            let report = self.report(place, now, kept.as_ref().err().cloned());
            let found = kept.map_or(Ok(()), |value| inputs.blocking_send(Input::Found(id, value)));
            if found.is_err() || inputs.blocking_send(Input::Reported(report)).is_err() {
                return;
            }
        }
        while let Ok(PinOrder { id, place, value }) = orders.recv() {
            let result = self.set(place, value);
            let now = if result.is_ok() { Availability::Online } else { Availability::Offline };
            let changed = availability.get(place).is_some_and(|before| *before != Some(now));
            let failure = result.as_ref().err().cloned();
            if inputs.blocking_send(Input::Answered(id, result)).is_err() {
                return;
            }
            if changed {
                availability[place] = Some(now);
                let report = self.report(place, now, failure);
                if inputs.blocking_send(Input::Reported(report)).is_err() {
                    return;
                }
            }
        }
    }

    /// The state of an output that is left as it is.
    fn kept(&mut self, place: usize) -> Option<(ActuatorId, Result<f64, String>)> {
        let (id, Pin::Gpio(config)) = &self.pins[place] else { return None };
        let Direction::Out { safe_state: SafeState::Keep } = config.direction else { return None };
        let is_on = self.chips.get_mut(&config.chip)?.keep(config);
        Some((*id, is_on.map(|is_on| f64::from(u8::from(is_on)))))
    }

    fn set(&mut self, place: usize, value: f64) -> Result<f64, String> {
        match self.pins.get_mut(place) {
            None => Err("no such output".to_owned()),
            Some((_, Pin::Simulated)) => Ok(value),
            Some((_, Pin::Pwm(pwm))) => pwm.set(value),
            Some((_, Pin::Gpio(config))) => {
                let chip = self.chips.get_mut(&config.chip).ok_or("no such chip")?;
                let is_on = chip.set(config, value != 0.0)?;
                let shown = |is_on: bool| if is_on { "ON" } else { "OFF" };
                match is_on == (value != 0.0) {
                    true => Ok(value),
                    false => {
                        Err(format!("written {}, but it reads {}", shown(!is_on), shown(is_on)))
                    }
                }
            }
        }
    }

    fn report(&self, place: usize, now: Availability, failure: Option<String>) -> Report {
        let trouble = failure.map(|text| Trouble { kind: "lost", text });
        Report {
            device: self.pins[place].0.device,
            // An order has no sample, and so no time.
            at: super::super::clock::Now { uptime_ms: 0, wall_ms: None },
            values: Vec::new(),
            change: Some(now),
            troubles: trouble.into_iter().collect(),
            counters: Vec::new(),
        }
    }
}
