//! The client library rumqttc, as an application uses it.

use ::rumqttc::{Client, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};

use crate::support::secure::Site;

#[test]
fn rumqttc_sends_qos_1_over_tls_with_a_certificate() {
    let site = Site::new();
    let more = "cafile = \"ca.pem\"\nrequire_certificate = true\nuse_identity_as_username = true\n";
    let gateway = site.start(more);
    let identity = site.authority.client("rumqttc", 1);
    let config = site.authority.client_config(Some(&identity));
    let mut options = MqttOptions::new("rumqttc", "localhost", gateway.address().port());
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut connection) = Client::new(options, 10);
    client.subscribe("a/#", QoS::AtLeastOnce).unwrap();
    let payload = vec![5; 500_000];
    client.publish("a/b", QoS::AtLeastOnce, false, payload.clone()).unwrap();
    for event in connection.iter() {
        if let Event::Incoming(Packet::Publish(message)) = event.unwrap() {
            assert!(message.payload == payload);
            break;
        }
    }
}
