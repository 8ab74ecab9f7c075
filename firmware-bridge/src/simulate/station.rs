//! A device that publishes what its sensor measures.

use weir_node::sense::Sensor;

use super::bus::Bus;
use super::sample::Sample;
use crate::json::{Decimal, JsonObject};
use crate::probe::{Probe, ProbeCounters};

/// A sensor on a bus, a topic, and the names of the fields.
#[derive(Debug)]
pub(super) struct Station<S> {
    topic: String,
    bus: Bus,
    probe: Probe<S>,
    /// Name and decimals of the sensor's first quantities; the others are not published.
    fields: Vec<(&'static str, u8)>,
    /// Whether the time of the sample is published with it.
    stamped: bool,
}

impl<S: Sensor> Station<S> {
    /// A device that gives the sensor's first quantities the names of `fields`.
    pub(super) fn new(topic: String, bus: Bus, probe: Probe<S>, fields: &[&'static str]) -> Self {
        let decimals = probe.quantities().iter().map(|quantity| quantity.decimals);
        let fields = fields.iter().copied().zip(decimals).collect();
        Self { topic, bus, probe, fields, stamped: false }
    }

    /// The same device with a clock: it says when it measured.
    pub(super) fn stamped(mut self) -> Self {
        self.stamped = true;
        self
    }

    /// Measures if it is time to. A poll without a sample publishes nothing.
    pub(super) fn poll(&mut self, now_ms: u64, out: &mut Vec<Sample>) {
        self.bus.advance_to(now_ms);
        let polled = self.probe.poll(now_ms);
        if polled.readings.is_empty() {
            return;
        }
        let mut object = JsonObject::new();
        for ((name, decimals), reading) in self.fields.iter().zip(polled.readings) {
            object = object.field(name, Decimal { milli: reading.milli, decimals: *decimals });
        }
        if self.stamped {
            object = object.field("ts", now_ms);
        }
        out.push(Sample { topic: self.topic.clone(), payload: object.end(), at_ms: now_ms });
    }

    pub(super) fn next_due_ms(&self) -> u64 {
        self.probe.next_due_ms()
    }

    pub(super) fn counters(&self) -> ProbeCounters {
        self.probe.counters()
    }
}
