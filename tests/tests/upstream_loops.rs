//! Boxes that forward everything to each other, and fetch everything from each other: what is
//! published at one comes to each of the others, and then there is silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use weir_mqtt::{QoS, Version};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::ports::free_address;
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::until;
use weir_tests::harness::weir::{Weir, weir};

/// Messages that are published at each box.
const MESSAGES: usize = 20;
/// Nothing goes from box to box any more when nothing has for so long: a message that goes round
/// takes some milliseconds.
const SILENCE: Duration = Duration::from_millis(500);

/// Boxes, each with its upstreams: the places of others.
struct Boxes {
    boxes: Vec<Box>,
    _folder: Folder,
}

struct Box {
    weir: Weir,
    publisher: Publisher,
    subscriber: Subscriber,
}

impl Boxes {
    fn start(name: &str, upstreams: &[&[usize]], way: &str) -> Self {
        let folder = Folder::new(name);
        let addresses: Vec<SocketAddr> = upstreams.iter().map(|_| free_address()).collect();
        let start = |place: usize| {
            let config = config(place, upstreams[place], &addresses, way);
            let weir = Weir::start(&folder.write(&format!("{place}/weir.toml"), config));
            let mut publisher = Publisher::new("sensor", Version::V5, 20);
            publisher.connect(weir.address()).unwrap();
            let mut subscriber = Subscriber::new("screen", Version::V5, "#");
            subscriber.connect(weir.address()).unwrap();
            Box { weir, publisher, subscriber }
        };
        let boxes: Vec<_> = (0..upstreams.len()).map(start).collect();
        let boxes = Self { boxes, _folder: folder };
        until("all upstreams connected", || {
            let mut states = boxes.upstreams();
            states.retain(|upstream| upstream["state"] != "connected");
            states.is_empty().then_some(())
        });
        boxes
    }

    /// The status of all upstreams of all boxes.
    fn upstreams(&self) -> Vec<serde_json::Value> {
        let status = |one: &Box| {
            let admin = one.weir.admin_address().to_string();
            let text = weir(&["status", "--json", "--admin", &admin]).stdout;
            let status: serde_json::Value = serde_json::from_str(&text).unwrap();
            status["upstreams"].as_array().unwrap().clone()
        };
        self.boxes.iter().flat_map(status).collect()
    }

    /// Publishes at each box in turn; answers once nothing goes from box to box any more.
    fn publish(&mut self) {
        for number in 0..MESSAGES {
            for (place, one) in self.boxes.iter_mut().enumerate() {
                one.publisher.publish([Message {
                    topic: format!("from/{place}"),
                    payload: number.to_string().into_bytes(),
                    qos: QoS::AtLeastOnce,
                    ..Message::default()
                }]);
            }
        }
        let (mut last, mut since) = (Vec::new(), Instant::now());
        until("silence between the boxes", || {
            let count = |upstream: &serde_json::Value| {
                ["sent", "received", "depth"].map(|name| upstream[name].as_u64().unwrap())
            };
            let now: Vec<_> = self.upstreams().iter().map(count).collect();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let waiting: u64 = last.iter().map(|counts| counts[2]).sum();
            (waiting == 0 && since.elapsed() >= SILENCE).then_some(())
        });
    }

    /// How often each box got each message of each box: the same for all of one, in a table.
    fn copies(&mut self) -> Vec<Vec<usize>> {
        let count = self.boxes.len();
        self.boxes.iter_mut().map(|one| one.copies(count)).collect()
    }
}

impl Box {
    fn copies(&mut self, boxes: usize) -> Vec<usize> {
        let mut came = BTreeMap::<(String, Vec<u8>), usize>::new();
        while let Arrival::Message(message) = self.subscriber.receive(Duration::from_millis(100)) {
            *came.entry((message.topic, message.payload)).or_default() += 1;
        }
        let of = |place: usize| {
            let topic = format!("from/{place}");
            let copies: Vec<usize> =
                came.iter().filter(|(key, _)| key.0 == topic).map(|(_, copies)| *copies).collect();
            if copies.is_empty() {
                return 0;
            }
            assert_eq!(copies.len(), MESSAGES, "{topic}");
            assert!(copies.iter().all(|one| *one == copies[0]), "{topic}: {came:?}");
            copies[0]
        };
        (0..boxes).map(of).collect()
    }
}

