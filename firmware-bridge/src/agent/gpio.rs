//! Pins of this machine, through the character devices of the kernel.
//!
//! The kernel debounces inputs and stamps their edges with `CLOCK_MONOTONIC`, which is the time the
//! agent counts in. A line belongs to whoever has requested it; it is requested when it is first
//! needed, and again after it failed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{self, EdgeDetection, EdgeKind, Value};

use super::pins::{Change, Inputs, Outputs};
use crate::config::{Bias, Direction, GpioChip, GpioConfig};

/// Outputs of this machine.
#[derive(Debug, Default)]
pub(crate) struct KernelOutputs {
    requests: BTreeMap<(PathBuf, u32), Request>,
}

impl KernelOutputs {
    fn request(
        &mut self,
        config: &GpioConfig,
        first: Option<bool>,
    ) -> Result<&Request, gpiocdev::Error> {
        let chip = path(config);
        let key = (chip.clone(), config.line);
        if !self.requests.contains_key(&key) {
            let value = match first {
                Some(is_on) => of_bool(is_on),
                // Driven to the level it has: first it is only looked at.
                None => {
                    let mut look = Request::builder();
                    look.on_chip(&chip).with_consumer(CONSUMER).with_line(config.line);
                    if config.active_low {
                        look.as_active_low();
                    }
                    look.request()?.value(config.line)?
                }
            };
            let mut builder = Request::builder();
            builder.on_chip(&chip).with_consumer(CONSUMER).with_line(config.line);
            if config.active_low {
                builder.as_active_low();
            }
            let request = builder.as_output(value).request()?;
            self.requests.insert(key.clone(), request);
        }
        Ok(self.requests.get(&key).expect("it was there or has just been put there"))
    }

    fn forget(&mut self, config: &GpioConfig) {
        self.requests.remove(&(path(config), config.line));
    }
}

impl Outputs for KernelOutputs {
    fn set(&mut self, config: &GpioConfig, is_on: bool) -> Result<bool, String> {
        let set = self.request(config, Some(is_on)).and_then(|request| {
            request.set_value(config.line, of_bool(is_on))?;
            request.value(config.line)
        });
        set.map(|value| value == Value::Active).map_err(|error| {
            self.forget(config);
            told(config, &error)
        })
    }

    fn keep(&mut self, config: &GpioConfig) -> Result<bool, String> {
        let kept = self.request(config, None).and_then(|request| request.value(config.line));
        kept.map(|value| value == Value::Active).map_err(|error| told(config, &error))
    }
}

/// Inputs of one chip of this machine.
#[derive(Debug)]
pub(crate) struct KernelInputs {
    inputs: Vec<GpioConfig>,
    request: Request,
}

impl KernelInputs {
    /// Requests inputs that are all of one chip, at least one.
    pub(crate) fn new(inputs: Vec<GpioConfig>) -> Result<Self, String> {
        let first = inputs.first().ok_or("no inputs")?;
        let mut builder = Request::builder();
        builder.on_chip(path(first)).with_consumer(CONSUMER);
        for input in &inputs {
            let Direction::In { bias, debounce_ms } = input.direction else { continue };
            builder.with_line(input.line).as_input().with_edge_detection(EdgeDetection::BothEdges);
            builder.with_debounce_period(Duration::from_millis(u64::from(debounce_ms)));
            match bias {
                Bias::AsIs => {}
                Bias::Disabled => {
                    builder.with_bias(line::Bias::Disabled);
                }
                Bias::PullDown => {
                    builder.with_bias(line::Bias::PullDown);
                }
                Bias::PullUp => {
                    builder.with_bias(line::Bias::PullUp);
                }
            }
            if input.active_low {
                builder.as_active_low();
            } else {
                builder.as_active_high();
            }
        }
        let request = builder.request().map_err(|error| told(first, &error))?;
        Ok(Self { inputs, request })
    }
}

impl Inputs for KernelInputs {
    fn wait(&mut self, patience: Duration) -> Result<Option<Change>, String> {
        let there = self.request.wait_edge_event(patience).map_err(|error| error.to_string())?;
        if !there {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(|error| error.to_string())?;
        let place = self.inputs.iter().position(|input| input.line == event.offset);
        Ok(place.map(|place| Change {
            place,
            is_on: event.kind == EdgeKind::Rising,
            uptime_ms: event.timestamp_ns / 1_000_000,
        }))
    }

    fn is_on(&mut self, place: usize) -> Result<bool, String> {
        let input = self.inputs.get(place).ok_or("no such input")?;
        let value = self.request.value(input.line).map_err(|error| error.to_string())?;
        Ok(value == Value::Active)
    }
}

fn path(config: &GpioConfig) -> PathBuf {
    match &config.chip {
        GpioChip::Device(name) => PathBuf::from("/dev").join(name),
        // It is never asked for here.
        GpioChip::Simulated => PathBuf::new(),
    }
}

fn of_bool(is_on: bool) -> Value {
    if is_on { Value::Active } else { Value::Inactive }
}

fn told(config: &GpioConfig, error: &gpiocdev::Error) -> String {
    format!("line {} of {}: {error}", config.line, path(config).display())
}

const CONSUMER: &str = "weir-bridge";
