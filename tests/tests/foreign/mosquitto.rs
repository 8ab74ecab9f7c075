//! mosquitto_pub and mosquitto_sub.

use std::path::PathBuf;
use std::process::Command;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::Weir;

use crate::{CONFIG, broker};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

/// The two programs and the broker that they talk to.
struct Tools {
    publisher: PathBuf,
    subscriber: PathBuf,
    /// Makes a program write each line at once, so that it can be waited for.
    unbuffered: PathBuf,
    port: String,
}

impl Tools {
    fn find(test: &str, weir: &Weir) -> Option<Self> {
        Some(Self {
            publisher: program(test, "mosquitto_pub")?,
            subscriber: program(test, "mosquitto_sub")?,
            unbuffered: program(test, "stdbuf")?,
            port: weir.address().port().to_string(),
        })
    }

    #[track_caller]
    fn publish(&self, arguments: &[&str]) {
        let ended = Process::spawn(self.to_broker(&mut Command::new(&self.publisher), arguments))
            .wait(LIMIT);
        assert!(ended.status.success() && ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
    }

    /// Starts a subscriber and waits until the broker has granted its subscriptions.
    #[track_caller]
    fn subscribe(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(&self.unbuffered);
        command.arg("-oL").arg(&self.subscriber).arg("-d");
        let process = Process::spawn(self.to_broker(&mut command, arguments));
        let granted = process.wait_for(Stream::Stdout, "Subscribed (mid", LIMIT);
        assert!(granted.is_some(), "{arguments:?} is not granted: {process:?}");
        process
    }

    fn to_broker<'a>(&self, command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
        command.args(["-h", "127.0.0.1", "-p", &self.port]).args(arguments)
    }
}

/// The lines of messages that a subscriber has printed when it has as many as it was told.
#[track_caller]
fn messages(subscriber: Process) -> Vec<String> {
    let ended = subscriber.wait(LIMIT);
    assert!(ended.status.success(), "{ended:?}");
    let is_message = |line: &&str| line.starts_with("> ");
    ended.stdout.lines().filter(is_message).map(|line| line[2..].to_owned()).collect()
}

#[test]
fn every_version_and_quality_reaches_every_other() {
    let (_folder, weir) = broker("mosquitto-all");
    let Some(tools) = Tools::find("mosquitto clients, versions", &weir) else { return };
    for version in VERSIONS {
        let filter = format!("{version}/+/#");
        let subscriber = tools.subscribe(&[
            "-V",
            version,
            "-q",
            "2",
            "-t",
            &filter,
            "-C",
            "9",
            "-F",
            "> %t %p %q",
        ]);
        let mut expected = Vec::new();
        for sender in VERSIONS {
            for qos in ["0", "1", "2"] {
                let topic = format!("{version}/{sender}/{qos}");
                tools.publish(&["-V", sender, "-q", qos, "-t", &topic, "-m", "hello"]);
                expected.push(format!("{topic} hello {qos}"));
            }
        }
        // This client shows a QoS 2 message when it is released, which may be after others.
        let mut found = messages(subscriber);
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{version}");
    }
}

#[test]
fn a_subscription_of_lower_quality_lowers_the_delivery() {
    let (_folder, weir) = broker("mosquitto-qos");
    let Some(tools) = Tools::find("mosquitto clients, quality", &weir) else { return };
    for version in VERSIONS {
        for (granted, expected) in [("0", "0"), ("1", "1")] {
            let arguments = ["-V", version, "-q", granted, "-t", "a/#", "-C", "1", "-F", "> %q"];
            let subscriber = tools.subscribe(&arguments);
            tools.publish(&["-V", version, "-q", "2", "-t", "a", "-m", "x"]);
            assert_eq!(messages(subscriber), [expected]);
        }
    }
}

