//! The bridge inside the broker: whole processes, devices over UDP and on a simulated bus, and
//! clients of MQTT at the other side.

#[path = "bridge/node.rs"]
mod node;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use serde_json::Value;
use weir_mqtt::{QoS, Version};
use weir_node::client::{Config, Topic};
use weir_node::mqtt_sn_1_2::{QoS as NodeQoS, ReturnCode};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::Stream;
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, weir as weir_command};

use node::Node;

/// A broker with a bridge, and where its nodes are.
struct Site {
    folder: Folder,
    gateway: SocketAddr,
}

impl Site {
    /// A link over UDP, and these lines more for the bridge and for the broker.
    fn new(name: &str, of_bridge: &str, of_broker: &str) -> Self {
        let folder = Folder::new(name);
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let gateway = free.local_addr().expect("it is bound");
        folder.write(
            "bridge.toml",
            format!(
                "[bridge]\nid = \"gw\"\n[[link]]\nkind = \"udp\"\nbind = \"{gateway}\"\n{of_bridge}"
            ),
        );
        folder.write(
            "weir.toml",
            format!(
                "data_dir = \"data\"\nbridge = \"bridge.toml\"\nsys_interval = 1\n[[listener]]\n\
                 address = \"127.0.0.1:0\"\n{of_broker}"
            ),
        );
        Self { folder, gateway }
    }

    fn start(&self) -> Weir {
        Weir::start(&self.folder.path().join("weir.toml"))
    }
}

