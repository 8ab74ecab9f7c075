//! rumqttc, which also serves the broker's own upstreams and command line.

use std::collections::BTreeSet;
use std::time::Duration;

use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{Packet as PacketV5, PublishProperties};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use crate::broker;

const EACH: usize = 200;
const LIMIT: Duration = Duration::from_secs(60);

fn quality(number: usize) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3]
}

fn quality_v5(number: usize) -> v5::mqttbytes::QoS {
    use v5::mqttbytes::QoS;
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3]
}

#[test]
fn rumqttc_of_3_1_1_gets_what_it_publishes() {
    let (_folder, weir) = broker("rumqttc-v4");
    let options = MqttOptions::new("rumqttc", "127.0.0.1", weir.address().port());
    let (client, mut connection) = Client::new(options, 3 * EACH + 10);
    client.subscribe("r/#", QoS::ExactlyOnce).unwrap();
    let mut found = BTreeSet::new();
    while found.len() < 3 * EACH {
        match connection.recv_timeout(LIMIT).unwrap().unwrap() {
            Event::Incoming(Packet::SubAck(_)) => {
                for number in 0..3 * EACH {
                    let payload = number.to_string();
                    client.publish("r/1", quality(number), false, payload).unwrap();
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let number: usize = String::from_utf8_lossy(&publish.payload).parse().unwrap();
                assert_eq!(publish.qos, quality(number));
                assert!(found.insert(number), "{number} came twice");
            }
            _ => {}
        }
    }
}

#[test]
fn rumqttc_of_5_0_gets_what_it_publishes() {
    let (_folder, weir) = broker("rumqttc-v5");
    let mut options = v5::MqttOptions::new("rumqttc", "127.0.0.1", weir.address().port());
    options.set_receive_maximum(Some(10));
    let (client, mut connection) = v5::Client::new(options, 3 * EACH + 10);
    client.subscribe("r/#", v5::mqttbytes::QoS::ExactlyOnce).unwrap();
    let mut found = BTreeSet::new();
    while found.len() < 3 * EACH {
        match connection.recv_timeout(LIMIT).unwrap().unwrap() {
            v5::Event::Incoming(PacketV5::SubAck(_)) => {
                for number in 0..3 * EACH {
                    let user_properties = vec![("number".to_owned(), number.to_string())];
                    let properties = PublishProperties { user_properties, ..Default::default() };
                    let qos = quality_v5(number);
                    client.publish_with_properties("r/1", qos, false, "x", properties).unwrap();
                }
            }
            v5::Event::Incoming(PacketV5::Publish(publish)) => {
                let properties = publish.properties.unwrap();
                let number: usize = properties.user_properties[0].1.parse().unwrap();
                assert_eq!(publish.qos, quality_v5(number));
                assert!(found.insert(number), "{number} came twice");
            }
            _ => {}
        }
    }
}
