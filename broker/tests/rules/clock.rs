//! A machine whose clock is set some time after the start.

use std::fs;

use weir_broker::Broker;

use crate::support::{Device, Folder, wait_until};

/// A minute ahead of the clock is too much.
const RULE: &str = "
[rule.copy]
from   = \"in\"
time   = { field = \"ts\", unit = \"ms\", ahead = \"1m\" }
window = \"count 1\"
select = { v = \"last(v)\" }
to     = \"out\"
errors = \"dead\"
";

/// In the year 2100.
const AHEAD: &str = "{\"ts\":4102444800000,\"v\":1}";

fn user_properties(device: &mut Device) -> (String, Vec<(String, String)>) {
    let message = device.message();
    let properties = message.properties.map(|properties| properties.user_properties);
    (String::from_utf8(message.topic.to_vec()).unwrap(), properties.unwrap_or_default())
}

#[test]
fn stamps_are_held_against_the_clock_once_it_is_set() {
    let folder = Folder::new("clock");
    let file = folder.0.join("synchronized");
    let mut config = folder.config(RULE);
    config.clock_file = Some(file.clone());
    let broker = Broker::start(config).unwrap();
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.subscribe("dead");
    assert!(broker.status().clock_unset);
    device.publish("in", AHEAD);
    let (topic, properties) = user_properties(&mut device);
    assert_eq!(topic, "out");
    assert!(properties.contains(&("clock".to_owned(), "unset".to_owned())), "{properties:?}");

    fs::write(&file, "").unwrap();
    wait_until("the clock is set", || !broker.status().clock_unset);
    // The rules are told a moment later.
    wait_until("the rules know it", || is_refused(&broker));
    broker.shutdown();
}

/// Whether a message from the future is refused by now.
fn is_refused(broker: &Broker) -> bool {
    let mut device = Device::connect(broker, "another");
    device.subscribe("out");
    device.subscribe("dead");
    device.publish("in", AHEAD);
    let (topic, properties) = user_properties(&mut device);
    topic == "dead" && properties.iter().all(|(name, _)| name != "clock")
}
