//! A gateway that is killed: a process of its own, which is this test program again.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rumqttc::QoS as WireQoS;
use tokio::runtime::Builder;
use weir_firmware_bridge::gateway::LinkId;
use weir_firmware_bridge::link::udp::UdpOptions;
use weir_firmware_bridge::run::{LinkConfig, Runner};
use weir_firmware_bridge::tcp::TcpBroker;
use weir_node::mqtt_sn_1_2::{QoS, ReturnCode};

use crate::node::Node;
use crate::running::{Folder, Mosquitto, options};
use crate::watcher::Watcher;

const BROKER: &str = "WEIR_TEST_GATEWAY_BROKER";
const BIND: &str = "WEIR_TEST_GATEWAY_BIND";
const STATE: &str = "WEIR_TEST_GATEWAY_STATE";

struct Process(Child, SocketAddr);

impl Process {
    fn start(port: u16, bind: &str, state: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::gateway_of_its_own", "--nocapture", "--ignored"])
            .env(BROKER, port.to_string())
            .env(BIND, bind)
            .env(STATE, state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .find_map(|line| line.unwrap().split_once("listens on ").map(|(_, a)| a.to_owned()))
            .expect("it says where it listens");
        // What it says later is read too, or it would end.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address.parse().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: the program that the others start and kill.
#[test]
#[ignore = "started by other tests, with what it needs in its environment"]
fn gateway_of_its_own() {
    let variable = |name| env::var(name).expect("started by another test");
    let port = variable(BROKER).parse().unwrap();
    let bind = variable(BIND).parse().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let broker =
            TcpBroker::new(tokio::runtime::Handle::current(), "127.0.0.1", port, None, 20_000);
        let links = vec![LinkConfig::Udp(UdpOptions { bind, multicast: None })];
        let state = Some(PathBuf::from(variable(STATE)));
        let runner = Runner::open(options(|_| {}), links, state, broker).unwrap();
        println!("listens on {}", runner.local_address(LinkId(0)).unwrap());
        runner.run(std::future::pending()).await.unwrap();
    });
}

/// Behaviour 27.
#[test]
fn sleepers_ids_and_queued_messages_survive() {
    const SLEEPERS: usize = 20;
    const MESSAGES: usize = 200;
    let Some(mosquitto) = Mosquitto::start("killed") else { return };
    let folder = Folder::new();
    let state = folder.path().join("state");
    let process = Process::start(mosquitto.port, "127.0.0.1:0", &state);
    let address = process.1;
    let watcher = Watcher::subscribe(mosquitto.port, "up/#");
    let mut active = Node::connected(address, "active", false);
    let up = active.register("up/x");
    let mut sleepers: Vec<_> = (0..SLEEPERS)
        .map(|number| {
            let mut node = Node::connected(address, &format!("s{number}"), false);
            node.subscribe("down/#", QoS::AtLeastOnce);
            node.sleep(600);
            node
        })
        .collect();
    // Half before it is killed, half while it is gone.
    let publish = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            watcher.publish("down/x", &number.to_string(), WireQoS::AtLeastOnce);
        }
    };
    publish(0..MESSAGES / 2);
    process.kill();
    publish(MESSAGES / 2..MESSAGES);
    let process = Process::start(mosquitto.port, &address.to_string(), &state);
    assert_eq!(process.1, address);
    // It does not know that anything happened.
    while active.publish(QoS::AtLeastOnce, up, b"x") != ReturnCode::Accepted {}
    watcher.wait_for("up/x", "x");
    let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    for (number, sleeper) in sleepers.iter_mut().enumerate() {
        // Messages go on coming for as long as the broker has some.
        while sleeper.messages.len() < MESSAGES {
            sleeper.wake(&format!("s{number}"));
        }
        let texts = sleeper.messages.iter().map(|(_, text)| text.clone());
        let mut texts: Vec<_> = texts.collect();
        // Of QoS 1, a message may come again when an acknowledgement is late.
        texts.dedup();
        assert_eq!(texts, expected, "s{number}");
    }
}
