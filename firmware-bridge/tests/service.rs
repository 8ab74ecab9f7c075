//! The real program as a service of systemd, whose socket is that of the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn manager_hears_when_the_bridge_runs_and_when_it_ends() {
    let socket = std::env::temp_dir().join(format!("weir-bridge-notify-{}", std::process::id()));
    let heard = UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(LIMIT)).unwrap();
    let next = || {
        let mut buffer = [0; 4096];
        let length = heard.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    // Nobody listens there: a bridge waits for its broker, and is ready all the same.
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_weir-bridge"))
        .args(["run", "--simulate", "--broker", "127.0.0.1:1"])
        .env("NOTIFY_SOCKET", &socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = bridge.id().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &id]).status().unwrap();
    let ready = next();
    let hung_up = signal("-HUP");
    let (reloading, ready_again) = (next(), next());
    let told = signal("-TERM");
    let stopping = next();
    let ended = bridge.wait().unwrap();
    fs::remove_file(&socket).unwrap();
    assert!(ready.starts_with("READY=1\nSTATUS=weir-bridge "), "{ready}");
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(ready_again, "READY=1\n");
    assert_eq!(stopping, "STOPPING=1\n");
    assert!(hung_up.success() && told.success() && ended.success());
}
