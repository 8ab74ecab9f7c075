//! The sensors of one bus, each polled when it is due.

use weir_node::sense::Unit;

use super::clock::Now;
use super::core::{Report, Trouble};
use super::device::{DeviceId, Field};
use super::sensor::AnySensor;
use crate::json::{Decimal, Value};
use crate::probe::{Availability, Failure, Probe, ProbeCounters};
use crate::simulate::SimulatedBus;

/// The sensors of one bus.
#[derive(Debug)]
pub(crate) struct Round {
    seats: Vec<Seat>,
    /// A simulated bus has a time of its own, which follows.
    simulated: Option<SimulatedBus>,
}

#[derive(Debug)]
struct Seat {
    device: DeviceId,
    probe: Probe<AnySensor>,
}

impl Round {
    pub(crate) fn new(simulated: Option<SimulatedBus>) -> Self {
        Self { seats: Vec::new(), simulated }
    }

    /// Adds a sensor that is due at once.
    pub(crate) fn add(&mut self, device: DeviceId, sensor: AnySensor, every_ms: u64, now: Now) {
        let probe = Probe::new(sensor, every_ms, now.uptime_ms);
        self.seats.push(Seat { device, probe });
    }

    /// The devices, in the order in which they were added.
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        self.seats.iter().map(|seat| seat.device).collect()
    }

    /// When the next sensor is due, in milliseconds since the start of the machine.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.seats.iter().map(|seat| seat.probe.next_due_ms()).min()
    }

    /// Polls the sensor that is due first, if it is due.
    pub(crate) fn poll_next(&mut self, now: Now) -> Option<Report> {
        let seat = self.seats.iter_mut().min_by_key(|seat| seat.probe.next_due_ms())?;
        if seat.probe.next_due_ms() > now.uptime_ms {
            return None;
        }
        if let Some(bus) = &self.simulated {
            // Simulated surroundings follow the time of day.
            bus.advance_to(now.wall_ms.unwrap_or(now.uptime_ms));
        }
        Some(seat.poll(now))
    }
}

impl Seat {
    fn poll(&mut self, now: Now) -> Report {
        let polled = self.probe.poll(now.uptime_ms);
        let (change, failure) = (polled.change, polled.failure);
        let readings = polled.readings.to_vec();
        let quantities = self.probe.quantities();
        let values = readings.iter().filter_map(|reading| {
            let place = usize::from(reading.quantity);
            let decimals = quantities.get(place)?.decimals;
            Some((place, Value::Decimal(Decimal { milli: reading.milli, decimals })))
        });
        let values = values.collect();
        let trouble = match (change, failure) {
            (Some(Availability::Offline), Some(failure)) => Some(Trouble {
                kind: kind(failure),
                text: format!(
                    "offline after failed polls: {}",
                    self.probe.sensor().last_error().unwrap_or("no sample")
                ),
            }),
            _ => None,
        };
        Report {
            device: self.device,
            at: now,
            values,
            change,
            troubles: trouble.into_iter().collect(),
            counters: named(self.probe.counters()),
        }
    }
}

/// What a sensor measures, as the agent knows it.
pub(crate) fn fields(sensor: &AnySensor) -> Vec<Field> {
    let quantities = weir_node::sense::Sensor::quantities(sensor).iter();
    quantities
        .map(|quantity| Field {
            name: quantity.name.to_owned(),
            unit: Unit::symbol(quantity.unit).to_owned(),
            is_flag: false,
        })
        .collect()
}

fn kind(failure: Failure) -> &'static str {
    match failure {
        Failure::Bus => "bus",
        Failure::Crc => "crc",
        Failure::NotPresent => "nack",
        Failure::NotReady => "not_ready",
        Failure::OutOfRange => "range",
        Failure::Wiring => "wiring",
    }
}

fn named(counters: ProbeCounters) -> Vec<(&'static str, u64)> {
    vec![
        ("polls", counters.samples),
        ("failed_polls", counters.failed_polls),
        ("bus", counters.bus),
        ("crc", counters.crc),
        ("nack", counters.not_present),
        ("not_ready", counters.not_ready),
        ("range", counters.out_of_range),
        ("wiring", counters.wiring),
    ]
}
