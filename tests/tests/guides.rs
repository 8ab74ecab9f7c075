//! What the guides say of other programs, played through the clients of mosquitto by the messages that
//! those programs document, with the files that the guides show.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{self, Weir, workspace};

const PASSWORD: &str = "a password of the guides";

/// The code blocks of a guide in this language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let path = workspace().join("docs/guides").join(guide);
    let text = std::fs::read_to_string(path).unwrap();
    let start = format!("```{language}\n");
    let parts = text.split(&start).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// The block that holds this.
fn block(guide: &str, language: &str, part: &str) -> String {
    let found = blocks(guide, language).into_iter().find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("no block of {guide} has {part}"))
}

/// A broker with the files of a guide, and the programs that speak to it.
struct Stage {
    publisher: PathBuf,
    subscriber: PathBuf,
    unbuffered: PathBuf,
    folder: Folder,
    weir: Option<Weir>,
}

impl Stage {
    /// None when mosquitto's clients are missing.
    fn new(test: &str, guide: &str, more_acl: &str, users: &[&str]) -> Option<Self> {
        let publisher = program(test, "mosquitto_pub")?;
        let subscriber = program(test, "mosquitto_sub")?;
        let unbuffered = program(test, "stdbuf")?;
        let folder = Folder::new(test);
        let here = folder.path().to_string_lossy().into_owned();
        let config = block(guide, "toml", "[[listener]]")
            .replace("/etc/weir", &here)
            .replace("/var/lib/weir", &format!("{here}/data"));
        let port_end = config.find(":1883").unwrap();
        let address = config[..port_end].rfind('"').unwrap() + 1;
        let config = format!("{}127.0.0.1:0{}", &config[..address], &config[port_end + 5..]);
        let config = config.replace("127.0.0.1:8080", "127.0.0.1:0");
        folder.write("weir.toml", config);
        folder.write("acl", block(guide, "text", "# /etc/weir/acl") + more_acl);
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        let rules = blocks(guide, "toml").into_iter().find(|block| block.contains("[rule."));
        folder.write("rules/guide.toml", rules.unwrap_or_default());
        let passwords = folder.path().join("passwords");
        for user in users {
            let mut command = weir::command(&["passwd", "--password-stdin"]);
            let command = command.arg(&passwords).arg(user).stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::null()).spawn().unwrap();
            writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
            assert!(child.wait().unwrap().success(), "{user}");
        }
        let mut stage = Self { publisher, subscriber, unbuffered, folder, weir: None };
        stage.start();
        Some(stage)
    }

    fn start(&mut self) {
        self.weir = Some(Weir::start(&self.folder.path().join("weir.toml")));
    }

    fn kill(&mut self) {
        self.weir.take().unwrap().kill();
    }

    fn command(&self, program: &mut Command, user: &str, more: &[&str]) -> Process {
        let port = self.weir.as_ref().unwrap().address().port().to_string();
        let common = ["-h", "127.0.0.1", "-p", &port, "-u", user, "-P", PASSWORD, "-V", "mqttv311"];
        Process::spawn(program.args(common).args(more))
    }

    #[track_caller]
    fn publish(&self, user: &str, topic: &str, payload: &str, more: &[&str]) {
        let arguments = [&["-q", "1", "-t", topic, "-m", payload], more].concat();
        let process = self.command(&mut Command::new(&self.publisher), user, &arguments);
        let ended = process.wait(LIMIT);
        assert!(ended.status.success(), "{user} {topic}: {ended:?}");
    }

    /// A client that stays, whose lines are `retained topic payload`.
    #[track_caller]
    fn listen(&self, user: &str, more: &[&str]) -> Process {
        let mut command = Command::new(&self.unbuffered);
        command.arg("-oL").arg(&self.subscriber).args(["-d", "-q", "1", "-F", "%r %t %p"]);
        let process = self.command(&mut command, user, more);
        let granted = process.wait_for(Stream::Stdout, "Subscribed (mid", LIMIT);
        assert!(granted.is_some(), "{user} {more:?}: {process:?}");
        process
    }
}

#[track_caller]
fn hears(client: &Process, line: &str) {
    let heard = client.wait_for(Stream::Stdout, line, LIMIT);
    assert!(heard.is_some(), "`{line}` is not heard: {client:?}");
}

const HOME: &str = "\nuser homeassistant\ntopic readwrite #\n";

