//! `weir explain`: the line of the file that decides.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use weir_mqtt::{Connect, Packet, PacketId, Publish, QoS, Version};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, weir};

const CONFIG: &str = r#"data_dir = "data"
rules = ["rooms.toml"]

[[listener]]
address = "127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[auth]
allow_anonymous = true
acl_file = "acl"

[[durability]]
filter = "room/#"
level = "relaxed"

[[history]]
filter = "room/+/temperature"
max_age = "7d"

[upstream.cloud]
address = "127.0.0.1:1"
topics = ["alarm/# out"]
forward = [
    { from = "room/1/#", to = "first/{topic}" },
    { from = "room/#", to = "site/{rest}" },
]
"#;

const ACL: &str = "topic readwrite room/#\ntopic read door\n\nuser ann\ntopic readwrite #\n\
                   topic deny room/safe\npattern write of/%c\n";

const RULES: &str = "# Rooms.\n\n[rule.mean]\nfrom = \"room/{room}/temperature\"\ndecode = \"number\"\n\
                     by = [\"room\"]\nwindow = \"tumbling 1m\"\nselect = { mean = \"avg(value)\" }\nto = \"mean/{room}\"\n";

struct Site {
    folder: Folder,
    config: String,
}

impl Site {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("acl", ACL);
        folder.write("rooms.toml", RULES);
        let config = folder.write("weir.toml", CONFIG).display().to_string();
        Self { folder, config }
    }

    /// What is said, with the names of the files alone, and the exit code.
    #[track_caller]
    fn explain(&self, words: &[&str]) -> (Vec<String>, i32) {
        let ended = weir(&[&["explain"], words, &["--config", &self.config]].concat());
        assert_eq!(ended.stderr, "");
        let folder = format!("{}/", self.folder.path().display());
        let plain = |line: &str| {
            let line = line.replace(&folder, "");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        (ended.stdout.lines().map(plain).collect(), ended.status.code().unwrap())
    }
}

/// The number of the first line of the configuration that begins so.
fn line(text: &str) -> usize {
    CONFIG.lines().position(|line| line.trim_start().starts_with(text)).unwrap() + 1
}

#[test]
fn publish_is_followed_through_all_files() {
    let site = Site::new("explain-publish");
    let (said, code) = site.explain(&["publish", "room/2/temperature"]);
    let expected = [
        "allowed acl:1 topic readwrite room/#".to_owned(),
        format!(
            "durability weir.toml:{} relaxed: acknowledged at once, on disk 1s later",
            line("[[durability]]")
        ),
        format!("history weir.toml:{} kept for 1w if there is room", line("[[history]]")),
        "rule rooms.toml:3 mean reads room/+/temperature".to_owned(),
        format!(
            "upstream weir.toml:{} cloud gets it as site/2/temperature",
            line("{ from = \"room/#\"")
        ),
    ];
    assert_eq!((said, code), (expected.to_vec(), 0));

    let (said, _) = site.explain(&["publish", "$delayed/5/room/1/x"]);
    let first = format!(
        "upstream weir.toml:{} cloud gets it as first/room/1/x",
        line("{ from = \"room/1/#\"")
    );
    assert_eq!(said.last(), Some(&first));
    let (said, _) = site.explain(&["publish", "alarm/x", "-u", "ann"]);
    let by_line = format!("upstream weir.toml:{} cloud gets it as alarm/x", line("topics"));
    assert_eq!(said.last(), Some(&by_line));
    let level = "durability - commit: acknowledged when it is on disk";
    assert!(said.iter().any(|line| line == level), "{said:?}");
}

#[test]
fn refusals_name_the_line_that_denies_or_say_that_none_allows() {
    let site = Site::new("explain-denied");
    let denied = |words: &[&str]| {
        let (said, code) = site.explain(words);
        assert_eq!((said.len(), code), (1, 1), "{said:?}");
        said[0].clone()
    };
    assert_eq!(denied(&["publish", "door"]), "denied acl no line allows it");
    assert_eq!(denied(&["publish", "room/safe", "-u", "ann"]), "denied acl:6 topic deny room/safe");
    assert_eq!(
        denied(&["publish", "of/a/b", "-i", "a/b"]),
        "denied acl no line allows it; patterns do not hold for a name with `/`, `+` or `#`"
    );
    let of_broker = "denied - only the broker itself writes this topic";
    assert_eq!(denied(&["publish", "$SYS/x", "-u", "ann"]), of_broker);
    assert_eq!(denied(&["subscribe", "hall/#"]), "denied acl no line allows it");
    let anonymous = ["publish", "room/1", "--set", "auth.allow_anonymous=false"];
    assert_eq!(denied(&anonymous), "denied --set nobody is let in without a name");

    let allowed = |words: &[&str]| {
        let (said, code) = site.explain(words);
        assert_eq!(code, 0, "{said:?}");
        said[0].clone()
    };
    assert_eq!(allowed(&["publish", "of/c", "-i", "c"]), "allowed acl:7 pattern write of/%c");
    assert_eq!(allowed(&["subscribe", "door"]), "allowed acl:2 topic read door");
    assert_eq!(
        allowed(&["subscribe", "$share/g/room/+", "-u", "ann"]),
        "allowed acl:5 topic readwrite #"
    );
}

#[test]
fn what_cannot_be_explained_is_refused_with_a_reason() {
    let site = Site::new("explain-wrong");
    for (words, part) in [
        (["publish", "room/#"], "a topic has no + and no #"),
        (["subscribe", "room#"], "+ is a whole level"),
    ] {
        let ended = weir(&["explain", words[0], words[1], "--config", &site.config]);
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    site.folder.write("acl", "topic wriet a\n");
    let ended = weir(&["explain", "publish", "a", "--config", &site.config]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("did you mean `write`?"), "{}", ended.stderr);
}

#[test]
fn drops_of_a_running_broker_have_their_lines() {
    let site = Site::new("explain-drops");
    let broker = Weir::start(site.folder.path().join("weir.toml").as_path());
    let (mut client, _) =
        Client::connect(broker.address(), Connect::new(Version::V5, "c")).unwrap();
    for (id, topic, payload) in [(1, "door", "x"), (2, "room/1/temperature", "warm")] {
        let packet_id = PacketId::new(id);
        let publish = Publish::new(topic, payload.as_bytes());
        let publish = Publish { qos: QoS::AtLeastOnce, packet_id, ..publish };
        client.send(&Packet::Publish(publish)).unwrap();
        assert!(matches!(client.receive(LIMIT), Received::Packet(Packet::Puback(_))));
    }
    let admin = broker.admin_address().to_string();
    let explain = |more: &[&str]| {
        weir(&[&["explain", "drops", "--config", &site.config, "--admin", &admin], more].concat())
    };
    let place = |file: &str| format!("{}/{file}", site.folder.path().display());
    let told: Value = serde_json::from_str(&explain(&["--json"]).stdout).unwrap();
    let acl = told["drops"].as_array().unwrap().iter().find(|drop| drop["reason"] == "acl");
    let at = place(&format!("weir.toml:{}", line("acl_file")));
    let expected = json!({
        "part": "sessions", "name": null, "reason": "acl", "count": 1,
        "decided_by": "auth.acl_file", "at": at,
    });
    assert_eq!(acl, Some(&expected), "{told}");
    // The rule counts when it is its turn.
    weir_tests::harness::wait::until("the error of the rule", || {
        let said = explain(&[]).stdout;
        said.contains(&place("rooms.toml:3")).then_some(())
    });
    broker.stop();
}
