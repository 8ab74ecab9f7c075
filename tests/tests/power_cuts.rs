//! The power of a simulated gateway is cut at random moments: under load, and while it boots. The
//! broker runs there as the static file that is shipped, on ext4, and forwards everything to a real
//! mosquitto on this machine, which is away for a part of the time. Then nothing that was
//! acknowledged may be missing, QoS 2 may not come twice, the retained messages are the last ones
//! acknowledged, the windows of a rule are those of a plain computation, and the upstream has all
//! of it, once for each `id`.
//!
//! `tests/cross/pi-sim` makes the gateway and runs this. `WEIR_POWER_CUTS` says how often the power
//! is cut for each amount of memory, `WEIR_POWER_MEMORY` with how many MiB (more than one: one
//! after the other), and `WEIR_POWER_SEED` repeats the choices of a run. `WEIR_POWER_REPORT` names
//! a file that each run appends its report to; the cuts of earlier runs in it count.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a campaign says how far it is")]

use std::time::Duration;
use std::{env, process, thread};

use weir_mqtt::Version;
use weir_tests::campaign::clients::Clients;
use weir_tests::campaign::load::RULES;
use weir_tests::campaign::readers::{Reader, What};
use weir_tests::campaign::report::{Report, outcome, panic_text, spread};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{not_run, program};
use weir_tests::harness::gateway::{Gateway, LISTENER, Running, UPSTREAM};
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::wait::pass;
use weir_tests::sim::random::Random;

/// The offline subscriber comes for its messages every so many rounds.
const OFFLINE_ROUNDS: u64 = 5;
/// The longest time from the begin of the load to the cut.
const LOAD_MAX: Duration = Duration::from_secs(4);

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let Ok(cuts) = env::var("WEIR_POWER_CUTS") else {
        // The machine that an earlier run has made may have an old broker.
        return not_run(
            "power cuts: WEIR_POWER_CUTS does not say how many; see tests/cross/pi-sim",
        );
    };
    let cuts = number("WEIR_POWER_CUTS", &cuts);
    let memory = env::var("WEIR_POWER_MEMORY").unwrap_or_else(|_| "512 96".to_owned());
    for memory_mib in memory.split_whitespace() {
        cut_and_look(cuts, number("WEIR_POWER_MEMORY", memory_mib));
    }
}

fn cut_and_look(asked: u64, memory_mib: u64) {
    let seed = env::var("WEIR_POWER_SEED").map(|seed| number("WEIR_POWER_SEED", &seed));
    let seed = seed.unwrap_or_else(|_| u64::from(process::id()));
    let what = format!("power cut, {memory_mib} MiB");
    let report = Report::begin("WEIR_POWER_REPORT", &what, &[("seed", seed.to_string())]);
    let before = report.done_before("cuts");
    let cuts = asked.saturating_sub(before);
    println!("{cuts} cuts, {before} were made before, {memory_mib} MiB, WEIR_POWER_SEED={seed}");
    if cuts == 0 {
        return;
    }
    let Some(mut run) = Run::new(seed, memory_mib) else { return };
    let ended = thread::scope(|scope| scope.spawn(|| run.cut(cuts, &report)).join());
    let mut lines = run.lines();
    println!("{}", run.text());
    let failures: Vec<String> = ended.err().map(|said| panic_text(&*said)).into_iter().collect();
    lines.extend(outcome(&failures));
    report.write(&lines);
    assert!(failures.is_empty(), "WEIR_POWER_SEED={seed}: {failures:#?}");
}

struct Run {
    /// Where the disk is and what the upstream keeps.
    _folder: Folder,
    random: Random,
    clients: Clients,
    gateway: Gateway,
    far: Mosquitto,
    far_is_there: bool,
    far_reader: Reader,
    cuts: u64,
    cuts_at_boot: u64,
    cuts_without_upstream: u64,
    boots: Vec<Duration>,
}

impl Run {
    /// `None` when something is missing here.
    fn new(seed: u64, memory_mib: u64) -> Option<Self> {
        let test = "power cuts";
        let mosquitto = program(test, "mosquitto")?;
        let folder = Folder::new("power-cuts");
        let far = Mosquitto::start(mosquitto, &folder, "");
        folder.write("content/weir.toml", config(memory_mib));
        folder.write("content/rules.toml", RULES);
        let content = folder.path().join("content");
        let gateway = Gateway::new(test, &folder, &content, memory_mib, far.address())?;
        let mut far_reader = Reader::new("far", Version::V5, What::Upstream);
        far_reader.connect(far.address()).unwrap();
        Some(Self {
            _folder: folder,
            random: Random::new(seed),
            clients: Clients::new(seed),
            gateway,
            far,
            far_is_there: true,
            far_reader,
            cuts: 0,
            cuts_at_boot: 0,
            cuts_without_upstream: 0,
            boots: Vec::new(),
        })
    }

