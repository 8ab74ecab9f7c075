//! As much of a client of MQTT 3.1.1, and a little of 5.0, as the tests need, on anything that can
//! be read and written.

use std::io::{self, Read, Write};

/// A client on a stream.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
}

impl<S: Read + Write> Client<S> {
    /// Connects with a clean session.
    pub(crate) fn connect(stream: S, id: &str) -> io::Result<Self> {
        Self::connect_with(stream, &connect_packet(id)).map(|connected| match connected {
            Ok(client) => client,
            Err(code) => panic!("CONNACK says {code}"),
        })
    }

    /// Connects with a CONNECT of the caller's; the return code when it is refused.
    pub(crate) fn connect_with(stream: S, connect: &[u8]) -> io::Result<Result<Self, u8>> {
        let mut client = Self { stream };
        client.stream.write_all(connect)?;
        client.stream.flush()?;
        match client.read_packet()? {
            (0x20, body) if body == [0, 0] => Ok(Ok(client)),
            (0x20, body) => Ok(Err(body[1])),
            other => panic!("{other:?} instead of CONNACK"),
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        assert_eq!(self.ask(filter), 0, "SUBACK");
    }

    /// Subscribes and answers what SUBACK says.
    pub(crate) fn ask(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 1];
        push_text(&mut body, filter);
        body.push(0);
        self.stream.write_all(&packet(0x82, &body)).unwrap();
        self.stream.flush().unwrap();
        match self.read_packet().unwrap() {
            (0x90, body) if body.len() == 3 => body[2],
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    /// Connects as a client of MQTT 5.
    pub(crate) fn connect_v5(stream: S, id: &str) -> Self {
        let mut client = Self { stream };
        client.stream.write_all(&connect_packet_v5(id)).unwrap();
        client.stream.flush().unwrap();
        let (first, body) = client.read_packet().unwrap();
        assert_eq!((first, &body[..2]), (0x20, &[0, 0][..]), "CONNACK");
        client
    }

    pub(crate) fn subscribe_v5(&mut self, filter: &str) {
        let mut body = vec![0, 1, 0];
        push_text(&mut body, filter);
        body.push(0);
        self.stream.write_all(&packet(0x82, &body)).unwrap();
        self.stream.flush().unwrap();
        assert_eq!(self.read_packet().unwrap(), (0x90, vec![0, 1, 0, 0]), "SUBACK");
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.stream.write_all(&publish_packet(topic, payload)).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> (String, Vec<u8>) {
        let (first, body) = self.read_packet().unwrap();
        assert_eq!(first & 0xf0, 0x30, "PUBLISH");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        (topic, body[2 + length..].to_vec())
    }

    /// Sends a message to itself, and waits for it.
    pub(crate) fn check(&mut self, payload: &[u8]) {
        self.subscribe("echo");
        self.publish("echo", payload);
        let (topic, received) = self.message();
        assert_eq!(topic, "echo");
        assert!(received == payload, "{} bytes came back changed", payload.len());
    }

    pub(crate) fn ping(&mut self) -> io::Result<()> {
        self.stream.write_all(&[0xc0, 0])?;
        self.stream.flush()?;
        assert_eq!(self.read_packet()?, (0xd0, vec![]), "PINGRESP");
        Ok(())
    }

    pub(crate) fn read_packet(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        let first = byte[0];
        let (mut length, mut shift) = (0, 0);
        loop {
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first, body))
    }
}

pub(crate) fn connect_packet(id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\x02\0\x3c".to_vec();
    push_text(&mut body, id);
    packet(0x10, &body)
}

fn connect_packet_v5(id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\x02\0\x3c\0".to_vec();
    push_text(&mut body, id);
    packet(0x10, &body)
}

pub(crate) fn connect_packet_as(id: &str, name: &str, password: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2\0\x3c".to_vec();
    for text in [id, name, password] {
        push_text(&mut body, text);
    }
    packet(0x10, &body)
}

pub(crate) fn publish_packet(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic);
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

pub(crate) fn publish_packet_v5(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, topic);
    body.push(0);
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        bytes.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