#[test]
fn nodes_of_esphome_and_tasmota_do_what_their_guide_says() {
    let guide = "esphome-tasmota.md";
    let users = ["homeassistant", "porch", "attic"];
    let Some(mut stage) = Stage::new("guide-esphome", guide, HOME, &users) else { return };
    let home = stage.listen("homeassistant", &["-t", "#"]);

    // ESPHome: a will, a birth message, an announcement, a bare number, a command.
    let will = ["--will-topic", "porch/status", "--will-payload", "offline", "--will-retain"];
    let listens = ["-i", "porch", "-t", "porch/switch/lamp/command"];
    let mut porch = stage.listen("porch", &[&will[..], &listens].concat());
    let announcement = "homeassistant/sensor/porch/temperature/config";
    stage.publish("porch", "porch/status", "online", &["-r"]);
    stage.publish("porch", announcement, "{\"unique_id\":\"porch-1\"}", &["-r"]);
    stage.publish("porch", "porch/sensor/temperature/state", "21.5", &["-r"]);
    hears(&home, "0 porch/status online");
    hears(&home, "0 temperature/porch {\"device\":\"porch\",\"celsius\":21.5}");
    stage.publish("homeassistant", "porch/switch/lamp/command", "ON", &[]);
    hears(&porch, "0 porch/switch/lamp/command ON");

    // Tasmota: the same with its own topics.
    let will = ["--will-topic", "tele/attic/LWT", "--will-payload", "Offline", "--will-retain"];
    let listens = ["-i", "DVES_1A2B3C", "-t", "cmnd/attic/#"];
    let mut attic = stage.listen("attic", &[&will[..], &listens].concat());
    stage.publish("attic", "tele/attic/LWT", "Online", &["-r"]);
    let sample =
        "{\"Time\":\"2026-01-01T00:00:00\",\"DS18B20\":{\"Temperature\":4.5},\"TempUnit\":\"C\"}";
    stage.publish("attic", "tele/attic/SENSOR", sample, &[]);
    hears(&home, "0 temperature/attic/tasmota {\"device\":\"attic\",\"celsius\":4.5}");
    stage.publish("homeassistant", "cmnd/attic/POWER", "TOGGLE", &[]);
    hears(&attic, "0 cmnd/attic/POWER TOGGLE");
    stage.publish("attic", "stat/attic/RESULT", "{\"POWER\":\"ON\"}", &[]);

    // One device cannot speak for another one.
    stage.publish("attic", "porch/status", "stolen", &["-r"]);
    stage.publish("attic", "stat/attic/RESULT", "{\"POWER\":\"OFF\"}", &[]);
    hears(&home, "0 stat/attic/RESULT {\"POWER\":\"OFF\"}");
    assert!(!home.said(Stream::Stdout).contains("stolen"), "{home:?}");

    // Both lose their power.
    porch.kill();
    attic.kill();
    hears(&home, "0 porch/status offline");
    hears(&home, "0 tele/attic/LWT Offline");

    // So does the broker: what was retained is there again. Of the wills nobody was told that they are
    // on the disk; of what comes after them somebody is.
    stage.publish("homeassistant", "last", "word", &["-r"]);
    stage.kill();
    stage.start();
    let home = stage.listen("homeassistant", &["-t", "#"]);
    hears(&home, "1 porch/status offline");
    hears(&home, "1 tele/attic/LWT Offline");
    hears(&home, &format!("1 {announcement} "));
    hears(&home, "1 temperature/attic/tasmota ");
}

