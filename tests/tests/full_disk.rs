//! The real binary at its limits: a store that holds as much as it may, and a disk that is full for
//! real. Nothing that was acknowledged is lost, what cannot be kept is refused, and when there is
//! room again everything goes on, all in one process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use weir_mqtt::{Connect, Packet, PacketId, Publish, QoS, ReasonCode, Version};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::{Weir, binary};

const CONFIG: &str = "data_dir = \"data\"\nsys_interval = 1\n\
                      [[listener]]\naddress = \"127.0.0.1:0\"\n\
                      [auth]\nallow_anonymous = true\n\
                      [admin]\naddress = \"127.0.0.1:0\"\n";

/// Long enough for an answer that comes, short enough to wait for one that does not.
const SILENCE: Duration = Duration::from_secs(2);

fn connect(address: SocketAddr, version: Version, client_id: &str) -> Client {
    let mut connect = Connect::new(version, client_id);
    connect.clean_start = version == Version::V5;
    let (client, accepted) = Client::connect(address, connect).unwrap();
    assert_eq!(accepted.reason, ReasonCode::Success);
    client
}

/// Publishes with QoS 1 and answers what is said to it; none when nothing is.
fn publish(client: &mut Client, number: u16, dup: bool, bytes: usize) -> Option<ReasonCode> {
    let payload = format!("{number:>width$}", width = bytes);
    let packet_id = PacketId::new(number);
    let publish = Publish {
        qos: QoS::AtLeastOnce,
        dup,
        packet_id,
        ..Publish::new("kept/a", payload.as_bytes())
    };
    client.send(&Packet::Publish(publish)).unwrap();
    match client.receive(SILENCE) {
        Received::Packet(Packet::Puback(puback)) => {
            assert_eq!(Some(puback.packet_id), packet_id);
            let says_why = puback.reason_string.is_some_and(|text| text.contains("store"));
            assert_eq!(says_why, puback.reason.is_error());
            Some(puback.reason)
        }
        Received::Nothing => None,
        other => panic!("{other:?} instead of PUBACK"),
    }
}

/// A session that is away and takes everything that is published.
fn away(address: SocketAddr) -> Subscriber {
    let mut away = Subscriber::new("away", Version::V5, "kept/#");
    away.connect(address).unwrap();
    away.disconnect();
    away
}

/// The numbers of all messages that wait.
fn take_all(subscriber: &mut Subscriber, count: usize) -> Vec<u16> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match subscriber.receive(LIMIT) {
            Arrival::Message(message) => {
                let text = String::from_utf8(message.payload).unwrap();
                numbers.push(text.trim().parse().unwrap());
            }
            other => panic!("{other:?} after {numbers:?}"),
        }
    }
    numbers
}

