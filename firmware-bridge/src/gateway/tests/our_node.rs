//! The client for microcontrollers and the gateway, both on virtual time: behaviours 13 and 42.

use weir_node::client::{Client, Config, Event, Message, Output, Timing, Topic, TopicIndex};
use weir_node::mqtt_sn_1_2::QoS;

use super::faults::Network;
use super::world::{Node, World};

const STATE: TopicIndex = TopicIndex(0);
const SET: TopicIndex = TopicIndex(1);
const TOPICS: [Topic<'_>; 2] = [Topic::Name("$age/state"), Topic::Name("set")];
const CONFIG: Config<'_> = Config {
    timing: Timing { retry_ms: 300, retries: 20, wait_s: 1, reconnect_max_s: 30 },
    ..Config::new("n")
};
/// When the gateway began to run.
const UNIX_MS: u64 = 1_767_225_600_000;

struct Talk<'a> {
    world: World,
    client: Client<'a, 256, 2>,
    node: Node,
    network: Network,
    /// Whether nothing gets through.
    is_cut: bool,
    delivered: usize,
    received: Vec<String>,
    is_connected: bool,
}

impl<'a> Talk<'a> {
    fn new(ring: &'a mut [u8], seed: u64) -> Self {
        let mut client = Client::new(&CONFIG, &TOPICS, ring).unwrap();
        let mut world = World::with(|options| {
            options.retry_ms = 300;
            options.retries = 50;
        });
        world.gateway.set_clock(0, Some(UNIX_MS), 0);
        client.connect(0);
        let node = world.node(1);
        let (delivered, received) = (0, Vec::new());
        let network = Network::new(seed);
        Self {
            world,
            client,
            node,
            network,
            is_cut: false,
            delivered,
            received,
            is_connected: false,
        }
    }

    fn publish(&mut self, qos: QoS, payload: &str) {
        let message = Message { topic: STATE, qos, retain: false, payload: payload.as_bytes() };
        self.client.publish(message, self.world.now as u32).unwrap();
    }

    fn run_for(&mut self, ms: u64) {
        let end = self.world.now + ms;
        while self.world.now < end {
            self.step();
        }
    }

    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let end = self.world.now + 3_600_000;
        while !is_so(self) {
            assert!(self.world.now < end, "it never is so");
            self.step();
        }
    }

    /// One millisecond.
    fn step(&mut self) {
        let now = self.world.now;
        loop {
            match self.client.poll(now as u32) {
                Output::Send(_) | Output::Broadcast(_) if self.is_cut => {}
                Output::Send(bytes) | Output::Broadcast(bytes) => {
                    self.network.send(now, true, bytes);
                }
                Output::Event(event) => take(event, &mut self.delivered, &mut self.is_connected),
                Output::Idle | Output::WaitUntil(_) => break,
            }
        }
        while let Some((to_gateway, bytes)) = self.network.arrived(now) {
            if to_gateway {
                self.world.send_bytes(&self.node, &bytes);
                continue;
            }
            match self.client.handle_datagram(&bytes, now as u32) {
                Some(Event::Message(message)) => {
                    self.received.push(String::from_utf8(message.payload.to_vec()).unwrap());
                }
                Some(event) => take(event, &mut self.delivered, &mut self.is_connected),
                None => {}
            }
        }
        for bytes in self.world.received(&self.node) {
            if !self.is_cut {
                self.network.send(now, false, &bytes);
            }
        }
        self.world.advance(1);
    }
}

fn take(event: Event<'_>, delivered: &mut usize, is_connected: &mut bool) {
    match event {
        Event::Connected => *is_connected = true,
        Event::Delivered(_) => *delivered += 1,
        _ => {}
    }
}

/// 13.
#[test]
fn qos_2_is_exactly_once_between_our_node_and_the_gateway() {
    for seed in 1..=10 {
        let mut ring = vec![0; 16_384];
        let mut talk = Talk::new(&mut ring, seed * 0x9e37_79b9);
        talk.run_until(|talk| talk.is_connected);
        talk.client.subscribe(SET, QoS::ExactlyOnce).unwrap();
        talk.run_for(20_000);
        let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        for text in &expected {
            talk.publish(QoS::ExactlyOnce, text);
            talk.world.broker.publish_text("set", text, QoS::ExactlyOnce);
            talk.world.run();
        }
        talk.run_until(|talk| talk.delivered == 100 && talk.world.broker.held("n") == 0);
        talk.run_for(5_000);
        assert_eq!(talk.world.broker.texts("state"), expected, "seed {seed}");
        assert_eq!(talk.received, expected, "seed {seed}");
    }
}

/// 42. One reading each minute of an hour in which nothing gets through, and each of them once.
#[test]
fn readings_of_an_hour_without_a_network_keep_their_time() {
    let mut ring = vec![0; 8_192];
    let mut talk = Talk::new(&mut ring, 7);
    talk.run_until(|talk| talk.is_connected);
    talk.is_cut = true;
    let mut taken_at = Vec::new();
    for number in 0..60 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        talk.publish(qos, &format!("{{\"seq\":{number}}}"));
        taken_at.push(UNIX_MS + talk.world.now);
        talk.run_for(60_000);
    }
    assert_eq!(talk.world.availability("n"), "offline");
    assert!(talk.world.broker.texts("state").is_empty());
    talk.is_cut = false;
    talk.run_until(|talk| talk.delivered == 60);
    assert_eq!(talk.world.availability("n"), "online");
    let mut seen = 0;
    for text in talk.world.broker.texts("state") {
        let reading: serde_json::Value = serde_json::from_str(text).unwrap();
        let number = reading["seq"].as_u64().unwrap() as usize;
        // Of QoS 1 it may come again, and then has the same time.
        assert!(
            number == seen || number + 1 == seen && number.is_multiple_of(2),
            "{number} after {seen}"
        );
        seen = number + 1;
        let ts_ms = reading["ts_ms"].as_u64().unwrap();
        // The network takes up to 60 ms, of which nobody knows.
        let late_ms = ts_ms - taken_at[number];
        assert!(late_ms <= 61, "reading {number} is {late_ms} ms late");
    }
    assert_eq!(seen, 60);
}
