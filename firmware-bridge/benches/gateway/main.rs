//! What the gateway can do: one node, fifty, a burst, ten thousand, and a thousand sleepers.
//!
//! `cargo bench -p weir-firmware-bridge --bench gateway` measures with a broker that answers at
//! once, in this process, and with mosquitto if it is installed. With `WEIR_BIN=target/release/weir`
//! it measures the gateway inside that program, too. Every message is checked to have arrived; what is
//! printed is time and memory.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use weir_firmware_bridge::gateway::{Gateway, Input, LinkId, LinkOptions, Options, Peer};
use weir_firmware_bridge::link::udp::UdpOptions;
use weir_firmware_bridge::run::{LinkConfig, Runner};
use weir_firmware_bridge::session::Broker;
use weir_firmware_bridge::tcp::TcpBroker;
use weir_node::mqtt_sn_1_2::{
    Connect, Delivery, MessageId, Packet, Publish, Register, TopicId, TopicRef,
};

use self::inside::Weir;
use self::instant::InstantBroker;

mod inside;
mod instant;

fn main() {
    // Cargo passes `--bench`; anything else is not known here.
    let published = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&published);
    measure("instant broker", &published, move |_| InstantBroker::new(counter));
    if Path::new(MOSQUITTO).is_file() {
        let port = free_port();
        let mosquitto = Mosquitto::start(port);
        let published = Arc::new(AtomicU64::new(0));
        let watcher = watch(port, Arc::clone(&published));
        measure("mosquitto", &published, move |runtime| {
            TcpBroker::new(runtime, "127.0.0.1", port, None, 20_000)
        });
        drop((watcher, mosquitto));
    }
    memory_of(10_000);
    if let Some(program) = std::env::var_os("WEIR_BIN") {
        let weir = Weir::start(Path::new(&program));
        let published = Arc::new(AtomicU64::new(0));
        let watcher = watch(weir.port, Arc::clone(&published));
        measure_at("inside weir", weir.gateway, &published);
        drop(watcher);
        memory_inside(&weir, 5_000);
    }
}

fn measure<B: Broker + Send + 'static>(
    name: &str,
    published: &Arc<AtomicU64>,
    broker: impl FnOnce(Handle) -> B + Send + 'static,
) {
    let gateway = Running::start(broker);
    measure_at(name, gateway.address, published);
    gateway.stop();
}

fn measure_at(name: &str, address: SocketAddr, published: &Arc<AtomicU64>) {
    let one = back_to_back(address, "one", 20_000);
    report(name, "1 node, QoS 1 back to back", one);
    let started = Instant::now();
    let nodes: Vec<_> = (0..50)
        .map(|number| thread::spawn(move || back_to_back(address, &format!("n{number}"), 1_000)))
        .collect();
    let mut latencies: Vec<_> = nodes.into_iter().flat_map(|node| node.join().unwrap().1).collect();
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    report(name, "50 nodes, QoS 1 back to back", (elapsed, latencies));
    let before = wait_until_steady(published);
    let started = Instant::now();
    let node = Node::connected(address, "burst");
    (0..5_000).for_each(|_| node.send(publish(Delivery::AtMostOnce)));
    let sent = started.elapsed();
    let arrived = wait_until_steady(published) - before;
    println!("{name}: burst of 5000 QoS 0 sent in {sent:?}: {arrived} arrived");
}

fn report(name: &str, what: &str, (elapsed, latencies): (Duration, Vec<Duration>)) {
    let rate = latencies.len() as f64 / elapsed.as_secs_f64();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{name}: {what}: {rate:.0}/s, median {:?}, p99 {:?}", at(0.5), at(0.99));
}

/// Publishes one message after the other; how long it took, and each of them, sorted.
fn back_to_back(gateway: SocketAddr, client_id: &str, count: u16) -> (Duration, Vec<Duration>) {
    let node = Node::connected(gateway, client_id);
    let mut latencies = Vec::new();
    let started = Instant::now();
    for message_id in 1..=count {
        let message_id = MessageId(message_id);
        let asked = Instant::now();
        node.send(publish(Delivery::AtLeastOnce { message_id, dup: false }));
        node.receive(
            |packet| matches!(packet, Packet::Puback(puback) if puback.message_id == message_id),
        );
        latencies.push(asked.elapsed());
    }
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    (elapsed, latencies)
}

fn publish(delivery: Delivery) -> Packet<'static> {
    let topic = TopicRef::Normal(TopicId(1));
    let payload = br#"{"temperature_c":21.5}"#;
    Packet::Publish(Publish { delivery, retain: false, topic, payload })
}

