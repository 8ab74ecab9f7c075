//! Upstreams that come, change and go while the broker runs.

use std::fs;

use super::*;
use crate::config::{Overrides, load};
use crate::{ReloadError, UpstreamChange, UpstreamChangeKind};

/// A broker with its files.
struct Site {
    directory: Directory,
    broker: Broker,
}

impl Site {
    fn start(upstreams: &str) -> Self {
        let directory = Directory::new("reload");
        write(&directory, upstreams, "");
        let file = directory.0.join("weir.toml");
        let loaded = load(Some(&file), &Overrides::default());
        let broker = Broker::start(loaded.expect("the file is right").config);
        Self { directory, broker: broker.expect("the broker starts") }
    }

    fn client(&self, id: &str) -> Client {
        let address = self.broker.addresses()[0];
        Client::connect(&HostPort::new("127.0.0.1", address.port()), id)
    }

    fn change(&self, upstreams: &str, rule: &str) -> Result<Vec<UpstreamChange>, ReloadError> {
        write(&self.directory, upstreams, rule);
        // It waits for the upstreams, which do not run on this thread.
        self.broker.reload().map(|reloaded| reloaded.upstreams)
    }

    /// Waits until the broker has received so many messages.
    async fn until_received(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.broker.status().messages.received < count {
            assert!(Instant::now() < deadline, "{:?}", self.broker.status().messages);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until(&self, name: &str, is: impl Fn(&UpstreamStatus) -> bool) -> UpstreamStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.broker.status().upstreams;
            let status = all.into_iter().find(|one| one.name == name).expect("it is there");
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn write(directory: &Directory, upstreams: &str, rule: &str) {
    let rules = directory.0.join("rules.toml");
    fs::write(&rules, format!("#\n{rule}")).expect("the directory is ours");
    let text = format!(
        "data_dir = \"{}\"\nrules = [\"rules.toml\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [auth]\nallow_anonymous = true\n{upstreams}",
        directory.0.join("data").display()
    );
    fs::write(directory.0.join("weir.toml"), text).expect("the directory is ours");
}

fn entry(name: &str, address: &HostPort, from: &str) -> String {
    format!(
        "[upstream.{name}]\naddress = \"{address}\"\nremote_clientid = \"gate-{name}\"\n\
         restart_timeout = \"20ms 100ms\"\nforward = [{{ from = \"{from}\", to = \"{{topic}}\" }}]\n"
    )
}

fn change(upstream: &str, kind: UpstreamChangeKind) -> UpstreamChange {
    UpstreamChange { upstream: upstream.to_owned(), kind }
}

/// It begins with what is published then, and rules that come with it send to it.
#[tokio::test]
async fn an_upstream_that_is_added_gets_what_comes_and_what_rules_send() {
    let Some(far) = Mosquitto::open(&[]) else { return };
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("#").await;
    let site = Site::start("");
    let here = site.client("here");
    here.publish("agg/a", 1, "before");
    site.until_received(1).await;
    let rule = "[rule.r]\nfrom = \"in/+\"\ndecode = \"number\"\n\
                to = { upstream = \"cloud\", topic = \"made\", format = \"number\" }\n";
    let changes = site.change(&entry("cloud", &far.address(), "agg/#"), rule).unwrap();
    assert_eq!(changes, [change("cloud", UpstreamChangeKind::Added)]);
    here.publish("agg/a", 1, "after");
    assert_eq!(there.next().await.payload, "after");
    here.publish("in/a", 1, "7");
    let message = there.next().await;
    assert_eq!((message.topic.as_str(), message.payload.as_str()), ("made", "7"));
    site.until("cloud", |status| status.acknowledged == 2 && status.depth == 0).await;
    let changes = site.change(&entry("cloud", &far.address(), "agg/#"), rule).unwrap();
    assert_eq!(changes, [], "nothing is another one");
}

/// What waits goes to the new address; the one beside it keeps its connection.
#[tokio::test]
async fn an_upstream_that_changes_keeps_its_backlog_and_the_others_their_connections() {
    let (Some(far), Some(mut gone)) = (Mosquitto::open(&[]), Mosquitto::open(&[])) else { return };
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("agg/#").await;
    let beside = FarEnd::start(10, |_, _| ReasonCode::Success);
    let other = entry("other", &beside.address(), "beside/#");
    let site = Site::start(&(entry("cloud", &gone.address(), "agg/#") + &other));
    site.until("other", |status| status.state == UpstreamState::Connected).await;
    site.until("cloud", |status| status.state == UpstreamState::Connected).await;
    let here = site.client("here");
    here.publish("agg/a", 1, "0");
    site.until("cloud", |status| status.acknowledged == 1).await;
    gone.stop();
    for payload in ["1", "2", "3"] {
        here.publish("agg/a", 1, payload);
    }
    site.until("cloud", |status| status.depth == 3).await;
    let next = entry("cloud", &far.address(), "agg/+") + &other;
    let changes = site.change(&next, "").unwrap();
    assert_eq!(changes, [change("cloud", UpstreamChangeKind::Changed)]);
    here.publish("agg/a", 1, "4");
    assert_eq!(there.payloads_until("4").await, ["1", "2", "3", "4"]);
    let status = site.until("cloud", |status| status.acknowledged == 5 && status.depth == 0).await;
    assert_eq!(status.dropped.len(), 0, "it counts on: {status:?}");
    assert_eq!(beside.seen(|seen| seen.connections), 1);
}

/// Nobody waits for it any more, and if it comes back it begins anew.
#[tokio::test]
async fn an_upstream_that_is_removed_leaves_nothing_behind() {
    let Some(mut far) = Mosquitto::open(&[]) else { return };
    far.stop();
    let cloud = entry("cloud", &far.address(), "agg/#");
    let site = Site::start(&cloud);
    let here = site.client("here");
    here.publish("agg/a", 1, "1");
    here.publish("agg/a", 1, "2");
    site.until("cloud", |status| status.depth == 2).await;
    let changes = site.change("", "").unwrap();
    assert_eq!(changes, [change("cloud", UpstreamChangeKind::Removed { waited: 2 })]);
    assert_eq!(site.broker.status().upstreams, []);
    here.publish("agg/a", 1, "3");
    let deadline = Instant::now() + PATIENCE;
    while site.broker.status().store.log_records > 0 {
        assert!(Instant::now() < deadline, "{:?}", site.broker.status().store);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    far.resume();
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("agg/#").await;
    site.change(&cloud, "").unwrap();
    here.publish("agg/a", 1, "4");
    assert_eq!(there.next().await.payload, "4");
}

#[tokio::test]
async fn nothing_changes_when_the_file_is_wrong() {
    let Some(far) = Mosquitto::open(&[]) else { return };
    let cloud = entry("cloud", &far.address(), "agg/#");
    let site = Site::start(&cloud);
    let rule = "[rule.r]\nfrom = \"in/+\"\nto = { upstream = \"clod\", topic = \"made\" }\n";
    let wrong = site.change(&entry("more", &far.address(), "more/#"), rule);
    let report = wrong.expect_err("there is no such upstream").report();
    assert!(report.contains("clod") && report.contains("nothing was changed"), "{report}");
    let names = site.broker.status().upstreams.into_iter().map(|upstream| upstream.name);
    assert_eq!(names.collect::<Vec<_>>(), ["cloud"]);
}

/// Alarms become urgent while some of them wait, and are as the rest later.
#[tokio::test]
async fn a_priority_can_change_while_messages_wait() {
    let Some(mut far) = Mosquitto::open(&[]) else { return };
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("#").await;
    far.stop();
    let upstream = |alarms: &str| {
        entry("cloud", &far.address(), "agg/value").replace(
            "forward = [",
            &format!("forward = [{{ from = \"agg/alarm\", to = \"{{topic}}\", priority = \"{alarms}\" }}, "),
        )
    };
    let site = Site::start(&upstream("normal"));
    let here = site.client("here");
    let depth = async |count: u64| {
        site.until("cloud", |status| status.depth == count).await;
    };
    here.publish("agg/value", 1, "0");
    here.publish("agg/alarm", 1, "1");
    depth(2).await;
    let changed = [change("cloud", UpstreamChangeKind::Changed)];
    assert_eq!(site.change(&upstream("high"), "").unwrap(), changed);
    here.publish("agg/alarm", 1, "2");
    depth(3).await;
    assert_eq!(site.change(&upstream("normal"), "").unwrap(), changed);
    here.publish("agg/alarm", 1, "3");
    depth(4).await;
    let status = site.until("cloud", |status| status.depth == 4).await;
    assert_eq!(status.depth_by_priority.get("high"), Some(&1));
    far.resume();
    let mut came = Vec::new();
    for _ in 0..4 {
        came.push(there.next().await.payload);
    }
    assert_eq!(came, ["2", "0", "1", "3"]);
    depth(0).await;
}
