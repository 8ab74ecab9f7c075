//! A broker with several shards and real clients in all of them: what they exchange, and what is
//! there after the end and a new start.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill, Packet, Publish};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use weir_broker::Broker;
use weir_broker::config::{Config, HostPort, ListenerConfig};
use weir_core::{Placement, ShardId};

const SHARDS: u8 = 3;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of the test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-shards-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn start(&self, shards: u8) -> Broker {
        let mut config = Config::default();
        config.data_dir.clone_from(&self.0);
        config.listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))];
        config.auth.allow_anonymous = true;
        config.limits.max_queued_messages = None;
        config.shards = Some(shards);
        Broker::start(config).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A client whose session is kept, and what it hears.
struct Device {
    client: Client,
    connection: Connection,
    /// Whether the broker has gone on with its session.
    is_known: bool,
    /// Messages that came before something else that was waited for.
    early: VecDeque<Publish>,
}

impl Device {
    fn connect(broker: &Broker, id: &str) -> Self {
        Self::connect_with_will(broker, id, None)
    }

    fn connect_with_will(broker: &Broker, id: &str, will: Option<LastWill>) -> Self {
        let address = broker.addresses()[0];
        let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
        options.set_clean_start(false);
        let properties =
            ConnectProperties { session_expiry_interval: Some(3600), ..ConnectProperties::new() };
        options.set_connect_properties(properties);
        will.map(|will| options.set_last_will(will));
        let (client, mut connection) = Client::new(options, 200);
        match connection.recv_timeout(PATIENCE).unwrap() {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                let (is_known, early) = (connack.session_present, VecDeque::new());
                Self { client, connection, is_known, early }
            }
            other => panic!("{other:?} instead of CONNACK"),
        }
    }

    /// The next packet from the broker; none when the connection has ended.
    fn hear(&mut self) -> Option<Packet> {
        loop {
            match self.connection.recv_timeout(PATIENCE).unwrap() {
                Ok(Event::Incoming(packet)) => return Some(packet),
                Ok(Event::Outgoing(_)) => {}
                Err(_) => return None,
            }
        }
    }

    fn message(&mut self) -> Publish {
        if let Some(message) = self.early.pop_front() {
            return message;
        }
        loop {
            if let Packet::Publish(message) = self.hear().unwrap() {
                return message;
            }
        }
    }

    fn wait_for(&mut self, is_it: impl Fn(&Packet) -> bool) {
        loop {
            match self.hear().unwrap() {
                Packet::Publish(message) => self.early.push_back(message),
                packet if is_it(&packet) => return,
                _ => {}
            }
        }
    }

    fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::ExactlyOnce).unwrap();
        self.wait_for(|packet| matches!(packet, Packet::SubAck(_)));
    }

    /// Publishes and waits until the broker has it.
    fn publish(&mut self, topic: &str, retain: bool, payload: &str) {
        let payload = payload.to_owned();
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
        self.wait_for(|packet| matches!(packet, Packet::PubAck(_)));
    }
}

/// A client identifier for each shard.
fn one_each(kind: &str) -> Vec<String> {
    let placement = Placement::new(SHARDS, []);
    let of = |shard| {
        let mut names = (0..).map(|number| format!("{kind}-{number}"));
        names.find(|name| placement.home(name) == shard).unwrap()
    };
    (0..SHARDS).map(ShardId).map(of).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Waits for a condition, a while.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::yield_now();
    }
}

#[test]
fn clients_of_all_shards_hear_each_other_in_order() {
    const EACH: usize = 60;
    let folder = Folder::new("order");
    let broker = folder.start(SHARDS);
    let connect = |id: &String| {
        let mut device = Device::connect(&broker, id);
        device.subscribe("from/#");
        (id.clone(), device)
    };
    let devices: Vec<_> = one_each("device").iter().map(connect).collect();
    let talk = |(id, mut device): (String, Device)| {
        for number in 0..EACH {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3];
            let topic = format!("from/{id}/{}", number % 3);
            device.client.publish(topic, qos, false, number.to_string()).unwrap();
        }
        let mut heard: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for _ in 0..usize::from(SHARDS) * EACH {
            let message = device.message();
            let numbers = heard.entry(text(&message.topic).to_owned()).or_default();
            numbers.push(text(&message.payload).parse().unwrap());
        }
        heard
    };
    let heard: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            devices.into_iter().map(|device| scope.spawn(move || talk(device))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for heard in heard {
        assert_eq!(heard.len(), 9, "three clients with three topics");
        for (topic, numbers) in heard {
            let first = *numbers.iter().min().unwrap();
            let sent: Vec<_> = (first..EACH).step_by(3).collect();
            assert_eq!(numbers, sent, "{topic}");
        }
    }
}

