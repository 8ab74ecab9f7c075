//! The client for microcontrollers at the other end of the gateway.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use rumqttc::QoS as WireQoS;
use weir_node::client::{
    Client, Config, Event, Incoming, IncomingTopic, Message, Output, Timing, Topic, TopicIndex,
};
use weir_node::mqtt_sn_1_2::QoS;

use crate::LIMIT;
use crate::running::{Mosquitto, Running};
use crate::watcher::Watcher;

const STATE: TopicIndex = TopicIndex(0);
const SET: TopicIndex = TopicIndex(1);
const TOPICS: [Topic<'_>; 2] =
    [Topic::Name("$age/edge/gw/n/state"), Topic::Name("edge/gw/n/led/set")];

const CONFIG: Config<'_> = Config {
    timing: Timing { retry_ms: 200, retries: 2, wait_s: 1, reconnect_max_s: 1 },
    ..Config::new("n")
};

struct Node<'a> {
    client: Client<'a, 256, 2>,
    socket: UdpSocket,
    gateway: SocketAddr,
    started: Instant,
    connected: bool,
    delivered: usize,
    received: Vec<String>,
    asleep: bool,
}

impl<'a> Node<'a> {
    fn new(ring: &'a mut [u8], gateway: SocketAddr) -> Self {
        let client = Client::new(&CONFIG, &TOPICS, ring).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let started = Instant::now();
        let (connected, delivered, received, asleep) = (false, 0, Vec::new(), false);
        Self { client, socket, gateway, started, connected, delivered, received, asleep }
    }

    fn now(&self) -> u32 {
        self.started.elapsed().as_millis() as u32
    }

    fn publish(&mut self, qos: QoS, payload: &str) {
        let now = self.now();
        let message = Message { topic: STATE, qos, retain: false, payload: payload.as_bytes() };
        self.client.publish(message, now).unwrap();
    }

    /// Does what the client wants until this is so.
    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < end, "it never is so");
            self.step();
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now();
        match self.client.poll(now) {
            Output::Send(bytes) => {
                // The gateway may not be there.
                let _ = self.socket.send_to(bytes, self.gateway);
            }
            Output::Event(event) => self.take(event),
            _ => {
                self.socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
                let mut bytes = [0; 512];
                let Ok(length) = self.socket.recv(&mut bytes) else { return };
                let now = self.now();
                if let Some(event) = self.client.handle_datagram(&bytes[..length], now) {
                    let event = match event {
                        Event::Message(Incoming { topic, payload, .. }) => {
                            assert_eq!(topic, IncomingTopic::Listed(SET));
                            self.received.push(String::from_utf8(payload.to_vec()).unwrap());
                            return;
                        }
                        Event::Connected => Event::Connected,
                        Event::Delivered(ticket) => Event::Delivered(ticket),
                        Event::Asleep => Event::Asleep,
                        _ => return,
                    };
                    self.take(event);
                }
            }
        }
    }

    fn take(&mut self, event: Event<'static>) {
        match event {
            Event::Connected => self.connected = true,
            Event::Delivered(_) => self.delivered += 1,
            Event::Asleep => self.asleep = true,
            _ => {}
        }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Behaviour 42, with an outage of seconds instead of an hour.
#[test]
fn readings_of_an_outage_keep_their_time_and_come_once() {
    let Some(mosquitto) = Mosquitto::start("our node, outage") else { return };
    let watcher = Watcher::subscribe(mosquitto.port, "edge/gw/n/state");
    // There is no gateway yet, but its address is known.
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut ring = [0; 2_048];
    let mut node = Node::new(&mut ring, nobody.local_addr().unwrap());
    let now = node.now();
    node.client.connect(now);
    let mut taken_at = Vec::new();
    for number in 0..10 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        node.publish(qos, &format!("{{\"seq\":{number}}}"));
        taken_at.push(unix_ms());
        node.run_for(Duration::from_millis(150));
    }
    let gateway = Running::start(mosquitto.port, |_| {});
    node.gateway = gateway.address;
    node.run_until(|node| node.delivered == 10);
    for (number, taken_at) in taken_at.into_iter().enumerate() {
        let (topic, text) = watcher.next_text();
        let reading: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&*topic, &reading["seq"]), ("edge/gw/n/state", &number.into()));
        let ts_ms = reading["ts_ms"].as_u64().unwrap();
        assert!(ts_ms.abs_diff(taken_at) <= 50, "{ts_ms} is not {taken_at}");
    }
    assert!(watcher.rest().is_empty());
}

/// Behaviours 23 and 24 with the client that they are for.
#[test]
fn commands_wait_for_a_sleeping_node() {
    let Some(mosquitto) = Mosquitto::start("our node, asleep") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "edge/#");
    let mut ring = [0; 1_024];
    let mut node = Node::new(&mut ring, gateway.address);
    let now = node.now();
    node.client.connect(now);
    node.run_until(|node| node.connected);
    node.client.subscribe(SET, QoS::ExactlyOnce).unwrap();
    watcher.publish("edge/gw/n/led/set", "on", WireQoS::ExactlyOnce);
    // Published before the gateway may have subscribed, so once more if it has not come.
    node.run_for(Duration::from_millis(300));
    if node.received.is_empty() {
        watcher.publish("edge/gw/n/led/set", "on", WireQoS::ExactlyOnce);
    }
    node.run_until(|node| node.received == ["on"]);
    let now = node.now();
    node.client.sleep(60, now).unwrap();
    node.run_until(|node| node.asleep);
    watcher.wait_for("edge/gw/n/availability", "sleeping");
    for number in 0..20 {
        watcher.publish("edge/gw/n/led/set", &number.to_string(), WireQoS::ExactlyOnce);
    }
    node.run_for(Duration::from_millis(200));
    assert_eq!(node.received.len(), 1);
    node.asleep = false;
    let now = node.now();
    node.client.wake(now).unwrap();
    node.run_until(|node| node.asleep && node.received.len() == 21);
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(node.received[1..], expected);
}
