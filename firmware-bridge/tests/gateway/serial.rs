//! A serial line: a pseudo terminal whose other end is the test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use weir_firmware_bridge::gateway::{Counter, LinkOptions};
use weir_firmware_bridge::link::serial::{Framing, SerialOptions};
use weir_firmware_bridge::run::LinkConfig;
use weir_node::frame::{self, Deframer};
use weir_node::mqtt_sn_1_2::{
    Connect, Delivery, MessageId, Packet, Publish, ReturnCode, TopicId, TopicRef,
};

use crate::LIMIT;
use crate::running::{Folder, Mosquitto, Running};
use crate::watcher::Watcher;

/// The end of the line that a node is at.
pub(crate) struct Line {
    pub(crate) end: File,
    framing: Framing,
    deframer: Deframer<512>,
    raw: Vec<u8>,
}

impl Line {
    /// A new line, found at `path`.
    pub(crate) fn plug(path: &Path, framing: Framing) -> Self {
        let end: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&end).unwrap();
        unlockpt(&end).unwrap();
        let name = ptsname(&end, Vec::new()).unwrap().into_string().unwrap();
        let mut settings = tcgetattr(end.as_fd()).unwrap();
        settings.make_raw();
        tcsetattr(end.as_fd(), OptionalActions::Now, &settings).unwrap();
        let _ = std::fs::remove_file(path);
        std::os::unix::fs::symlink(name, path).unwrap();
        let flags = rustix::fs::fcntl_getfl(&end).unwrap();
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        Self { end: File::from(end), framing, deframer: Deframer::new(), raw: Vec::new() }
    }

    fn frame(&self, packet: Packet<'_>) -> Vec<u8> {
        let mut datagram = vec![0; packet.encoded_len().unwrap()];
        packet.encode(&mut datagram).unwrap();
        let mut bytes = Vec::new();
        match self.framing {
            Framing::Cobs => frame::encode(&datagram, |byte| bytes.push(byte)),
            Framing::Raw => bytes = datagram,
        }
        bytes
    }

    fn write(&mut self, bytes: &[u8]) {
        // A line that is full or gone takes nothing, as a wire does.
        let _ = self.end.write(bytes);
    }

    fn send(&mut self, packet: Packet<'_>) {
        let bytes = self.frame(packet);
        self.write(&bytes);
    }

    /// The next packet, as bytes.
    fn receive(&mut self, time: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let mut byte = [0];
            if !matches!(self.end.read(&mut byte), Ok(1)) {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            match self.framing {
                Framing::Cobs => {
                    if let Some(Ok(datagram)) = self.deframer.push(byte[0]) {
                        return Some(datagram.to_vec());
                    }
                }
                Framing::Raw => {
                    self.raw.push(byte[0]);
                    if usize::from(self.raw[0]) == self.raw.len() {
                        return Some(std::mem::take(&mut self.raw));
                    }
                }
            }
        }
        None
    }

    /// Sends until the answer comes.
    #[track_caller]
    fn ask(&mut self, packet: Packet<'_>, answer: Packet<'_>) {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            self.send(packet);
            while let Some(received) = self.receive(Duration::from_millis(300)) {
                if Packet::decode(&received) == Ok(answer) {
                    return;
                }
            }
        }
        panic!("never answered: {packet:?}");
    }

    fn connect(&mut self) {
        let (clean_session, will, duration_s) = (true, false, 600);
        let connect = Packet::Connect(Connect { clean_session, will, duration_s, client_id: "n" });
        self.ask(connect, Packet::Connack(ReturnCode::Accepted));
    }
}

fn publish(message_id: u16) -> Packet<'static> {
    let delivery = Delivery::ExactlyOnce { message_id: MessageId(message_id), dup: false };
    let topic = TopicRef::Short(*b"up");
    Packet::Publish(Publish { delivery, retain: false, topic, payload: b"x" })
}