#[test]
fn wildcards_match_as_they_should() {
    let (_folder, weir) = broker("mosquitto-wildcards");
    let Some(tools) = Tools::find("mosquitto clients, wildcards", &weir) else { return };
    let topics = ["a", "a/b", "a/b/c", "/a", "end"];
    let cases: [(&str, &[&str]); 5] = [
        ("#", &["a", "a/b", "a/b/c", "/a"]),
        ("a/#", &["a", "a/b", "a/b/c"]),
        ("a/+", &["a/b"]),
        ("+/b/#", &["a/b", "a/b/c"]),
        ("+/+", &["a/b", "/a"]),
    ];
    for (filter, expected) in cases {
        let arguments = ["-t", filter, "-t", "end", "-F", "> %t", "-q", "1"];
        let count = (expected.len() + 1).to_string();
        let subscriber = tools.subscribe(&[&arguments[..], &["-C", &count]].concat());
        for topic in topics {
            tools.publish(&["-t", topic, "-m", "x", "-q", "1"]);
        }
        let mut found = messages(subscriber);
        assert_eq!(found.pop().as_deref(), Some("end"));
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn a_retained_message_comes_with_its_flag_until_it_is_removed() {
    let (_folder, weir) = broker("mosquitto-retained");
    let Some(tools) = Tools::find("mosquitto clients, retained", &weir) else { return };
    for version in VERSIONS {
        let kept = format!("kept/{version}");
        tools.publish(&["-V", version, "-t", &kept, "-m", "first", "-q", "1", "-r"]);
        tools.publish(&["-V", version, "-t", &kept, "-m", "second", "-q", "2", "-r"]);
        let arguments = ["-V", version, "-t", &kept, "-C", "1", "-F", "> %p %r"];
        assert_eq!(messages(tools.subscribe(&arguments)), ["second 1"]);
        tools.publish(&["-V", version, "-t", &kept, "-n", "-q", "1", "-r"]);
        let subscriber = tools.subscribe(&arguments);
        tools.publish(&["-V", version, "-t", &kept, "-m", "live", "-r", "-q", "1"]);
        assert_eq!(messages(subscriber), ["live 0"], "{version}");
    }
}

#[test]
fn a_will_is_published_when_its_client_dies_and_not_when_it_leaves() {
    let (_folder, weir) = broker("mosquitto-will");
    let Some(tools) = Tools::find("mosquitto clients, will", &weir) else { return };
    for version in VERSIONS {
        let will = format!("will/{version}");
        // In 5.0 a subscriber that is told to end leaves with the wish to have it published.
        let expected = match version {
            "mqttv5" => vec![format!("{will} left"), format!("{will} died")],
            _ => vec![format!("{will} died")],
        };
        let count = expected.len().to_string();
        let watch = ["-V", version, "-t", "will/#", "-q", "1", "-C", &count, "-F", "> %t %p"];
        let watcher = tools.subscribe(&watch);
        let dying = ["-V", version, "-t", "none", "--will-topic", &will, "--will-qos", "1"];
        let leaves = tools.subscribe(&[&dying[..], &["--will-payload", "left"]].concat());
        leaves.signal("TERM");
        leaves.wait(LIMIT);
        let mut dies = tools.subscribe(&[&dying[..], &["--will-payload", "died"]].concat());
        dies.kill();
        assert_eq!(messages(watcher), expected);
    }
}

#[test]
fn a_session_keeps_what_came_while_its_client_was_away() {
    let (_folder, weir) = broker("mosquitto-session");
    let Some(tools) = Tools::find("mosquitto clients, session", &weir) else { return };
    for version in VERSIONS {
        let kept = format!("session/{version}");
        let mut session =
            vec!["-V", version, "-i", version, "-c", "-q", "2", "-t", &kept, "-F", "> %p %q"];
        if version == "mqttv5" {
            session.extend(["-x", "3600"]);
        }
        // Leaves as soon as the subscription is granted.
        let ended = tools.subscribe(&[&session[..], &["-E"]].concat()).wait(LIMIT);
        assert!(ended.status.success(), "{ended:?}");
        for qos in ["1", "2"] {
            tools.publish(&["-V", version, "-q", qos, "-t", &kept, "-m", "while away"]);
        }
        let found = messages(tools.subscribe(&[&session[..], &["-C", "2"]].concat()));
        assert_eq!(found, ["while away 1", "while away 2"], "{version}");
    }
}

#[test]
fn properties_of_a_publish_arrive_at_the_subscriber() {
    let (_folder, weir) = broker("mosquitto-properties");
    let Some(tools) = Tools::find("mosquitto clients, properties", &weir) else { return };
    let arguments = ["-V", "mqttv5", "-t", "with/#", "-q", "1", "-C", "1"];
    let format = ["-F", "> %C|%D|%P|%R", "-D", "subscribe", "user-property", "a", "b"];
    let subscriber = tools.subscribe(&[arguments.as_slice(), &format].concat());
    let property = |name, value| ["-D", "publish", name, value];
    let user = ["-D", "publish", "user-property", "unit", "celsius"];
    tools.publish(
        &[
            &["-V", "mqttv5", "-t", "with/all", "-m", "21.5", "-q", "1"],
            property("content-type", "text/plain").as_slice(),
            &property("correlation-data", "42"),
            &user,
            &property("response-topic", "answer/1"),
        ]
        .concat(),
    );
    assert_eq!(messages(subscriber), ["text/plain|42|unit:celsius|answer/1"]);
}

/// What is retained comes first, then what changes; other topics that begin with a dollar sign are
/// the clients' own.
#[test]
fn the_tree_of_the_broker_is_what_users_of_mosquitto_expect() {
    let folder = Folder::new("mosquitto-sys");
    let config = format!("sys_interval = 1\n{CONFIG}");
    let weir = Weir::start(&folder.write("weir.toml", config));
    let Some(tools) = Tools::find("mosquitto clients, $SYS", &weir) else { return };
    let arguments = ["-V", "mqttv5", "-t", "$SYS/#", "-t", "#", "-t", "$mine/#", "-F", "> %t %p"];
    let subscriber = tools.subscribe(&arguments);
    let wait_for = |text: &str| {
        let found = subscriber.wait_for(Stream::Stdout, text, LIMIT);
        found.unwrap_or_else(|| panic!("{text} does not come: {subscriber:?}"))
    };
    assert!(wait_for("> $SYS/broker/version weir version ").starts_with(char::is_numeric));
    assert_eq!(wait_for("> $SYS/broker/store/status "), "ok");
    wait_for("> $SYS/broker/heap/current ");
    // This client itself, once the next interval has begun.
    wait_for("> $SYS/broker/clients/connected 1");
    wait_for("> $SYS/broker/load/sockets/1min ");
    tools.publish(&["-q", "1", "-t", "$mine/x", "-m", "taken"]);
    assert_eq!(wait_for("> $mine/x "), "taken");
}

#[test]
fn a_flood_of_dropped_messages_is_one_line_of_the_log() {
    let folder = Folder::new("mosquitto-drops");
    let config = format!("{CONFIG}[limits]\nmax_queued_messages = 1\n");
    let weir = Weir::start(&folder.write("weir.toml", config));
    let Some(tools) = Tools::find("mosquitto clients, drops", &weir) else { return };
    let away = tools.subscribe(&["-c", "-i", "away", "-q", "1", "-t", "t", "-E"]);
    assert!(away.wait(LIMIT).status.success());
    for _ in 0..5 {
        tools.publish(&["-q", "1", "-t", "t", "-m", "x"]);
    }
    let told = weir.process().wait_for(Stream::Stderr, "messages are dropped", LIMIT);
    assert_eq!(told.as_deref(), Some(" client_id=\"away\" reason=\"queue_full\" dropped=1"));
    assert_eq!(weir.stop().stderr.matches("messages are dropped").count(), 1);
}

/// The second broker has only what the first had on its disk.
#[test]
fn a_delayed_message_survives_a_kill_and_a_lost_one_becomes_a_letter() {
    let folder = Folder::new("mosquitto-delayed");
    let config = format!("{CONFIG}[limits]\nmax_queued_messages = 2\ndead_letter = \"$dead\"\n");
    let config = folder.write("weir.toml", config);
    let weir = Weir::start(&config);
    let Some(tools) = Tools::find("mosquitto clients, delayed", &weir) else { return };
    let kept = ["-V", "mqttv5", "-c", "-x", "3600", "-q", "1"];
    let away = ["-i", "away", "-t", "t"];
    let keeper = ["-i", "keeper", "-t", "$dead/#", "-t", "later"];
    for who in [&away[..], &keeper[..]] {
        let subscribed = tools.subscribe(&[&kept[..], who, &["-E"]].concat());
        assert!(subscribed.wait(LIMIT).status.success());
    }
    for message in ["first", "second", "lost"] {
        tools.publish(&["-V", "mqttv5", "-q", "1", "-t", "t", "-m", message]);
    }
    tools.publish(&["-q", "1", "-t", "$delayed/1/later", "-m", "delayed"]);
    weir.kill();
    let weir = Weir::start(&config);
    let Some(tools) = Tools::find("mosquitto clients, delayed", &weir) else { return };
    let print = ["-C", "2", "-F", "> %t %p %P"];
    let found = messages(tools.subscribe(&[&kept[..], &keeper[..], &print[..]].concat()));
    let pairs = "dead-letter-reason:queue_full dead-letter-client:away dead-letter-topic:t";
    assert_eq!(found, [format!("$dead/away/t lost {pairs}"), "later delayed ".to_owned()]);
}
