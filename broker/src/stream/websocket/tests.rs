//! Frames and upgrades against the standard, and against a second implementation of it.

use std::io::{Cursor, Read};

use mio::net::UnixStream;
use tungstenite::protocol::frame::{Frame, FrameHeader, coding};

use super::*;
use crate::stream::socket::Socket;

const REQUEST: &str = "GET /mqtt?x=1 HTTP/1.1\r\nHost: gateway\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

/// A frame of a client, made by the second implementation.
fn frame(payload: &[u8], opcode: coding::OpCode, is_final: bool) -> Vec<u8> {
    let mask = Some([0x12, 0xf4, 0x00, 0x99]);
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let frame = Frame::from_payload(header, payload.to_vec().into());
    let mut bytes = Vec::new();
    frame.format(&mut bytes).unwrap();
    bytes
}

fn data(opcode: coding::Data) -> coding::OpCode {
    coding::OpCode::Data(opcode)
}

fn control(opcode: coding::Control) -> coding::OpCode {
    coding::OpCode::Control(opcode)
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(payload, data(coding::Data::Binary), true)
}

fn open() -> WebSocket {
    WebSocket { upgrade: None, ..WebSocket::default() }
}

/// Hands bytes over in portions; the payload that came of them.
fn feed(websocket: &mut WebSocket, bytes: &[u8], portion: usize) -> Result<Vec<u8>, u16> {
    let mut payload = Vec::new();
    for chunk in bytes.chunks(portion) {
        let mut chunk = chunk.to_vec();
        match websocket.receive(&mut chunk) {
            Ok(Received { count, ended }) => {
                payload.extend_from_slice(&chunk[..count]);
                if ended {
                    break;
                }
            }
            Err(WebSocketError::Frame(violation)) => return Err(violation.code()),
            Err(WebSocketError::Upgrade(error)) => panic!("{error}"),
        }
    }
    Ok(payload)
}

/// What is written for `bytes`, when the peer takes everything.
fn written(websocket: &mut WebSocket, bytes: &[u8]) -> Vec<u8> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut wire = Wire::new(Socket::Unix(ours), None, None);
    assert_eq!(websocket.write(&mut wire, bytes).unwrap(), bytes.len());
    drop(wire);
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn frames_of_every_form_of_length_come_apart_wherever_they_are_cut() {
    for length in [0, 1, 125, 126, 127, 400, 65_535, 65_536, 70_001] {
        let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let mut bytes = binary(&payload);
        bytes.extend(binary(b"next"));
        let expected = [payload.as_slice(), b"next"].concat();
        for portion in [1, 2, 3, 5, 7, 13, 4096, bytes.len()] {
            assert!(feed(&mut open(), &bytes, portion).unwrap() == expected, "{length} {portion}");
        }
        for cut in 0..bytes.len().min(40) {
            let mut websocket = open();
            let mut all = feed(&mut websocket, &bytes[..cut], usize::MAX).unwrap();
            all.extend(feed(&mut websocket, &bytes[cut..], usize::MAX).unwrap());
            assert!(all == expected, "{length} cut at {cut}");
        }
    }
}

#[test]
fn control_frames_may_come_between_the_parts_of_a_message() {
    let mut bytes = frame(b"one ", data(coding::Data::Binary), false);
    bytes.extend(frame(b"first", control(coding::Control::Ping), true));
    bytes.extend(frame(b"two ", data(coding::Data::Continue), false));
    bytes.extend(frame(b"last", control(coding::Control::Ping), true));
    bytes.extend(frame(b"nobody asked", control(coding::Control::Pong), true));
    bytes.extend(frame(b"three", data(coding::Data::Continue), true));
    for portion in 1..bytes.len() {
        let mut websocket = open();
        assert_eq!(feed(&mut websocket, &bytes, portion).unwrap(), b"one two three");
        assert_eq!(written(&mut websocket, b""), b"\x8a\x04last", "the last ping is answered");
    }
}

