//! MQTT in WebSocket frames, with and without TLS.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use tungstenite::{Bytes, Message, protocol::CloseFrame};

use crate::support::{
    gateway::{Folder, Gateway, wait_until},
    mqtt::Client,
    secure::{Drip, Site, tcp},
    websocket::Framed,
};

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n";

fn start() -> (Folder, Gateway) {
    let folder = Folder::new();
    let gateway = folder.start(LISTENER).unwrap();
    (folder, gateway)
}

fn start_secure() -> (Site, Gateway) {
    let site = Site::new();
    let listener =
        Site::listener("").replace("[listener.tls]", "protocol = \"websocket\"\n[listener.tls]");
    let gateway = site.folder.start(&listener).unwrap();
    (site, gateway)
}

fn payload() -> Vec<u8> {
    (0..1_500_000_u64).map(|n| ((n * n) >> 7) as u8).collect()
}

#[test]
fn a_client_speaks_over_a_websocket() {
    let (_folder, gateway) = start();
    for portion in [1, 3, 1000, usize::MAX] {
        let stream = Framed::connect(tcp(&gateway), portion).unwrap();
        let mut client = Client::connect(stream, "web").unwrap();
        client.check(&[1; 3000]);
        client.ping().unwrap();
    }
}

#[test]
fn large_messages_pass_in_one_frame_or_in_many() {
    let (_folder, gateway) = start();
    for portion in [65_535, usize::MAX] {
        let stream = Framed::connect(tcp(&gateway), portion).unwrap();
        Client::connect(stream, "large").unwrap().check(&payload());
    }
}

#[test]
fn every_byte_may_come_by_itself() {
    let (_folder, gateway) = start();
    let stream = Framed::connect(Drip(tcp(&gateway), 500), 7).unwrap();
    Client::connect(stream, "drip").unwrap().check(&[4; 1000]);
}

#[test]
fn a_client_speaks_over_a_websocket_in_tls() {
    let (site, gateway) = start_secure();
    let stream = Framed::connect(site.connect(&gateway), usize::MAX).unwrap();
    let mut client = Client::connect(stream, "secure").unwrap();
    client.check(b"small");
    client.publish("echo", &payload());
    assert!(client.message().1 == payload());
}

#[test]
fn pings_are_answered_and_the_goodbye_too() {
    let (_folder, gateway) = start();
    let stream = Framed::connect(tcp(&gateway), usize::MAX).unwrap();
    let mut socket = Client::connect(stream, "polite").unwrap().stream.socket;
    socket.send(Message::Ping(Bytes::from_static(b"still there?"))).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(Bytes::from_static(b"still there?")));
    let goodbye = CloseFrame { code: 1001.into(), reason: "done".into() };
    socket.close(Some(goodbye)).unwrap();
    match socket.read().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    wait_until("the end", || gateway.connections() == 0);
}

#[test]
fn a_text_frame_ends_the_connection() {
    let (_folder, gateway) = start();
    let mut socket = Framed::connect(tcp(&gateway), usize::MAX).unwrap().socket;
    socket.send(Message::text("hello")).unwrap();
    match socket.read().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1003),
        other => panic!("{other:?}"),
    }
    wait_until("the end", || gateway.connections() == 0);
    assert_eq!(gateway.refused("websocket"), 0, "the upgrade itself was right");
}

#[test]
fn the_broker_says_goodbye_when_it_ends() {
    let (_folder, gateway) = start();
    let stream = Framed::connect(tcp(&gateway), usize::MAX).unwrap();
    let mut socket = Client::connect(stream, "left").unwrap().stream.socket;
    // What a client must not send a second time.
    socket.send(Message::binary(crate::support::mqtt::connect_packet("left"))).unwrap();
    loop {
        match socket.read().unwrap() {
            Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), 1000);
                break;
            }
            Message::Binary(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_websocket_is_told_why_and_closed() {
    let (_folder, gateway) = start();
    let requests = ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{10}\u{e}\0\u{4}MQTT", "GET /"];
    for (request, status) in requests.into_iter().zip(["426", "400", ""]) {
        let mut stream = tcp(&gateway);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.get(9..12).unwrap_or_default(), status, "{answer}");
    }
    wait_until("the refusal of all", || gateway.refused("websocket") == 3);
    assert_eq!(gateway.connections(), 0);
}

#[test]
fn an_upgrade_that_takes_too_long_is_ended() {
    let folder = Folder::new();
    let listener = format!("{LISTENER}[limits]\nconnect_timeout = \"150ms\"\n");
    let gateway = folder.start(&listener).unwrap();
    let mut stream = tcp(&gateway);
    stream.write_all(b"GET /mqtt HTTP/1.1\r\nHost: x\r\n").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    wait_until("the refusal", || gateway.refused("websocket") == 1);
    assert_eq!(gateway.connections(), 0);
}
