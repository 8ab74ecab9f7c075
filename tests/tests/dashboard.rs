//! The dashboard of the real binary in a real Chromium.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use weir_mqtt::{Connect, Packet, ReasonCode, Version};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{node_packages, program};
use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::weir::{Weir, command, weir, workspace};

/// A browser takes its time to start.
const LIMIT: Duration = Duration::from_secs(120);

const MARKUP: &str = "<img src=x onerror=alert(1)>";

const RULES: &str = r#"
[rule.tank]
from   = "tank/{id}"
by     = ["id"]
window = "tumbling 1s"
select = { level = "avg(level)" }
to     = "agg/{id}"

[rule.echo]
from   = "{id}/x"
decode = "text"
to     = "echo/of/{id}"
"#;

/// A broker with somebody who publishes all the time.
struct Site {
    folder: Folder,
    weir: Weir,
    /// Ended with the test.
    publishers: Vec<Process>,
}

/// What runs the page.
struct Browser {
    node: PathBuf,
    packages: PathBuf,
    chromium: PathBuf,
}

impl Site {
    fn new(name: &str) -> Self {
        let folder = Folder::new(&format!("dashboard-{name}"));
        let data = folder.path().join("data");
        let config = config(&folder, &data.display().to_string(), "127.0.0.1:0", "127.0.0.1:0");
        let weir = Weir::start(&config);
        Self { folder, weir, publishers: Vec::new() }
    }

    /// Lets somebody publish twenty times a second.
    fn publish(&mut self, client_id: &str, topic: &str, payload: &str) {
        let port = self.weir.address().port().to_string();
        let publisher =
            Process::spawn(
                command(&["pub", "-h", "127.0.0.1", "-p", &port, "-i", client_id, "-t", topic])
                    .args(["-m", payload, "--repeat", "1000000", "--repeat-delay", "0.05"]),
            );
        self.publishers.push(publisher);
    }

    /// What `weir dashboard` prints.
    fn link(&self) -> String {
        let data_dir = self.folder.path().join("data");
        let admin = self.weir.admin_address().to_string();
        let told =
            weir(&["dashboard", "--data-dir", &data_dir.to_string_lossy(), "--admin", &admin]);
        assert!(told.status.success(), "{told:?}");
        told.stdout.trim().to_owned()
    }
}

impl Browser {
    fn find(test: &str) -> Option<Self> {
        let chromium = program(test, "chromium")?;
        let node = program(test, "node")?;
        let packages = node_packages(test, "dashboard")?;
        Some(Self { node, packages, chromium })
    }

    fn start(&self, what: &str, link: &str) -> Process {
        let script = workspace().join("tests/foreign/dashboard/page.js");
        let mut command = Command::new(&self.node);
        command.env("NODE_PATH", &self.packages).arg(script);
        Process::spawn(command.arg(what).arg(&self.chromium).arg(link))
    }

    /// Does it to the end, and answers what was said.
    fn run(&self, what: &str, link: &str) -> String {
        ended(what, self.start(what, link))
    }
}

