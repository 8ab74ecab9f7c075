//! The current value of a window, on request.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use weir_broker::Broker;

use crate::support::{Device, Folder};

const RULES: &str = "
[rule.room]
from   = \"in/{room}\"
by     = [\"room\"]
window = \"tumbling 1d\"
select = { n = \"count()\", mean = \"avg(t)\" }
to     = \"out/{room}\"
";

/// Asks, and gives the payload, the correlation data and the error of the answer.
fn ask(device: &mut Device, topic: &str) -> (String, Vec<u8>, Option<String>) {
    let properties = PublishProperties {
        response_topic: Some("answers/me".to_owned()),
        correlation_data: Some("7".into()),
        ..PublishProperties::default()
    };
    device.client.publish_with_properties(topic, QoS::AtLeastOnce, false, "", properties).unwrap();
    let answer = device.message();
    assert_eq!(answer.topic, "answers/me");
    let payload = String::from_utf8(answer.payload.to_vec()).unwrap();
    let properties = answer.properties.unwrap();
    let error = properties.user_properties.into_iter().find(|(name, _)| name == "error");
    (payload, properties.correlation_data.unwrap().to_vec(), error.map(|(_, error)| error))
}

/// The answer is for whoever subscribes to it, and says nothing if there is nothing to say.
#[test]
fn who_has_no_response_topic_asks_with_get() {
    for shards in [1, 3] {
        let (_folder, broker) = with(shards);
        let mut device = Device::connect(&broker, "device");
        device.subscribe("$rules/+/#");
        device.publish("in/a", "{\"t\":20}");
        device.publish("$rules/room/a/get", "");
        let (topic, payload) = device.text();
        assert_eq!(topic, "$rules/room/a/value");
        assert!(payload.starts_with("{\"room\":\"a\",\"n\":1,\"mean\":20,"), "{payload}");
        device.publish("$rules/room/attic/get", "");
        assert_eq!(device.text(), ("$rules/room/attic/value".to_owned(), "null".to_owned()));
        device.publish("$rules/attic/get", "");
        assert_eq!(device.text(), ("$rules/attic/value".to_owned(), "null".to_owned()));
        broker.shutdown();
    }
}

fn with(shards: u8) -> (Folder, Broker) {
    let folder = Folder::new(&format!("question-{shards}"));
    let mut config = folder.config(RULES);
    config.shards = Some(shards);
    let broker = Broker::start(config).unwrap();
    (folder, broker)
}

#[test]
fn a_client_that_asks_is_told_what_is_in_the_window() {
    for shards in [1, 3] {
        let (_folder, broker) = with(shards);
        for name in ["a", "b", "c", "d"] {
            let mut device = Device::connect(&broker, name);
            device.subscribe("answers/me");
            device.publish(&format!("in/{name}"), "{\"t\":20}");
            device.publish(&format!("in/{name}"), "{\"t\":22}");
            let (payload, correlation, error) = ask(&mut device, &format!("$rules/room/{name}"));
            assert_eq!((correlation.as_slice(), error), (&b"7"[..], None));
            let start = format!("{{\"room\":\"{name}\",\"n\":2,\"mean\":21,\"window\":");
            assert!(payload.starts_with(&start), "{payload}");
        }
        let mut device = Device::connect(&broker, "e");
        device.subscribe("answers/me");
        let (payload, _, error) = ask(&mut device, "$rules/room/attic");
        let unknown = Some("the rule knows no such group".to_owned());
        assert_eq!((payload.as_str(), error), ("null", unknown));
        let (_, _, error) = ask(&mut device, "$rules/attic");
        assert_eq!(error, Some("no such rule runs here".to_owned()));
        broker.shutdown();
    }
}