/// A user with a password that nobody says.
const PUMP: &str = "pump:$7$101$dHdlbHZlIGJ5dGVz$F9/PAo194pCw5Vt/PLUbNkEofVDzeDLnUNBsNm+XK8gpgca6NG7+dnyE37nLhJqoVs3aB8tdXVVO8gDRhJ08QQ==\n";
const OPEN: &str = "[auth]\nallow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n";
const TOPICS: [Topic<'_>; 2] = [Topic::Name("plant/up"), Topic::Name("plant/down")];

fn subscriber(weir: &Weir, filter: &str) -> Subscriber {
    let mut subscriber = Subscriber::new("watcher", Version::V5, filter);
    subscriber.connect(weir.address()).expect("it listens");
    subscriber
}

fn next(subscriber: &mut Subscriber) -> (String, String) {
    match subscriber.receive(LIMIT) {
        Arrival::Message(Message { topic, payload, .. }) => {
            (topic, String::from_utf8_lossy(&payload).into_owned())
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for a message on a topic; others are passed over.
fn next_on(subscriber: &mut Subscriber, wanted: &str) -> String {
    loop {
        let (topic, payload) = next(subscriber);
        if topic == wanted {
            return payload;
        }
    }
}

#[test]
fn sensors_are_in_their_topics_and_their_end_is_told() {
    let of_bridge = "[[i2c]]\nbus = \"sim\"\n[[sensor]]\nname = \"hall\"\ndriver = \"bme280\"\n\
                     bus = \"sim\"\nevery_s = 1\n";
    let site = Site::new("bridge-sensors", of_bridge, OPEN);
    let weir = site.start();
    let mut watcher = subscriber(&weir, "edge/gw/#");
    let sample: Value =
        serde_json::from_str(&next_on(&mut watcher, "edge/gw/hall/state")).expect("an object");
    for (quantity, range) in [("temperature_c", -40.0..85.0), ("humidity_pct", 0.0..100.0)] {
        let value = sample[quantity].as_f64().expect("a number");
        assert!(range.contains(&value), "{sample}");
    }
    assert!(sample["ts_ms"].is_u64(), "{sample}");
    let mut late = Subscriber::new("late", Version::V5, "edge/gw/+/+");
    late.connect(weir.address()).expect("it listens");
    let mut retained = [next(&mut late), next(&mut late), next(&mut late)];
    retained.sort();
    let states = retained.iter().filter(|(_, text)| text == "online").count();
    assert_eq!(states, 2, "the bridge and the sensor: {retained:?}");
    late.disconnect();
    watcher.disconnect();
    weir.stop();
    // Whoever comes later hears that it has ended, of a broker without a bridge.
    site.folder.write(
        "weir.toml",
        format!("data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n{OPEN}"),
    );
    let weir = site.start();
    let mut later = Subscriber::new("later", Version::V5, "edge/gw/bridge/state");
    later.connect(weir.address()).expect("it listens");
    assert_eq!(next(&mut later), ("edge/gw/bridge/state".to_owned(), "offline".to_owned()));
}

#[test]
fn a_node_has_a_session_of_the_broker_at_every_quality() {
    let site = Site::new("bridge-node", "", OPEN);
    let weir = site.start();
    let mut watcher = subscriber(&weir, "plant/up");
    let mut publisher = Publisher::new("publisher", Version::V5, 10);
    publisher.connect(weir.address()).expect("it listens");
    let mut ring = [0; 1_024];
    let config = node::config("n1");
    let mut node = Node::connect(&config, &TOPICS, &mut ring, site.gateway);
    node.subscribe();
    let levels = [NodeQoS::AtMostOnce, NodeQoS::AtLeastOnce, NodeQoS::ExactlyOnce];
    for (number, qos) in levels.into_iter().enumerate() {
        node.publish(qos, &number.to_string());
        node.run_until(|node| !node.has_queued() && node.delivered >= number);
        assert_eq!(next(&mut watcher), ("plant/up".to_owned(), number.to_string()));
        publisher.publish([Message {
            topic: "plant/down".to_owned(),
            payload: number.to_string().into_bytes(),
            qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number],
            ..Message::default()
        }]);
        node.run_until(|node| node.received.len() == number + 1);
    }
    assert_eq!(node.received, ["0", "1", "2"]);
    let mut tree = Subscriber::new("tree", Version::V5, "$SYS/bridge/gateway/published");
    tree.connect(weir.address()).expect("it listens");
    // The tree is brought up to date now and then.
    while next(&mut tree).1 != "3" {}
    let admin = weir.admin_address().to_string();
    let asked = weir_command(&["status", "--admin", &admin]);
    assert!(asked.stdout.contains("  gateway      1 clients"), "{asked:?}");
    assert!(asked.stdout.contains("3 published"), "{asked:?}");
}

/// Neither the node nor whoever publishes knows that anything happened.
#[test]
fn what_waits_for_a_sleeping_node_survives_kill_9() {
    const MESSAGES: usize = 300;
    let site = Site::new("bridge-sleep", "", OPEN);
    let weir = site.start();
    let config = Config { clean_session: false, ..node::config("n1") };
    let mut ring = [0; 1_024];
    let mut node = Node::connect(&config, &TOPICS, &mut ring, site.gateway);
    node.subscribe();
    node.sleep(600);
    let publish = |weir: &Weir, numbers: std::ops::Range<usize>| {
        let mut publisher = Publisher::new("publisher", Version::V5, 10);
        publisher.connect(weir.address()).expect("it listens");
        publisher.publish(numbers.map(|number| Message {
            topic: "plant/down".to_owned(),
            payload: number.to_string().into_bytes(),
            qos: if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce },
            ..Message::default()
        }));
    };
    publish(&weir, 0..MESSAGES / 2);
    weir.kill();
    let weir = site.start();
    publish(&weir, MESSAGES / 2..MESSAGES);
    node.wake_until(|node| node.received.len() >= MESSAGES);
    let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(node.received, expected, "all of them, in order, once");
}

/// The bridge says who a node is; what it may do is said by the broker.
#[test]
fn a_node_has_the_rights_of_its_user() {
    let of_bridge = "[[node]]\nclient_id = \"n1\"\nuser = \"pump\"\n";
    let of_broker =
        "[auth]\nallow_anonymous = false\npassword_file = \"users\"\nacl_file = \"acl\"\n";
    let site = Site::new("bridge-rights", of_bridge, of_broker);
    // It has a password that the bridge does not know.
    site.folder.write("users", PUMP);
    site.folder
        .write("acl", "user pump\ntopic write plant/up\nuser bridge\ntopic readwrite edge/#\n");
    let weir = site.start();
    let mut ring = [0; 1_024];
    let topics = [Topic::Name("plant/up"), Topic::Name("office/down")];
    let config = node::config("n1");
    let mut node = Node::connect(&config, &topics, &mut ring, site.gateway);
    node.publish(NodeQoS::AtLeastOnce, "mine");
    node.run_until(|node| node.delivered == 1);
    weir.stop();
}

/// The node was once told that all is well with a message that nobody has.
#[test]
fn a_node_is_told_that_it_may_not_publish_and_so_is_the_operator() {
    let of_bridge = "[[node]]\nclient_id = \"n1\"\nuser = \"pump\"\n";
    let of_broker = "[auth]\nallow_anonymous = true\npassword_file = \"users\"\nacl_file = \"acl\"\n\
                     [admin]\naddress = \"127.0.0.1:0\"\n";
    let site = Site::new("bridge-denied", of_bridge, of_broker);
    site.folder.write("users", PUMP);
    let acl =
        "topic read $SYS/#\nuser pump\ntopic read plant/#\nuser bridge\ntopic readwrite edge/#\n";
    site.folder.write("acl", acl);
    let weir = site.start();
    let mut ring = [0; 1_024];
    let config = node::config("n1");
    let mut node = Node::connect(&config, &TOPICS, &mut ring, site.gateway);
    for (number, qos) in [NodeQoS::AtLeastOnce, NodeQoS::ExactlyOnce].into_iter().enumerate() {
        node.publish(qos, "not allowed");
        node.run_until(|node| node.refused.len() > number);
    }
    assert_eq!(node.refused, [ReturnCode::NotSupported; 2]);
    assert_eq!(node.delivered, 0);
    let mut tree = Subscriber::new("tree", Version::V5, "$SYS/bridge/gateway/refused");
    tree.connect(weir.address()).expect("it listens");
    while next(&mut tree).1 != "2" {}
    let audit = "audit: denied client_id=\"n1\" username=\"pump\" action=\"publish\"";
    let audit = weir.process().wait_for(Stream::Stderr, audit, LIMIT);
    assert!(audit.is_some(), "it does not stand in the audit log");
    weir.stop();
}

/// The agent speaks for both, and each of them once said so.
#[test]
fn whether_the_bridge_is_there_is_said_by_one_of_its_parts() {
    let site = Site::new("bridge-state", "", OPEN);
    let weir = site.start();
    let mut ring = [0; 1_024];
    let config = node::config("n1");
    let _node = Node::connect(&config, &TOPICS, &mut ring, site.gateway);
    let admin = weir.admin_address().to_string();
    let asked = weir_command(&["status", "--admin", &admin]);
    assert!(asked.stdout.contains("  gateway      1 clients"), "{asked:?}");
    let mut watcher = subscriber(&weir, "edge/gw/bridge/state");
    assert_eq!(next(&mut watcher).1, "online");
    weir.stop();
}

/// All or nothing, and nobody but the devices notices.
#[test]
fn the_file_of_the_bridge_is_read_again_and_clients_stay() {
    let site = Site::new("bridge-reload", "", OPEN);
    let weir = site.start();
    let mut watcher = subscriber(&weir, "edge/gw/+/availability");
    let before = std::fs::read_to_string(site.folder.path().join("bridge.toml")).expect("ours");
    let changed = |text: &str, expected: &str| {
        site.folder.write("bridge.toml", format!("{before}{text}"));
        weir.process().signal("HUP");
        let told = weir.process().wait_for(Stream::Stderr, expected, LIMIT);
        assert!(told.is_some(), "{expected}");
    };
    // Wrong, and then a port that somebody has: nothing happens.
    changed("[[sensor]]\nname = \"hall\"\n", "nothing was changed");
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("it is bound");
    let link = format!("[[link]]\nkind = \"udp\"\nbind = \"{}\"\n", taken.1);
    changed(&link, "it goes on as it was");
    let sensor = "[[i2c]]\nbus = \"sim\"\n[[sensor]]\nname = \"hall\"\ndriver = \"sht4x\"\n\
                  bus = \"sim\"\nevery_s = 0.2\n";
    changed(sensor, "+ bridge: sensor hall  added");
    let availability = ("edge/gw/hall/availability".to_owned(), "online".to_owned());
    while next(&mut watcher) != availability {}
    // Nodes go on, with the gateway of the bridge that is there now.
    let mut ring = [0; 1_024];
    let config = node::config("n1");
    let mut node = Node::connect(&config, &TOPICS, &mut ring, site.gateway);
    node.publish(NodeQoS::AtLeastOnce, "still there");
    node.run_until(|node| node.delivered == 1);
    let admin = weir.admin_address().to_string();
    let asked = weir_command(&["status", "--admin", &admin]);
    assert!(asked.stdout.contains("  agent  "), "its counters are those of the new one: {asked:?}");
    // The watcher was connected all the time: it is told of the end, too.
    weir.stop();
}

#[test]
fn what_is_wrong_in_the_file_of_the_bridge_is_told_with_the_rest() {
    let site = Site::new("bridge-wrong", "[[sensor]]\nname = \"hall\"\ndriver = \"bme208\"\n", "");
    let config = site.folder.path().join("weir.toml");
    let config = config.to_str().expect("a text");
    let ended = weir_command(&["check", "--config", config]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("bridge.toml:8:"), "{ended:?}");
    assert!(ended.stderr.contains("did you mean `bme280`?"), "{ended:?}");
    std::fs::remove_file(site.folder.path().join("bridge.toml")).expect("it is ours");
    let ended = weir_command(&["check", "--config", config]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot read"), "{ended:?}");
}