fn ended(what: &str, page: Process) -> String {
    let ended = page.wait(LIMIT);
    assert!(ended.status.success(), "{what}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn config(folder: &Folder, data: &str, listener: &str, admin: &str) -> PathBuf {
    folder.write("rules.toml", RULES);
    let text = format!(
        "data_dir = \"{data}\"\nrules = [\"rules.toml\"]\n[[listener]]\naddress = \"{listener}\"\n\
         [auth]\nallow_anonymous = true\n[admin]\naddress = \"{admin}\"\n"
    );
    folder.write("weir.toml", text)
}

/// A client that does nothing.
fn idle(weir: &Weir) -> Client {
    let mut connect = Connect::new(Version::V5, "to be cut");
    connect.clean_start = true;
    connect.keep_alive_s = 0;
    let (client, accepted) = Client::connect(weir.address(), connect).unwrap();
    assert_eq!(accepted.reason, ReasonCode::Success);
    client
}

fn assert_cut(mut client: Client) {
    match client.receive(LIMIT) {
        Received::Packet(Packet::Disconnect(disconnect)) => {
            assert_eq!(disconnect.reason, ReasonCode::AdministrativeAction);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn figures_move_without_a_token_and_the_page_is_small_and_soon_there() {
    let Some(browser) = Browser::find("figures of the dashboard") else { return };
    let mut site = Site::new("figures");
    site.publish("sensor", "tank/7", "{\"level\":3}");
    browser.run("figures", &site.link());
}

#[test]
fn a_wrong_token_is_told_and_figures_go_on_without_it() {
    let Some(browser) = Browser::find("a wrong token for the dashboard") else { return };
    let site = Site::new("wrong");
    browser.run("wrong", &site.link());
}

#[test]
fn a_rule_has_a_live_window_and_is_paused_from_the_page() {
    let Some(browser) = Browser::find("rules on the dashboard") else { return };
    let mut site = Site::new("rule");
    site.publish("sensor", "tank/7", "{\"level\":3}");
    browser.run("rule", &site.link());
}

#[test]
fn a_topic_shows_its_values_and_what_is_retained_is_deleted() {
    let Some(browser) = Browser::find("topics on the dashboard") else { return };
    let mut site = Site::new("topic");
    let port = site.weir.address().port().to_string();
    let kept =
        ["pub", "-h", "127.0.0.1", "-p", &port, "-q", "1", "-r", "-t", "kept/value", "-m", "5"];
    assert!(weir(&kept).status.success());
    site.publish("sensor", "tank/7", "{\"level\":3}");
    browser.run("topic", &site.link());
}

#[test]
fn a_client_is_disconnected_from_the_page() {
    let Some(browser) = Browser::find("clients on the dashboard") else { return };
    let site = Site::new("client");
    let client = idle(&site.weir);
    browser.run("client", &site.link());
    assert_cut(client);
}

#[test]
fn what_looks_like_markup_stays_text() {
    let Some(browser) = Browser::find("markup on the dashboard") else { return };
    let mut site = Site::new("text");
    site.publish(MARKUP, &format!("{MARKUP}/x"), MARKUP);
    browser.run("text", &site.link());
}

#[test]
fn a_keyboard_is_enough() {
    let Some(browser) = Browser::find("the dashboard with a keyboard") else { return };
    let site = Site::new("keyboard");
    let client = idle(&site.weir);
    browser.run("keyboard", &site.link());
    assert_cut(client);
}

#[test]
fn axe_finds_nothing_in_the_light_and_in_the_dark() {
    let Some(browser) = Browser::find("axe on the dashboard") else { return };
    let mut site = Site::new("accessible");
    site.publish("sensor", "tank/7", "{\"level\":3}");
    browser.run("accessible", &site.link());
}

#[test]
fn a_small_phone_is_wide_enough() {
    let Some(browser) = Browser::find("the dashboard on a phone") else { return };
    let mut site = Site::new("phone");
    site.publish("sensor", "a/long/topic/with/many/levels/that/does/not/fit", "{\"level\":3}");
    browser.run("phone", &site.link());
}

#[test]
fn a_lost_connection_is_shown_and_comes_back() {
    let Some(browser) = Browser::find("the dashboard without a broker") else { return };
    let site = Site::new("lost");
    let page = browser.start("lost", &site.link());
    page.wait_for(Stream::Stdout, "it is live", LIMIT).expect("it says so");
    let Site { folder, weir, .. } = site;
    let (listener, admin) = (weir.address().to_string(), weir.admin_address().to_string());
    let data = folder.path().join("data").display().to_string();
    weir.stop();
    page.wait_for(Stream::Stdout, "it is lost", LIMIT).expect("it says so");
    let weir = Weir::start(&config(&folder, &data, &listener, &admin));
    ended("lost", page);
    weir.stop();
}
