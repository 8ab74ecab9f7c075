//! A client of others: PyPI `mqtt-sn-12`. The checks are in the script: it ends with an error when
//! something is not as it should be.

use std::path::Path;
use std::process::Command;

use weir_firmware_bridge::gateway::Filter;
use weir_node::mqtt_sn_1_2::TopicId;

use crate::running::{Mosquitto, Running};
use crate::support::python;

/// QoS -1, 0, 1 and 2, retained, wildcards, predefined and short topics, will, sleep, search.
#[test]
fn client_of_others_finds_what_it_knows() {
    let test = "mqtt-sn-12";
    let Some(python) = python(test, "mqttsn") else { return };
    let Some(mosquitto) = Mosquitto::start(test) else { return };
    let gateway = Running::start(mosquitto.port, |options| {
        options.predefined.insert(None, TopicId(7), "predefined/7");
        options.links[0].minus_one = Some(vec![Filter::parse("predefined/#").unwrap()]);
    });
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let script = workspace.join("tests/foreign/mqtt_sn_12.py");
    let port = gateway.address.port().to_string();
    let ended = Command::new(python).arg("-B").arg(script).arg(port).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ended.status.success(), "{}{}", text(&ended.stdout), text(&ended.stderr));
    gateway.stop();
}
