//! A real broker with a real file is killed at random moments under load. Its clients follow the
//! standard to the letter: what was not acknowledged is sent again with its identifier. Then
//! nothing that was acknowledged may be missing, QoS 2 may not come twice, the retained messages
//! are the last ones acknowledged, and the windows of a rule are those of a plain computation.
//!
//! `WEIR_KILL_ROUNDS` says how often it is killed, `WEIR_KILL_SEED` repeats the choices of a run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

use weir_mqtt::Version;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::weir::Weir;
use weir_tests::sim::disk::Random;

mod durability {
    //! The parts of the test.

    pub(super) mod load;
    pub(super) mod readers;
    pub(super) mod retained;
}

use durability::load::{Ledger, Load};
use durability::readers::Reader;
use durability::retained;

const ROUNDS: u64 = 30;
/// The offline subscriber comes for its messages every so many rounds.
const OFFLINE_ROUNDS: u64 = 5;
/// The longest time from the begin of the load to the kill.
const LOAD_MAX: Duration = Duration::from_millis(150);

const CONFIG: &str = r#"
data_dir = "data"
rules = ["rules.toml"]
[[listener]]
address = "127.0.0.1:0"
[auth]
allow_anonymous = true
[limits]
max_queued_messages = 0
max_queued_bytes = "0B"
[log]
level = "warn"
"#;

const RULES: &str = r#"
[rule.second]
from = "sensor/{publisher}"
time = { field = "ts", unit = "ms" }
by = ["publisher"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(value)", min = "min(value)", max = "max(value)" }
to = { topic = "window/{publisher}", qos = 2 }
limits = { expire = "1d" }
"#;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = number("WEIR_KILL_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("WEIR_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{rounds} rounds, WEIR_KILL_SEED={seed}");
    let start = Instant::now();
    let mut run = Run::new(seed);
    for round in 1..=rounds {
        run.round(round);
        if round % 50 == 0 {
            println!("{round} rounds in {} s: {}", start.elapsed().as_secs(), run.figures());
        }
    }
    run.end();
    let seconds = start.elapsed().as_secs();
    println!("killed {rounds} times in {seconds} s, nothing lost: {}", run.figures());
}

struct Run {
    folder: Folder,
    random: Random,
    loads: Vec<Load>,
    online: Vec<Reader>,
    offline: Reader,
    starts: Vec<Duration>,
    kills_at_start: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let folder = Folder::new("durability");
        folder.write("weir.toml", CONFIG);
        folder.write("rules.toml", RULES);
        let loads = [
            Load::new(0, Version::V5, 1, seed),
            Load::new(1, Version::V311, 1, seed),
            Load::new(2, Version::V5, 2, seed),
            Load::new(3, Version::V311, 2, seed),
        ];
        let online = [
            Reader::new("online-5", Version::V5, "load/#"),
            Reader::new("online-311", Version::V311, "load/#"),
            Reader::new("windows", Version::V5, "window/#"),
        ];
        Self {
            folder,
            random: Random::new(seed),
            loads: loads.into(),
            online: online.into(),
            offline: Reader::new("offline", Version::V5, "load/#"),
            starts: Vec::new(),
            kills_at_start: 0,
        }
    }

    fn round(&mut self, round: u64) {
        if self.random.chance(25) {
            self.kill_at_start();
        }
        let weir = self.start();
        // What was under way at the kill is not settled in every round before the next one.
        if round == 1 || self.random.chance(70) {
            self.settle(&weir, round == 1 || round.is_multiple_of(OFFLINE_ROUNDS));
        }
        let wait = Duration::from_micros(self.random.below(LOAD_MAX.as_micros() as u64));
        let offline = self.random.chance(20).then_some(&mut self.offline);
        load_and_kill(weir, &mut self.loads, &mut self.online, offline, wait);
    }

    fn end(&mut self) {
        let weir = self.start();
        self.settle(&weir, true);
        self.loads.iter_mut().for_each(Load::disconnect);
        let readers = self.online.iter_mut().chain([&mut self.offline]);
        readers.for_each(Reader::disconnect);
        weir.stop();
        let weir = self.start();
        self.settle(&weir, true);
        weir.stop();
    }

    fn start(&mut self) -> Weir {
        let weir = Weir::start(&self.folder.path().join("weir.toml"));
        self.starts.push(weir.started_in());
        weir
    }

    /// Kills a broker that is reading its store.
    fn kill_at_start(&mut self) {
        let usual = self.starts.last().map_or(10_000, |start| start.as_micros() as u64);
        let wait = Duration::from_micros(self.random.below(usual * 3 / 2));
        let starting = Weir::spawn(&self.folder.path().join("weir.toml"));
        let (_held, never) = mpsc::channel::<()>();
        assert!(never.recv_timeout(wait).is_err());
        starting.kill();
        self.kills_at_start += 1;
    }

    /// Lets everything that is under way come to its end, and looks whether all is there.
    fn settle(&mut self, weir: &Weir, with_offline: bool) {
        let address = weir.address();
        retained::check_before_resume(address, &self.ledgers());
        for reader in &mut self.online {
            reader.connect(address).expect("the broker runs");
        }
        for load in &mut self.loads {
            load.settle(address);
        }
        let ledgers: Vec<_> = self.loads.iter().map(|load| load.ledger().clone()).collect();
        if with_offline {
            self.offline.connect(address).expect("the broker runs");
            self.offline.catch_up(&ledgers);
            self.offline.disconnect();
        }
        for reader in &mut self.online {
            reader.catch_up(&ledgers);
        }
        retained::check_settled(address, &self.ledgers());
    }

    fn ledgers(&self) -> Vec<&Ledger> {
        self.loads.iter().map(Load::ledger).map(AsRef::as_ref).collect()
    }

    fn figures(&self) -> String {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        let ms = |place: usize| starts[place].as_secs_f64() * 1e3;
        let acknowledged: u64 = self.ledgers().iter().map(|ledger| ledger.acknowledged()).sum();
        let again: u64 = self.online.iter().map(Reader::repeated).sum();
        let windows: u64 = self.online.iter().map(Reader::windows).sum();
        format!(
            "{acknowledged} messages acknowledged, {windows} windows, {again} deliveries of QoS 1 \
             repeated, {} kills while starting, start in {:.0}/{:.0}/{:.0} ms (least, median, most)",
            self.kills_at_start,
            ms(0),
            ms(starts.len() / 2),
            ms(starts.len() - 1),
        )
    }
}

/// Lets every client work until the broker is killed `wait` after the begin.
fn load_and_kill(
    weir: Weir,
    loads: &mut [Load],
    online: &mut [Reader],
    offline: Option<&mut Reader>,
    wait: Duration,
) {
    let address = weir.address();
    thread::scope(|scope| {
        // Nobody sends: the channel closes when every thread has ended before the kill.
        let (held, ended) = mpsc::channel::<()>();
        for load in loads {
            let held = held.clone();
            scope.spawn(move || {
                load.run_until_closed(address);
                drop(held);
            });
        }
        for reader in online.iter_mut().chain(offline) {
            scope.spawn(move || reader.run_until_closed(address));
        }
        drop(held);
        assert!(ended.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Disconnected), "it ended");
        weir.kill();
    });
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text}")))
}
