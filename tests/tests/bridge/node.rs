//! A node: the client for microcontrollers, over UDP.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use weir_node::client::{
    Client, Config, Event, Incoming, IncomingTopic, Message, Output, Timing, Topic, TopicIndex,
};
use weir_node::mqtt_sn_1_2::{QoS, ReturnCode};
use weir_tests::harness::wait::LIMIT;

/// A node that does not wait long.
pub(crate) fn config(client_id: &str) -> Config<'_> {
    let timing = Timing { retry_ms: 200, retries: 3, wait_s: 1, reconnect_max_s: 1 };
    Config { timing, ..Config::new(client_id) }
}

/// What it publishes on.
pub(crate) const UP: TopicIndex = TopicIndex(0);
/// What it subscribes to.
pub(crate) const DOWN: TopicIndex = TopicIndex(1);

pub(crate) struct Node<'a> {
    client: Client<'a, 256, 2>,
    socket: UdpSocket,
    started: Instant,
    is_connected: bool,
    is_asleep: bool,
    is_subscribed: bool,
    pub(crate) delivered: usize,
    pub(crate) received: Vec<String>,
    pub(crate) refused: Vec<ReturnCode>,
}

impl<'a> Node<'a> {
    /// Connects, and waits until the gateway has taken it.
    pub(crate) fn connect(
        config: &'a Config<'a>,
        topics: &'a [Topic<'a>; 2],
        ring: &'a mut [u8],
        gateway: SocketAddr,
    ) -> Self {
        let client = Client::new(config, topics, ring).expect("a valid node");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.connect(gateway).expect("an address of this machine");
        let mut node = Self {
            client,
            socket,
            started: Instant::now(),
            is_connected: false,
            is_asleep: false,
            is_subscribed: false,
            delivered: 0,
            received: Vec::new(),
            refused: Vec::new(),
        };
        let now = node.now();
        node.client.connect(now);
        node.run_until(|node| node.is_connected);
        node
    }

    pub(crate) fn subscribe(&mut self) {
        self.client.subscribe(DOWN, QoS::ExactlyOnce).expect("there is room");
        self.run_until(|node| node.is_subscribed);
    }

    pub(crate) fn publish(&mut self, qos: QoS, payload: &str) {
        let now = self.now();
        let message = Message { topic: UP, qos, retain: false, payload: payload.as_bytes() };
        self.client.publish(message, now).expect("there is room");
    }

    pub(crate) fn sleep(&mut self, duration_s: u16) {
        let now = self.now();
        self.client.sleep(duration_s, now).expect("it is connected");
        self.run_until(|node| node.is_asleep);
    }

    /// Fetches what waits; it may be more than one waking takes.
    pub(crate) fn wake_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < end, "only {} messages came", self.received.len());
            self.is_asleep = false;
            let now = self.now();
            self.client.wake(now).expect("it is asleep");
            self.run_until(|node| node.is_asleep);
        }
    }

    /// Whether something is to be sent or to be acknowledged.
    pub(crate) fn has_queued(&self) -> bool {
        self.client.has_queued()
    }

    /// Does what the client wants until this is so.
    pub(crate) fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < end, "it never is so: {:?}", self.received);
            self.step();
        }
    }

    fn now(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_millis()).expect("a short test")
    }

    fn step(&mut self) {
        let now = self.now();
        let event = match self.client.poll(now) {
            Output::Send(bytes) => {
                // The gateway may not be there.
                let _ = self.socket.send(bytes);
                return;
            }
            Output::Event(event) => taken(&event),
            _ => {
                self.socket.set_read_timeout(Some(Duration::from_millis(5))).expect("not zero");
                let mut bytes = [0; 512];
                let Ok(length) = self.socket.recv(&mut bytes) else { return };
                let now = self.now();
                let event = self.client.handle_datagram(&bytes[..length], now);
                event.map_or(Taken::Other, |event| taken(&event))
            }
        };
        match event {
            Taken::Asleep => self.is_asleep = true,
            Taken::Connected => self.is_connected = true,
            Taken::Delivered => self.delivered += 1,
            Taken::Message(text) => self.received.push(text),
            Taken::Other => {}
            Taken::Rejected(code) => self.refused.push(code),
            Taken::Subscribed => self.is_subscribed = true,
        }
    }
}

/// An event that borrows nothing.
enum Taken {
    Asleep,
    Connected,
    Delivered,
    Message(String),
    Other,
    Rejected(ReturnCode),
    Subscribed,
}

fn taken(event: &Event<'_>) -> Taken {
    match event {
        Event::Asleep => Taken::Asleep,
        Event::Connected => Taken::Connected,
        Event::Delivered(_) => Taken::Delivered,
        Event::Message(Incoming { topic, payload, .. }) => {
            assert_eq!(*topic, IncomingTopic::Listed(DOWN));
            Taken::Message(String::from_utf8_lossy(payload).into_owned())
        }
        Event::Rejected(_, code) => Taken::Rejected(*code),
        Event::Subscribed(..) => Taken::Subscribed,
        _ => Taken::Other,
    }
}
