//! `weir store` and a start with a damaged store: the real binary on real files.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use weir_mqtt::{QoS, Version};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::{Ended, Stream};
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, weir};

const CONFIG: &str = "data_dir = \"data\"\nsys_interval = 1\n\
                      [[listener]]\naddress = \"127.0.0.1:0\"\n\
                      [auth]\nallow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n";
const RETAINED: usize = 300;

/// A broker with retained messages, and a session for which some wait.
fn running(folder: &Folder) -> Weir {
    let weir = Weir::start(&folder.write("weir.toml", CONFIG));
    let mut sleeper = Subscriber::new("sleeper", Version::V5, "kept/#");
    sleeper.connect(weir.address()).unwrap();
    sleeper.disconnect();
    publish(weir.address(), (0..RETAINED).map(|number| format!("kept/{number}")));
    weir
}

fn publish(address: SocketAddr, topics: impl Iterator<Item = String>) {
    let mut publisher = Publisher::new("publisher", Version::V5, 20);
    publisher.connect(address).unwrap();
    publisher.publish(topics.map(|topic| Message {
        payload: format!("{topic} has 200 bytes {}", "x".repeat(180)).into_bytes(),
        topic,
        qos: QoS::AtLeastOnce,
        retain: true,
        ..Message::default()
    }));
}

fn store(folder: &Folder, command: &str, arguments: &[&str]) -> Ended {
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().unwrap();
    weir(&[&["store", command, "--data-dir", data_dir], arguments].concat())
}

#[track_caller]
fn assert_says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    for word in words {
        let said = ended.stdout.contains(word) || ended.stderr.contains(word);
        assert!(said, "`{word}` is missing in:\n{}\n{}", ended.stdout, ended.stderr);
    }
}

/// The topics of the retained messages that a broker has.
fn retained(address: SocketAddr) -> usize {
    let mut reader = Subscriber::brief("reader", &["kept/#", "end"]);
    reader.connect(address).unwrap();
    publish(address, ["end".to_owned()].into_iter());
    let mut count = 0;
    loop {
        match reader.receive(LIMIT) {
            Arrival::Message(message) if message.topic == "end" => return count,
            Arrival::Message(message) => {
                let begin = format!("{} has 200 bytes", message.topic);
                assert!(message.payload.starts_with(begin.as_bytes()), "{message:?}");
                count += 1;
            }
            other => panic!("{other:?} after {count} messages"),
        }
    }
}

#[test]
fn a_damaged_store_starts_with_what_is_left_and_says_so() {
    let folder = Folder::new("salvage");
    running(&folder).stop();
    let file = folder.path().join("data/weir.redb");
    let mut damaged = fs::read(&file).unwrap();
    // One message, as it is retained and as it waits, wherever its pages are.
    while let Some(place) = find(&damaged, b"kept/77 has 200 bytes") {
        damaged[place] ^= 0x20;
    }
    fs::write(&file, &damaged).unwrap();

    assert_says(&store(&folder, "verify", &[]), 1, &["pages are not what was written", "damaged"]);
    assert_says(&store(&folder, "info", &[]), 1, &["problem", "rows are lost"]);
    assert_says(&store(&folder, "compact", &[]), 2, &["is damaged", "weir store verify"]);
    let copy = folder.path().join("copy.redb");
    let backup = store(&folder, "backup", &[copy.to_str().unwrap()]);
    assert_says(&backup, 2, &["no copy was made", "is damaged"]);
    assert!(!copy.exists());

    let weir = Weir::start(&folder.path().join("weir.toml"));
    let mut status = Subscriber::brief("status", &["$SYS/broker/store/status"]);
    status.connect(weir.address()).unwrap();
    let Arrival::Message(told) = status.receive(LIMIT) else { panic!("no status") };
    assert_eq!(told.payload, b"salvaged");
    let left = retained(weir.address());
    assert!((RETAINED - 40..RETAINED).contains(&left), "{left} retained messages");
    let log = weir.process().said(Stream::Stderr);
    for word in ["the store was damaged", "rows of a damaged store are lost", ".corrupt-"] {
        assert!(log.contains(word), "`{word}` is missing in:\n{log}");
    }
    weir.stop();
    let verified = store(&folder, "verify", &[]);
    assert_says(&verified, 0, &["whole", "was damaged and put aside"]);
    let report = report(&folder.path().join("data"));
    assert!(report.contains("retained messages are gone until"), "{report}");
    let aside = fs::read_dir(folder.path().join("data")).unwrap();
    let aside = aside.map(|entry| entry.unwrap().path());
    let mut aside = aside.filter(|path| path.to_string_lossy().contains("weir.redb.corrupt-"));
    assert!(fs::read(aside.next().unwrap()).unwrap() == damaged);
    Weir::start(&folder.path().join("weir.toml")).stop();
}

