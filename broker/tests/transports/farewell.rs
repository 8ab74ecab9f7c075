//! Clients that are still writing when they lose their connection, and the reason that they read.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use socket2::{Domain, Socket, Type};

use crate::support::{
    gateway::{Folder, Gateway, PATIENCE},
    mqtt::{Client, publish_packet_v5},
    secure::{Site, secure},
    websocket::Framed,
};

const MALFORMED: &[u8] = &[0xf1, 0];
const MALFORMED_PACKET: u8 = 0x81;
/// More than the client's system takes before somebody reads, and less than the broker's takes.
const ECHO_BYTES: usize = 20_000;
/// Far more than the broker reads at a time.
const MORE_BYTES: usize = 500_000;

/// A connection whose receive buffer is soon full, so that the last word waits on the broker's
/// side while the client writes: a reset would lose it.
fn narrow(gateway: &Gateway) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&gateway.address().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Misbehaves, goes on writing, and only then reads.
fn check(stream: impl Read + Write) {
    let mut client = Client::connect_v5(stream, "writer");
    client.subscribe_v5("echo");
    let packets = [&publish_packet_v5("echo", &[7; ECHO_BYTES]), MALFORMED, &[0; MORE_BYTES]];
    client.stream.write_all(&packets.concat()).unwrap();
    client.stream.flush().unwrap();
    let (first, _) = client.read_packet().unwrap();
    assert_eq!(first, 0x30, "PUBLISH");
    let (first, body) = client.read_packet().unwrap();
    assert_eq!((first, body[0]), (0xe0, MALFORMED_PACKET), "DISCONNECT");
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0, "the end, not a reset");
}

#[test]
fn a_client_that_goes_on_writing_reads_why_it_is_disconnected() {
    let folder = Folder::new();
    let gateway = folder.start("[[listener]]\naddress = \"127.0.0.1:0\"\n").unwrap();
    check(narrow(&gateway));
}

#[test]
fn it_reads_that_over_tls_too() {
    let site = Site::new();
    let gateway = site.start("");
    check(secure(narrow(&gateway), site.authority.client_config(None)));
}

#[test]
fn it_reads_that_over_websocket_too() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n";
    let gateway = folder.start(listener).unwrap();
    check(Framed::connect(narrow(&gateway), usize::MAX).unwrap());
}
