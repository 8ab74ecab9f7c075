//! A whole simulated gateway with the configuration of the package, under load: how much memory is
//! left. Two hundred clients are connected and quiet, those of the campaigns publish and read as
//! fast as the emulated processor goes, and one that is away has its messages kept. Then the power
//! is cut, and after it nothing that was acknowledged may be missing. A gateway with less than
//! 128 MiB has the limits that docs/raspberry-pi.md names for such a one.
//!
//! `tests/cross/pi-sim --packaged` makes the gateway and runs this. `WEIR_GATEWAY_MEMORY` says with
//! how many MiB (more than one: one after the other), `WEIR_GATEWAY_SECONDS` for how long.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what was measured is what it is for")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use std::{env, iter};

use weir_mqtt::{Connect, ReasonCode, Version};
use weir_tests::campaign::clients::Clients;
use weir_tests::campaign::load::RULES;
use weir_tests::harness::client::Client;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{not_run, program};
use weir_tests::harness::gateway::{Gateway, LISTENER, Memory};
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::weir::workspace;

/// Clients that are connected and quiet.
const IDLE: usize = 200;
const SECONDS: u64 = 60;
/// What must stay for everything else on the box, in KiB. There the file system of the start is in
/// memory too, with the program in it: 13 MiB that a box with a card has besides.
const SPARE_KIB: u64 = 8 * 1024;
/// Below it a gateway is told to set lower limits than those of the package.
const SMALL_MIB: u64 = 128;
/// So much of the console is told at the end.
const LAST_LINES: usize = 20;

#[test]
fn the_packaged_configuration_leaves_memory_to_spare() {
    let Ok(memory) = env::var("WEIR_GATEWAY_MEMORY") else {
        // The machine that an earlier run has made may have an old broker.
        return not_run(
            "memory of a whole gateway: WEIR_GATEWAY_MEMORY does not say how much it has; see \
             tests/cross/pi-sim",
        );
    };
    let seconds = env::var("WEIR_GATEWAY_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    for memory_mib in memory.split_whitespace() {
        measure(memory_mib.parse().unwrap(), Duration::from_secs(seconds));
    }
}

fn measure(memory_mib: u64, load: Duration) {
    let test = "memory of a whole gateway";
    // It has no upstream, but the network of the gateway wants to lead somewhere.
    let Some(mosquitto) = program(test, "mosquitto") else { return };
    let folder = Folder::new("whole-gateway");
    let far = Mosquitto::start(mosquitto, &folder, "");
    folder.write("content/weir.toml", packaged(memory_mib));
    folder.write("content/rules/load.toml", RULES);
    let content = folder.path().join("content");
    let Some(gateway) = Gateway::new(test, &folder, &content, memory_mib, far.address()) else {
        return;
    };
    let mut clients = Clients::new(1);
    let running = gateway.switch_on();
    running.wait_until_ready();
    clients.settle(running.address(), true);
    let before = running.next_memory();
    let idle = connect_idle(running.address());
    let connected = running.next_memory();
    println!("{memory_mib} MiB: the system has {} KiB", before.total_kib);
    tell("before", &before);
    tell("with 200 quiet clients", &connected);
    let address = running.address();
    let mut under_load = before;
    clients.work_until(address, false, load, || {
        under_load = running.worst_memory();
        // Where it has ended by itself, this says why.
        let console = running.console();
        let last = console.lines().rev().take(LAST_LINES).collect::<Vec<_>>();
        last.iter().rev().filter(|line| !line.contains("gateway: memory")).for_each(|line| {
            println!("    {line}");
        });
        running.cut();
    });
    drop(idle);
    tell("the least and the most under load", &under_load);
    let again = gateway.switch_on();
    again.wait_until_ready();
    clients.settle(again.address(), true);
    println!("  {}", clients.account());
    assert!(under_load.available_kib >= SPARE_KIB, "too little is left: {under_load:?}");
    assert!(under_load.weir_kib <= limit_kib(memory_mib), "more than its limit: {under_load:?}");
}

fn tell(when: &str, memory: &Memory) {
    println!("  {when}: {} KiB free, weir {} KiB", memory.available_kib, memory.weir_kib);
}

/// The file of the package, but for where the gateway is reached and where its disk is; and the
/// queue of the client that is away has no limit, since nothing may be missing from it.
fn packaged(memory_mib: u64) -> String {
    let mut text = fs::read_to_string(workspace().join("config/package/weir.toml")).unwrap();
    for (packaged, here) in [("127.0.0.1:1883", LISTENER), ("/var/lib/weir", "/data/store")] {
        assert!(text.contains(&format!("\"{packaged}\"")), "{packaged} is not in the package");
        text = text.replace(&format!("\"{packaged}\""), &format!("\"{here}\""));
    }
    if memory_mib < SMALL_MIB {
        for (packaged, small) in [("= \"64MB\"", "= \"40MB\""), ("= \"16MB\"", "= \"4MB\"")] {
            assert!(text.contains(packaged), "{packaged} is not in the package");
            text = text.replace(packaged, small);
        }
    }
    text.replace("[limits]\n", "[limits]\nmax_queued_messages = 0\nmax_queued_bytes = 0\n")
}

/// What `memory_limit` of the package says.
fn limit_kib(memory_mib: u64) -> u64 {
    let text = packaged(memory_mib);
    let line = text.lines().find_map(|line| line.strip_prefix("memory_limit = \"")).unwrap();
    line.trim_end_matches("MB\"").parse::<u64>().unwrap() * 1024
}

fn connect_idle(address: SocketAddr) -> Vec<Client> {
    let mut number = 0;
    let connect = || {
        number += 1;
        let client_id = format!("idle-{number}");
        let mut connect = Connect::new(Version::V5, &client_id);
        connect.keep_alive_s = 0;
        let (client, accepted) = Client::connect(address, connect).unwrap();
        assert_eq!(accepted.reason, ReasonCode::Success, "{client_id} is refused");
        Some(client)
    };
    iter::from_fn(connect).take(IDLE).collect()
}
