//! The whole way of a reading: firmware in an emulated board, its serial line, a pseudo terminal, the
//! gateway, mosquitto, and a subscriber.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use weir_firmware_bridge::link::serial::Framing;

use crate::running::{Folder, Mosquitto};
use crate::serial::{Line, start};
use crate::support::foreign::left_out;

/// A hundredth of the frames is lost each way, another one has a bit flipped, and the broker is
/// restarted in the middle.
#[test]
fn readings_of_firmware_come_exactly_once_over_a_bad_line_and_a_restart() {
    let test = "firmware over a bad line";
    let Some(mut mosquitto) = Mosquitto::start(test) else { return };
    let Some((_board, line)) = Board::start(test) else { return };
    let folder = Folder::new();
    let path = folder.path().join("tty");
    let pty = Line::plug(&path, Framing::Cobs);
    let numbers = watch(mosquitto.port);
    let faults = pass(line, pty);
    let _gateway = start(mosquitto.port, &path, Framing::Cobs);
    let readings = readings();
    let mut came: BTreeMap<u64, u64> = BTreeMap::new();
    let mut is_restarted = false;
    while came.len() < readings {
        let number = numbers.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("{} readings came, the last one {:?}", came.len(), came.last_key_value())
        });
        let (number, is_given_again) = number;
        let times = came.entry(number).or_default();
        // The broker does not know whether this reader has it.
        if !is_given_again || *times == 0 {
            *times += 1;
        }
        if came.len() >= readings / 2 && !is_restarted {
            is_restarted = true;
            mosquitto.stop();
            mosquitto.start_again();
        }
    }
    let twice: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let in_order = (0..).zip(came.keys()).all(|(expected, number)| expected == *number);
    assert!(in_order, "one is missing: {came:?}");
    assert!(faults.recv_timeout(PATIENCE).is_ok(), "the line had no fault");
}

/// How many readings: `WEIR_FIRMWARE_READINGS`, else as many as take fifteen seconds.
fn readings() -> usize {
    env::var("WEIR_FIRMWARE_READINGS").map_or(60, |text| text.parse().expect("a number"))
}

/// Numbers of readings as they come to a subscriber whose session is kept, and whether the broker
/// gives them again. It subscribes with QoS 1: at QoS 2 this client forgets with its connection which
/// messages it has, leaves for ever over a PUBREL of before, and nothing would come any more.
fn watch(port: u16) -> Receiver<(u64, bool)> {
    let mut options = MqttOptions::new("watcher", "127.0.0.1", port);
    options.set_clean_session(false);
    let (client, mut connection) = Client::new(options, 16);
    client.subscribe("edge/demo/node-1/state", QoS::AtLeastOnce).unwrap();
    let (sender, numbers) = channel();
    let (subscribed, is_subscribed) = channel();
    thread::spawn(move || {
        // With the client the connection would end.
        let _client = client;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(subscribed.send(())),
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let state: serde_json::Value =
                        serde_json::from_slice(&publish.payload).unwrap();
                    if sender.send((state["seq"].as_u64().unwrap(), publish.dup)).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                // The broker is restarted.
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    });
    is_subscribed.recv_timeout(PATIENCE).expect("the broker answers");
    numbers
}

/// Passes frames on between the board and the terminal, most of them as they are. Says so at the
/// first fault.
fn pass(board: TcpStream, terminal: Line) -> Receiver<()> {
    let (told, faults) = channel();
    let ends = (board.try_clone().unwrap(), terminal.end.try_clone().unwrap());
    let of_board = told.clone();
    thread::spawn(move || pass_one_way(board, terminal.end, 1, &of_board));
    thread::spawn(move || pass_one_way(ends.1, ends.0, 2, &told));
    faults
}

fn pass_one_way(
    mut from: impl Read,
    mut to: impl Write,
    seed: u64,
    told: &std::sync::mpsc::Sender<()>,
) {
    let mut random = seed;
    let mut below = |limit: usize| {
        // SplitMix64, so that each run has the same faults.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit
    };
    let mut frame = Vec::new();
    let mut bytes = [0; 512];
    loop {
        let length = match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(_) => return,
        };
        for byte in &bytes[..length] {
            frame.push(*byte);
            // A frame has a zero at both ends.
            if *byte != 0 || frame.len() == 1 {
                continue;
            }
            let fault = below(100);
            if fault < 2 {
                // Nobody may listen any more.
                let _ = told.send(());
            }
            if fault == 1 {
                let at = below(frame.len());
                frame[at] ^= 1 << below(8);
            }
            if fault != 0 && to.write_all(&frame).is_err() {
                return;
            }
            frame.clear();
        }
    }
}

/// An emulated board. It ends with this.
struct Board(Child);

impl Board {
    /// Builds the firmware and starts it, with its serial line; `None` when something is missing and
    /// that is allowed.
    fn start(test: &str) -> Option<(Self, TcpStream)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cross/firmware-sim");
        let output = Command::new(script)
            .args(["--fetched-only", "--stress", "--prepare"])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        if output.status.code() == Some(SKIPPED) {
            left_out(test, "the toolchain for microcontrollers is missing");
            return None;
        }
        assert!(output.status.success(), "the firmware is not built: {}", output.status);
        let firmware = String::from_utf8(output.stdout).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let emulator = Command::new("qemu-system-arm")
            .args(["-M", "mps2-an385", "-display", "none", "-monitor", "none"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port}"), "-kernel", firmware.trim()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let board = Self(emulator);
        listener.set_nonblocking(true).unwrap();
        let end = Instant::now() + PATIENCE;
        let line = loop {
            match listener.accept() {
                Ok((line, _)) => break line,
                Err(_) => assert!(Instant::now() < end, "the emulator does not connect"),
            }
            thread::yield_now();
        };
        line.set_nonblocking(false).unwrap();
        line.set_nodelay(true).unwrap();
        Some((board, line))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
/// The code of the scripts in `tests/cross` for skipped.
const SKIPPED: i32 = 77;
