//! Devices of every kind, as a subscriber sees them.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::processes::{Mosquitto, PATIENCE, plant};
use crate::support::ports::free_port;
use crate::support::pymodbus::Server;

/// Behaviour 46.
#[test]
fn home_assistant_is_told_of_each_device_until_it_leaves_the_configuration() {
    let test = "home_assistant_is_told_of_each_device_until_it_leaves_the_configuration";
    let Some(broker) = Mosquitto::start(test) else { return };
    let keys = "discovery = \"homeassistant\"";
    let file = broker.folder.file("bridge.toml", &plant(keys));
    let subscriber = broker.subscribe("homeassistant/#");
    let mut bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    let pump = "homeassistant/device/weir-plant--pump/config";
    let hall = "homeassistant/device/weir-plant--hall/config";
    let first = subscriber.wait_for("the pump", |heard| heard.topic == pump);
    let config: Value = serde_json::from_str(&first.payload).unwrap();
    assert_eq!(config["cmps"]["switch--set"]["cmd_t"], "edge/plant/pump/switch/set");
    // Home Assistant starts, and is told again.
    broker.publish("homeassistant/status", "online");
    let again = subscriber.wait_for("the pump", |heard| heard.topic == pump);
    assert_eq!(again.payload, first.payload);
    bridge.signal("-TERM");
    bridge.ended_within(PATIENCE);
    // The pump leaves.
    let text = plant(keys);
    let file = broker.folder.file("less.toml", &text[..text.find("[[gpio]]").unwrap()]);
    let _bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    subscriber.wait_for_payload(pump, "");
    let later = broker.subscribe("homeassistant/device/+/config");
    let left = later.wait_for("what is left", |heard| heard.retained);
    assert_eq!(left.topic, hall);
    assert!(later.next_within(Duration::from_millis(300)).is_none(), "only the hall is left");
}

/// Behaviour 48.
#[test]
fn modbus_device_is_a_device_like_others() {
    let test = "modbus_device_is_a_device_like_others";
    let Some(broker) = Mosquitto::start(test) else { return };
    let Some(server) = Server::start(test, "tcp") else { return };
    let text = format!(
        "[bridge]\nid = \"plant\"\n[[modbus]]\nname = \"meter\"\n{}\nevery_s = 0.2\n\
         [[modbus.read]]\nname = \"voltage_v\"\ntable = \"input\"\nregister = 20\ntype = \"f32\"\n\
         [[modbus.read]]\nname = \"absent\"\nregister = 200\n\
         [[modbus.write]]\nname = \"limit_w\"\nregister = 40\nmax = 5000\nsafe_state = 0\n\
         [[modbus]]\nname = \"relays\"\n{}\n\
         [[modbus.write]]\nname = \"first\"\ntable = \"coil\"\nregister = 3\n",
        server.keys(),
        server.keys()
    );
    let file = broker.folder.file("bridge.toml", &text);
    let relays = broker.subscribe("edge/plant/relays/#");
    let subscriber = broker.subscribe("edge/plant/meter/#");
    let mut bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    // One that is only written to is there, and is what it was found to be.
    relays.wait_for_all(&[
        ("edge/plant/relays/availability", "online"),
        ("edge/plant/relays/first", "ON"),
    ]);
    broker.publish("edge/plant/relays/first/set", "OFF");
    relays.wait_for_payload("edge/plant/relays/first", "OFF");
    subscriber.wait_for("the safe state", |heard| heard.topic.ends_with("/limit_w"));
    let event = subscriber.wait_for("an event", |heard| heard.topic.ends_with("/event"));
    assert!(event.payload.contains("\"kind\":\"exception\""), "{event:?}");
    let state = subscriber.wait_for("a sample", |heard| heard.topic.ends_with("/state"));
    assert!(state.payload.starts_with("{\"voltage_v\":230.1,\"ts_ms\":"), "{state:?}");
    broker.publish("edge/plant/meter/limit_w/set", "2500");
    subscriber.wait_for_payload("edge/plant/meter/limit_w", "2500");
    subscriber.wait_for_payload("edge/plant/meter/limit_w/result", "{\"ok\":true,\"value\":2500}");
    broker.publish("edge/plant/meter/limit_w/set", "5001");
    let refused = subscriber.wait_for("a result", |heard| heard.topic.ends_with("/result"));
    assert!(refused.payload.contains("must be a number from 0 to 5000"), "{refused:?}");
    bridge.signal("-TERM");
    bridge.ended_within(PATIENCE);
    subscriber.wait_for_payload("edge/plant/meter/limit_w", "0");
    subscriber.wait_for_payload("edge/plant/meter/availability", "offline");
}