fn report(data_dir: &Path) -> String {
    let mut entries = fs::read_dir(data_dir).unwrap().map(|entry| entry.unwrap().path());
    let report = entries.find(|path| path.to_string_lossy().contains("weir.report.corrupt-"));
    fs::read_to_string(report.unwrap()).unwrap()
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).rposition(|window| window == text)
}

#[test]
fn a_store_tells_what_it_holds() {
    let folder = Folder::new("store-info");
    running(&folder).stop();
    let info = store(&folder, "info", &[]);
    let words = ["retained              300", "starts           1", "sleeper", "spare"];
    assert_says(&info, 0, &words);
    let info = store(&folder, "info", &["--json"]);
    let words = ["\"table\":\"retained\",\"rows\":300", "\"queued\":300", "\"problems\":[]"];
    assert_says(&info, 0, &words);
    assert_says(&store(&folder, "verify", &[]), 0, &["whole", "every page and every row"]);
}

#[test]
fn a_store_is_exported_as_lines_of_json() {
    let folder = Folder::new("store-export");
    running(&folder).stop();
    let all = store(&folder, "export", &[]);
    assert_says(&all, 0, &[]);
    assert!(
        all.stdout.lines().all(|line| line.starts_with("{\"table\":\"") && line.ends_with('}'))
    );
    let of = |table: &str| {
        let begin = format!("{{\"table\":\"{table}\"");
        all.stdout.lines().filter(|line| line.starts_with(&begin)).count()
    };
    assert_eq!((of("session"), of("subscription")), (2, 1), "{}", all.stdout);
    assert_eq!((of("retained"), of("log")), (RETAINED, RETAINED));
    let words = ["\"client_id\":\"sleeper\"", "\"filter\":\"kept/#\"", "\"waits\":true"];
    assert_says(&all, 0, &words);

    let file = folder.path().join("retained.jsonl");
    let arguments = ["--table", "retained", "--output", file.to_str().unwrap()];
    assert_says(&store(&folder, "export", &arguments), 0, &[]);
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), RETAINED);
    // "kept/0 has" in base64.
    assert!(lines.contains("\"topic\":\"kept/0\",\"payload\":\"a2VwdC8wIGhhcy"), "{lines}");
    assert_says(&store(&folder, "export", &arguments), 2, &["cannot write", "File exists"]);
}