#[test]
fn what_the_standard_forbids_ends_the_connection_with_its_status() {
    let unmasked = b"\x82\x01x".to_vec();
    let bit = b"\xc2\x81\0\0\0\0x".to_vec();
    let opcode = b"\x83\x81\0\0\0\0x".to_vec();
    let long_form = b"\x82\xfe\0\x7d".to_vec();
    let longest_form = b"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0".to_vec();
    let negative = b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let long_form = [long_form, vec![0; 4]].concat();
    let part = |opcode, is_final| frame(b"x", data(opcode), is_final);
    let cases = [
        ("unmasked", unmasked, 1002),
        ("bit", bit, 1002),
        ("opcode", opcode, 1002),
        ("long form", long_form, 1002),
        ("longest form", longest_form, 1002),
        ("negative", negative, 1002),
        ("text", part(coding::Data::Text, true), 1003),
        ("part of none", part(coding::Data::Continue, true), 1002),
        ("long ping", frame(&[0; 126], control(coding::Control::Ping), true), 1002),
        ("ping in parts", frame(b"x", control(coding::Control::Ping), false), 1002),
        ("status of one byte", frame(b"x", control(coding::Control::Close), true), 1002),
        ("status 1005", frame(b"\x03\xed", control(coding::Control::Close), true), 1002),
        ("reason", frame(b"\x03\xe8\xff", control(coding::Control::Close), true), 1002),
        (
            "message in a message",
            [part(coding::Data::Binary, false), part(coding::Data::Binary, true)].concat(),
            1002,
        ),
    ];
    for (name, bytes, code) in cases {
        for portion in [1, bytes.len()] {
            let mut websocket = open();
            assert_eq!(feed(&mut websocket, &bytes, portion), Err(code), "{name}");
            let close = [b"\x88\x02".as_slice(), &u16::to_be_bytes(code)].concat();
            assert_eq!(written(&mut websocket, b""), close, "{name}");
        }
    }
}

#[test]
fn a_goodbye_is_answered_with_its_status_and_nothing_follows() {
    for (payload, status) in [(b"".as_slice(), 1000_u16), (b"\x03\xe9going", 1001)] {
        let mut bytes = binary(b"before");
        bytes.extend(frame(payload, control(coding::Control::Close), true));
        bytes.extend(binary(b"after"));
        let mut websocket = open();
        assert_eq!(feed(&mut websocket, &bytes, usize::MAX).unwrap(), b"before");
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(Socket::Unix(ours), None, None);
        assert_eq!(websocket.write(&mut wire, b"too late").unwrap(), 0);
        websocket.close(&mut wire);
        drop(wire);
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        assert_eq!(all, [b"\x88\x02".as_slice(), &status.to_be_bytes()].concat());
    }
}

#[test]
fn what_is_sent_is_read_by_the_second_implementation() {
    for length in [1, 125, 126, 65_535, 65_536, 100_000] {
        let payload: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
        let bytes = written(&mut open(), &payload);
        let mut cursor = Cursor::new(&bytes);
        let (header, count) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        assert_eq!(header.opcode, data(coding::Data::Binary));
        assert!(header.is_final && header.mask.is_none());
        assert_eq!(count, length);
        assert!(bytes[cursor.position() as usize..] == payload);
    }
}

#[test]
fn a_frame_that_the_kernel_takes_in_parts_goes_on_where_it_stopped() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut wire = Wire::new(Socket::Unix(ours), None, None);
    let mut websocket = open();
    let payload: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 249) as u8).collect();
    let (mut sent, mut received) = (0, Vec::new());
    let mut buffer = vec![0; 300_000];
    let mut waits = 0;
    while sent < payload.len() {
        match websocket.write(&mut wire, &payload[sent..]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                waits += 1;
                if waits == 1 {
                    let ping = frame(b"amid", control(coding::Control::Ping), true);
                    feed(&mut websocket, &ping, usize::MAX).unwrap();
                    assert!(!websocket.wants_write(), "not within a frame");
                }
                let count = theirs.read(&mut buffer).unwrap();
                received.extend_from_slice(&buffer[..count]);
            }
        }
    }
    drop(wire);
    theirs.read_to_end(&mut received).unwrap();
    assert!(waits > 0);
    assert_eq!(received[..10], *b"\x82\x7f\0\0\0\0\0\x1e\x84\x80");
    assert!(received[10..10 + payload.len()] == payload);
    assert_eq!(received[10 + payload.len()..], *b"\x8a\x04amid");
}

