//! The static binaries for ARM, as they are shipped, in an emulator of the processor (not of a
//! machine: the kernel is that of this one). The clients are on this machine: they publish, the
//! broker is killed and started again, and nothing that was acknowledged may be missing; the
//! windows of a rule are those of a plain computation; a client of others shakes hands over TLS;
//! and the store of one processor is that of another.
//!
//! `tests/cross/arm-run` builds them and runs this. `WEIR_ARM` names the targets that were built,
//! `WEIR_ARM_ROUNDS` says how often each is killed, and `WEIR_ARM_SEED` repeats the choices of a
//! run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a campaign says how far it is")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, process};

use weir_mqtt::Version;
use weir_tests::campaign::clients::Clients;
use weir_tests::campaign::load::{CONFIG, RULES};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{made, not_run, program};
use weir_tests::harness::process::Process;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Starting, Weir};
use weir_tests::sim::random::Random;

use certificates::Site;

#[path = "foreign/certificates.rs"]
mod certificates;

/// A processor: the target that is built for it and what runs that here.
struct Processor {
    target: &'static str,
    emulator: &'static str,
    /// What `readelf` calls a file for it.
    machine: &'static str,
}

const ARM_64: Processor = Processor {
    target: "aarch64-unknown-linux-musl",
    emulator: "qemu-aarch64-static",
    machine: "AArch64",
};
const ARM_32: Processor = Processor {
    target: "armv7-unknown-linux-musleabihf",
    emulator: "qemu-arm-static",
    machine: "ARM",
};

const ROUNDS: u64 = 3;
/// The longest time from the begin of the load to the kill.
const LOAD_MAX: Duration = Duration::from_millis(1500);

const SECURE: &str = r#"
data_dir = "data"
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
[listener.tls]
certfile = "broker.pem"
keyfile = "broker.key"
[auth]
allow_anonymous = true
"#;

#[test]
fn what_64_bit_arm_has_acknowledged_survives_kill_9() {
    survives_kill_9(&ARM_64);
}

#[test]
fn what_32_bit_arm_has_acknowledged_survives_kill_9() {
    survives_kill_9(&ARM_32);
}

#[test]
fn a_client_of_others_speaks_over_tls_with_64_bit_arm() {
    speaks_over_tls(&ARM_64);
}

#[test]
fn a_client_of_others_speaks_over_tls_with_32_bit_arm() {
    speaks_over_tls(&ARM_32);
}

#[test]
fn the_64_bit_binary_needs_no_library() {
    needs_no_library(&ARM_64);
}

#[test]
fn the_32_bit_binary_needs_no_library() {
    needs_no_library(&ARM_32);
}

fn survives_kill_9(processor: &Processor) {
    let Some(emulated) = Emulated::find("ARM, kill -9", processor) else { return };
    let rounds = number("WEIR_ARM_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("WEIR_ARM_SEED").unwrap_or_else(|| u64::from(process::id()));
    println!("{}: {rounds} rounds, WEIR_ARM_SEED={seed}", processor.target);
    let folder = Folder::new("arm");
    let config = folder.write("weir.toml", CONFIG);
    folder.write("rules.toml", RULES);
    let (mut random, mut clients) = (Random::new(seed), Clients::new(seed));
    for round in 0..rounds {
        let weir = emulated.start(&config);
        // The first time so that what comes after it is kept for the one that is away.
        clients.settle(weir.address(), round % 2 == 0);
        clients.set_long(random.chance(20));
        let wait = Duration::from_micros(random.below(LOAD_MAX.as_micros() as u64));
        clients.work_until(weir.address(), false, wait, || weir.kill());
    }
    let weir = emulated.start(&config);
    clients.settle(weir.address(), true);
    clients.disconnect();
    weir.stop();
    // The store goes with its disk into another machine: this one.
    let here = Weir::start(&config);
    clients.settle(here.address(), true);
    here.stop();
    let account = clients.account();
    println!("{}: {account}", processor.target);
    assert!(account.windows > 0, "no window has come: {account}");
}

fn speaks_over_tls(processor: &Processor) {
    let test = "ARM, TLS";
    let Some(emulated) = Emulated::find(test, processor) else { return };
    let Some(publisher) = program(test, "mosquitto_pub") else { return };
    let site = Site::new("arm-tls");
    let config = site.0.write("weir.toml", SECURE);
    let weir = emulated.start(&config);
    let mut subscriber = Subscriber::new("reader", Version::V5, "arm/#");
    subscriber.connect(weir.address()).unwrap();
    let secure = weir.addresses(2)[1];
    for version in ["tlsv1.2", "tlsv1.3"] {
        let mut command = Command::new(&publisher);
        command
            .args(["-h", "localhost", "-p", &secure.port().to_string(), "-q", "1"])
            .args(["--cafile", &site.path("ca.pem"), "--tls-version", version])
            .args(["-t", "arm/secure", "-m", version]);
        let ended = Process::spawn(&mut command).wait(LIMIT);
        assert!(ended.status.success(), "{version}: {ended:?}");
        match subscriber.receive(LIMIT) {
            Arrival::Message(message) => assert_eq!(message.payload, version.as_bytes()),
            other => panic!("{version}: {other:?}"),
        }
    }
    weir.stop();
}

fn needs_no_library(processor: &Processor) {
    let test = "ARM, static";
    let Some(emulated) = Emulated::find(test, processor) else { return };
    let Some(readelf) = program(test, "readelf") else { return };
    let mut command = Command::new(readelf);
    let ended = Process::spawn(command.arg("-hld").arg(&emulated.program)).wait(LIMIT);
    let said = &ended.stdout;
    let machine = said.lines().find(|line| line.trim_start().starts_with("Machine:")).unwrap();
    assert!(machine.ends_with(processor.machine), "{machine}");
    assert!(!said.contains("NEEDED") && !said.contains("INTERP"), "{said}");
}

/// A binary and what runs it.
struct Emulated {
    program: PathBuf,
    emulator: PathBuf,
}

impl Emulated {
    fn find(test: &str, processor: &Processor) -> Option<Self> {
        let target = processor.target;
        let built = env::var("WEIR_ARM").unwrap_or_default();
        if !built.split_whitespace().any(|name| name == target) {
            // What an earlier run has built may be an old broker.
            not_run(&format!("{test}: WEIR_ARM does not name {target}; see tests/cross/arm-run"));
            return None;
        }
        let emulator = program(test, processor.emulator)?;
        let program = made(test, &format!("arm/{target}/weir"))?;
        Some(Self { program, emulator })
    }

    fn start(&self, config: &Path) -> Weir {
        let mut command = Command::new(&self.emulator);
        command.arg(&self.program).args(["run", "--config"]).arg(config);
        Starting::spawn(&mut command).listening()
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text}")))
}
