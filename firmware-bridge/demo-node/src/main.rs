//! Firmware of a sensor node on a serial line.
//!
//! It samples twice a second, publishes each sample with its age, keeps what it cannot send, and
//! switches a lamp on command. What is special about it stands in `board.rs`; what is here would
//! look the same on any board.
#![no_std]
#![no_main]

mod board;
mod stack;
mod text;
mod thermometer;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use weir_node::client::{
    Client, Config, Event, Incoming, IncomingTopic, Message, Timing, Topic, TopicIndex, Will,
};
use weir_node::link::{Link, SerialLink, Turn};
use weir_node::mqtt_sn_1_2::{QoS, WillTopic};
use weir_node::sense::{Reading, Sensor};

use crate::board::{Board, Clock, Uart};
use crate::text::Text;
use crate::thermometer::Thermometer;

/// The longest datagram.
const MTU: usize = 128;
/// Whether it is to be a burden for the way to the broker.
const STRESS: bool = cfg!(feature = "stress");
/// Bytes for messages that wait: about half a minute of samples.
const RING: usize = if STRESS { 5_120 } else { 3_072 };
const SAMPLE_MS: u32 = if STRESS { 250 } else { 500 };
const QOS: QoS = if STRESS { QoS::ExactlyOnce } else { QoS::AtLeastOnce };

const TOPICS: [Topic<'_>; 5] = [
    Topic::Name("$age/edge/demo/node-1/state"),
    Topic::Name("edge/demo/node-1/info"),
    Topic::Name("edge/demo/node-1/event"),
    Topic::Name("edge/demo/node-1/lamp/set"),
    Topic::Name("edge/demo/node-1/lamp"),
];
const STATE: TopicIndex = TopicIndex(0);
const INFO: TopicIndex = TopicIndex(1);
const EVENT: TopicIndex = TopicIndex(2);
const LAMP_SET: TopicIndex = TopicIndex(3);
const LAMP: TopicIndex = TopicIndex(4);

const CONFIG: Config<'_> = Config {
    clean_session: !STRESS,
    keep_alive_s: 10,
    will: Some(Will {
        topic: WillTopic {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "edge/demo/node-1/availability",
        },
        message: b"offline",
    }),
    drops_topic: Some(EVENT),
    // A line of a few metres: what is not answered within a second is lost.
    timing: Timing { retry_ms: 1_000, retries: 2, wait_s: 5, reconnect_max_s: 4 },
    ..Config::new("node-1")
};

type Node = Client<'static, MTU, 5>;

type Line = SerialLink<Uart, { MTU + 2 }>;

#[entry]
fn main() -> ! {
    static mut RING_BYTES: [u8; RING] = [0; RING];
    static mut FIRMWARE: Option<Firmware> = None;
    static mut LINE: Option<Line> = None;
    let Some(mut clock) = make(LINE, FIRMWARE, RING_BYTES) else { stop() };
    let (Some(line), Some(firmware)) = (LINE, FIRMWARE) else { stop() };
    firmware.start_stack_bytes = stack::used_bytes();
    stack::paint_again();
    firmware.start(&mut clock);
    loop {
        let now_ms = clock.now_ms();
        match line.turn(&mut firmware.client, now_ms) {
            Ok(Turn::Again) => {}
            Ok(Turn::Event(event)) => firmware.handle(event, now_ms),
            Ok(Turn::Idle(_)) => firmware.sample_if_due(now_ms),
            // This line has no errors. On another one the frame is lost, and is sent again.
            Err(error) => match error {},
        }
    }
}

/// Puts everything where it stays. In a function of its own, so that what this takes of the stack
/// is free again afterwards.
#[inline(never)]
fn make(
    line: &mut Option<Line>,
    firmware: &mut Option<Firmware>,
    ring: &'static mut [u8; RING],
) -> Option<Clock> {
    let Board { uart, clock } = Board::take()?;
    let client = Node::new(&CONFIG, &TOPICS, ring).ok()?;
    *line = Some(SerialLink::new(uart));
    let thermometer = Thermometer::new();
    *firmware = Some(Firmware { client, thermometer, due_ms: 0, seq: 0, start_stack_bytes: 0 });
    Some(clock)
}

struct Firmware {
    client: Node,
    thermometer: Thermometer,
    due_ms: u32,
    /// Number of the next sample.
    seq: u32,
    /// What the start has taken of the stack.
    start_stack_bytes: u32,
}

impl Firmware {
    fn start(&mut self, clock: &mut Clock) {
        // The topic is in the list, so it cannot be refused.
        let _ = self.client.subscribe(LAMP_SET, QoS::AtLeastOnce);
        // The simulated sensor has nothing to reset; a real one is tried again with each sample.
        let _ = self.thermometer.reset();
        self.due_ms = clock.now_ms();
        self.client.connect(self.due_ms);
    }

    // Not inlined, as the next one: their texts are on the stack only while they are put together.
    #[inline(never)]
    fn sample_if_due(&mut self, now_ms: u32) {
        if now_ms.wrapping_sub(self.due_ms) > u32::MAX / 2 {
            return;
        }
        self.due_ms = self.due_ms.wrapping_add(SAMPLE_MS);
        let mut reading = [Reading::default()];
        // A failed sample is not published: there is no value to put in its place.
        if self.thermometer.sample(&mut reading).is_err() {
            return;
        }
        let mut text = Text::<64>::new();
        text.text("{\"temperature_c\":").hundredths(reading[0].milli);
        text.text(",\"seq\":").number(self.seq).text("}");
        self.seq = self.seq.wrapping_add(1);
        self.publish(STATE, false, text.bytes(), now_ms);
    }

    fn handle(&mut self, event: Event<'_>, now_ms: u32) {
        match event {
            Event::Connected => self.publish_info(now_ms),
            Event::Message(Incoming {
                topic: IncomingTopic::Listed(LAMP_SET),
                payload: payload @ (b"on" | b"off"),
                ..
            }) => {
                // The lamp would be switched here; what is published is what it does then.
                self.publish(LAMP, true, Some(payload), now_ms);
            }
            _ => {}
        }
    }

    #[inline(never)]
    fn publish_info(&mut self, now_ms: u32) {
        let mut text = Text::<120>::new();
        text.text("{\"fw\":\"demo-node\",\"version\":\"").text(env!("CARGO_PKG_VERSION"));
        text.text("\",\"hw\":\"mps2-an385\",\"link\":\"serial\",\"stack_bytes\":");
        text.number(stack::used_bytes());
        text.text(",\"start_stack_bytes\":").number(self.start_stack_bytes).text("}");
        self.publish(INFO, true, text.bytes(), now_ms);
    }

    fn publish(&mut self, topic: TopicIndex, retain: bool, payload: Option<&[u8]>, now_ms: u32) {
        let Some(payload) = payload else { return };
        let message = Message { topic, qos: QOS, retain, payload };
        // The queue drops its oldest message for this one, and tells the gateway how many it was.
        let _ = self.client.publish(message, now_ms);
    }
}

/// Nothing to go on with. On a real board the watchdog would start it over.
fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}