/// What the admin server says.
fn status(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request =
        format!("GET /api/v1/status HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until the store is in a condition; answers all that is said then.
fn wait_for_status(admin: SocketAddr, condition: &str) -> String {
    let text = format!("\"status\":\"{condition}\"");
    until(&format!("the store to be {condition}"), || {
        Some(status(admin)).filter(|said| said.contains(&text))
    })
}

#[test]
fn a_store_that_holds_as_much_as_it_may_refuses_more_and_goes_on_when_it_is_emptied() {
    let folder = Folder::new("full-store");
    let limits = "[store]\nmax_store_bytes = \"1MB\"\nmin_free_disk = 0\n";
    let config = folder.write("weir.toml", format!("{CONFIG}{limits}"));
    let weir = Weir::start(&config);
    let (address, admin) = (weir.address(), weir.admin_address());
    let mut watcher = Subscriber::brief("watcher", &["$SYS/broker/store/status"]);
    watcher.connect(address).unwrap();
    let mut away = away(address);
    let mut publisher = connect(address, Version::V5, "publisher");
    let mut old = connect(address, Version::V311, "old");

    let mut kept = Vec::new();
    let refused = (1..).find(|number| match publish(&mut publisher, *number, false, 10_000) {
        Some(ReasonCode::QuotaExceeded) => true,
        Some(reason) => {
            assert!(!reason.is_error(), "{reason}");
            kept.push(*number);
            false
        }
        None => panic!("a client of MQTT 5 is told"),
    });
    assert!((90..130).contains(&kept.len()), "{} messages of 10 KB", kept.len());
    let said = wait_for_status(admin, "full");
    assert!(said.contains("`max_store_bytes` is 1048576; let the clients"), "{said}");
    assert!(said.contains("\"used_bytes\":10"), "{said}");
    let log = |text| weir.process().wait_for(Stream::Stderr, text, LIMIT).unwrap();
    log("the store has no room");
    assert_eq!(publish(&mut old, 1000, false, 100), None, "it cannot be told");

    away.connect(address).unwrap();
    assert_eq!(take_all(&mut away, kept.len()), kept);
    wait_for_status(admin, "ok");
    log("the store has room again");
    assert_eq!(publish(&mut publisher, refused.unwrap(), false, 100), Some(ReasonCode::Success));
    assert_eq!(old.receive(LIMIT), Received::Closed, "so that it sends again");
    let mut old = connect(address, Version::V311, "old");
    assert_eq!(publish(&mut old, 1000, true, 100), Some(ReasonCode::Success));
    assert_eq!(take_all(&mut away, 2), [refused.unwrap(), 1000]);

    let mut said = Vec::new();
    while said.last().is_none_or(|last| last != "ok" || !said.contains(&"full".to_owned())) {
        let Arrival::Message(message) = watcher.receive(LIMIT) else { panic!("after {said:?}") };
        said.push(String::from_utf8(message.payload).unwrap());
    }
    let stderr = weir.process().said(Stream::Stderr);
    assert_eq!(stderr.matches("the store has no room").count(), 1, "one line for it:\n{stderr}");
    weir.stop();
}

/// A disk of 24 MB of which half is taken by others, in a mount namespace of the broker's own.
fn on_a_small_disk(config: &str, disk: &str) -> Option<Process> {
    const MOUNT: &str = "mount -t tmpfs -o size=24m tmpfs \"$1\" \
                         && head -c 12582912 /dev/zero > \"$1/ballast\" && exec \"$2\" run \
                         --config \"$3\"";
    const TEST: &str = "a_disk_that_is_full_for_real";
    let unshare = foreign::program(TEST, "unshare")?;
    let separate = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let try_it = Command::new(&unshare)
        .args(separate)
        .args(["mount -t tmpfs tmpfs \"$1\"", "sh", disk])
        .output()
        .unwrap();
    if !foreign::allows(TEST, "a mount of its own", try_it.status.success()) {
        return None;
    }
    let binary = binary().to_str().unwrap();
    let arguments = [MOUNT, "sh", disk, binary, config];
    Some(Process::spawn(Command::new(&unshare).args(separate).args(arguments)))
}

#[test]
fn a_disk_that_is_full_for_real_loses_nothing_and_goes_on_when_there_is_room() {
    let folder = Folder::new("full-disk");
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let store = "[store]\nmax_store_bytes = 0\nmin_free_disk = 0\n";
    let config = folder
        .write("weir.toml", format!("{}{store}", CONFIG.replace("\"data\"", "\"disk/data\"")));
    let Some(process) = on_a_small_disk(config.to_str().unwrap(), disk.to_str().unwrap()) else {
        return;
    };
    let heard = |text| process.wait_for(Stream::Stdout, text, LIMIT).unwrap();
    let address: SocketAddr = heard(" listens on ").parse().unwrap();
    let admin = heard("status at http://");
    let admin: SocketAddr = admin.split('/').next().unwrap().parse().unwrap();
    let mut away = away(address);
    let mut publisher = connect(address, Version::V5, "publisher");
    let online = &mut Subscriber::brief("online", &["other/#"]);
    online.connect(address).unwrap();

    let mut kept: Vec<u16> = Vec::new();
    let waiting = (1..2000).find(|number| {
        let said = publish(&mut publisher, *number, false, 50_000);
        // It may be refused while the store finds that there is a little left.
        kept.extend(said.filter(|reason| !reason.is_error()).map(|_| *number));
        said.is_none()
    });
    let waiting = waiting.expect("a disk of 12 MB does not hold 100 MB");
    let said = wait_for_status(admin, "failed");
    assert!(said.contains("is full; make room"), "{said}");
    let log = |text| process.wait_for(Stream::Stderr, text, LIMIT).unwrap();
    log("nothing is acknowledged until the store is written");
    // The disk is full, so others are told at once, and what needs no room goes on.
    let mut other = connect(address, Version::V5, "other");
    assert_eq!(publish(&mut other, 1, false, 100), Some(ReasonCode::QuotaExceeded));
    other.send(&Packet::Publish(Publish::new("other/a", b"still"))).unwrap();
    assert!(matches!(online.receive(LIMIT), Arrival::Message(_)));

    // What others have taken is seen through the process, whose disk it is.
    let ballast = format!("/proc/{}/root{}", process.id(), disk.join("ballast").display());
    fs::remove_file(ballast).unwrap();
    wait_for_status(admin, "ok");
    log("the store is written again");
    match publisher.receive(LIMIT) {
        Received::Packet(Packet::Puback(puback)) => {
            assert_eq!((puback.packet_id.get(), puback.reason.is_error()), (waiting, false));
        }
        other => panic!("{other:?} instead of the PUBACK that waited"),
    }
    kept.push(waiting);
    let next = waiting + 1;
    assert_eq!(publish(&mut publisher, next, false, 100), Some(ReasonCode::Success));
    kept.push(next);
    away.connect(address).unwrap();
    assert_eq!(take_all(&mut away, kept.len()), kept);
}