    fn cut(&mut self, cuts: u64, report: &Report) {
        while self.cuts < cuts {
            self.round(cuts);
            report.write(&self.lines());
            println!("{}", self.text());
        }
        self.end();
    }

    fn round(&mut self, cuts: u64) {
        if self.cuts + 1 < cuts && self.random.chance(10) {
            self.cut_at_boot();
        }
        let is_there = self.random.chance(60);
        self.let_far_be_there(is_there);
        let running = self.switch_on();
        // What was under way at the cut is not settled in every round before the next one.
        if self.cuts == 0 || self.random.chance(60) {
            self.settle(&running, self.cuts.is_multiple_of(OFFLINE_ROUNDS));
        }
        let wait = self.up_to(LOAD_MAX);
        let with_offline = self.random.chance(20);
        self.clients.set_long(self.random.chance(20));
        let address = running.address();
        self.clients.work_until(address, with_offline, wait, || running.cut());
        self.cuts += 1;
        self.cuts_without_upstream += u64::from(!self.far_is_there);
    }

    fn end(&mut self) {
        self.let_far_be_there(true);
        for _ in 0..2 {
            let running = self.switch_on();
            self.settle(&running, true);
            self.clients.disconnect();
            running.cut();
        }
    }

    fn switch_on(&mut self) -> Running {
        let running = self.gateway.switch_on();
        self.boots.push(running.wait_until_ready());
        running
    }

    /// Cuts the power of a gateway that has not come up.
    fn cut_at_boot(&mut self) {
        let usual = self.boots.last().copied().unwrap_or(FIRST_BOOT);
        let wait = self.up_to(usual * 5 / 4);
        let running = self.gateway.switch_on();
        pass(wait);
        running.cut();
        self.cuts += 1;
        self.cuts_at_boot += 1;
    }

    fn settle(&mut self, running: &Running, with_offline: bool) {
        self.clients.settle(running.address(), with_offline);
        if self.far_is_there {
            let ledgers = self.clients.ledgers();
            self.far_reader.catch_up(ledgers.iter().map(AsRef::as_ref));
        }
    }

    fn let_far_be_there(&mut self, is_there: bool) {
        match (self.far_is_there, is_there) {
            (true, false) => {
                self.far_reader.disconnect();
                self.far.stop();
            }
            (false, true) => {
                self.far.start_again();
                self.far_reader.connect(self.far.address()).unwrap();
            }
            _ => {}
        }
        self.far_is_there = is_there;
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.random.below(longest.as_micros() as u64))
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("cuts", self.cuts.to_string()),
            ("cuts_at_boot", self.cuts_at_boot.to_string()),
            ("cuts_without_upstream", self.cuts_without_upstream.to_string()),
            ("ready_ms", spread(&mut self.boots.clone())),
        ];
        lines.extend(self.clients.account().lines());
        lines.push(("upstream_repeated_at_qos_1", self.far_reader.repeated().to_string()));
        lines.push(("upstream_repeated_at_qos_2", self.far_reader.repeated_at_qos_2().to_string()));
        lines.push(("upstream_messages", self.far_reader.messages().to_string()));
        lines
    }

    fn text(&self) -> String {
        format!(
            "{} cuts, {} of them while booting, {} without the upstream: {}, {} messages at the \
             upstream, ready in ms {}",
            self.cuts,
            self.cuts_at_boot,
            self.cuts_without_upstream,
            self.clients.account(),
            self.far_reader.messages(),
            spread(&mut self.boots.clone()),
        )
    }
}

fn config(memory_mib: u64) -> String {
    // Half of it is for the system.
    let limit_mb = (memory_mib / 2).min(128);
    format!(
        r#"
data_dir = "store"
rules = ["rules.toml"]
[[listener]]
address = "{LISTENER}"
[auth]
allow_anonymous = true
[limits]
memory_limit = "{limit_mb}MB"
max_queued_messages = 0
max_queued_bytes = "0B"
[log]
level = "warn"
[upstream.cloud]
address = "{UPSTREAM}"
remote_clientid = "gateway"
restart_timeout = "500ms 2s"
forward = [
  {{ from = "load/1/#", to = "far/{{topic}}", qos = 1 }},
  {{ from = "load/2/#", to = "far/{{topic}}", qos = 2 }},
  {{ from = "window/#", to = "far/{{topic}}", qos = 2 }},
]
"#
    )
}

/// How long a boot may take before one was seen.
const FIRST_BOOT: Duration = Duration::from_secs(8);

fn number(name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text}"))
}
