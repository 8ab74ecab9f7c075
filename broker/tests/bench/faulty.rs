//! Just enough of a broker for QoS 0, on threads, that does one thing wrong: a check that never
//! fails says nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use weir_mqtt::{Connack, Packet, QoS, ReasonCode, Suback, Version, frame_len};

/// What it does wrong, and with which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with what is no MQTT.
    Babble,
    /// Ends every connection.
    Close(u32),
    /// Delivers it without its last byte.
    Cut(u32),
    Lose(u32),
    None,
    /// Refuses every client.
    Refuse,
    Repeat(u32),
    /// Delivers it after the next one.
    Swap(u32),
}

/// A broker that runs as long as the test's process.
pub(crate) struct Faulty {
    port: u16,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    messages: AtomicU32,
    held: Mutex<Vec<u8>>,
    /// Each gets every message.
    subscribers: Mutex<Vec<TcpStream>>,
}

impl Faulty {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            fault,
            messages: AtomicU32::new(0),
            held: Mutex::default(),
            subscribers: Mutex::default(),
        });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Until the client goes.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..length]);
        while let Some(length) = frame_len(&bytes).unwrap().filter(|length| *length <= bytes.len())
        {
            let packet: Vec<u8> = bytes.drain(..length).collect();
            handle(&mut stream, &packet, shared);
        }
    }
}

fn handle(stream: &mut TcpStream, bytes: &[u8], shared: &Shared) {
    let mut answer = Vec::new();
    match Packet::decode(bytes, Version::V311).unwrap() {
        Packet::Connect(_) if shared.fault == Fault::Babble => answer.extend_from_slice(b"SSH-2.0"),
        Packet::Connect(_) => {
            let refusal = Connack::refusal(ReasonCode::NotAuthorized);
            let is_refused = shared.fault == Fault::Refuse;
            let connack = if is_refused { refusal } else { Connack::default() };
            Packet::Connack(connack).encode(Version::V311, &mut answer).unwrap();
        }
        Packet::Subscribe(subscribe) => {
            let mut subscribers = shared.subscribers.lock().unwrap();
            if subscribers.is_empty() {
                subscribers.push(stream.try_clone().unwrap());
            }
            let reasons = vec![ReasonCode::Success; subscribe.filters.len()];
            let suback = Packet::Suback(Suback::new(subscribe.packet_id, &reasons));
            suback.encode(Version::V311, &mut answer).unwrap();
        }
        Packet::Publish(publish) => {
            assert_eq!(publish.qos, QoS::AtMostOnce, "this broker knows no other");
            deliver(bytes, shared);
        }
        _ => {}
    }
    // The client may be gone.
    stream.write_all(&answer).ok();
}

fn deliver(message: &[u8], shared: &Shared) {
    let number = shared.messages.fetch_add(1, Ordering::Relaxed);
    let mut held = shared.held.lock().unwrap();
    let delivered = match shared.fault {
        Fault::Lose(at) if at == number => Vec::new(),
        Fault::Repeat(at) if at == number => message.repeat(2),
        Fault::Swap(at) if at == number => {
            held.extend_from_slice(message);
            return;
        }
        Fault::Cut(at) if at == number => {
            let mut cut = message[..message.len() - 1].to_vec();
            cut[1] -= 1;
            cut
        }
        _ => message.to_vec(),
    };
    for mut subscriber in &*shared.subscribers.lock().unwrap() {
        if shared.fault == Fault::Close(number) {
            subscriber.shutdown(std::net::Shutdown::Both).ok();
        }
        subscriber.write_all(&delivered).ok();
        subscriber.write_all(&held).ok();
    }
    held.clear();
}
