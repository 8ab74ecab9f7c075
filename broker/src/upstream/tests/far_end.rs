//! A far end that answers late, in the wrong order, and not as one would like. MQTT 5.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use weir_mqtt::{
    Acknowledge, Connack, ConnackProperties, Packet, PacketId, Publish, QoS, ReasonCode, Version,
    frame_len,
};

use crate::config::HostPort;

/// Listens until the tests end.
pub(super) struct FarEnd {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

/// What it has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// The payloads that it has taken.
    pub(super) taken: Vec<String>,
    pub(super) connections: usize,
    /// The most messages that were under way at a time.
    pub(super) under_way_max: usize,
}

/// What becomes of a message: its payload and how many came before.
type Judge = fn(&str, usize) -> ReasonCode;

impl FarEnd {
    pub(super) fn start(receive_max: u16, judge: Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        thread::spawn(move || {
            let mut count = 0;
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap().connections += 1;
                let connection =
                    Connection { stream, receive_max, judge, seen: &shared, held: Vec::new() };
                connection.serve(&mut count);
            }
        });
        Self { port, seen }
    }

    pub(super) fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

struct Connection<'a> {
    stream: TcpStream,
    receive_max: u16,
    judge: Judge,
    seen: &'a Mutex<Seen>,
    /// Answers that wait until nothing more comes.
    held: Vec<Vec<u8>>,
}

impl Connection<'_> {
    fn serve(mut self, count: &mut usize) {
        self.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("not zero");
        let (mut buffer, mut chunk) = (Vec::new(), [0; 4_096]);
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => buffer.extend_from_slice(&chunk[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) =>
                {
                    // The newest first.
                    while let Some(answer) = self.held.pop() {
                        self.stream.write_all(&answer).ok();
                    }
                }
                Err(_) => return,
            }
            while let Some(length) = frame_len(&buffer).expect("a frame") {
                if buffer.len() < length {
                    break;
                }
                let frame: Vec<u8> = buffer.drain(..length).collect();
                let packet = Packet::decode(&frame, Version::V5).expect("a packet");
                self.handle(&packet, count);
            }
        }
    }

    fn handle(&mut self, packet: &Packet<'_>, count: &mut usize) {
        match packet {
            Packet::Connect(_) => {
                let properties = ConnackProperties {
                    receive_maximum: NonZeroU16::new(self.receive_max),
                    ..ConnackProperties::default()
                };
                let connack = Connack { properties, ..Connack::refusal(ReasonCode::Success) };
                self.write(&Packet::Connack(connack));
            }
            Packet::Publish(publish) => self.handle_publish(publish, count),
            Packet::Pubrel(pubrel) => {
                // Not known any more: the client has to be content with that.
                let reason = ReasonCode::PacketIdentifierNotFound;
                let answer = Acknowledge::with_reason(pubrel.packet_id, reason);
                self.write(&Packet::Pubcomp(answer));
            }
            Packet::Pingreq => self.write(&Packet::Pingresp),
            _ => {}
        }
    }

    fn handle_publish(&mut self, publish: &Publish<'_>, count: &mut usize) {
        let payload = String::from_utf8(publish.payload.to_vec()).expect("text");
        let reason = (self.judge)(&payload, *count);
        *count += 1;
        let answer = |packet_id: PacketId| {
            let answer = Acknowledge::with_reason(packet_id, reason);
            let (puback, pubrec) = (Packet::Puback(answer), Packet::Pubrec(answer));
            encoded(if publish.qos == QoS::ExactlyOnce { &pubrec } else { &puback })
        };
        self.held.extend(publish.packet_id.map(answer));
        let mut seen = self.seen.lock().unwrap();
        seen.under_way_max = seen.under_way_max.max(self.held.len());
        if reason == ReasonCode::Success {
            seen.taken.push(payload);
        }
    }

    fn write(&mut self, packet: &Packet<'_>) {
        self.stream.write_all(&encoded(packet)).ok();
    }
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out).expect("it can be encoded");
    out
}
