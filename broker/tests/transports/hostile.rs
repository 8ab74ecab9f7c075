//! Clients that mean harm: each is ended in time, told why where its protocol can say it, named in
//! the log, and nobody else notices.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{
    gateway::{Folder, PATIENCE, wait_until},
    mqtt::{Client, connect_packet, publish_packet},
    process::Process,
    secure::{Site, tcp},
};

const WEBSOCKET: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"websocket\"\n";
const PROXY: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = \"any\"\n";
const SOON: &str = "[limits]\nconnect_timeout = \"300ms\"\n";
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const MASK: [u8; 4] = [1, 2, 3, 4];
const BINARY: u8 = 0x82;

/// All that comes until the broker closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // It has closed before it had read everything.
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    bytes
}

/// A WebSocket that is open, to be misused.
fn upgraded(mut stream: TcpStream) -> TcpStream {
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    stream
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The status in the close frame at the end of what came.
fn close_code(bytes: &[u8]) -> Option<u16> {
    let [.., 0x88, 2, high, low] = bytes else { return None };
    Some(u16::from_be_bytes([*high, *low]))
}

#[test]
fn handshakes_that_stall_hold_up_nobody_and_end_in_time() {
    let site = Site::new();
    let listener = format!("{}[limits]\nconnect_timeout = \"2s\"\n", Site::listener(""));
    let gateway = site.folder.start(&listener).unwrap();
    let mut client = Client::connect(site.connect(&gateway), "first").unwrap();
    // A half of a ClientHello of half a kilobyte.
    let start = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 200]].concat();
    let mut stalled: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = tcp(&gateway);
            stream.write_all(&start).unwrap();
            stream
        })
        .collect();
    wait_until("all of them", || gateway.connections() == 101);
    let since = Instant::now();
    let (mut pings, mut longest) = (0, Duration::ZERO);
    while gateway.connections() > 1 {
        let asked = Instant::now();
        client.ping().unwrap();
        longest = longest.max(asked.elapsed());
        pings += 1;
        assert!(since.elapsed() < PATIENCE, "they are ended");
    }
    assert!(pings > 1 && longest < Duration::from_secs(1), "{pings} pings, {longest:?}");
    assert_eq!(gateway.refused("tls"), 100);
    // A goodbye at most, and the end.
    stalled.iter_mut().for_each(|stream| assert!(rest(stream).len() < 100));
}

#[test]
fn a_client_that_drips_through_a_handshake_gets_no_more_time() {
    let site = Site::new();
    let listener = format!("{}{SOON}", Site::listener(""));
    let process = Process::start(&site.folder, &listener, "weir_broker=debug");
    let mut stream = process.tcp();
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    let since = Instant::now();
    // One byte now and then looks alive.
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while stream.write_all(&[7]).is_ok() {
        match stream.read(&mut [0]) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            _ => assert!(since.elapsed() < PATIENCE, "it is ended"),
        }
    }
    let line = process.line_with("a connection ends before its handshake");
    assert!(line.contains("layer=Tls") && line.contains("127.0.0.1"), "{line}");
}

#[test]
fn what_is_no_tls_is_named_in_the_log() {
    let site = Site::new();
    let process = Process::start(&site.folder, &Site::listener(""), "weir_broker=debug");
    let mut stream = process.tcp();
    stream.write_all(&connect_packet("plain")).unwrap();
    let alert = rest(&mut stream);
    assert_eq!(alert.first(), Some(&0x15), "{alert:?}");
    let line = process.line_with("a client is not understood");
    assert!(line.contains("peer=Some(127.0.0.1") && line.contains("reason="), "{line}");
}

/// [MQTT-6.0.0-2] [MQTT-6.0.0-2 of 3.1.1]
#[test]
fn packets_in_one_frame_and_a_packet_in_many_frames_are_the_same() {
    let folder = Folder::new();
    // With several a message may come before SUBACK, which waits until all of them know.
    let gateway = folder.start(&format!("shards = 1\n{WEBSOCKET}")).unwrap();
    let packets = [
        connect_packet("merged"),
        b"\x82\x09\0\x01\0\x04echo\0".to_vec(),
        publish_packet("echo", b"1"),
        publish_packet("echo", b"2"),
    ]
    .concat();
    let published = [publish_packet("echo", b"1"), publish_packet("echo", b"2")].concat();
    let expected = [b"\x20\x02\0\0\x90\x03\0\x01\0".to_vec(), published].concat();
    let whole = masked(BINARY, &packets);
    // Fragments of one message, with a ping in between, each byte of a packet by itself.
    let mut parts = Vec::new();
    for (at, byte) in packets.iter().enumerate() {
        let opcode = if at == 0 { 0x02 } else { 0x00 };
        let last = if at + 1 == packets.len() { 0x80 } else { 0 };
        parts.extend(masked(opcode | last, &[*byte]));
        if at == 5 {
            parts.extend(masked(0x89, b"?"));
        }
    }
    for frames in [whole, parts] {
        let mut stream = upgraded(tcp(&gateway));
        stream.write_all(&frames).unwrap();
        let mut payload = Vec::new();
        while payload.len() < expected.len() {
            let mut header = [0; 2];
            stream.read_exact(&mut header).unwrap();
            let mut bytes = vec![0; usize::from(header[1])];
            stream.read_exact(&mut bytes).unwrap();
            match header[0] {
                BINARY => payload.extend(bytes),
                0x8a => assert_eq!(bytes, b"?"),
                other => panic!("{other:#x}"),
            }
        }
        assert_eq!(payload, expected);
    }
}