pub(crate) fn start(port: u16, path: &Path, framing: Framing) -> Running {
    let options = SerialOptions { path: path.into(), baud: 115_200, framing };
    Running::start_with(port, None, vec![LinkConfig::Serial(options)], |options| {
        options.links.push(LinkOptions::serial("serial0"));
        options.predefined.insert(None, TopicId(1), "unused");
    })
}

/// Where the line is, without anything there yet.
fn place(folder: &Folder) -> PathBuf {
    folder.path().join("tty")
}

/// Behaviour 33, with bytes that are flipped, lost, split, merged and held back.
#[test]
fn line_with_faults_loses_frames_and_nothing_else() {
    let Some(mosquitto) = Mosquitto::start("serial faults") else { return };
    let folder = Folder::new();
    let mut line = Line::plug(&place(&folder), Framing::Cobs);
    let gateway = start(mosquitto.port, &place(&folder), Framing::Cobs);
    let watcher = Watcher::subscribe(mosquitto.port, "up");
    line.connect();
    for message_id in 1..=50_u16 {
        let bytes = line.frame(publish(message_id));
        match message_id % 5 {
            0 => {
                let mut flipped = bytes.clone();
                let place = usize::from(message_id) % flipped.len();
                flipped[place] ^= 1 << (message_id % 8);
                line.write(&flipped);
            }
            1 => line.write(&bytes[..bytes.len() / 2]),
            2 => {
                for byte in &bytes {
                    line.write(&[*byte]);
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            3 => line.write(&[&bytes[..], &bytes[..]].concat()),
            _ => {
                line.write(&bytes[..3]);
                std::thread::sleep(Duration::from_millis(20));
                line.write(&bytes[3..]);
            }
        }
        line.ask(publish(message_id), Packet::Pubrec(MessageId(message_id)));
        line.ask(Packet::Pubrel(MessageId(message_id)), Packet::Pubcomp(MessageId(message_id)));
    }
    for _ in 0..50 {
        assert_eq!(watcher.next_text(), ("up".to_owned(), "x".to_owned()));
    }
    assert!(watcher.rest().is_empty(), "each once");
    let gateway = gateway.stop();
    let count = |counter| gateway.counters().of(counter);
    assert_eq!(count(Counter::Malformed), 0);
    assert!(count(Counter::FramesCrc) + count(Counter::FramesBroken) >= 20);
}

/// Behaviour 34.
#[test]
fn line_that_is_pulled_and_put_back_goes_on() {
    let Some(mosquitto) = Mosquitto::start("serial unplugged") else { return };
    let folder = Folder::new();
    // It is not even there at the beginning.
    let gateway = start(mosquitto.port, &place(&folder), Framing::Cobs);
    let watcher = Watcher::subscribe(mosquitto.port, "edge/#");
    let mut line = Line::plug(&place(&folder), Framing::Cobs);
    line.connect();
    watcher.wait_for("edge/gw/n/availability", "online");
    drop(line);
    watcher.wait_for("edge/gw/n/availability", "offline");
    let mut line = Line::plug(&place(&folder), Framing::Cobs);
    // The session is what it was.
    line.ask(publish(1), Packet::Pubrec(MessageId(1)));
    watcher.wait_for("edge/gw/n/availability", "online");
    assert_eq!(gateway.stop().counters().of(Counter::Connected), 1);
}

/// Behaviour 35.
#[test]
fn raw_line_works_with_a_peer_that_knows_only_lengths() {
    let Some(mosquitto) = Mosquitto::start("serial raw") else { return };
    let folder = Folder::new();
    let mut line = Line::plug(&place(&folder), Framing::Raw);
    let _gateway = start(mosquitto.port, &place(&folder), Framing::Raw);
    let watcher = Watcher::subscribe(mosquitto.port, "up");
    line.connect();
    let two = [line.frame(publish(1)), line.frame(publish(2))].concat();
    line.write(&two[..9]);
    std::thread::sleep(Duration::from_millis(20));
    line.write(&two[9..]);
    for message_id in [1, 2] {
        line.ask(publish(message_id), Packet::Pubrec(MessageId(message_id)));
        assert_eq!(watcher.next_text().1, "x");
    }
}
