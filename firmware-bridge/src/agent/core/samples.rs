//! From what a poll gave to what is published of it.

use super::super::clock::Now;
use super::super::device::Device;
use super::super::held::{Sample, Stamp};
use super::super::outbox::Message;
use super::{Agent, Report, Trouble, told};
use crate::config::Layout;
use crate::json::JsonObject;
use crate::session::QoS;

impl Agent {
    pub(super) fn handle_report(&mut self, now: Now, report: Report) {
        let Report { device, at, values, change, troubles, counters } = report;
        let Some(known) = self.devices.get_mut(device.0) else { return };
        known.counters = counters;
        if let Some(change) = change {
            known.availability = Some(change);
            self.publish_availability(device.0);
        }
        for trouble in &troubles {
            self.publish_trouble(now, device.0, trouble);
        }
        if !values.is_empty()
            && let Some((sample, stamp)) = self.held.handle(now, Sample { device, at, values })
        {
            self.publish_sample(&sample, stamp);
        }
    }

    pub(super) fn publish_sample(&mut self, sample: &Sample, stamp: Stamp) {
        let Some(device) = self.devices.get_mut(sample.device.0) else { return };
        device.seq += 1;
        self.counters.samples += 1;
        let device = &self.devices[sample.device.0];
        let payloads = match self.options.layout {
            Layout::Flat => self.flat(device, sample),
            Layout::Json => {
                let topic = self.topics.device(&device.name, "state");
                vec![(topic, state(device, sample, stamp))]
            }
        };
        let qos = if self.options.state_acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        for (topic, payload) in payloads {
            self.publish(Message {
                qos,
                retain: self.options.state_retain,
                is_kept: self.options.state_acknowledged,
                ..told(topic, payload)
            });
        }
    }

    fn flat(&self, device: &Device, sample: &Sample) -> Vec<(String, String)> {
        let values = sample.values.iter();
        values
            .filter_map(|(place, value)| {
                let field = device.fields.get(*place)?;
                let value = value.to_string();
                // What people switch by hand says ON and OFF elsewhere, too.
                let shown = match (field.is_flag, value.as_str()) {
                    (true, "true") => "ON".to_owned(),
                    (true, "false") => "OFF".to_owned(),
                    _ => value,
                };
                Some((self.topics.device(&device.name, &field.name), shown))
            })
            .collect()
    }

    fn publish_trouble(&mut self, now: Now, place: usize, trouble: &Trouble) {
        let Some(device) = self.devices.get_mut(place) else { return };
        let Some(count) = device.events.handle(trouble.kind, now.uptime_ms) else { return };
        let mut object = JsonObject::new()
            .text("kind", trouble.kind)
            .field("count", count)
            .text("text", &trouble.text);
        if let Some(wall_ms) = now.wall_ms {
            object = object.field("ts_ms", wall_ms);
        }
        let topic = self.topics.device(&device.name, "event");
        self.publish(Message { is_kept: true, ..told(topic, object.end()) });
    }
}

fn state(device: &Device, sample: &Sample, stamp: Stamp) -> String {
    let mut object = JsonObject::new();
    for (place, value) in &sample.values {
        if let Some(field) = device.fields.get(*place) {
            object = object.field(&field.name, value);
        }
    }
    object = match stamp {
        Stamp::Uptime(uptime_ms) => object.field("ts_ms", uptime_ms).text("ts_src", "uptime"),
        Stamp::Wall(wall_ms) => object.field("ts_ms", wall_ms),
    };
    object.field("seq", device.seq).end()
}
