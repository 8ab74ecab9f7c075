//! A real mosquitto that restarts.

use std::time::Duration;

use weir_mqtt::Version;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::publisher::Message;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::sim::random::Random;

use crate::{FarEnd, campaign};

#[test]
fn mqtt_misses_nothing_whatever_fails() {
    let Some(program) = program("upstream, faults", "mosquitto") else { return };
    let folder = Folder::new("upstream-faults-mqtt");
    let far = Mosquitto::start(program, &folder, "");
    let mut subscriber = Subscriber::new("far", Version::V5, "far/#");
    subscriber.connect(far.address()).unwrap();
    let address = far.address();
    campaign("mqtt", "", &folder, address, Broker { far, subscriber });
}

struct Broker {
    far: Mosquitto,
    subscriber: Subscriber,
}

impl FarEnd for Broker {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        loop {
            match self.subscriber.receive(Duration::from_millis(1)) {
                Arrival::Message(message) => found.push(read(&message)),
                Arrival::Nothing => return found,
                Arrival::Closed => panic!("mosquitto is gone"),
            }
        }
    }

    fn fail(&mut self, _: &mut Random) -> &'static str {
        self.subscriber.disconnect();
        self.far.stop();
        self.far.start_again();
        self.subscriber.connect(self.far.address()).unwrap();
        "far_end_restarted"
    }
}

fn read(message: &Message) -> (String, u64) {
    let id = message.user_properties.iter().find(|(name, _)| name == "id");
    let number = String::from_utf8_lossy(&message.payload).parse().unwrap();
    (id.unwrap_or_else(|| panic!("no id in {message:?}")).1.clone(), number)
}