/// The links of a file are served by the gateway, beside the devices of the same file.
#[test]
fn node_on_a_link_of_the_file_reaches_the_broker() {
    let Some(broker) = Mosquitto::start("node_on_a_link_of_the_file_reaches_the_broker") else {
        return;
    };
    let port = free_port();
    let text = format!(
        "{}[[link]]\nkind = \"udp\"\nbind = \"127.0.0.1:{port}\"\nsources = \"127.0.0.0/8\"\n\
         [[predefined]]\nid = 9\ntopic = \"site/door\"\n\
         [[node]]\nclient_id = \"n1\"\nacl = [\"write site/#\"]\n",
        plant("")
    );
    let file = broker.folder.file("bridge.toml", &text);
    let subscriber = broker.subscribe("#");
    let mut bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    let node = UdpSocket::bind("127.0.0.1:0").unwrap();
    node.connect(("127.0.0.1", port)).unwrap();
    node.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // Asked again until it answers, as a node does (MQTT-SN 1.2, 6.13).
    let ask = |packet: &[u8], kind: u8| -> Vec<u8> {
        let start = Instant::now();
        let mut answer = [0; 64];
        while start.elapsed() < PATIENCE {
            node.send(packet).ok();
            match node.recv(&mut answer) {
                Ok(length) if answer.get(1) == Some(&kind) => return answer[..length].to_vec(),
                _ => {}
            }
        }
        panic!("no answer of kind {kind}");
    };
    // CONNECT, clean, keep-alive of a minute. The gateway is congested until it has its broker.
    let start = Instant::now();
    while ask(&[8, 0x04, 0x04, 0x01, 0, 60, b'n', b'1'], 0x05) != [3, 0x05, 0] {
        assert!(start.elapsed() < PATIENCE, "the node was not let in");
        thread::sleep(Duration::from_millis(50));
    }
    // PUBLISH, QoS 1, a predefined id.
    let packet = [11, 0x0c, 0x21, 0, 9, 0, 1, b'o', b'p', b'e', b'n'];
    assert_eq!(ask(&packet, 0x0d), [7, 0x0d, 0, 9, 0, 1, 0]);
    subscriber.wait_for_payload("site/door", "open");
    subscriber.wait_for("a sample", |heard| heard.topic == "edge/plant/hall/state");
    bridge.signal("-TERM");
    let took = bridge.ended_within(PATIENCE);
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

/// Behaviour 50.
#[test]
fn counters_are_published() {
    let Some(broker) = Mosquitto::start("counters_are_published") else { return };
    let subscriber = broker.subscribe("edge/plant/bridge/devices");
    let file = broker.folder.file("bridge.toml", &plant(""));
    let _bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    let metrics = subscriber.wait_for("the counters", |_| true);
    let metrics: Value = serde_json::from_str(&metrics.payload).unwrap();
    assert!(metrics["hall"]["polls"].as_u64().unwrap() > 0, "{metrics}");
    for name in ["queue_waiting", "queue_dropped", "queue_expired"] {
        assert!(metrics[name].is_u64(), "{name}: {metrics}");
    }
}