#[test]
fn frames_that_the_standard_forbids_end_with_their_status() {
    let folder = Folder::new();
    let process = Process::start(&folder, WEBSOCKET, "weir_broker=debug");
    let unmasked = [&[BINARY, 3][..], b"\x10\x01\0"].concat();
    let cases: [(&str, Vec<u8>, u16); 7] = [
        ("not masked", unmasked, 1002),
        ("a text frame", masked(0x81, b"hello"), 1003),
        ("an opcode or a bit", masked(0x83, b"x"), 1002),
        ("an opcode or a bit", masked(0xc2, b"x"), 1002),
        ("a control frame is longer", masked(0x89, &[0; 126]), 1002),
        ("between the parts of one", masked(0x80, b"x"), 1002),
        ("shortest form", [&[BINARY, 0x80 | 126, 0, 5][..], &MASK].concat(), 1002),
    ];
    for (reason, frame, code) in cases {
        let mut stream = upgraded(process.tcp());
        stream.write_all(&frame).unwrap();
        let said = rest(&mut stream);
        assert_eq!(close_code(&said), Some(code), "{reason}: {said:?}");
        let line = process.line_with("a client is not understood");
        assert!(line.contains(reason), "{reason} is not in {line}");
    }
}

/// A frame may be of any length, a packet may not.
#[test]
fn a_frame_without_end_ends_with_its_packet() {
    let folder = Folder::new();
    let limits = "[limits]\nmax_packet_size = \"1KB\"\n";
    let gateway = folder.start(&format!("{WEBSOCKET}{limits}")).unwrap();
    let endless = [&[BINARY, 0x80 | 127][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat();
    // A packet that is too long, and one that is none.
    for start in [&b"\x10\xff\xff\xff\x7f"[..], b"\x10\xff\xff\xff\xff\xff"] {
        let mut stream = upgraded(tcp(&gateway));
        stream.write_all(&endless).unwrap();
        stream.write_all(start).unwrap();
        assert_eq!(close_code(&rest(&mut stream)), Some(1000));
    }
    let mut stream = upgraded(tcp(&gateway));
    stream.write_all(&masked(BINARY, &connect_packet("endless"))).unwrap();
    stream.write_all(&endless).unwrap();
    // Pings of MQTT fill the frame for a while: what came before is not kept.
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [BINARY, 4, 0x20, 2, 0, 0]);
    for _ in 0..1000 {
        stream.write_all(&[0xc0, 0]).unwrap();
    }
    let mut payload = 0;
    while payload < 2000 {
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        let mut length = usize::from(header[1]);
        if length == 126 {
            let mut longer = [0; 2];
            stream.read_exact(&mut longer).unwrap();
            length = usize::from(u16::from_be_bytes(longer));
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        payload += length;
    }
}

#[test]
fn a_head_without_end_is_refused_at_8_kib() {
    let folder = Folder::new();
    let process = Process::start(&folder, WEBSOCKET, "weir_broker=debug");
    let one_field = [&REQUEST[..REQUEST.len() - 2], b"Cookie: ", &[b'x'; 9000]].concat();
    let many_fields = [&REQUEST[..REQUEST.len() - 2], &b"A: b\r\n".repeat(1500)].concat();
    for head in [one_field, many_fields] {
        let mut stream = process.tcp();
        stream.write_all(&head).unwrap();
        let answer = String::from_utf8(rest(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        let line = process.line_with("a client is not understood");
        assert!(line.contains("longer than 8 KiB or has more than 64 fields"), "{line}");
    }
}

#[test]
fn half_a_proxy_header_ends_in_time_and_a_wrong_one_at_once() {
    let folder = Folder::new();
    let process = Process::start(&folder, &format!("{PROXY}{SOON}"), "weir_broker=debug");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff\xc0\0\x02\x07";
    for half in [&b"PROXY TCP4 192.0.2.7 10.0"[..], v2, b"\r\n\r\n"] {
        let mut stream = process.tcp();
        stream.write_all(half).unwrap();
        assert!(rest(&mut stream).is_empty());
        let line = process.line_with("a connection ends before its handshake");
        assert!(line.contains("layer=Proxy"), "{line}");
    }
    let endless = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
    for wrong in [&endless[..], b"PROXY TCP9 ", b"\x10\x0e\0\x04MQTT"] {
        let wrong = [wrong, b"\r\n"].concat();
        let mut stream = process.tcp();
        stream.write_all(&wrong).unwrap();
        assert!(rest(&mut stream).is_empty());
        let line = process.line_with("a client is not understood");
        assert!(line.contains("PROXY header"), "{line}");
    }
}

/// A header of version 2 may announce 64 KiB of which nothing is of use.
#[test]
fn the_unused_part_of_a_proxy_header_is_passed_over() {
    let folder = Folder::new();
    let gateway = folder.start(PROXY).unwrap();
    let mut stream = tcp(&gateway);
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff\xc0\0\x02\x07\x0a\0\0\x01\xd9\x03\x07\x5b";
    stream.write_all(start).unwrap();
    for _ in 0..5 {
        stream.write_all(&[0xaa; (0xffff - 12) / 5]).unwrap();
    }
    stream.write_all(&[0xaa; (0xffff - 12) % 5]).unwrap();
    Client::connect(stream, "behind").unwrap().check(&[1; 1000]);
    wait_until("the end", || gateway.connections() == 0);
    assert_eq!(gateway.refused("proxy"), 0);
}
