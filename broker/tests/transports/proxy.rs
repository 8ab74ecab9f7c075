//! The header of a load balancer, before MQTT, TLS and WebSocket.

use std::io::{Read, Write};

use crate::support::{
    gateway::{Folder, wait_until},
    mqtt::{Client, connect_packet},
    secure::{Site, secure, tcp},
    websocket::Framed,
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 55555 1883\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xd9\x03\x07\x5b";

#[test]
fn a_client_speaks_behind_a_header_of_either_version() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = \"any\"\n";
    let gateway = folder.start(listener).unwrap();
    for header in [V1, V2] {
        let mut stream = tcp(&gateway);
        stream.write_all(header).unwrap();
        Client::connect(stream, "proxied").unwrap().check(&[1; 100_000]);
        // In one segment with what follows.
        let mut stream = tcp(&gateway);
        stream.write_all(&[header, &connect_packet("at-once")].concat()).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0x20, 2, 0, 0]);
    }
}

#[test]
fn tls_and_websocket_come_after_the_header() {
    let site = Site::new();
    let more = "proxy_protocol = \"v2\"\nprotocol = \"websocket\"\n[listener.tls]";
    let listener = Site::listener("").replace("[listener.tls]", more);
    let gateway = site.folder.start(&listener).unwrap();
    let mut stream = tcp(&gateway);
    for byte in V2 {
        stream.write_all(&[*byte]).unwrap();
    }
    let stream = secure(stream, site.authority.client_config(None));
    let stream = Framed::connect(stream, usize::MAX).unwrap();
    Client::connect(stream, "all").unwrap().check(&[2; 100_000]);
}

#[test]
fn a_connection_without_the_right_header_is_closed() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = \"v2\"\n";
    let gateway = folder.start(listener).unwrap();
    for start in [V1, &connect_packet("direct"), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01."] {
        let mut stream = tcp(&gateway);
        stream.write_all(start).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    wait_until("the refusal of all", || gateway.refused("proxy") == 3);
    assert_eq!(gateway.connections(), 0);
}

#[test]
fn what_may_be_written_there_is_said() {
    let folder = Folder::new();
    let listener = |value: &str| {
        format!("[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = {value}\n")
    };
    assert!(folder.load(&listener("false")).is_ok());
    for wrong in ["true", "\"false\"", "\"v3\"", "1"] {
        let text = folder.problems(&listener(wrong));
        assert!(text.contains("must be"), "{text}");
    }
    assert!(folder.problems(&listener("\"v3\"")).contains("false, \"v1\", \"v2\", \"any\""));
}