#[test]
fn zigbee2mqtt_and_home_assistant_do_what_their_guides_say() {
    let guide = "zigbee2mqtt.md";
    let users = ["homeassistant", "zigbee2mqtt"];
    let acl = format!("{HOME}{}", block("home-assistant.md", "text", "$SYS"));
    let Some(mut stage) = Stage::new("guide-zigbee", guide, &acl, &users) else { return };
    let will = ["--will-topic", "homeassistant/status", "--will-payload", "offline"];
    let listens = ["--will-retain", "-i", "home", "-t", "#", "-t", "$SYS/broker/clients/#"];
    let home = stage.listen("homeassistant", &[&will[..], &listens].concat());
    let will = ["--will-topic", "zigbee2mqtt/bridge/state", "--will-payload"];
    let listens = [
        "{\"state\":\"offline\"}",
        "--will-retain",
        "-i",
        "z2m",
        "-t",
        "homeassistant/status",
        "-t",
        "zigbee2mqtt/+/set",
    ];
    let mut bridge = stage.listen("zigbee2mqtt", &[&will[..], &listens].concat());
    let announcement = "homeassistant/binary_sensor/0x00158d/contact/config";
    let announce = |stage: &Stage| {
        stage.publish("zigbee2mqtt", announcement, "{\"name\":\"door\"}", &["-r"]);
        stage.publish("zigbee2mqtt", "zigbee2mqtt/bridge/state", "{\"state\":\"online\"}", &["-r"]);
    };
    announce(&stage);
    hears(&home, &format!("0 {announcement} "));
    // Home Assistant is born, and everything is announced again.
    stage.publish("homeassistant", "homeassistant/status", "online", &["-r"]);
    hears(&bridge, "0 homeassistant/status online");
    announce(&stage);
    stage.publish(
        "zigbee2mqtt",
        "zigbee2mqtt/door/availability",
        "{\"state\":\"online\"}",
        &["-r"],
    );
    stage.publish("homeassistant", "zigbee2mqtt/door/set", "{\"state\":\"ON\"}", &[]);
    hears(&bridge, "0 zigbee2mqtt/door/set ");
    hears(&home, " $SYS/broker/clients/connected ");
    bridge.kill();
    hears(&home, "0 zigbee2mqtt/bridge/state {\"state\":\"offline\"}");
    stage.publish("homeassistant", "last", "word", &["-r"]);
    stage.kill();
    stage.start();
    let home = stage.listen("homeassistant", &["-t", "#"]);
    hears(&home, "1 zigbee2mqtt/bridge/state {\"state\":\"offline\"}");
    hears(&home, "1 zigbee2mqtt/door/availability {\"state\":\"online\"}");
    hears(&home, &format!("1 {announcement} "));
}

#[test]
fn what_import_makes_is_what_the_guide_shows() {
    let folder = Folder::new("guide-import");
    let from = folder.write("mosquitto.conf", block("from-mosquitto.md", "text", "listener 1883"));
    let ended = weir::weir(&["import", &from.to_string_lossy()]);
    assert!(ended.status.success(), "{ended:?}");
    let lines = ended.stdout.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let shown = block("from-mosquitto.md", "toml", "[upstream.cloud]");
    assert_eq!(lines.join("\n").trim(), shown.trim());
}

#[test]
fn what_is_retained_moves_from_mosquitto_as_the_guide_says() {
    use weir_tests::harness::mosquitto::Mosquitto;

    let test = "guide-mosquitto";
    let Some(server) = program(test, "mosquitto") else { return };
    let Some(publisher) = program(test, "mosquitto_pub") else { return };
    let folder = Folder::new(test);
    let old = Mosquitto::start(server, &folder, "");
    let port = old.address().port().to_string();
    for (topic, payload) in [("home/attic", "21.5"), ("home/cellar", "12")] {
        let arguments = ["-p", &port, "-q", "1", "-r", "-t", topic, "-m", payload];
        let ended = Process::spawn(Command::new(&publisher).args(arguments)).wait(LIMIT);
        assert!(ended.status.success(), "{ended:?}");
    }
    let config = block("from-mosquitto.md", "toml", "[upstream.mosquitto]")
        .replace("/var/lib/weir", "data")
        .replace("0.0.0.0:1883", "127.0.0.1:0")
        .replace("127.0.0.1:1884", &old.address().to_string());
    let weir = Weir::start(&folder.write("weir.toml", config));
    let Some(subscriber) = program(test, "mosquitto_sub") else { return };
    let port = weir.address().port().to_string();
    let ask = |topic: &str| {
        let arguments = ["-p", &port, "-t", topic, "-F", "%r %t %p", "-C", "1", "-W", "2"];
        let ended = Process::spawn(Command::new(&subscriber).args(arguments)).wait(LIMIT);
        (!ended.stdout.is_empty()).then_some(ended.stdout)
    };
    for (topic, line) in
        [("home/attic", "1 home/attic 21.5\n"), ("home/cellar", "1 home/cellar 12\n")]
    {
        let heard = weir_tests::harness::wait::until("it is retained here", || {
            ask(topic).filter(|line| line.starts_with('1'))
        });
        assert_eq!(heard, line);
    }
    weir.stop();
}
