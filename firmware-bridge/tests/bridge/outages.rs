//! Starts, ends, and a broker that is away.

use std::fs;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::processes::{Heard, Mosquitto, PATIENCE, Told, plant};

/// Behaviour 49.
#[test]
fn simulated_plant_is_live_within_three_seconds() {
    let Some(broker) = Mosquitto::start("simulated_plant_is_live_within_three_seconds") else {
        return;
    };
    let subscriber = broker.subscribe("edge/#");
    let start = Instant::now();
    let _bridge = broker.bridge(&["--simulate"]);
    let mut missing = Vec::new();
    for device in
        ["hall", "cold-room", "battery", "tank", "door", "kiln", "roof", "meter", "heating"]
    {
        missing.push(format!("/{device}/state"));
    }
    while !missing.is_empty() {
        let heard = subscriber.wait_for(&missing[0], |heard| heard.topic.ends_with("/state"));
        missing.retain(|topic| !heard.topic.ends_with(topic.as_str()));
        if heard.topic.ends_with("hall/state") {
            let sample: Value = serde_json::from_str(&heard.payload).unwrap();
            assert!(sample["temperature_c"].is_f64() && sample["ts_ms"].is_u64(), "{sample}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// Behaviours 36, 43 and 44.
#[test]
fn command_moves_the_output_and_its_end_makes_it_safe() {
    let Some(broker) = Mosquitto::start("command_moves_the_output_and_its_end_makes_it_safe")
    else {
        return;
    };
    let subscriber = broker.subscribe("edge/plant/#");
    let file = broker.folder.file("bridge.toml", &plant(""));
    let mut bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    subscriber.wait_for_all(&[
        ("edge/plant/pump/switch", "OFF"),
        ("edge/plant/pump/availability", "online"),
    ]);
    broker.publish("edge/plant/pump/switch/set", "{\"value\":\"ON\",\"correlation\":\"c1\"}");
    subscriber.wait_for_payload("edge/plant/pump/switch", "ON");
    let result = subscriber.wait_for("a result", |heard| heard.topic.ends_with("/result"));
    let result: Value = serde_json::from_str(&result.payload).unwrap();
    assert_eq!((&result["ok"], &result["correlation"]), (&true.into(), &"c1".into()));
    broker.publish("edge/plant/pump/switch/set", "open");
    let result = subscriber.wait_for("a result", |heard| heard.topic.ends_with("/result"));
    assert!(result.payload.contains("must be ON or OFF"), "{result:?}");

    bridge.signal("-TERM");
    let took = bridge.ended_within(PATIENCE);
    assert!(took < Duration::from_secs(2), "{took:?}");
    subscriber.wait_for_payload("edge/plant/pump/switch", "OFF");
    subscriber.wait_for_payload("edge/plant/hall/availability", "offline");
    subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
    // Who comes later finds the same.
    let later = broker.subscribe("edge/plant/bridge/state");
    assert!(later.wait_for_payload("edge/plant/bridge/state", "offline").retained);
}

/// Behaviour 47.
#[test]
fn bridge_that_was_killed_is_offline_and_is_right_again_after_its_start() {
    let Some(broker) =
        Mosquitto::start("bridge_that_was_killed_is_offline_and_is_right_again_after_its_start")
    else {
        return;
    };
    let subscriber = broker.subscribe("edge/plant/#");
    let file = broker.folder.file("bridge.toml", &plant(""));
    let arguments = ["--config", file.to_str().unwrap()];
    let mut bridge = broker.bridge(&arguments);
    subscriber.wait_for_payload("edge/plant/bridge/state", "online");
    subscriber.wait_for_payload("edge/plant/hall/availability", "online");
    bridge.signal("-KILL");
    bridge.ended_within(PATIENCE);
    subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
    // Now without the sensor's chip: nobody may go on believing that it is online.
    let text = plant("")
        .replace("driver = \"sht4x\"", "driver = \"scd4x\"\nevery_s = 5")
        .replace("every_s = 0.2\n", "");
    let file = broker.folder.file("other.toml", &text);
    let _bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    subscriber.wait_for_payload("edge/plant/bridge/state", "online");
    subscriber.wait_for_payload("edge/plant/hall/availability", "offline");
    subscriber.wait_for_payload("edge/plant/hall/availability", "online");
}

/// Behaviour 47. Agent and gateway once both said it, each with a will.
#[test]
fn whether_the_bridge_is_there_is_said_once_also_with_a_gateway() {
    let Some(broker) =
        Mosquitto::start("whether_the_bridge_is_there_is_said_once_also_with_a_gateway")
    else {
        return;
    };
    let text = plant("") + "[[link]]\nkind = \"udp\"\nbind = \"127.0.0.1:0\"\n";
    let file = broker.folder.file("bridge.toml", &text);
    let states = broker.subscribe("edge/plant/bridge/state");
    let metrics = broker.subscribe("edge/plant/bridge/#");
    let mut bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    states.wait_for_payload("edge/plant/bridge/state", "online");
    // The gateway has its session: its own topic says so once a minute, but its will would say
    // `offline` at the end whether or not it has said anything.
    metrics.wait_for("the counters", |heard| heard.topic == "edge/plant/bridge/devices");
    bridge.signal("-KILL");
    bridge.ended_within(PATIENCE);
    states.wait_for_payload("edge/plant/bridge/state", "offline");
    let more = states.next_within(Duration::from_millis(300));
    assert!(more.is_none(), "it was said again: {more:?}");
}

#[test]
fn file_is_read_again_when_the_bridge_is_told_so_and_only_if_it_is_right() {
    let test = "file_is_read_again_when_the_bridge_is_told_so_and_only_if_it_is_right";
    let Some(broker) = Mosquitto::start(test) else { return };
    let file = broker.folder.file("bridge.toml", &plant(""));
    let subscriber = broker.subscribe("edge/plant/#");
    let mut bridge = Told::start(broker.command().arg("--config").arg(file));
    subscriber.wait_for_payload("edge/plant/hall/availability", "online");
    // The second is what is there while somebody writes.
    for (text, said) in [("[[sensor]]\n", "`name`"), ("", "there is nothing in it")] {
        broker.folder.file("bridge.toml", text);
        bridge.process.signal("-HUP");
        bridge.says(said);
        bridge.says("nothing was changed");
    }
    let sample = |heard: &Heard| heard.topic == "edge/plant/hall/state";
    subscriber.wait_for("a sample", sample);
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let link = format!("[[link]]\nkind = \"udp\"\nbind = \"{}\"\n", taken.local_addr().unwrap());
    broker.folder.file("bridge.toml", &(plant("") + &link));
    bridge.process.signal("-HUP");
    // It had to end before it could try, and is back.
    subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
    bridge.says("the bridge goes on as it was before");
    subscriber.wait_for_payload("edge/plant/bridge/state", "online");
    subscriber.wait_for("a sample", sample);
    broker.folder.file("bridge.toml", &plant("").replace("hall", "attic"));
    bridge.process.signal("-HUP");
    subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
    subscriber.wait_for_payload("edge/plant/attic/availability", "online");
    bridge.process.signal("-TERM");
    bridge.process.ended_within(PATIENCE);
    subscriber.wait_for_payload("edge/plant/bridge/state", "offline");
}

/// Behaviours 41 and 44, and the queue.
#[test]
fn samples_of_an_outage_come_later_with_their_times_and_outputs_are_safe_meanwhile() {
    let test = "samples_of_an_outage_come_later_with_their_times_and_outputs_are_safe_meanwhile";
    let Some(mut broker) = Mosquitto::start(test) else { return };
    let data = broker.folder.0.join("data");
    let keys = format!("safe_after_s = 0.5\ndata_dir = \"{}\"", data.display());
    let file = broker.folder.file("bridge.toml", &plant(&keys));
    let subscriber = broker.subscribe("edge/plant/#");
    let _bridge = broker.bridge(&["--config", file.to_str().unwrap()]);
    subscriber.wait_for_payload("edge/plant/pump/availability", "online");
    broker.publish("edge/plant/pump/switch/set", "ON");
    subscriber.wait_for_payload("edge/plant/pump/switch", "ON");
    let seq = |heard: &Heard| -> u64 {
        serde_json::from_str::<Value>(&heard.payload).unwrap()["seq"].as_u64().unwrap()
    };
    let is_sample = |heard: &Heard| heard.topic == "edge/plant/hall/state";
    let before = seq(&subscriber.wait_for("a sample", is_sample));
    broker.stop();
    // The queue is written once a second.
    let start = Instant::now();
    let queue = data.join("bridge.redb");
    let length = || fs::metadata(&queue).map_or(0, |queue| queue.len());
    while length() == 0 || start.elapsed() < Duration::from_millis(2_500) {
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    broker.start_again();
    let subscriber = broker.subscribe("edge/plant/#");
    let state = subscriber
        .wait_for("the state of the pump", |heard| heard.topic == "edge/plant/pump/switch");
    assert_eq!(state.payload, "OFF", "it was without a broker for longer than half a second");
    // The subscriber may have come after some of them; from then on none is missing.
    let mut samples = Vec::new();
    while samples.len() < 12 {
        let heard = subscriber.wait_for("samples", is_sample);
        samples.push(heard);
    }
    let numbers: Vec<u64> = samples.iter().map(seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert!(numbers[0] > before.saturating_sub(1));
    let times: Vec<u64> = samples
        .iter()
        .map(|heard| {
            serde_json::from_str::<Value>(&heard.payload).unwrap()["ts_ms"].as_u64().unwrap()
        })
        .collect();
    // When they were taken, not when they were published: that was all at once.
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!(times[11] - times[0] >= 11 * 150, "{times:?}");
}
