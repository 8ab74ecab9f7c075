//! Wrong input to the real binary, each with what the operator reads: what happened, where, why,
//! and what to do next.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use weir_mqtt::{QoS, Version};
use weir_tests::harness::client::Client;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::{Ended, Stream};
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::Weir;
use weir_tests::sim::random::Random;

const LISTENER: &str = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                        [auth]\nallow_anonymous = true\n";

/// What `weir run` says about a configuration, with the place of the folder left out.
fn refused(folder: &Folder, config: &str) -> String {
    let config = folder.write("weir.toml", config);
    let Ended { status, stdout, stderr } = Weir::spawn(&config).ended();
    assert_eq!((status.code(), stdout.as_str()), (Some(2), ""), "{stderr}");
    stderr.replace(&format!("{}/", folder.path().display()), "")
}

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "`{line}` is missing in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_file_that_is_not_toml_is_shown_with_the_place() {
    let folder = Folder::new("broken");
    let said = refused(&folder, "data_dir = \"data\n[limits]\n");
    assert_says(&said, &["error[C001]", "--> weir.toml:1:", "1 | data_dir = \"data"]);
}

#[test]
fn an_unknown_key_comes_with_the_nearest_one() {
    let folder = Folder::new("unknown-key");
    let said = refused(&folder, "[limits]\nmax_inflight_mesages = 20\n");
    let lines = [
        "error[C002]: unknown key `max_inflight_mesages`",
        "--> weir.toml:2:1",
        "2 | max_inflight_mesages = 20",
        "  | ^^^^^^^^^^^^^^^^^^^^",
        "help: did you mean `max_inflight_messages`?",
    ];
    assert_says(&said, &lines);
}

#[test]
fn a_typo_in_a_rule_is_shown_in_its_file() {
    let folder = Folder::new("rule");
    let rule = "[rule.mean]\nfrom = \"room/{room}\"\nby = [\"room\"]\nwindow = \"tumbling 1m\"\n\
                select = { mean = \"avgg(value)\" }\nto = \"agg/{room}\"\n";
    folder.write("rules/mean.toml", rule);
    let said = refused(&folder, &format!("rules = [\"rules/*.toml\"]\n{LISTENER}"));
    let lines = [
        "error[R014]: unknown function `avgg`",
        "--> rules/mean.toml:5:20",
        "5 | select = { mean = \"avgg(value)\" }",
        "help: did you mean `avg`?",
    ];
    assert_says(&said, &lines);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new("port");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&folder, &LISTENER.replace("127.0.0.1:0", &address));
    let listen = format!("cannot listen on {address}");
    assert_says(&said, &[&listen, "another program listens there", "choose another port"]);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let folder = Folder::new("unwritable");
    // Below a file, because a user who may do everything may write into every directory.
    folder.write("file", "");
    let said = refused(&folder, &LISTENER.replace("\"data\"", "\"file/data\""));
    assert_says(&said, &["file/data", "set `data_dir` to another"]);
}

#[test]
fn a_store_that_is_damaged_is_not_started_with_if_it_is_to_be_refused() {
    let folder = Folder::new("corrupt");
    let config = folder.write("weir.toml", LISTENER);
    let weir = Weir::start(&config);
    let mut publisher = Publisher::new("publisher", Version::V5, 20);
    publisher.connect(weir.address()).unwrap();
    publisher.publish((0..500).map(|number| Message {
        topic: format!("kept/{number}"),
        payload: vec![b'x'; 500],
        qos: QoS::AtLeastOnce,
        retain: true,
        ..Message::default()
    }));
    weir.stop();

    let store = folder.path().join("data/weir.redb");
    let whole = fs::read(&store).unwrap();
    let mut damaged = whole.clone();
    for place in (8192..damaged.len()).step_by(4096) {
        damaged[place..place + 64].fill(0xa5);
    }
    fs::write(&store, &damaged).unwrap();
    let refuse = format!("{LISTENER}[store]\non_damage = \"refuse\"\n");
    let said = refused(&folder, &refuse);
    let way_out = "restore a backup, or set `on_damage = \"salvage\"`";
    assert_says(
        &said,
        &["data/weir.redb", "corrupt", "the list of the tables is damaged", way_out],
    );
    assert_eq!(fs::read(&store).unwrap().len(), damaged.len(), "what is damaged is not cut off");

    // Cut off in the middle, as by a full disk.
    fs::write(&store, &whole[..whole.len() / 2]).unwrap();
    let said = refused(&folder, &refuse);
    assert_says(&said, &["data/weir.redb", way_out]);

    fs::write(&store, &whole).unwrap();
    folder.write("weir.toml", LISTENER);
    Weir::start(&config).stop();
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let folder = Folder::new("foreign");
    let text = "name,value\nroom/1,21.5\n".repeat(1000);
    let store = folder.write("data/weir.redb", &text);
    let said = refused(&folder, LISTENER);
    assert_says(&said, &["data/weir.redb is not a store of weir", "move it away"]);
    assert_eq!(fs::read_to_string(store).unwrap(), text);
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let folder = Folder::new("second");
    let weir = Weir::start(&folder.write("first.toml", LISTENER));
    let said = refused(&folder, LISTENER);
    assert_says(&said, &["data/weir.redb", "in use by another process", "stop the other weir"]);
    // The first one does not notice.
    let mut publisher = Publisher::new("publisher", Version::V311, 20);
    publisher.connect(weir.address()).unwrap();
    publisher.publish([message("still/there", "1")]);
    weir.stop();
}

