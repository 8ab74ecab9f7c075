use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use weir_mqtt::{Acknowledge, Connack, Packet, PacketId, ReasonCode, Version, frame_len};

use super::*;
use crate::config::MqttVersion;

/// The next whole packet of the client.
fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut frame = Vec::new();
    while frame_len(&frame).expect("a frame").is_none_or(|length| frame.len() < length) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the client stays");
        frame.push(byte[0]);
    }
    frame
}

/// Takes a client, says that its session is there, and releases a QoS 2 message that came on a
/// connection before; true when that was completed.
fn release(listener: &TcpListener, version: Version) -> bool {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
    read(&mut stream);
    let packet_id = PacketId::new(7).expect("not zero");
    let connack = Connack { session_present: true, ..Connack::refusal(ReasonCode::Success) };
    let mut out = Vec::new();
    Packet::Connack(connack).encode(version, &mut out).expect("it can be encoded");
    let pubrel = Packet::Pubrel(Acknowledge::success(packet_id));
    pubrel.encode(version, &mut out).expect("it can be encoded");
    stream.write_all(&out).expect("the client stays");
    let answer = read(&mut stream);
    matches!(Packet::decode(&answer, version), Ok(Packet::Pubcomp(done)) if done.packet_id == packet_id)
}

fn options(version: MqttVersion) -> LinkOptions {
    LinkOptions::Mqtt(MqttOptions {
        client_id: "gate".to_owned(),
        version,
        keep_alive_s: 60,
        credentials: None,
        tls: None,
        will_topic: None,
        keeps_session: true,
        packet_bytes_max: 1 << 20,
    })
}

#[tokio::test]
async fn a_message_of_an_earlier_connection_can_be_released() {
    for (version, wire) in [(MqttVersion::V311, Version::V311), (MqttVersion::V50, Version::V5)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let far = thread::spawn(move || release(&listener, wire));
        let mut link =
            Link::open(&HostPort::new("127.0.0.1", port), &options(version)).expect("no files");
        let connected = link.next().await;
        let session = matches!(connected, LinkEvent::Connected { session_present: true, .. });
        assert!(session, "{connected:?}");
        let released = link.next().await;
        assert!(matches!(released, LinkEvent::Released { packet_id: 7 }), "{released:?}");
        // The client is driven until it has answered.
        let failed = link.next().await;
        assert!(matches!(failed, LinkEvent::Failed(LinkError::Lost(_))), "{failed:?}");
        assert!(far.join().expect("no panic"), "{version:?}");
    }
}

/// A broker of 3.1.1 says so in its own way and ends the connection [MQTT-3.1.2-2 of 3.1.1].
#[tokio::test]
async fn an_answer_of_3_1_1_is_none_of_mqtt_5() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = HostPort::new("127.0.0.1", listener.local_addr().expect("bound").port());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        read(&mut stream);
        stream.write_all(&[0x20, 2, 0, 1]).expect("the client stays");
    });
    let mut link = Link::open(&address, &options(MqttVersion::V50)).expect("without TLS");
    let event = link.next().await;
    assert!(matches!(event, LinkEvent::Failed(LinkError::Unanswered)), "{event:?}");
}