#[test]
fn a_copy_is_made_while_the_broker_runs_and_is_a_store() {
    let folder = Folder::new("store-backup");
    let weir = running(&folder);
    for command in ["info", "verify", "export", "compact"] {
        let refused = store(&folder, command, &[]);
        assert_says(&refused, 2, &["is in use", "a broker has it open", "weir store backup"]);
    }
    let admin = weir.admin_address().to_string();
    let copy = folder.path().join("copy.redb");
    let copy = copy.to_str().unwrap();
    assert_says(
        &store(&folder, "backup", &[copy, "--admin", &admin]),
        0,
        &["a copy of the broker"],
    );
    let again = store(&folder, "backup", &[copy, "--admin", &admin]);
    assert_says(&again, 2, &["is there already"]);
    publish(weir.address(), (0..20).map(|number| format!("later/{number}")));
    weir.kill();

    let verify = weir_tests::harness::weir::weir(&["store", "verify", copy]);
    assert_says(&verify, 0, &["whole"]);
    let info = weir_tests::harness::weir::weir(&["store", "info", copy]);
    assert_says(&info, 0, &["retained              300", "sleeper"]);
    // Nothing but the copy was left behind.
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 3);

    // A broker starts with it, and what waited waits.
    let restored = Folder::new("store-restored");
    restored.write("data/weir.redb", fs::read(copy).unwrap());
    let weir = Weir::start(&restored.write("weir.toml", CONFIG));
    assert_eq!(retained(weir.address()), RETAINED);
    weir.stop();
}

#[test]
fn a_copy_is_made_without_a_broker_too() {
    let folder = Folder::new("store-copy");
    running(&folder).stop();
    let copy = folder.path().join("copy.redb");
    let copy = copy.to_str().unwrap();
    assert_says(&store(&folder, "backup", &[copy]), 0, &["a copy of", "data/weir.redb"]);
    assert_says(&weir(&["store", "verify", copy]), 0, &["whole"]);
    let (one, other) = (store(&folder, "export", &[]), weir(&["store", "export", copy]));
    assert!(one.stdout == other.stdout && one.stdout.lines().count() > 2 * RETAINED);
}

/// A copy holds every message: whoever cannot read the data directory does not get one.
#[test]
fn a_copy_is_refused_without_the_key() {
    let folder = Folder::new("store-key");
    let weir = running(&folder);
    let admin = weir.admin_address().to_string();
    let copy = folder.path().join("copy.redb");
    let arguments = [copy.to_str().unwrap(), "--admin", &admin];
    let key = folder.path().join("data/admin.key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, [7; 32]).unwrap();
    assert_says(&store(&folder, "backup", &arguments), 2, &["401", "admin.key"]);
    fs::remove_file(&key).unwrap();
    let refused = store(&folder, "backup", &arguments);
    assert_says(&refused, 2, &["whoever can read its data directory", "as the user that runs"]);
    assert!(!copy.exists());
    fs::write(&key, right).unwrap();
    assert_says(&store(&folder, "backup", &arguments), 0, &[]);
    weir.stop();
}

#[test]
fn a_store_gives_room_back() {
    let folder = Folder::new("store-compact");
    let weir = running(&folder);
    publish(weir.address(), (0..3_000).map(|number| format!("much/{number}")));
    let mut publisher = Publisher::new("publisher", Version::V5, 20);
    publisher.connect(weir.address()).unwrap();
    publisher.publish((0..3_000).map(|number| Message {
        topic: format!("much/{number}"),
        qos: QoS::AtLeastOnce,
        retain: true,
        ..Message::default()
    }));
    weir.stop();
    let file = folder.path().join("data/weir.redb");
    let before = fs::metadata(&file).unwrap().len();
    assert_says(&store(&folder, "compact", &[]), 0, &["before", "now"]);
    let after = fs::metadata(&file).unwrap().len();
    assert!(after < before, "{before} to {after}");
    assert_says(&store(&folder, "verify", &[]), 0, &["whole"]);
    let weir = Weir::start(&folder.path().join("weir.toml"));
    assert_eq!(retained(weir.address()), RETAINED);
    weir.stop();
}

#[test]
fn what_is_no_store_is_named_with_the_way_out() {
    let folder = Folder::new("store-none");
    let nothing = store(&folder, "info", &[]);
    assert_says(&nothing, 2, &["data/weir.redb", "No such file", "--data-dir or --config"]);
    folder.write("data/weir.redb", "name,value\n".repeat(1000));
    assert_says(&store(&folder, "verify", &[]), 2, &["is not a store of weir"]);
    assert_says(&store(&folder, "export", &["--table", "lgo"]), 2, &["'lgo'", "log"]);
}
