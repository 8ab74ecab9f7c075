//! One that sends: its packets, their numbers, and what is not acknowledged yet.

use weir_mqtt::{EncodeError, QoS};

use super::wire::{Mark, Shape, Template};

/// One that sends.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) connection: usize,
    number: u16,
    has_packet_ids: bool,
    templates: Vec<Template>,
    next_template: usize,
    next_packet_id: u16,
    /// Not acknowledged yet.
    pub(crate) in_flight: u32,
    /// The most that may be.
    pub(crate) in_flight_max: u32,
    /// Messages so far.
    pub(crate) sent: u32,
}

impl Publisher {
    /// One that uses the topics one after the other, each with the subscriber that it reaches.
    pub(crate) fn new(
        connection: usize,
        number: u16,
        topics: &[(String, u16)],
        shape: Shape,
    ) -> Result<Self, EncodeError> {
        let template = |(topic, to): &(String, u16)| Template::new(topic, *to, shape);
        Ok(Self {
            connection,
            number,
            has_packet_ids: shape.qos != QoS::AtMostOnce,
            templates: topics.iter().map(template).collect::<Result<_, _>>()?,
            next_template: 0,
            next_packet_id: 1,
            in_flight: 0,
            in_flight_max: u32::MAX,
            sent: 0,
        })
    }

    /// Appends the next message.
    #[inline]
    pub(crate) fn append(&mut self, at_ns: u64, out: &mut Vec<u8>) {
        let mark = Mark { number: self.sent, from: self.number, at_ns, ..Mark::default() };
        let packet_id = self.has_packet_ids.then_some(self.next_packet_id);
        self.templates[self.next_template].append(packet_id, mark, out);
        self.sent += 1;
        self.next_template += 1;
        if self.next_template == self.templates.len() {
            self.next_template = 0;
        }
        if self.has_packet_ids {
            self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
            self.in_flight += 1;
        }
    }

    /// How many more it may send at once. Half of the window is waited for, so that neither side
    /// is led into sending one at a time.
    #[inline]
    pub(crate) fn room(&self) -> u64 {
        if !self.has_packet_ids {
            return u64::MAX;
        }
        let free = self.in_flight_max.saturating_sub(self.in_flight);
        if u64::from(free) * 2 >= u64::from(self.in_flight_max) { free.into() } else { 0 }
    }
}
