//! TLS with certificates of clients, WebSocket and Unix sockets, with the clients of others.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{node_packages, program, python};
use weir_tests::harness::process::{Ended, Process, Stream};
use weir_tests::harness::weir::{Weir, workspace};

use super::certificates::Site;

/// The messages are large, and Python and Node take their time to start.
const LIMIT: Duration = Duration::from_secs(120);
const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];
/// Every user has a part of the topics.
const ACL: &str = "pattern readwrite %u/#\n";
const OPEN: &str = "[auth]\nallow_anonymous = true\n";
const IDENTITY: &str = "certfile = \"broker.pem\"\nkeyfile = \"broker.key\"\ncafile = \"ca.pem\"\n\
                        require_certificate = true\nuse_identity_as_username = true\n\
                        [auth]\nacl_file = \"acl\"\n";

fn start(folder: &Folder, listener: &str) -> Weir {
    let text = format!("data_dir = \"data\"\n[[listener]]\n{listener}");
    Weir::start(&folder.write("weir.toml", text))
}

/// A broker that lets in clients with a certificate, each with its own topics.
fn secure(site: &Site, protocol: &str) -> Weir {
    site.0.write("acl", ACL);
    let listener =
        format!("address = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n[listener.tls]\n");
    start(&site.0, &format!("{listener}{IDENTITY}"))
}

fn run(program: &Path, arguments: &[&str]) -> Ended {
    Process::spawn(Command::new(program).args(arguments)).wait(LIMIT)
}

/// mosquitto_sub for one message, once its subscription is granted.
fn subscribe(unbuffered: &Path, subscriber: &Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(unbuffered);
    command.arg("-oL").arg(subscriber).args(["-d", "-q", "1", "-C", "1", "-F", "> %t %p"]);
    let process = Process::spawn(command.args(arguments));
    let granted = process.wait_for(Stream::Stdout, "Subscribed (mid", LIMIT);
    assert!(granted.is_some(), "{arguments:?} is not granted: {process:?}");
    process
}

#[test]
fn mosquitto_clients_are_who_their_certificates_say() {
    const TEST: &str = "mosquitto clients, TLS";
    let (Some(publisher), Some(subscriber), Some(unbuffered)) =
        (program(TEST, "mosquitto_pub"), program(TEST, "mosquitto_sub"), program(TEST, "stdbuf"))
    else {
        return;
    };
    let site = Site::new("mosquitto-tls");
    let weir = secure(&site, "mqtt");
    let port = weir.address().port().to_string();
    let [ca, certificate, key] = ["ca.pem", "node.pem", "node.key"].map(|name| site.path(name));
    let trusting = ["-h", "localhost", "-p", &port, "--cafile", &ca];
    let known = [&trusting[..], &["--cert", &certificate, "--key", &key]].concat();
    for version in VERSIONS {
        let known = [&known[..], &["-V", version]].concat();
        let waiting = subscribe(&unbuffered, &subscriber, &[&known[..], &["-t", "#"]].concat());
        for (topic, payload) in [("root/x", "not allowed"), ("node-7/x", "mine")] {
            let message = ["-q", "1", "-t", topic, "-m", payload];
            let ended = run(&publisher, &[&known[..], &message].concat());
            assert!(ended.status.success(), "{ended:?}");
        }
        let said = waiting.wait(LIMIT).stdout;
        assert!(said.contains("> node-7/x mine") && !said.contains("root/x"), "{said}");
    }
    let message = ["-q", "1", "-t", "node-7/x", "-m", "x"];
    let [certificate, key] = ["stranger.pem", "stranger.key"].map(|name| site.path(name));
    let stranger = [&trusting[..], &["--cert", &certificate, "--key", &key]].concat();
    for arguments in [&trusting[..], &stranger] {
        let ended = run(&publisher, &[arguments, &message].concat());
        assert!(!ended.status.success(), "{arguments:?}: {ended:?}");
    }
    weir.stop();
}

#[test]
fn mosquitto_clients_speak_over_a_unix_socket() {
    const TEST: &str = "mosquitto clients, Unix socket";
    let (Some(publisher), Some(subscriber), Some(unbuffered)) =
        (program(TEST, "mosquitto_pub"), program(TEST, "mosquitto_sub"), program(TEST, "stdbuf"))
    else {
        return;
    };
    let folder = Folder::new("mosquitto-unix");
    let weir = start(&folder, &format!("path = \"mqtt.sock\"\n{OPEN}"));
    let path = folder.path().join("mqtt.sock");
    let path = path.to_str().unwrap();
    for version in VERSIONS {
        let there = ["--unix", path, "-V", version, "-t", "a/b"];
        let waiting = subscribe(&unbuffered, &subscriber, &there);
        let ended = run(&publisher, &[&there[..], &["-q", "2", "-m", "local"]].concat());
        assert!(ended.status.success(), "{ended:?}");
        let said = waiting.wait(LIMIT).stdout;
        assert!(said.contains("> a/b local"), "{said}");
    }
    weir.stop();
}

/// What a script is told: how to connect, where, and with which files.
fn script(command: &mut Command, weir: &Weir, scheme: &str, site: Option<&Site>) {
    let files = site.map(|site| ["ca.pem", "node.pem", "node.key"].map(|name| site.path(name)));
    command.args([scheme, &weir.address().port().to_string()]).args(files.into_iter().flatten());
    let ended = Process::spawn(command).wait(LIMIT);
    assert!(ended.status.success(), "{scheme}: {}{}", ended.stdout, ended.stderr);
}

fn over_everything(name: &str, command: impl Fn() -> Command) {
    let site = Site::new(name);
    let plain = |protocol| {
        let listener = format!("address = \"127.0.0.1:0\"\nprotocol = \"{protocol}\"\n{OPEN}");
        start(&site.0, &listener)
    };
    for (scheme, protocol) in [("mqtt", "mqtt"), ("ws", "websocket")] {
        let weir = plain(protocol);
        script(&mut command(), &weir, scheme, None);
        weir.stop();
    }
    for (scheme, protocol) in [("mqtts", "mqtt"), ("wss", "websocket")] {
        let weir = secure(&site, protocol);
        script(&mut command(), &weir, scheme, Some(&site));
        weir.stop();
    }
}

#[test]
fn paho_speaks_over_websocket_and_tls() {
    let Some(python) = python("paho-mqtt 2, WebSocket and TLS", "paho2") else { return };
    over_everything("paho-transports", || {
        let mut command = Command::new(&python);
        command.arg("-B").arg(workspace().join("tests/foreign/paho_transports.py"));
        command
    });
}

#[test]
fn mqttjs_speaks_over_websocket_and_tls() {
    const TEST: &str = "MQTT.js, WebSocket and TLS";
    let Some(node) = program(TEST, "node") else { return };
    let Some(packages) = node_packages(TEST, "mqttjs") else { return };
    over_everything("mqttjs-transports", || {
        let mut command = Command::new(&node);
        command.env("NODE_PATH", &packages);
        command.arg(workspace().join("tests/foreign/mqttjs/transports.js"));
        command
    });
}
