//! The broker listens only when sessions that were kept can be given messages: the first client
//! that gets through publishes to one of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use weir_mqtt::{
    Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Version, frame_len,
};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::Weir;

/// Enough that a start takes a moment.
const QUEUED: u16 = 2_000;
const AT_ONCE: u16 = 500;

#[test]
fn whoever_gets_through_first_reaches_the_sessions_that_were_kept() {
    let folder = Folder::new("first-client");
    let socket = folder.path().join("mqtt.sock");
    let config = format!(
        "data_dir = {:?}\n[[listener]]\npath = {socket:?}\n[auth]\nallow_anonymous = true\n",
        folder.path().join("data")
    );
    let config = folder.write("weir.toml", config);
    let broker = Weir::start(&config);
    let mut away = open(&socket);
    connect(&mut away, "away", false);
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    let filter = TopicFilter::parse("queue").expect("a valid filter");
    let filters = [SubscribeFilter { filter, options }];
    let subscribe = Subscribe {
        packet_id: packet_id(1),
        properties: SubscribeProperties::default(),
        filters: (&filters[..]).into(),
    };
    send(&mut away, &[Packet::Subscribe(subscribe)]);
    receive(&mut away, 1, |packet| matches!(packet, Packet::Suback(_)));
    drop(away);
    let mut publisher = open(&socket);
    connect(&mut publisher, "publisher", true);
    for first in (1..=QUEUED).step_by(usize::from(AT_ONCE)) {
        let numbers: Vec<u16> = (first..first + AT_ONCE).collect();
        publish(&mut publisher, &numbers);
    }
    broker.kill();

    let starting = Weir::spawn(&config);
    let mut first = until("the first client gets through", || UnixStream::connect(&socket).ok());
    first.set_read_timeout(Some(LIMIT)).expect("a socket");
    connect(&mut first, "first", true);
    publish(&mut first, &[QUEUED + 1]);
    let mut away = open(&socket);
    connect(&mut away, "away", false);
    let mut expected = 1..=QUEUED + 1;
    receive(&mut away, QUEUED + 1, |packet| {
        let Packet::Publish(publish) = packet else { return false };
        let number = String::from_utf8_lossy(publish.payload).parse().ok();
        assert_eq!(number, expected.next(), "each of them, and the new one as the last");
        true
    });
    starting.listening().kill();
}

fn open(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("the broker listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream
}

fn connect(stream: &mut UnixStream, client_id: &str, clean_start: bool) {
    let connect = Connect { clean_start, ..Connect::new(Version::V311, client_id) };
    send(stream, &[Packet::Connect(connect)]);
    // Not a byte more: what follows is for the next call.
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).expect("an answer");
    assert_eq!((connack[0], connack[3]), (0x20, 0));
}

/// With QoS 1, and waits until that is acknowledged.
fn publish(stream: &mut UnixStream, numbers: &[u16]) {
    let payloads: Vec<String> = numbers.iter().map(u16::to_string).collect();
    let packets: Vec<Packet<'_>> = numbers
        .iter()
        .zip(&payloads)
        .map(|(number, payload)| {
            let (qos, packet_id) = (QoS::AtLeastOnce, Some(packet_id(*number)));
            Packet::Publish(Publish { qos, packet_id, ..Publish::new("queue", payload.as_bytes()) })
        })
        .collect();
    send(stream, &packets);
    receive(stream, numbers.len() as u16, |packet| matches!(packet, Packet::Puback(_)));
}

fn send(stream: &mut UnixStream, packets: &[Packet<'_>]) {
    let mut bytes = Vec::new();
    packets.iter().for_each(|packet| {
        packet.encode(Version::V311, &mut bytes).expect("a valid packet");
    });
    stream.write_all(&bytes).expect("the broker reads");
}

/// Takes packets until `count` of them are wanted, and acknowledges messages.
fn receive(stream: &mut UnixStream, count: u16, mut is_wanted: impl FnMut(&Packet<'_>) -> bool) {
    let (mut bytes, mut wanted) = (Vec::new(), 0);
    while wanted < count {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => panic!("the broker has closed the connection"),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("{wanted} of {count}: {error}"),
        }
        let (mut rest, mut answers) = (&bytes[..], Vec::new());
        while let Some(length) =
            frame_len(rest).expect("valid packets").filter(|l| *l <= rest.len())
        {
            let (frame, after) = rest.split_at(length);
            rest = after;
            let packet = Packet::decode(frame, Version::V311).expect("valid packets");
            wanted += u16::from(is_wanted(&packet));
            if let Packet::Publish(Publish { packet_id: Some(id), .. }) = packet {
                answers.push(Packet::Puback(weir_mqtt::Acknowledge::success(id)));
            }
        }
        bytes = rest.to_vec();
        send(stream, &answers);
    }
}

fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}