/// Resident memory of so many clients with a topic each, in the gateway alone.
fn memory_of(clients: u32) {
    let mut options = options();
    options.clients_max = clients as usize;
    let mut broker = InstantBroker::new(Arc::default());
    let before = resident_kib();
    let mut gateway = Gateway::new(options, 0);
    broker.serve(&mut gateway, 0);
    let mut send = |gateway: &mut Gateway, number: u32, packet: Packet<'_>| {
        let peer = Peer::Udp(SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 10_000)));
        let bytes = encoded(packet);
        gateway.handle(0, Input::Datagram { link: LinkId(0), peer, bytes: &bytes });
        broker.serve(gateway, 0);
    };
    for number in 0..clients {
        let client_id = format!("node-{number:05}");
        send(&mut gateway, number, connect(&client_id));
        let topic = format!("site/hall/{client_id}/state");
        send(&mut gateway, number, register(&topic));
        send(&mut gateway, number, publish(Delivery::AtMostOnce));
    }
    assert_eq!(gateway.gauges().clients, clients as usize);
    let kib = resident_kib() - before;
    println!("gateway: {clients} clients take {:.1} MiB", kib as f64 / 1_024.0);
}

/// Resident memory of so many clients with a topic each, in the gateway and in the broker around it.
fn memory_inside(weir: &Weir, clients: u32) {
    let before = resident_kib_of(weir.id());
    let connected = |number| Node::connected(weir.gateway, &format!("node-{number:05}"));
    let nodes: Vec<Node> = (0..clients).map(connected).collect();
    let kib = resident_kib_of(weir.id()) - before;
    println!("inside weir: {} clients take {:.1} MiB", nodes.len(), kib as f64 / 1_024.0);
}

fn resident_kib() -> u64 {
    resident_kib_of(std::process::id())
}

fn resident_kib_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn options() -> Options {
    let mut options = Options::new("bench");
    options.links = vec![LinkOptions::udp("udp0")];
    options
}

fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect(Connect { clean_session: true, will: false, duration_s: 600, client_id })
}

fn register(topic: &str) -> Packet<'_> {
    Packet::Register(Register { topic_id: TopicId(0), message_id: MessageId(1), topic })
}

fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len().unwrap()];
    packet.encode(&mut bytes).unwrap();
    bytes
}

struct Node(UdpSocket);

impl Node {
    /// With topic id 1.
    fn connected(gateway: SocketAddr, client_id: &str) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(gateway).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let node = Self(socket);
        let accepted =
            |packet: &Packet<'_>| matches!(packet, Packet::Connack(code) if code.code() == 0);
        loop {
            node.send(connect(client_id));
            let mut is_accepted = false;
            node.receive(|packet| {
                is_accepted = accepted(packet);
                matches!(packet, Packet::Connack(_))
            });
            if is_accepted {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        node.send(register(&format!("bench/{client_id}")));
        node.receive(|packet| matches!(packet, Packet::Regack(_)));
        node
    }

    fn send(&self, packet: Packet<'_>) {
        self.0.send(&encoded(packet)).unwrap();
    }

    fn receive(&self, mut is_it: impl FnMut(&Packet<'_>) -> bool) {
        let mut bytes = [0; 1_500];
        loop {
            let length = self.0.recv(&mut bytes).expect("the gateway answers");
            if is_it(&Packet::decode(&bytes[..length]).unwrap()) {
                return;
            }
        }
    }
}

/// A gateway in a thread of its own.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    fn start<B: Broker + Send + 'static>(
        broker: impl FnOnce(Handle) -> B + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.unwrap().block_on(async {
                let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let links = vec![LinkConfig::Udp(UdpOptions { bind, multicast: None })];
                let broker = broker(Handle::current());
                let runner = Runner::open(options(), links, None, broker).unwrap();
                tell.send(runner.local_address(LinkId(0)).unwrap()).unwrap();
                let shutdown = async {
                    let _ = stopped.await;
                };
                runner.run(shutdown).await.unwrap();
            });
        });
        Self { address: told.recv().unwrap(), stop, thread }
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

struct Mosquitto(Child);

impl Mosquitto {
    fn start(port: u16) -> Self {
        let child = Command::new(MOSQUITTO)
            .args(["-p", &port.to_string()])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts what arrives at the broker.
fn watch(port: u16, arrived: Arc<AtomicU64>) -> rumqttc::Client {
    let options = rumqttc::MqttOptions::new("watcher", "127.0.0.1", port);
    let (client, mut connection) = rumqttc::Client::new(options, 10);
    let subscriber = client.clone();
    thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))) => {
                    let qos = rumqttc::QoS::AtMostOnce;
                    subscriber.try_subscribe("bench/#", qos).unwrap();
                }
                Ok(rumqttc::Event::Incoming(rumqttc::Packet::Publish(_))) => {
                    arrived.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => {}
                // It may not be listening yet; in the end it is gone.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    });
    client
}

/// The count once it has not changed for a while.
fn wait_until_steady(count: &AtomicU64) -> u64 {
    let mut last = count.load(Ordering::Relaxed);
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = count.load(Ordering::Relaxed);
        if now == last {
            return now;
        }
        last = now;
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

const MOSQUITTO: &str = "/usr/sbin/mosquitto";
