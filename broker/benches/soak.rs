//! Whether memory stays bounded under a load in which clients come and go.
//!
//! `cargo bench --package weir-broker --bench soak -- 1800` runs for 1800 seconds, without a
//! number for 60. Five hundred messages a second of every QoS, one in ten of them retained, go to
//! three subscribers (plain, WebSocket, TLS); twenty sessions that are kept come for their queues
//! and leave again; others connect in each of the four ways, subscribe, publish, and leave with a
//! DISCONNECT or without. Resident memory is printed every ten seconds, and what went to the disk
//! at the end; the run fails when the second half needs more than [`GROWTH_MAX`] of memory beyond
//! the first. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, process};

use weir_mqtt::{
    Acknowledge, Connect, ConnectProperties, Packet, PacketId, Publish, QoS, Subscribe,
    SubscribeFilter, SubscribeProperties, SubscriptionOptions, TopicFilter, UserProperties,
    Version, frame_len,
};

mod served;

use served::{Connection, Served, Site, Way, has_served, open};

const WAYS: [Way; 4] = [Way::PLAIN, Way::WEBSOCKET, Way::TLS, Way::SECURE_WEBSOCKET];
const CONFIG: &str = "data_dir = \"data\"\n\
    [[listener]]\naddress = \"127.0.0.1:0\"\n\
    [[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n\
    [[listener]]\naddress = \"127.0.0.1:0\"\n\
    [listener.tls]\ncertfile = \"node.pem\"\nkeyfile = \"node.key\"\n\
    [[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n\
    [listener.tls]\ncertfile = \"node.pem\"\nkeyfile = \"node.key\"\n\
    [auth]\nallow_anonymous = true\n";
const SECONDS: u64 = 60;
const INTERVAL: Duration = Duration::from_secs(10);
/// What the second half may need beyond the most that the first half needed.
const GROWTH_MAX: u64 = 4_000_000;
const RATE_PER_S: u64 = 500;
const VISITS_PER_S: u64 = 10;
const TOPICS: u64 = 50;
const KEPT_SESSIONS: u64 = 20;
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// The load, and what came of it.
struct Load<'a> {
    site: &'a Site,
    served: &'a Served,
    is_over: AtomicBool,
    published: AtomicU64,
    delivered: AtomicU64,
    visits: AtomicU64,
}

fn main() {
    if has_served() {
        return;
    }
    let seconds = env::args().find_map(|argument| argument.parse().ok()).unwrap_or(SECONDS);
    let site = Site::new();
    let served = Served::start(&site, CONFIG);
    let load = Load {
        site: &site,
        served: &served,
        is_over: AtomicBool::new(false),
        published: AtomicU64::new(0),
        delivered: AtomicU64::new(0),
        visits: AtomicU64::new(0),
    };
    let seen = thread::scope(|scope| {
        let load = &load;
        scope.spawn(|| load.publish());
        WAYS.iter().take(3).for_each(|way| drop(scope.spawn(|| load.subscribe(*way))));
        scope.spawn(|| load.visit());
        scope.spawn(|| load.come_and_go());
        let seen = load.watch(Duration::from_secs(seconds));
        load.tell_flash();
        load.is_over.store(true, Ordering::Relaxed);
        seen
    });
    let (first, second) = seen.split_at(seen.len() / 2);
    let most = |half: &[u64]| half.iter().copied().max().unwrap_or_default();
    let growth = most(second).saturating_sub(most(first));
    println!(
        "most of the first half {} KB, growth after it {} KB",
        most(first) / 1000,
        growth / 1000
    );
    drop((served, site));
    if growth > GROWTH_MAX {
        println!("that is more than {} KB", GROWTH_MAX / 1000);
        process::exit(1);
    }
}