#[test]
fn what_is_retained_is_seen_from_every_shard() {
    let folder = Folder::new("retained");
    let broker = folder.start(SHARDS);
    for id in one_each("publisher") {
        Device::connect(&broker, &id).publish(&format!("state/{id}"), true, &id);
    }
    for id in one_each("subscriber") {
        let mut device = Device::connect(&broker, &id);
        device.client.subscribe("state/#", QoS::AtLeastOnce).unwrap();
        let heard: BTreeSet<_> = (0..SHARDS)
            .map(|_| device.message())
            .map(|message| text(&message.payload).to_owned())
            .collect();
        assert_eq!(heard, one_each("publisher").into_iter().collect());
    }
    assert_eq!(broker.status().retained, 3);
}

#[test]
fn the_status_is_about_all_shards() {
    let folder = Folder::new("status");
    let broker = folder.start(SHARDS);
    let mut devices: Vec<_> =
        one_each("device").iter().map(|id| Device::connect(&broker, id)).collect();
    for (index, device) in devices.iter_mut().enumerate() {
        device.subscribe("all/#");
        (0..index).for_each(|own| device.subscribe(&format!("own/{own}")));
        device.subscribe("$share/group/all/+");
    }
    let status = broker.status();
    assert_eq!((status.shards, status.ready), (3, true));
    assert_eq!((status.connections, status.sessions, status.subscriptions), (3, 3, 9));
    devices[0].publish("all/x", false, "x");
    devices.iter_mut().for_each(|device| assert_eq!(device.message().topic, "all/x"));
    let messages = broker.status().messages;
    assert_eq!((messages.received, messages.sent), (1, 4), "all of them, and one of the group");
    devices.remove(0).client.disconnect().unwrap();
    drop(devices);
    wait_until("the end of all", || broker.status().connections == 0);
    let status = broker.status();
    assert_eq!((status.connections, status.sessions, status.subscriptions), (0, 3, 9));
}

/// Nothing waits for a client that does not read, and what is kept for it is bounded.
#[test]
fn a_client_that_does_not_read_holds_up_no_other_shard() {
    const MESSAGES: u64 = 3_000;
    let folder = Folder::new("stalled");
    let broker = folder.start(SHARDS);
    let ids = one_each("device");
    let stalled = raw(&broker, &ids[1]);
    (&stalled).write_all(b"\x82\x06\0\x01\0\x01#\0").unwrap();
    let mut answer = [0; 5];
    (&stalled).read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x90, 3, 0, 1, 0], "SUBACK");
    for publisher in [&ids[0], &ids[2], &ids[1]] {
        let mut publisher = raw(&broker, publisher.replace("device", "talker").as_str());
        let mut message = b"\x30\x83\x80\x01\0\x01t".to_vec();
        message.resize(message.len() + 16 * 1024, b'x');
        (0..MESSAGES).for_each(|_| publisher.write_all(&message).unwrap());
        publisher.write_all(&[0xc0, 0]).unwrap();
        let mut answer = [0; 2];
        publisher.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0xd0, 0], "PINGRESP");
    }
    let counts = || {
        let messages = broker.status().messages;
        (messages.received, messages.sent, messages.dropped.values().sum::<u64>())
    };
    wait_until("the end of all that was under way", || {
        let (received, sent, dropped) = counts();
        received == 3 * MESSAGES && dropped > 2 * MESSAGES && sent + dropped <= received
    });
}

/// A clean session of MQTT 3.1.1 on a plain socket.
fn raw(broker: &Broker, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(broker.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = u8::try_from(id.len()).unwrap();
    let mut connect = vec![0x10, 12 + length];
    connect.extend(b"\0\x04MQTT\x04\x02\0\0\0");
    connect.push(length);
    connect.extend(id.as_bytes());
    stream.write_all(&connect).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0], "CONNACK");
    stream
}

#[test]
fn sessions_stay_in_their_shards_whatever_the_configuration_says() {
    let folder = Folder::new("restart");
    let ids = one_each("device");
    let broker = folder.start(SHARDS);
    for id in &ids {
        Device::connect(&broker, id).subscribe("all/#");
    }
    broker.shutdown();
    for (round, (shards, has)) in [(1, 3), (5, 5), (1, 3), (3, 3)].into_iter().enumerate() {
        let broker = folder.start(shards);
        let status = broker.status();
        assert_eq!((status.shards, status.sessions, status.subscriptions), (has, 3, 3));
        let mut devices: Vec<_> = ids.iter().map(|id| Device::connect(&broker, id)).collect();
        assert!(devices.iter().all(|device| device.is_known));
        devices[round % 3].publish("all/x", false, &round.to_string());
        for device in &mut devices {
            // The broker may not have heard that the one before has arrived.
            let mut messages = std::iter::repeat_with(|| device.message());
            let message = messages.find(|message| !message.dup).unwrap();
            assert_eq!(text(&message.payload), round.to_string());
        }
        broker.shutdown();
    }
}

