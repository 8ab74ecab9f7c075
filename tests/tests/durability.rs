//! A real broker with a real file is killed at random moments: under load, while it starts, while
//! it stops, and while its store is compacted. Its clients follow the standard to the letter: what was not acknowledged is sent
//! again with its identifier. Then nothing that was acknowledged may be missing, QoS 2 may not come
//! twice, the retained messages are the last ones acknowledged, and the windows of a rule are those
//! of a plain computation.
//!
//! `WEIR_KILL_ROUNDS` says how often it is killed, `WEIR_KILL_LANES` how many brokers go through it
//! at once, each with its own store and clients. `WEIR_KILL_SEED` repeats the choices of a run.
//! `WEIR_KILL_REPORT` names a file that each run appends its report to; the rounds of earlier runs
//! in it count.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a campaign says how far it is")]

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{env, process, thread};

use weir_tests::campaign::clients::{Account, Clients};
use weir_tests::campaign::load::{CONFIG, RULES};
use weir_tests::campaign::report::{Report, outcome, panic_text, spread};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::process::Process;
use weir_tests::harness::wait::pass;
use weir_tests::harness::weir::{Weir, command};
use weir_tests::sim::random::Random;

const ROUNDS: u64 = 30;
const LANES: u64 = 2;
/// The offline subscriber comes for its messages every so many rounds.
const OFFLINE_ROUNDS: u64 = 5;
/// The longest time from the begin of the load to the kill.
const LOAD_MAX: Duration = Duration::from_millis(150);
/// In some rounds, so that the store comes to its checkpoints between two kills.
const LONG_LOAD_MAX: Duration = Duration::from_millis(1500);
/// How long a start may take before one was seen.
const FIRST_START: Duration = Duration::from_millis(10);
/// A stop takes about half of it.
const STOP_MAX: Duration = Duration::from_millis(60);
/// To compact takes less, unless the machine is busy.
const COMPACT_MAX: Duration = Duration::from_millis(300);
/// How often the report is written.
const REPORT_ROUNDS: u64 = 100;

/// Every other lane has its clients spread over three shards.
fn config(lane: u64) -> String {
    let shards = if lane.is_multiple_of(2) { 1 } else { 3 };
    format!("shards = {shards}\n{CONFIG}")
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let asked = number("WEIR_KILL_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("WEIR_KILL_SEED").unwrap_or_else(|| u64::from(process::id()));
    let lanes = number("WEIR_KILL_LANES").unwrap_or(LANES);
    let more = [("seed", seed.to_string()), ("lanes", lanes.to_string())];
    let report = Report::begin("WEIR_KILL_REPORT", "kill -9", &more);
    let before = report.done_before("rounds");
    let rounds = asked.saturating_sub(before);
    println!("{rounds} rounds, {before} were made before, {lanes} lanes, WEIR_KILL_SEED={seed}");

    let campaign = Campaign::new(rounds, lanes, report);
    let failures: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| (lane, &campaign))
            .map(|(lane, campaign)| scope.spawn(move || campaign.run(lane, seed)))
            .collect();
        lanes
            .into_iter()
            .filter_map(|lane| lane.join().err())
            .map(|said| panic_text(&*said))
            .collect()
    });
    campaign.write(&outcome(&failures));
    println!("{}", campaign.figures().text());
    assert!(failures.is_empty(), "WEIR_KILL_SEED={seed}: {failures:#?}");
    assert_eq!(campaign.figures().rounds, rounds);
}

/// Several brokers, each with its own clients: while one waits, another works.
struct Campaign {
    rounds: u64,
    begun: AtomicU64,
    /// A lane has failed, and the others need not go on.
    failed: AtomicBool,
    lanes: Mutex<Vec<Figures>>,
    report: Report,
}

#[derive(Clone, Default)]
struct Figures {
    rounds: u64,
    kills_at_start: u64,
    kills_at_stop: u64,
    kills_of_compact: u64,
    starts: Vec<Duration>,
    account: Account,
}

impl Campaign {
    fn new(rounds: u64, lanes: u64, report: Report) -> Self {
        let lanes = (0..lanes).map(|_| Figures::default()).collect();
        Self {
            rounds,
            begun: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            lanes: Mutex::new(lanes),
            report,
        }
    }

    fn run(&self, lane: u64, seed: u64) {
        let _failed = FailedWhenPanicking(&self.failed);
        let mut run = Run::new(lane, seed + lane);
        while !self.failed.load(Ordering::Relaxed)
            && self.begun.fetch_add(1, Ordering::Relaxed) < self.rounds
        {
            run.round();
            self.lanes.lock().unwrap()[lane as usize] = run.figures();
            let done = self.figures().rounds;
            if done.is_multiple_of(REPORT_ROUNDS) {
                self.write(&[]);
                println!("{}", self.figures().text());
            }
        }
        run.end();
        self.lanes.lock().unwrap()[lane as usize] = run.figures();
    }

    fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for lane in self.lanes.lock().unwrap().iter() {
            all.rounds += lane.rounds;
            all.kills_at_start += lane.kills_at_start;
            all.kills_at_stop += lane.kills_at_stop;
            all.kills_of_compact += lane.kills_of_compact;
            all.starts.extend(&lane.starts);
            all.account += lane.account;
        }
        all
    }

    fn write(&self, outcome: &[(&str, String)]) {
        let mut figures = self.figures();
        let mut lines: Vec<(&str, String)> = vec![
            ("rounds", figures.rounds.to_string()),
            ("kills_at_start", figures.kills_at_start.to_string()),
            ("kills_at_stop", figures.kills_at_stop.to_string()),
            ("kills_of_compact", figures.kills_of_compact.to_string()),
            ("start_ms", spread(&mut figures.starts)),
        ];
        lines.extend(figures.account.lines());
        lines.extend_from_slice(outcome);
        self.report.write(&lines);
    }
}

struct FailedWhenPanicking<'a>(&'a AtomicBool);

impl Drop for FailedWhenPanicking<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Figures {
    fn text(&self) -> String {
        format!(
            "{} rounds, {} of them killed while stopping, and {} kills while starting, {} while \
             compacting: {}, start in ms {}",
            self.rounds,
            self.kills_at_stop,
            self.kills_at_start,
            self.kills_of_compact,
            self.account,
            spread(&mut self.starts.clone()),
        )
    }
}

/// One broker with its store and its clients.
struct Run {
    folder: Folder,
    random: Random,
    clients: Clients,
    figures: Figures,
}

impl Run {
    fn new(lane: u64, seed: u64) -> Self {
        let folder = Folder::new("durability");
        folder.write("weir.toml", config(lane));
        folder.write("rules.toml", RULES);
        Self {
            folder,
            random: Random::new(seed),
            clients: Clients::new(seed),
            figures: Figures::default(),
        }
    }

    fn round(&mut self) {
        let is_first = self.figures.rounds == 0;
        if !is_first && self.random.chance(10) {
            self.kill_of_compact();
        }
        if self.random.chance(25) {
            self.kill_at_start();
        }
        let weir = self.start();
        // What was under way at the kill is not settled in every round before the next one.
        if is_first || self.random.chance(70) {
            let with_offline = self.figures.rounds.is_multiple_of(OFFLINE_ROUNDS);
            self.clients.settle(weir.address(), with_offline);
        }
        let longest = if self.random.chance(4) { LONG_LOAD_MAX } else { LOAD_MAX };
        let wait = self.up_to(longest);
        let stop = self.random.chance(10).then(|| self.up_to(STOP_MAX));
        let with_offline = self.random.chance(20);
        self.clients.set_long(self.random.chance(20));
        self.clients.work_until(weir.address(), with_offline, wait, || {
            if let Some(wait) = stop {
                weir.process().signal("TERM");
                pass(wait);
            }
            weir.kill();
        });
        self.figures.kills_at_stop += u64::from(stop.is_some());
        self.figures.rounds += 1;
        self.figures.account = self.clients.account();
    }

    fn end(&mut self) {
        let weir = self.start();
        self.clients.settle(weir.address(), true);
        self.clients.disconnect();
        weir.stop();
        let weir = self.start();
        self.clients.settle(weir.address(), true);
        weir.stop();
        self.figures.account = self.clients.account();
    }

    fn start(&mut self) -> Weir {
        let weir = Weir::start(&self.config());
        self.figures.starts.push(weir.started_in());
        weir
    }

    /// Kills a broker that is reading its store.
    fn kill_at_start(&mut self) {
        let usual = self.figures.starts.last().copied().unwrap_or(FIRST_START);
        let wait = self.up_to(usual * 3 / 2);
        let starting = Weir::spawn(&self.config());
        pass(wait);
        starting.kill();
        self.figures.kills_at_start += 1;
    }

    /// Kills the command that compacts the store; it may have come to its end.
    fn kill_of_compact(&mut self) {
        let wait = self.up_to(COMPACT_MAX);
        let mut compact = command(&["store", "compact", "--config"]);
        let mut compact = Process::spawn(compact.arg(self.config()));
        pass(wait);
        compact.kill();
        self.figures.kills_of_compact += 1;
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.random.below(longest.as_micros() as u64))
    }

    fn figures(&self) -> Figures {
        self.figures.clone()
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text}")))
}
