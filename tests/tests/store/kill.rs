//! A process that commits is killed; what it had said was committed is in the real file.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use weir_broker::store::{Store, StoreOptions};
use weir_tests::sim::random::Random;

use crate::start::directory;
use crate::workload::{READERS, Workload};

const SEED: u64 = 11;
const KILLS: u64 = 12;

#[test]
fn groups_said_to_be_committed_survive_kill_9() {
    let path = directory("kill");
    let mut random = Random::new(SEED);
    let mut groups = 0;
    for kill in 0..KILLS {
        let said = run_and_kill(&path, groups, random.below(40) as usize);
        let last_said = said.max(groups);
        let store = open(&path);
        // The group that was under way may be there or not.
        let found = (last_said..=last_said + 1).find(|groups| {
            let difference = state_after(*groups).model.difference(&store);
            difference.expect("the file can be read").is_none()
        });
        groups = found.unwrap_or_else(|| {
            let difference = state_after(last_said).model.difference(&store);
            panic!("kill {kill}: not the state after group {last_said}: {difference:?}");
        });
    }
    assert!(groups > KILLS, "the child came to {groups} groups only");
}

/// Starts a child that commits the groups after `groups`, kills it after it has said so
/// `lines` times, and answers the last group that it said was committed.
fn run_and_kill(path: &Path, groups: u64, lines: usize) -> u64 {
    let program = env::current_exe().expect("this test is a program");
    let mut child = Command::new(program)
        .args(["--exact", "kill::child", "--nocapture"])
        .env("WEIR_TEST_CHILD", path)
        .env("WEIR_TEST_GROUPS", groups.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process can be started");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut text = String::new();
    for _ in 0..lines + 4 {
        output.read_line(&mut text).expect("a pipe can be read");
    }
    child.kill().expect("it runs until it is killed");
    output.read_to_string(&mut text).expect("a pipe can be read");
    child.wait().expect("it was killed");
    let mut said = text.lines().filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    said.next_back().unwrap_or(groups)
}

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let Ok(path) = env::var("WEIR_TEST_CHILD") else { return };
    let groups = env::var("WEIR_TEST_GROUPS").expect("set by the parent");
    let groups: u64 = groups.parse().expect("a number");
    let mut workload = state_after(groups);
    let store = open(Path::new(&path));
    for number in groups + 1.. {
        store.commit(&workload.group(6)).expect("a working disk");
        let mut output = std::io::stdout().lock();
        // The parent may be gone already; then this process is about to be.
        let _ = writeln!(output, "\ncommitted {number}").and_then(|()| output.flush());
    }
}

fn state_after(groups: u64) -> Workload {
    let mut workload = Workload::new(SEED, 2);
    for _ in 0..groups {
        workload.group(6);
    }
    workload
}

fn open(path: &Path) -> Store {
    let store = Store::open(path, StoreOptions::default()).expect("nobody else has it open");
    store.register_readers(&READERS).expect("a working disk");
    store
}
