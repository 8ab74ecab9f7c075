//! Clients that mean harm: each gets the answer that the standard has for it, takes a bounded
//! amount of memory, and nobody else notices.

mod acknowledgements;
mod frames;
mod reading;
mod storms;
mod subscriptions;

use allocation_counter::measure;

use crate::support::*;

/// A pair of clients that do no harm, and must go on undisturbed.
struct Neighbours {
    publisher: Client,
    subscriber: Client,
    count: u32,
}

impl Neighbours {
    fn new(world: &World) -> Self {
        let subscriber = world.connect(v5("good-subscriber").kept());
        subscriber.subscribe("good/#", QOS2);
        Self { publisher: world.connect(v311("good-publisher").kept()), subscriber, count: 0 }
    }

    /// What one of them says reaches the other at once, at every QoS.
    #[track_caller]
    fn check(&mut self) {
        for qos in [QOS0, QOS1, QOS2] {
            self.count += 1;
            self.publisher.publish_acknowledged_at(qos, "good/t", &self.count.to_string());
            let received = self.subscriber.receive_and_acknowledge();
            assert_eq!((received.payload, received.qos), (self.count.to_string(), qos));
        }
        assert!(!self.subscriber.has_arrived() && !self.publisher.has_arrived());
    }
}

/// Bytes that are taken while `work` is done, at the most, by the core and by this side.
fn memory_of(work: impl FnOnce()) -> u64 {
    measure(work).bytes_max
}

/// A packet from its first byte and its body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let more = if rest > 0x7f { 0x80 } else { 0 };
        bytes.push((rest & 0x7f) as u8 | more);
        rest >>= 7;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a text of a packet").to_be_bytes();
    [&length, text.as_bytes()].concat()
}
