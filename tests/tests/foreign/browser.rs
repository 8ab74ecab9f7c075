//! The browser build of MQTT.js in a real Chromium, over WebSocket with and without TLS.

use std::process::Command;
use std::time::Duration;

use weir_tests::harness::foreign::{node_packages, program};
use weir_tests::harness::process::Process;
use weir_tests::harness::weir::{Weir, workspace};

use super::certificates::Site;

/// A browser takes its time to start.
const LIMIT: Duration = Duration::from_secs(120);
const LISTENER: &str = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                        protocol = \"websocket\"\n";
const TLS: &str = "[listener.tls]\ncertfile = \"broker.pem\"\nkeyfile = \"broker.key\"\n";
const OPEN: &str = "[auth]\nallow_anonymous = true\n";

fn in_a_page(scheme: &str, tls: &str) {
    let test = format!("MQTT.js in Chromium, {scheme}");
    let Some(chromium) = program(&test, "chromium") else { return };
    let Some(node) = program(&test, "node") else { return };
    let Some(packages) = node_packages(&test, "mqttjs") else { return };
    let site = Site::new(&format!("browser-{scheme}"));
    let weir = Weir::start(&site.0.write("weir.toml", format!("{LISTENER}{tls}{OPEN}")));
    let mut command = Command::new(node);
    command.env("NODE_PATH", packages);
    command.arg(workspace().join("tests/foreign/mqttjs/browser.js"));
    command.args([scheme, &weir.address().port().to_string()]);
    command.arg(chromium).arg(site.path("profile"));
    if scheme == "wss" {
        command.arg(site.path("broker.pem"));
    }
    let ended = Process::spawn(&mut command).wait(LIMIT);
    assert!(ended.status.success(), "{scheme}: {}{}", ended.stdout, ended.stderr);
    weir.stop();
}

#[test]
fn a_page_in_chromium_speaks_over_websocket() {
    in_a_page("ws", "");
}

#[test]
fn a_page_in_chromium_speaks_over_websocket_and_tls() {
    in_a_page("wss", TLS);
}