impl Load<'_> {
    /// Resident memory, looked at until the time is over.
    fn watch(&self, time: Duration) -> Vec<u64> {
        let since = Instant::now();
        let mut seen = Vec::new();
        while since.elapsed() < time {
            thread::sleep(INTERVAL);
            seen.push(self.served.resident_bytes());
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            println!(
                "{:>5} s  {:>6} KB  {} published, {} delivered, {} visits",
                since.elapsed().as_secs(),
                self.served.resident_bytes() / 1000,
                count(&self.published),
                count(&self.delivered),
                count(&self.visits)
            );
        }
        seen
    }

    /// What was written for all that was published so far, as the broker says itself.
    fn tell_flash(&self) {
        let mut client = self.dial(Way::PLAIN, "flash", true);
        client.subscribe("$SYS/broker/store/flash/+", QoS::AtMostOnce);
        let published = self.published.load(Ordering::Relaxed);
        let figures = [Cell::new(0_u64), Cell::new(0)];
        while figures.iter().any(|figure| figure.get() == 0) {
            client.receive_until(|packet| {
                let Packet::Publish(publish) = packet else { return false };
                let figure = std::str::from_utf8(publish.payload).unwrap().parse().unwrap();
                figures[usize::from(publish.topic.ends_with("flushes"))].set(figure);
                true
            });
        }
        let [bytes, flushes] = figures.map(Cell::into_inner);
        println!(
            "{:.1} MB written to the disk in {flushes} flushes: {} bytes and {:.2} flushes for each \
             message published",
            bytes as f64 / 1e6,
            bytes / published.max(1),
            flushes as f64 / published.max(1) as f64,
        );
    }

    fn publish(&self) {
        let mut client = self.dial(Way::PLAIN, "publisher", true);
        let since = Instant::now();
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                // Whoever waits for a message gets one, and sees that it is over.
                let topics = (0..TOPICS).map(|topic| format!("load/{topic}"));
                topics.for_each(|topic| client.publish(QoS::AtLeastOnce, &topic, false, number));
                return client.leave();
            }
            wait_for_turn(since, number, RATE_PER_S);
            let topic = format!("load/{}", number % TOPICS);
            client.publish(QOS[number as usize % 3], &topic, number % 10 == 0, number);
            self.published.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client that is always there and takes everything.
    fn subscribe(&self, way: Way) {
        let mut client = self.dial(way, way.name, true);
        client.subscribe("load/#", QoS::ExactlyOnce);
        while !self.is_over.load(Ordering::Relaxed) {
            client.receive();
            let delivered = std::mem::take(&mut client.delivered);
            self.delivered.fetch_add(delivered, Ordering::Relaxed);
        }
    }

    /// Clients without a session that stay for a moment.
    fn visit(&self) {
        let since = Instant::now();
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            wait_for_turn(since, number, VISITS_PER_S);
            let way = WAYS[number as usize % WAYS.len()];
            let mut client = self.dial(way, &format!("visitor-{}", number % 1000), true);
            client.subscribe(&format!("load/{}", number % TOPICS), QOS[number as usize % 3]);
            client.publish(QOS[number as usize / 3 % 3], "visitors", false, number);
            self.visits.fetch_add(1, Ordering::Relaxed);
            // The others are gone without a word.
            if number % 3 > 0 {
                client.leave();
            }
        }
    }

    /// Sessions that are kept, and whose clients are there for one of their queues at a time.
    fn come_and_go(&self) {
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let name = number % KEPT_SESSIONS;
            let mut client = self.dial(Way::PLAIN, &format!("kept-{name}"), false);
            client.subscribe(&format!("load/{name}"), QoS::ExactlyOnce);
            let until = Instant::now() + Duration::from_millis(300);
            while Instant::now() < until && !self.is_over.load(Ordering::Relaxed) {
                client.receive();
            }
            client.leave();
            self.visits.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dial(&self, way: Way, name: &str, clean_start: bool) -> Client {
        let listener = WAYS.iter().position(|known| known.name == way.name).unwrap();
        let tls = self.site.client(way);
        let stream = open(self.served.addresses[listener], tls.as_ref());
        let wire = match way.websocket {
            false => Wire::Bytes(stream),
            true => {
                let mut request =
                    tungstenite::ClientRequestBuilder::new("ws://localhost/".parse().unwrap());
                request = request.with_sub_protocol("mqtt");
                Wire::Frames(Box::new(tungstenite::client(request, stream).unwrap().0))
            }
        };
        let mut client = Client { wire, bytes: Vec::new(), next_id: 0, delivered: 0 };
        let properties = ConnectProperties {
            session_expiry_interval_s: (!clean_start).then_some(3600),
            ..ConnectProperties::default()
        };
        let connect = Connect { clean_start, properties, ..Connect::new(Version::V5, name) };
        client.send(&Packet::Connect(connect));
        client.receive_until(|packet| matches!(packet, Packet::Connack(_)));
        client
    }
}