/// A shard that had nothing to do ended at once, while another one had not heard yet that it was
/// to stop and still sent it something. What was to be durable together with that was not, and the
/// stop took as long as it may.
#[test]
fn a_stop_while_clients_publish_takes_no_time_and_loses_nothing() {
    const ROUNDS: usize = 8;
    let folder = Folder::new("stop");
    let subscribers = one_each("subscriber");
    let broker = folder.start(SHARDS);
    for id in &subscribers {
        Device::connect(&broker, id).subscribe("#");
    }
    broker.shutdown();
    let mut acknowledged: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..ROUNDS {
        let broker = folder.start(SHARDS);
        let (enough, has_enough) = mpsc::channel();
        let publish = |id: String| {
            let topic = format!("{id}/{round}");
            let mut device = Device::connect(&broker, &id);
            let enough = enough.clone();
            thread::spawn(move || (publish_until_closed(&mut device, &topic, &enough), topic))
        };
        let threads: Vec<_> = one_each("publisher").into_iter().map(publish).collect();
        for _ in &threads {
            has_enough.recv_timeout(PATIENCE).unwrap();
        }
        let began = Instant::now();
        broker.shutdown();
        let took = began.elapsed();
        for thread in threads {
            let (count, topic) = thread.join().unwrap();
            acknowledged.insert(topic, count);
        }
        assert!(took < Duration::from_secs(3), "round {round} took {took:?}");
    }
    let broker = folder.start(SHARDS);
    for id in &subscribers {
        let mut device = Device::connect(&broker, id);
        let mut heard: BTreeMap<String, usize> = BTreeMap::new();
        let has_all = |heard: &BTreeMap<String, usize>| {
            let count = |topic| heard.get(topic).copied().unwrap_or(0);
            acknowledged.iter().all(|(topic, acknowledged)| count(topic) >= *acknowledged)
        };
        while !has_all(&heard) {
            let message = device.message();
            let next = heard.entry(text(&message.topic).to_owned()).or_default();
            assert_eq!(text(&message.payload), next.to_string(), "the next of {:?}", message.topic);
            *next += 1;
        }
    }
}

/// Shards that end tell their clients at the same time, and each has wills for the others.
#[test]
fn wills_of_all_shards_that_end_reach_the_sessions_of_all() {
    const ROUNDS: usize = 4;
    let folder = Folder::new("wills");
    let subscribers = one_each("subscriber");
    let broker = folder.start(SHARDS);
    for id in &subscribers {
        Device::connect(&broker, id).subscribe("will/#");
    }
    broker.shutdown();
    for round in 0..ROUNDS {
        let broker = folder.start(SHARDS);
        let with_will = |id: String| {
            let will = LastWill::new(format!("will/{id}"), "", QoS::AtLeastOnce, false, None);
            Device::connect_with_will(&broker, &id, Some(will))
        };
        let _devices: Vec<_> = one_each("device").into_iter().map(with_will).collect();
        let began = Instant::now();
        broker.shutdown();
        assert!(began.elapsed() < Duration::from_secs(3), "round {round}: {:?}", began.elapsed());
    }
    let broker = folder.start(SHARDS);
    for id in &subscribers {
        let mut device = Device::connect(&broker, id);
        let mut heard: BTreeMap<String, usize> = BTreeMap::new();
        while heard.values().sum::<usize>() < ROUNDS * usize::from(SHARDS) {
            let topic = text(&device.message().topic).to_owned();
            *heard.entry(topic).or_default() += 1;
        }
        let wills = one_each("device").into_iter().map(|id| (format!("will/{id}"), ROUNDS));
        assert_eq!(heard, wills.collect());
    }
}

/// Publishes numbers until the connection ends, and says when some are acknowledged. Answers how
/// many were.
fn publish_until_closed(device: &mut Device, topic: &str, enough: &mpsc::Sender<()>) -> usize {
    const UNDER_WAY: usize = 20;
    const ENOUGH: usize = 60;
    let publish = |number: usize| {
        // After the end of the connection nobody takes it.
        let _ = device.client.try_publish(topic, QoS::AtLeastOnce, false, number.to_string());
    };
    (0..UNDER_WAY).for_each(publish);
    let mut acknowledged = 0;
    loop {
        match device.connection.recv_timeout(PATIENCE).unwrap() {
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                publish(UNDER_WAY + acknowledged);
                acknowledged += 1;
                if acknowledged == ENOUGH {
                    enough.send(()).unwrap();
                }
            }
            Ok(_) => {}
            Err(_) => return acknowledged,
        }
    }
}
