//! Three boxes and one nats-server, each a process of its own that can be killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use weir_mqtt::{QoS, Version};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::nats_server::NatsServer;
use weir_tests::harness::process::Stream;
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::{Weir, weir};

/// A box of the fleet.
struct Member {
    config: PathBuf,
    weir: Option<Weir>,
}

impl Member {
    fn start(folder: &Folder, directory: &str, name: &str, server: SocketAddr) -> Self {
        let text = format!(
            "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[auth]\n\
             allow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n[fleet]\n\
             address = [\"{server}\"]\nname = \"{name}\"\nrestart_timeout = \"100ms 1s\"\n"
        );
        let config = folder.write(&format!("{directory}/weir.toml"), text);
        let mut member = Self { config, weir: None };
        member.start_again();
        member
    }

    fn start_again(&mut self) {
        self.weir = Some(Weir::start(&self.config));
    }

    fn kill(&mut self) {
        self.weir.take().unwrap().kill();
    }

    fn weir(&self) -> &Weir {
        self.weir.as_ref().unwrap()
    }

    fn status(&self) -> Value {
        let admin = self.weir().admin_address().to_string();
        let status = weir(&["status", "--json", "--admin", &admin]);
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        status
    }

    /// What the status says of the fleet, once it is as wanted.
    fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || Some(self.status()["fleet"].take()).filter(&is))
    }

    /// Waits until this box knows that others are here and how many filters each wants.
    fn knows(&self, others: &[(&str, u64)]) {
        let is_known = |fleet: &Value, (name, filters): &(&str, u64)| {
            let boxes = fleet["boxes"].as_array().unwrap();
            let found = boxes.iter().find(|one| one["name"] == *name);
            found.is_some_and(|one| one["is_here"] == true && one["filters"] == *filters)
        };
        self.until("the others are known", |fleet| others.iter().all(|one| is_known(fleet, one)));
    }

    fn publisher(&self, id: &str) -> Publisher {
        let mut publisher = Publisher::new(id, Version::V5, 50);
        publisher.connect(self.weir().address()).unwrap();
        publisher
    }

    /// Everything that is retained here.
    fn retained(&self) -> BTreeMap<String, String> {
        let mut looks = Subscriber::brief("looks", &["#", "end-of-look"]);
        looks.connect(self.weir().address()).unwrap();
        let mut found = BTreeMap::new();
        let mut end = self.publisher("end-of-look");
        end.publish([message("end-of-look", "x", QoS::AtLeastOnce, false)]);
        loop {
            match looks.receive(LIMIT) {
                Arrival::Message(one) if one.topic == "end-of-look" => return found,
                Arrival::Message(one) => {
                    found.insert(one.topic, String::from_utf8(one.payload).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn until_retained(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(topic, text)| (topic.to_string(), text.to_string())).collect();
        until(&format!("{expected:?} is retained"), || (self.retained() == expected).then_some(()));
    }
}

fn fleet(name: &str) -> Option<(Folder, NatsServer, [Member; 3])> {
    let program = program("fleet", "nats-server")?;
    let folder = Folder::new(name);
    let server = NatsServer::start(program, &folder);
    let members = ["a", "b", "c"].map(|one| Member::start(&folder, one, one, server.address()));
    Some((folder, server, members))
}

fn message(topic: &str, payload: &str, qos: QoS, retain: bool) -> Message {
    Message { topic: topic.into(), payload: payload.into(), qos, retain, ..Message::default() }
}

fn numbered(topic: &str, numbers: std::ops::Range<u32>) -> impl Iterator<Item = Message> {
    numbers.map(move |n| message(topic, &n.to_string(), QoS::AtLeastOnce, false))
}

fn take(subscriber: &mut Subscriber, count: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    while payloads.len() < count {
        match subscriber.receive(LIMIT) {
            Arrival::Message(one) => payloads.push(String::from_utf8(one.payload).unwrap()),
            other => panic!("{other:?} after {payloads:?}"),
        }
    }
    payloads
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

fn count(fleet: &Value, name: &str) -> u64 {
    fleet[name].as_u64().unwrap()
}

#[test]
fn a_message_leaves_its_box_once_for_each_box_that_wants_it() {
    let Some((_folder, _server, [a, b, c])) = fleet("fleet-interest") else { return };
    let mut there = Subscriber::new("there", Version::V5, "wanted/#");
    there.connect(b.weir().address()).unwrap();
    a.knows(&[("b", 1), ("c", 0)]);
    let mut publisher = a.publisher("p");
    publisher.publish(numbered("nobody", 0..50));
    publisher.publish(numbered("wanted/1", 0..50));
    assert_eq!(take(&mut there, 50), texts(0..50));
    let status = a.until("all is stored", |fleet| count(fleet, "acknowledged") == 50);
    assert_eq!((count(&status, "sent"), count(&status, "depth")), (50, 0), "{status}");
    let others = [b, c].map(|one| one.until("it has come", |fleet| fleet["is_connected"] == true));
    assert_eq!(others.each_ref().map(|one| count(one, "received")), [50, 0]);
    assert_eq!(others.each_ref().map(|one| count(one, "sent")), [0, 0]);
}

#[test]
fn boxes_that_all_want_everything_come_to_rest() {
    let Some((_folder, _server, members)) = fleet("fleet-loops") else { return };
    let mut subscribers = Vec::new();
    for member in &members {
        let mut subscriber = Subscriber::brief("everything", &["#"]);
        subscriber.connect(member.weir().address()).unwrap();
        subscribers.push(subscriber);
    }
    for (member, others) in members.iter().zip([["b", "c"], ["a", "c"], ["a", "b"]]) {
        member.knows(&others.map(|name| (name, 1)));
    }
    for (n, member) in members.iter().enumerate() {
        let from = n as u32 * 20;
        member.publisher("p").publish(numbered("t", from..from + 20));
    }
    for subscriber in &mut subscribers {
        let mut payloads = take(subscriber, 60);
        payloads.sort_by_key(|text| text.parse::<u32>().unwrap());
        assert_eq!(payloads, texts(0..60));
    }
    for member in &members {
        let status = member.until("it rests", |fleet| count(fleet, "depth") == 0);
        let counts = ["sent", "received", "repeated"].map(|name| count(&status, name));
        assert_eq!(counts, [40, 40, 0], "{status}");
        assert_eq!(subscribers.remove(0).receive(Duration::from_millis(300)), Arrival::Nothing);
    }
}

#[test]
fn a_box_that_was_killed_gets_what_its_sessions_missed_once_each() {
    let Some((_folder, _server, [a, mut b, c])) = fleet("fleet-killed") else { return };
    let mut there = Subscriber::new("there", Version::V5, "t/#");
    there.connect(b.weir().address()).unwrap();
    a.knows(&[("b", 1)]);
    c.knows(&[("b", 1)]);
    let mut publisher = a.publisher("p");
    publisher.publish(numbered("t/1", 0..20));
    assert_eq!(take(&mut there, 20), texts(0..20));
    b.kill();
    publisher.publish(numbered("t/1", 20..120));
    c.publisher("p").publish([message("t/retained", "x", QoS::AtLeastOnce, true)]);
    a.until("it is missed", |fleet| {
        fleet["boxes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "b" && one["is_here"] == false)
    });
    let stderr = a.weir().process().said(Stream::Stderr);
    assert!(stderr.contains("nothing is heard of a box of the fleet"), "{stderr}");
    b.start_again();
    there.disconnect();
    there.connect(b.weir().address()).unwrap();
    // What the session had acknowledged last may come again after a kill, which the fleet has
    // nothing to do with: that was not written yet.
    let mut missed = Vec::new();
    while missed.len() < 101 {
        let payload = take(&mut there, 1).remove(0);
        if payload.parse::<u32>().map_or(true, |n| n >= 20) {
            missed.push(payload);
        }
    }
    assert_eq!(missed.iter().filter(|text| *text == "x").count(), 1);
    missed.retain(|text| text != "x");
    assert_eq!(missed, texts(20..120));
    assert_eq!(there.receive(Duration::from_millis(300)), Arrival::Nothing);
    b.until_retained(&[("t/retained", "x")]);
    a.knows(&[("b", 1)]);
}

#[test]
fn what_is_retained_is_complete_after_a_box_or_the_server_was_away() {
    let Some((_folder, mut server, [a, mut b, c])) = fleet("fleet-retained") else { return };
    let retain = |member: &Member, topic: &str, text: &str| {
        member.publisher("p").publish([message(topic, text, QoS::AtLeastOnce, true)]);
    };
    retain(&a, "stays", "1");
    retain(&a, "changes", "1");
    retain(&b, "goes", "1");
    for member in [&a, &b, &c] {
        member.until_retained(&[("changes", "1"), ("goes", "1"), ("stays", "1")]);
    }
    b.kill();
    retain(&c, "goes", "");
    retain(&a, "changes", "2");
    retain(&a, "comes", "2");
    b.start_again();
    for member in [&a, &b, &c] {
        member.until_retained(&[("changes", "2"), ("comes", "2"), ("stays", "1")]);
    }
    server.kill();
    retain(&a, "changes", "3");
    retain(&b, "stays", "");
    retain(&c, "late", "3");
    // The later one is what all have, whoever reaches the server first.
    retain(&c, "changes", "4");
    server.start_again();
    for member in [&a, &b, &c] {
        member.until_retained(&[("changes", "4"), ("comes", "2"), ("late", "3")]);
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_with_the_server() {
    let Some((_folder, mut server, [mut a, b, _c])) = fleet("fleet-outage") else { return };
    let mut there = Subscriber::new("there", Version::V5, "t");
    there.connect(b.weir().address()).unwrap();
    a.knows(&[("b", 1)]);
    let kept = a.config.with_file_name("data").join("fleet.json");
    until("what b wants is kept", || {
        std::fs::read_to_string(&kept).ok().filter(|text| text.contains("[\"t\"]"))
    });
    let mut publisher = a.publisher("p");
    publisher.publish(numbered("t", 0..100));
    server.kill();
    publisher.publish(numbered("t", 100..200));
    a.until("it waits", |fleet| count(fleet, "depth") >= 100);
    a.kill();
    a.start_again();
    // What the others want is known without the server.
    a.publisher("q").publish(numbered("t", 200..300));
    server.start_again();
    let mut payloads = take(&mut there, 300);
    payloads.dedup();
    assert_eq!(payloads, texts(0..300));
    assert_eq!(there.receive(Duration::from_millis(300)), Arrival::Nothing);
}

#[test]
fn a_second_box_of_the_same_name_is_told_and_takes_no_part() {
    let Some((folder, server, [a, _b, c])) = fleet("fleet-names") else { return };
    let mut there = Subscriber::new("there", Version::V5, "t");
    there.connect(c.weir().address()).unwrap();
    a.knows(&[("c", 1)]);
    let other = Member::start(&folder, "other", "c", server.address());
    let told = "another box of the fleet has the name `c`";
    let status = other.until("it is told", |fleet| {
        fleet["last_error"].as_str().is_some_and(|error| error.contains(told))
    });
    assert_eq!(status["is_connected"], false);
    let stderr = other.weir().process().said(Stream::Stderr);
    assert!(stderr.contains(told) && stderr.contains("give each box a `name`"), "{stderr}");
    a.publisher("p").publish(numbered("t", 0..50));
    assert_eq!(take(&mut there, 50), texts(0..50), "the first one goes on");
}
