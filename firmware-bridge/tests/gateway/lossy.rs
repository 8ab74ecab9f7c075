//! A network that loses, doubles and reorders between node and gateway, in real time.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rumqttc::QoS as WireQoS;
use weir_node::mqtt_sn_1_2::{QoS, ReturnCode};

use crate::node::Node;
use crate::running::{Mosquitto, Running};
use crate::watcher::Watcher;

/// Forwards between one node and the gateway; a tenth is lost, a tenth is doubled, and each
/// datagram takes up to 10 ms.
struct Lossy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lossy {
    fn start(gateway: SocketAddr, seed: u64) -> Self {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        far.connect(gateway).unwrap();
        let address = near.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || forward(&near, &far, seed, &stopped));
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn forward(near: &UdpSocket, far: &UdpSocket, mut random: u64, stopped: &AtomicBool) {
    for socket in [near, far] {
        socket.set_nonblocking(true).unwrap();
    }
    let mut node = None;
    let mut on_the_way: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
    let mut bytes = [0; 2_048];
    let mut chance = |of: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % of
    };
    while !stopped.load(Ordering::Relaxed) {
        for to_gateway in [true, false] {
            let received = if to_gateway {
                near.recv_from(&mut bytes).map(|(length, from)| {
                    node = Some(from);
                    length
                })
            } else {
                far.recv(&mut bytes)
            };
            let Ok(length) = received else { continue };
            if chance(10) == 0 {
                continue;
            }
            for _ in 0..if chance(10) == 0 { 2 } else { 1 } {
                let at = Instant::now() + Duration::from_micros(chance(10_000));
                on_the_way.push((at, to_gateway, bytes[..length].to_vec()));
            }
        }
        let now = Instant::now();
        on_the_way.retain(|(at, to_gateway, bytes)| {
            if *at > now {
                return true;
            }
            let _ = if *to_gateway { far.send(bytes) } else { near.send_to(bytes, node.unwrap()) };
            false
        });
        thread::sleep(Duration::from_micros(500));
    }
}

/// Behaviour 13 with sockets and a real broker.
#[test]
fn qos_2_is_exactly_once_in_both_directions() {
    let Some(mosquitto) = Mosquitto::start("lossy") else { return };
    let gateway = Running::start(mosquitto.port, |options| {
        options.retry_ms = 40;
        options.retries = 50;
    });
    let watcher = Watcher::subscribe(mosquitto.port, "up/#");
    let lossy = Lossy::start(gateway.address, 0x9e37_79b9_7f4a_7c15);
    let mut node = Node::new(lossy.address);
    node.retry = Duration::from_millis(40);
    node.connect("n", true, 60);
    let up = node.register("up/x");
    let down = node.subscribe("down/x", QoS::ExactlyOnce);
    for number in 0..200 {
        watcher.publish("down/x", &number.to_string(), WireQoS::ExactlyOnce);
        let payload = number.to_string();
        let answer = node.publish(QoS::ExactlyOnce, up, payload.as_bytes());
        assert_eq!(answer, ReturnCode::Accepted);
    }
    node.take_messages(200);
    let expected: Vec<_> = (0..200).map(|number| (down, number.to_string())).collect();
    assert_eq!(node.messages, expected);
    for number in 0..200 {
        assert_eq!(watcher.next_text().1, number.to_string());
    }
    assert!(watcher.rest().is_empty());
}