#[test]
fn garbage_on_the_socket_reaches_nobody_else() {
    let folder = Folder::new("garbage");
    let weir = Weir::start(&folder.write("weir.toml", LISTENER));
    let mut subscriber = Subscriber::new("subscriber", Version::V5, "good/#");
    subscriber.connect(weir.address()).unwrap();
    let mut publisher = Publisher::new("publisher", Version::V311, 20);
    publisher.connect(weir.address()).unwrap();
    let mut random = Random::new(7);
    let pieces = garbage(&mut random);
    for (number, piece) in pieces.iter().enumerate() {
        send_garbage(weir.address(), piece);
        publisher.publish([message("good/news", &number.to_string())]);
        let Arrival::Message(arrived) = subscriber.receive(LIMIT) else {
            panic!("a good client lost its connection after {piece:02x?}");
        };
        assert_eq!(arrived.payload, number.to_string().into_bytes());
    }
    let said = weir.process().said(Stream::Stderr);
    assert!(!said.contains("panicked") && !said.contains("ERROR"), "{said}");
    weir.stop();
}

fn message(topic: &str, payload: &str) -> Message {
    let payload = payload.as_bytes().to_vec();
    Message { topic: topic.to_owned(), payload, qos: QoS::AtLeastOnce, ..Message::default() }
}

/// What arrives on port 1883 of a machine that others can reach, and worse.
fn garbage(random: &mut Random) -> Vec<Vec<u8>> {
    const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05stray";
    let connected = |rest: &[u8]| [CONNECT, rest].concat();
    let mut pieces = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        // A packet before CONNECT, the half of a CONNECT, one of 256 MB.
        b"\x30\x05\x00\x01a21".to_vec(),
        CONNECT[..9].to_vec(),
        b"\x10\xff\xff\xff\x7f".to_vec(),
        // A length that never ends, another protocol, another version.
        b"\x10\xff\xff\xff\xff\xff".to_vec(),
        b"\x10\x0d\x00\x04AMQP\x04\x02\x00\x00\x00\x01a".to_vec(),
        b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x01a".to_vec(),
        // CONNECT twice, a wildcard in a topic name, reserved flags, a topic that is not UTF-8,
        // identifier zero, an acknowledgement of nothing, a packet only servers send.
        connected(CONNECT),
        connected(b"\x30\x04\x00\x01#x"),
        connected(b"\x36\x05\x00\x01a\x00\x01"),
        connected(b"\x30\x05\x00\x02\xc3\x28x"),
        connected(b"\x32\x05\x00\x01a\x00\x00"),
        connected(b"\x40\x02\x12\x34"),
        connected(b"\xd0\x00"),
    ];
    let mut slashes = vec![b'/'; 10_000];
    slashes.push(0);
    let subscribe = [b"\x82\x95\x4e\x00\x01\x27\x10".as_slice(), &slashes].concat();
    pieces.push(connected(&subscribe));
    pieces.extend((0..200).map(|_| {
        let length = random.below(300);
        let bytes = (0..length).map(|_| random.below(256) as u8).collect::<Vec<_>>();
        if random.chance(50) { connected(&bytes) } else { bytes }
    }));
    pieces
}

/// Sends it and hangs up, which the broker may do first.
fn send_garbage(address: SocketAddr, piece: &[u8]) {
    let mut client = Client::open(address, Version::V311).unwrap();
    let _ = client.send_bytes(piece);
}