/// Waits until a rate allows one more, unless it is late already.
fn wait_for_turn(since: Instant, number: u64, rate_per_s: u64) {
    let at = since + Duration::from_micros(number * 1_000_000 / rate_per_s);
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// A client that acknowledges whatever it is sent.
struct Client {
    wire: Wire,
    bytes: Vec<u8>,
    next_id: u16,
    delivered: u64,
}

enum Wire {
    Bytes(Box<dyn Connection>),
    Frames(Box<tungstenite::WebSocket<Box<dyn Connection>>>),
}

impl Client {
    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        match &mut self.wire {
            Wire::Bytes(stream) => {
                stream.write_all(&bytes).unwrap();
                stream.flush().unwrap();
            }
            Wire::Frames(socket) => socket.send(bytes.into()).unwrap(),
        }
    }

    /// Publishes, and waits until that is acknowledged.
    fn publish(&mut self, qos: QoS, topic: &str, retain: bool, number: u64) {
        let packet_id = (qos > QoS::AtMostOnce).then(|| self.take_id());
        let payload = format!("{{\"number\":{number},\"value\":21.5,\"unit\":\"C\"}}");
        let publish = Publish { qos, retain, packet_id, ..Publish::new(topic, payload.as_bytes()) };
        self.send(&Packet::Publish(publish));
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.receive_until(|packet| matches!(packet, Packet::Puback(_))),
            QoS::ExactlyOnce => {
                self.receive_until(|packet| matches!(packet, Packet::Pubrec(_)));
                let packet_id = packet_id.expect("it was taken");
                self.send(&Packet::Pubrel(Acknowledge::success(packet_id)));
                self.receive_until(|packet| matches!(packet, Packet::Pubcomp(_)));
            }
        }
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = TopicFilter::parse(filter).unwrap();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let properties = SubscribeProperties {
            subscription_identifier: None,
            user_properties: UserProperties::default(),
        };
        let filters = [SubscribeFilter { filter, options }];
        let packet_id = self.take_id();
        let filters = (&filters[..]).into();
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters }));
        self.receive_until(|packet| matches!(packet, Packet::Suback(_)));
    }

    fn leave(mut self) {
        self.send(&Packet::Disconnect(weir_mqtt::Disconnect::default()));
    }

    fn receive_until(&mut self, is_it: impl Fn(&Packet<'_>) -> bool) {
        while !self.receive_one(&is_it) {}
    }

    /// Takes what has come, or one packet when nothing has.
    fn receive(&mut self) {
        self.receive_one(&|_| true);
    }

    /// Takes one packet, and acknowledges it if it is a message.
    fn receive_one(&mut self, is_it: &impl Fn(&Packet<'_>) -> bool) -> bool {
        let frame = loop {
            match frame_len(&self.bytes).unwrap() {
                Some(length) if length <= self.bytes.len() => {
                    break self.bytes.drain(..length).collect::<Vec<u8>>();
                }
                _ => self.read(),
            }
        };
        let packet = Packet::decode(&frame, Version::V5).unwrap();
        match &packet {
            Packet::Publish(publish) => {
                self.delivered += 1;
                let answer = publish.packet_id.map(Acknowledge::success);
                match (publish.qos, answer) {
                    (QoS::ExactlyOnce, Some(answer)) => self.send(&Packet::Pubrec(answer)),
                    (_, Some(answer)) => self.send(&Packet::Puback(answer)),
                    _ => {}
                }
            }
            Packet::Pubrel(pubrel) => {
                self.send(&Packet::Pubcomp(Acknowledge::success(pubrel.packet_id)));
            }
            _ => {}
        }
        is_it(&packet)
    }

    fn read(&mut self) {
        match &mut self.wire {
            Wire::Bytes(stream) => {
                let mut buffer = [0; 8192];
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "the broker has closed the connection");
                self.bytes.extend_from_slice(&buffer[..count]);
            }
            Wire::Frames(socket) => {
                self.bytes.extend_from_slice(&socket.read().unwrap().into_data());
            }
        }
    }

    fn take_id(&mut self) -> PacketId {
        self.next_id = self.next_id % 60_000 + 1;
        PacketId::new(self.next_id).unwrap()
    }
}
