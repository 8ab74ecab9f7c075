//! How Home Assistant and Zigbee2MQTT use a broker: thousands of retained announcements for a
//! subscriber that reads them little by little, state that changes meanwhile, a broker that is
//! killed half-way, and a birth message upon which everything is announced again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_mqtt::{
    Acknowledge, Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter,
    SubscribeProperties, SubscriptionOptions, TopicFilter, UserProperties, Version, Will,
    WillProperties,
};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::Weir;

const CONFIG: &str = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                      [auth]\nallow_anonymous = true\n";
const ENTITIES: usize = 5000;
/// Messages that the bridge sends before it waits for their acknowledgements.
const WINDOW: usize = 200;
/// Announcements of some 1,200 bytes that can have left the broker's queue and were not received:
/// they are in its buffer, in those of the system, and in that of the subscriber.
const UNDER_WAY_MAX: usize = 2000;
const RECEIVE_BUFFER_BYTES: usize = 256 * 1024;
const STATUS: &str = "homeassistant/status";

/// Everything is announced before the subscriber comes; it takes a hundred announcements at a
/// time, and between two of those twenty states change.
fn slow_subscriber(version: Version, qos: QoS) {
    let folder = Folder::new(&format!("home-{version:?}-{qos:?}"));
    let config = folder.write("weir.toml", CONFIG);
    let weir = Weir::start(&config);
    let mut bridge = Bridge::connect(weir.address());
    bridge.announce_all("first");
    let mut home = Home::connect(weir.address(), version, qos);
    let mut changes = 0;
    while home.configs.len() < ENTITIES {
        // Only while announcements still wait: QoS 0 to a slow client is dropped later.
        if home.configs.len() < ENTITIES - UNDER_WAY_MAX {
            bridge.change_states(changes..changes + 20);
            changes += 20;
        }
        home.take(100);
    }
    home.check_announcements("first", true);
    while home.states.values().map(Vec::len).sum::<usize>() < changes {
        home.take(1);
    }
    home.check_states(changes);
    weir.stop();
}

#[test]
fn a_slow_subscriber_gets_every_announcement_and_every_state_after_it() {
    slow_subscriber(Version::V311, QoS::AtMostOnce);
    slow_subscriber(Version::V311, QoS::AtLeastOnce);
}

#[test]
fn a_slow_subscriber_of_5_0_gets_the_same() {
    slow_subscriber(Version::V5, QoS::AtMostOnce);
    slow_subscriber(Version::V5, QoS::AtLeastOnce);
}

#[test]
fn a_broker_that_is_killed_half_way_has_every_announcement_again() {
    let folder = Folder::new("home-kill");
    let config = folder.write("weir.toml", CONFIG);
    let weir = Weir::start(&config);
    Bridge::connect(weir.address()).announce_all("first");
    let mut home = Home::connect(weir.address(), Version::V311, QoS::AtMostOnce);
    home.take(ENTITIES / 2);
    weir.kill();
    let weir = Weir::start(&config);
    let mut home = Home::connect(weir.address(), Version::V311, QoS::AtMostOnce);
    home.take(ENTITIES);
    home.check_announcements("first", true);
    weir.stop();
}

#[test]
fn everything_is_announced_again_after_the_birth_message() {
    let folder = Folder::new("home-birth");
    let weir = Weir::start(&folder.write("weir.toml", CONFIG));
    let mut bridge = Bridge::connect(weir.address());
    bridge.announce_all("first");
    let mut home = Home::connect(weir.address(), Version::V5, QoS::AtLeastOnce);
    home.take(ENTITIES);
    home.check_announcements("first", true);
    home.say_online();
    assert_eq!(bridge.next_status(), "online");
    home.configs.clear();
    bridge.announce_all("second");
    home.take(ENTITIES);
    home.check_announcements("second", false);
    // The connection breaks, so the will speaks.
    drop(home);
    assert_eq!(bridge.next_status(), "offline");
    weir.stop();
}

/// The part of Zigbee2MQTT.
struct Bridge {
    client: Client,
    statuses: Vec<String>,
}

impl Bridge {
    fn connect(address: SocketAddr) -> Self {
        let connect = Connect::new(Version::V311, "zigbee2mqtt");
        let (client, _) = Client::connect(address, connect).unwrap();
        let mut bridge = Self { client, statuses: Vec::new() };
        subscribe(&mut bridge.client, &[STATUS], QoS::AtLeastOnce);
        assert!(matches!(bridge.client.receive(LIMIT), Received::Packet(Packet::Suback(_))));
        bridge
    }

    /// Every entity, retained, and acknowledged when this returns.
    fn announce_all(&mut self, edition: &str) {
        let numbers: Vec<usize> = (0..ENTITIES).collect();
        for window in numbers.chunks(WINDOW) {
            for number in window {
                let (topic, payload) = (config_topic(*number), config_payload(*number, edition));
                let packet_id = PacketId::new(1 + (number % WINDOW) as u16);
                let publish = Publish {
                    qos: QoS::AtLeastOnce,
                    retain: true,
                    packet_id,
                    ..Publish::new(&topic, payload.as_bytes())
                };
                self.client.put(&Packet::Publish(publish));
            }
            self.client.flush().unwrap();
            for _ in window {
                self.await_acknowledgement();
            }
        }
    }

    /// States go round the first entities, each with the number of the change, at QoS 0; a
    /// QoS 1 message behind them shows that the broker has them.
    fn change_states(&mut self, changes: std::ops::Range<usize>) {
        for change in changes {
            let (topic, payload) = (state_topic(change), change.to_string());
            self.client.put(&Packet::Publish(Publish::new(&topic, payload.as_bytes())));
        }
        let qos = QoS::AtLeastOnce;
        let last = Publish { qos, packet_id: PacketId::new(1), ..Publish::new("last", b"") };
        self.client.send(&Packet::Publish(last)).unwrap();
        self.await_acknowledgement();
    }