fn config(place: usize, upstreams: &[usize], addresses: &[SocketAddr], way: &str) -> String {
    let mut text = format!(
        "data_dir = \"data\"\n[[listener]]\naddress = \"{}\"\n[auth]\nallow_anonymous = true\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[log]\nlevel = \"error\"\n",
        addresses[place]
    );
    for other in upstreams {
        let address = addresses[*other];
        writeln!(text, "[upstream.to-{other}]\naddress = \"{address}\"").unwrap();
        writeln!(text, "remote_clientid = \"box-{place}\"\n{way}").unwrap();
        writeln!(text, "restart_timeout = \"20ms 100ms\"").unwrap();
    }
    text
}

const FORWARD: &str = "forward = [{ from = \"#\", to = \"{topic}\", qos = 1 }]";
const BOTH: &str = "forward = [{ from = \"#\", to = \"{topic}\", qos = 1 }]\n\
                    receive = [{ from = \"#\", to = \"{topic}\", qos = 1 }]";

/// Publishes, and again after everything has settled: nothing is left that would go round later.
fn copies(name: &str, upstreams: &[&[usize]], way: &str) -> Vec<Vec<usize>> {
    let mut boxes = Boxes::start(name, upstreams, way);
    boxes.publish();
    let first = boxes.copies();
    boxes.publish();
    assert_eq!(boxes.copies(), first, "the second time");
    first
}

#[test]
fn two_boxes_that_forward_everything_to_each_other_have_each_message_once() {
    assert_eq!(copies("loops-2", &[&[1], &[0]], FORWARD), [[1, 1], [1, 1]]);
}

#[test]
fn three_boxes_that_forward_everything_to_all_others_have_each_message_once() {
    let all = copies("loops-3", &[&[1, 2], &[0, 2], &[0, 1]], FORWARD);
    assert_eq!(all, [[1, 1, 1]; 3]);
}

/// It comes to the next box and no further.
#[test]
fn in_a_ring_a_message_is_forwarded_once() {
    let all = copies("loops-ring-forward", &[&[1], &[2], &[0]], FORWARD);
    assert_eq!(all, [[1, 0, 1], [1, 1, 0], [0, 1, 1]]);
}

#[test]
fn a_box_that_exchanges_everything_with_another_has_each_message_once() {
    for (version, name) in [("mqttv50", "5"), ("mqttv311", "311")] {
        let way = format!("bridge_protocol_version = \"{version}\"\n{BOTH}");
        let all = copies(&format!("loops-one-{name}"), &[&[1], &[]], &way);
        assert_eq!(all, [[1, 1], [1, 1]], "{version}");
    }
}

/// What one forwards the other receives by itself, too, and a message goes twice from box to box: so
/// some have it more than once, and then there is an end.
#[test]
fn two_boxes_that_exchange_everything_with_each_other_settle() {
    assert_eq!(copies("loops-2-both", &[&[1], &[0]], BOTH), [[2, 2], [2, 2]]);
}

#[test]
fn a_ring_of_three_that_exchanges_everything_settles() {
    let all = copies("loops-ring", &[&[1], &[2], &[0]], BOTH);
    assert_eq!(all, [[1, 1, 2], [2, 1, 1], [1, 2, 1]]);
}

#[test]
fn three_boxes_that_exchange_everything_with_all_others_settle() {
    let all = copies("loops-mesh", &[&[1, 2], &[0, 2], &[0, 1]], BOTH);
    assert_eq!(all, [[3, 5, 5], [5, 3, 5], [5, 5, 3]]);
}

/// The first has nothing of the others, and what it sends comes to the third by way of the second.
#[test]
fn what_was_received_can_be_received_from_there() {
    let receive = "receive = [{ from = \"#\", to = \"{topic}\", qos = 1 }]";
    let all = copies("loops-chain", &[&[], &[0], &[1]], receive);
    assert_eq!(all, [[1, 0, 0], [1, 1, 0], [1, 1, 1]]);
}