#[test]
fn an_upgrade_is_answered_wherever_it_is_cut_and_frames_may_follow_at_once() {
    let bytes = [REQUEST.as_bytes(), &binary(b"CONNECT")].concat();
    for portion in [1, 2, 3, 4, 5, 100, REQUEST.len(), REQUEST.len() + 1, bytes.len()] {
        let mut websocket = WebSocket::default();
        assert_eq!(feed(&mut websocket, &bytes, portion).unwrap(), b"CONNECT", "{portion}");
        assert!(websocket.is_open());
        let answer = String::from_utf8(written(&mut websocket, b"")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    }
    let old = REQUEST.replace("chat, mqtt", "mqttv3.1\r\nSec-WebSocket-Protocol: mqtt");
    let mut websocket = WebSocket::default();
    feed(&mut websocket, old.as_bytes(), usize::MAX).unwrap();
    let answer = String::from_utf8(written(&mut websocket, b"")).unwrap();
    assert!(answer.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"), "the client's order counts");
}

#[test]
fn a_request_that_cannot_be_served_is_told_why() {
    let without = |line: &str| {
        let lines = REQUEST.split_inclusive("\r\n").filter(|text| !text.starts_with(line));
        lines.collect::<String>()
    };
    let many = format!("{}{}\r\n", &REQUEST[..REQUEST.len() - 2], "A: b\r\n".repeat(64));
    let cases = [
        (without("Sec-WebSocket-Protocol"), "400", "subprotocol is not mqtt"),
        (REQUEST.replace("chat, mqtt", "MQTT-SN"), "400", "subprotocol is not mqtt"),
        (without("Sec-WebSocket-Key"), "400", "key of the request"),
        (REQUEST.replace("dGhl", "!!!!"), "400", "key of the request"),
        (REQUEST.replace(": 13", ": 8"), "426", "not 13"),
        (without("Upgrade"), "426", "not the start of a WebSocket"),
        (without("Connection"), "426", "not the start of a WebSocket"),
        (without("Host"), "400", "not a GET request of HTTP 1.1"),
        (REQUEST.replace("GET", "POST"), "400", "not a GET request of HTTP 1.1"),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), "400", "not a GET request of HTTP 1.1"),
        (REQUEST.replace("Host: ", "Ho st: "), "400", "not a GET request of HTTP 1.1"),
        ("\x10\x0e\0\x04MQTT\x04\x02".to_owned(), "400", "not a GET request of HTTP 1.1"),
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000)), "431", "longer than 8 KiB"),
        (many, "431", "more than 64 fields"),
    ];
    for (request, status, reason) in cases {
        let mut websocket = WebSocket::default();
        let mut bytes = request.clone().into_bytes();
        assert!(websocket.receive(&mut bytes).is_err(), "{request}");
        let answer = String::from_utf8(written(&mut websocket, b"")).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        assert!(answer.contains(reason), "{request}\n{answer}");
    }
}

#[test]
fn nothing_that_is_received_makes_it_panic() {
    let mut seed = 7_u32;
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..seed % 97)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        seed = seed.wrapping_add(1);
        if let [first, second, ..] = bytes.as_mut_slice() {
            // Past the first checks, most of the time.
            *first = [0x82, 0x02, 0x80, 0x89, 0x88][*first as usize % 5];
            *second |= 0x80;
        }
        let _ = feed(&mut open(), &bytes, 1 + seed as usize % 20);
    }
}
