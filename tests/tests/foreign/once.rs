//! The consumer of docs/examples that takes each message once.

use std::path::Path;
use std::process::Command;

use weir_mqtt::{QoS, Version};
use weir_tests::harness::foreign::python;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::workspace;

use crate::broker;

const COUNT: u64 = 300;

fn consumer(python: &Path, port: u16, db: &Path) -> Process {
    let script = workspace().join("docs/examples/once.py");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).args(["127.0.0.1", &port.to_string(), "far/#"]).arg(db);
    let process = Process::spawn(&mut command);
    let connected = process.wait_for(Stream::Stdout, "connected: Success", LIMIT);
    assert!(connected.is_some(), "{process:?}");
    process
}

/// Number and sum of what the consumer has.
fn account(python: &Path, db: &Path) -> String {
    let script = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(\
                  'SELECT count(*), coalesce(sum(CAST(payload AS INTEGER)), 0) FROM message')\
                  .fetchone())";
    let ended = Process::spawn(Command::new(python).args(["-c", script]).arg(db)).wait(LIMIT);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout.trim().to_owned()
}

/// What a gateway sends again after an outage, and a consumer that is killed meanwhile.
#[test]
fn the_documented_consumer_takes_each_message_once() {
    let Some(python) = python("the consumer of docs/examples", "paho2") else { return };
    let (folder, weir) = broker("once");
    let db = folder.path().join("once.db");
    let mut gateway = Publisher::new("gateway", Version::V5, 20);
    gateway.connect(weir.address()).unwrap();
    let message = |number: u64| Message {
        topic: "far/a".to_owned(),
        payload: number.to_string().into_bytes(),
        qos: QoS::AtLeastOnce,
        user_properties: vec![("id".to_owned(), format!("gateway-{number}"))],
        ..Message::default()
    };
    let mut running = consumer(&python, weir.address().port(), &db);
    // It has subscribed once the first message has come.
    until("the first message", || {
        gateway.publish([message(1)]);
        (account(&python, &db) == "1 1").then_some(())
    });
    for begin in (2..=COUNT).step_by(100) {
        let all = begin..(begin + 100).min(COUNT + 1);
        gateway.publish(all.clone().map(message));
        gateway.publish(all.filter(|number| number % 3 == 0).map(message));
        running.kill();
        running = consumer(&python, weir.address().port(), &db);
    }
    let expected = format!("{COUNT} {}", COUNT * (COUNT + 1) / 2);
    until("every message", || (account(&python, &db) == expected).then_some(()));
    running.kill();
    weir.stop();
}