    fn await_acknowledgement(&mut self) {
        while !matches!(self.receive(), Some(Packet::Puback(_))) {}
    }

    fn next_status(&mut self) -> String {
        while self.statuses.is_empty() {
            self.receive();
        }
        self.statuses.remove(0)
    }

    /// The next packet; messages are kept for later.
    fn receive(&mut self) -> Option<Packet<'_>> {
        // The answer has to wait until the packet is not looked at any more.
        let acknowledge = match self.client.receive(LIMIT) {
            Received::Packet(Packet::Publish(publish)) => {
                self.statuses.push(String::from_utf8_lossy(publish.payload).into_owned());
                publish.packet_id.map(Acknowledge::success)
            }
            Received::Packet(Packet::Puback(acknowledge)) => {
                return Some(Packet::Puback(Acknowledge::success(acknowledge.packet_id)));
            }
            other => panic!("{other:?} for the bridge"),
        };
        if let Some(acknowledge) = acknowledge {
            self.client.send(&Packet::Puback(acknowledge)).unwrap();
        }
        None
    }
}

/// The part of Home Assistant.
struct Home {
    client: Client,
    qos: QoS,
    /// What was announced, by topic, and whether as a retained message.
    configs: BTreeMap<String, (String, bool)>,
    /// The numbers of the changes, by topic.
    states: BTreeMap<String, Vec<usize>>,
}

impl Home {
    fn connect(address: SocketAddr, version: Version, qos: QoS) -> Self {
        let will = Will {
            topic: STATUS,
            payload: b"offline",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: WillProperties::default(),
        };
        let connect = Connect { will: Some(will), ..Connect::new(version, "home-assistant") };
        let (mut client, _) = Client::connect(address, connect).unwrap();
        // The system would take in several megabytes, and nothing would wait at the broker.
        client.limit_receive_buffer(RECEIVE_BUFFER_BYTES).unwrap();
        subscribe(&mut client, &["homeassistant/+/+/config", "zigbee2mqtt/#"], qos);
        Self { client, qos, configs: BTreeMap::new(), states: BTreeMap::new() }
    }

    /// Reads until it has so many messages, and nothing beyond.
    fn take(&mut self, count: usize) {
        let mut taken = 0;
        while taken < count {
            let packet_id = match self.client.receive(LIMIT) {
                Received::Packet(Packet::Publish(publish)) => {
                    taken += 1;
                    assert!(publish.qos <= self.qos);
                    Self::keep(&mut self.configs, &mut self.states, &publish);
                    publish.packet_id
                }
                Received::Packet(Packet::Suback(_) | Packet::Puback(_)) => None,
                other => panic!("{other:?} after {taken} messages"),
            };
            if let Some(packet_id) = packet_id {
                let puback = Packet::Puback(Acknowledge::success(packet_id));
                self.client.send(&puback).unwrap();
            }
            if self.configs.len() == ENTITIES {
                return;
            }
        }
    }

    fn keep(
        configs: &mut BTreeMap<String, (String, bool)>,
        states: &mut BTreeMap<String, Vec<usize>>,
        publish: &Publish<'_>,
    ) {
        let (topic, payload) = (publish.topic, String::from_utf8_lossy(publish.payload));
        if topic.starts_with("homeassistant/") {
            let before = configs.insert(topic.to_owned(), (payload.into_owned(), publish.retain));
            assert!(before.is_none(), "{topic} is announced twice");
        } else {
            states.entry(topic.to_owned()).or_default().push(payload.parse().unwrap());
        }
    }

    fn say_online(&mut self) {
        let qos = QoS::AtLeastOnce;
        let birth = Publish { qos, packet_id: PacketId::new(9), ..Publish::new(STATUS, b"online") };
        self.client.send(&Packet::Publish(birth)).unwrap();
    }

    fn check_announcements(&self, edition: &str, is_retained: bool) {
        assert_eq!(self.configs.len(), ENTITIES);
        for number in 0..ENTITIES {
            let expected = (config_payload(number, edition), is_retained);
            assert_eq!(self.configs.get(&config_topic(number)), Some(&expected), "{number}");
        }
    }

    /// Each topic has all of its changes, in order.
    fn check_states(&self, changes: usize) {
        let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for change in 0..changes {
            expected.entry(state_topic(change)).or_default().push(change);
        }
        assert_eq!(self.states, expected);
    }
}

fn subscribe(client: &mut Client, filters: &[&str], qos: QoS) {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let wanted: Vec<SubscribeFilter<'_>> = filters
        .iter()
        .map(|filter| SubscribeFilter { filter: TopicFilter::parse(filter).unwrap(), options })
        .collect();
    let properties = SubscribeProperties {
        subscription_identifier: None,
        user_properties: UserProperties::default(),
    };
    let packet_id = PacketId::new(100).unwrap();
    let filters = (&wanted[..]).into();
    client.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters })).unwrap();
}

fn config_topic(number: usize) -> String {
    let component = ["sensor", "binary_sensor", "switch", "light"][number % 4];
    format!("homeassistant/{component}/0x{number:016x}/config")
}

/// 0.5 to 2 kB of JSON.
fn config_payload(number: usize, edition: &str) -> String {
    let length = 450 + number * 37 % 1500;
    format!(
        "{{\"name\":\"entity {number}\",\"sw\":\"{edition}\",\"state_topic\":\"{}\",\"x\":\"{}\"}}",
        state_topic(number),
        "x".repeat(length)
    )
}

fn state_topic(change: usize) -> String {
    format!("zigbee2mqtt/device-{}", change % 7)
}
