//! The power fails: what was acknowledged is there, and groups are there as a whole or not at
//! all. At random moments of random runs, and at each operation of a short one. The database and
//! the journal lose power together and keep of their caches what they keep independently.

use weir_broker::store::Condition;
use weir_core::Batch;
use weir_tests::sim::disk::{Image, SimulatedDisks};
use weir_tests::sim::random::Random;

use crate::model::Model;
use crate::workload::{Workload, open, seeds};

/// Each seed goes through this many power cuts on one disk.
const CUTS: usize = 3;
const GROUPS: usize = 12;

#[test]
fn nothing_acknowledged_is_lost_and_groups_are_whole() {
    let fresh = SimulatedDisks::new();
    drop(open(fresh.clone()).expect("an empty disk"));
    let fresh = fresh.image();
    let mut moments = Moments::default();
    let seeds = seeds(300);
    let is_short = seeds.end < 300;
    for seed in seeds {
        run(seed, fresh.clone(), &mut moments);
    }
    // A test that never hits a commit would pass as well.
    let Moments { opening, committing, replaying, idle } = moments;
    let is_various = opening > 50 && committing > 300 && replaying > 100 && idle > 10;
    assert!(is_short || is_various, "{moments:?}");
}

/// What the store did when the power went, counted.
#[derive(Debug, Default)]
struct Moments {
    opening: u32,
    committing: u32,
    /// The power went again during the next start.
    replaying: u32,
    idle: u32,
}

fn run(seed: u64, mut image: Image, moments: &mut Moments) {
    let mut workload = Workload::new(seed, 2);
    let mut random = Random::new(!seed);
    for cut in 0..CUTS {
        let disks = SimulatedDisks::from_image(image);
        disks.crash_after(random.below(90));
        let before = workload.clone();
        // What the disk may hold afterwards, the last acknowledged state first.
        let mut possible = vec![before];
        let mut store = None;
        match open(disks.clone()) {
            Ok(opened) => {
                workload.model.check_unless_crashed(&opened, seed);
                let opened = store.insert(opened);
                moments.idle += 1;
                for _ in 0..GROUPS {
                    let group = workload.group(4);
                    if opened.commit(&group).is_err() {
                        possible.push(workload.clone());
                        moments.committing += 1;
                        moments.idle -= 1;
                        break;
                    }
                    possible = vec![workload.clone()];
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("power is gone"), "seed {seed}, cut {cut}: {text}");
                moments.opening += 1;
            }
        }
        // The power goes before the store can close the file.
        image = disks.power_cut(&mut random);
        disks.crash_after(0);
        drop(store);
        if random.chance(30) {
            let after = random.below(40);
            image = cut_while_opening(image, after, &mut random);
            moments.replaying += 1;
        }

        let reopened = open(SimulatedDisks::from_image(image.clone()))
            .unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error}"));
        let found = possible.iter().find(|possible| {
            possible.model.difference(&reopened).expect("a repaired file").is_none()
        });
        let Some(found) = found else {
            let differences: Vec<_> =
                possible.iter().map(|possible| possible.model.difference(&reopened)).collect();
            panic!("seed {seed}, cut {cut}: not the last acknowledged state: {differences:?}");
        };
        workload = found.clone();
    }
}

impl Model {
    /// The crash may come while the state is read; then there is nothing to compare.
    fn check_unless_crashed(&self, store: &weir_broker::store::Store, seed: u64) {
        if let Ok(difference) = self.difference(store) {
            assert_eq!(difference, None, "seed {seed}");
        }
    }
}

/// Starts, loses power after some operations, and answers what is left.
fn cut_while_opening(image: Image, after: u64, random: &mut Random) -> Image {
    let disks = SimulatedDisks::from_image(image);
    disks.crash_after(after);
    let store = open(disks.clone());
    let image = disks.power_cut(random);
    disks.crash_after(0);
    drop(store);
    image
}

/// A few groups that come to records, checkpoints and transactions of their own, and the state
/// after each.
pub(crate) struct Script {
    pub(crate) groups: Vec<Vec<Batch>>,
    states: Vec<Model>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut workload = Workload::new(seed, 2);
        let (mut groups, mut states) = (Vec::new(), vec![workload.model.clone()]);
        for number in 0..14 {
            // A large one goes past the journal.
            let batches_max = if number == 9 { 60 } else { 3 };
            groups.push(workload.group(batches_max));
            states.push(workload.model.clone());
        }
        Self { groups, states }
    }

    /// Plays it until the power goes; how many groups were committed, and whether one was under
    /// way.
    fn play(&self, disks: &SimulatedDisks) -> (usize, bool) {
        let Ok(store) = open(disks.clone()) else { return (0, false) };
        let committed = self.groups.iter().take_while(|group| store.commit(group).is_ok()).count();
        let is_under_way = committed < self.groups.len();
        if is_under_way {
            assert!(store.has_failed());
        }
        // Closing is the last checkpoint.
        drop(store);
        (committed, is_under_way)
    }

    pub(crate) fn check(&self, image: Image, committed: usize, is_under_way: bool, place: &str) {
        let store = open(SimulatedDisks::from_image(image))
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_ne!(store.condition(), Condition::Damaged, "{place}");
        let last = committed + usize::from(is_under_way);
        let found = (committed..=last)
            .any(|at| self.states[at].difference(&store).expect("a working disk").is_none());
        let difference = || self.states[committed].difference(&store);
        assert!(found, "{place}: not the state after group {committed}: {:?}", difference());
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing() {
    let mut cuts = 0;
    for seed in seeds(8) {
        let script = Script::new(seed);
        let whole = SimulatedDisks::new();
        assert_eq!(script.play(&whole), (script.groups.len(), false));
        for at in 0..whole.operations() {
            let disks = SimulatedDisks::new();
            disks.crash_after(at);
            let (committed, is_under_way) = script.play(&disks);
            for fate in 0..4 {
                let mut random = Random::new(seed << 32 | at << 8 | fate);
                let image = disks.power_cut(&mut random);
                let place = format!("seed {seed}, operation {at}, fate {fate}");
                // The very first start is not complete; its file has another name.
                if committed == 0 && !is_under_way {
                    continue;
                }
                script.check(image, committed, is_under_way, &place);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 2_000 || seeds(8).end < 8, "{cuts} cuts only");
}

#[test]
fn a_power_cut_at_any_operation_of_a_start_loses_nothing() {
    let mut replays = 0;
    for seed in seeds(6) {
        let script = Script::new(seed);
        let disks = SimulatedDisks::new();
        let store = open(disks.clone()).expect("an empty disk");
        for group in &script.groups {
            store.commit(group).expect("a working disk");
        }
        let killed = disks.image();
        disks.crash_after(0);
        drop(store);
        replays += u64::from(killed.journal.iter().any(|byte| *byte != 0));

        let start = SimulatedDisks::from_image(killed.clone());
        drop(open(start.clone()).expect("a working disk"));
        for at in 0..start.operations() {
            for fate in 0..4 {
                let mut random = Random::new(seed << 32 | at << 8 | fate);
                let image = cut_while_opening(killed.clone(), at, &mut random);
                let place = format!("seed {seed}, operation {at} of the start, fate {fate}");
                script.check(image, script.groups.len(), false, &place);
            }
        }
    }
    assert_eq!(replays, seeds(6).end, "each start has records to take over");
}

#[test]
fn any_sync_that_fails_ends_acknowledging_and_loses_nothing() {
    let mut failed = 0;
    for seed in seeds(8) {
        let script = Script::new(seed);
        let fresh = SimulatedDisks::new();
        drop(open(fresh.clone()).expect("an empty disk"));
        let whole = SimulatedDisks::from_image(fresh.image());
        script.play(&whole);
        for at in 0..whole.operations() {
            let disks = SimulatedDisks::from_image(fresh.image());
            let Ok(store) = open(disks.clone()) else { continue };
            disks.fail_sync_after(at);
            let committed =
                script.groups.iter().take_while(|group| store.commit(group).is_ok()).count();
            if committed == script.groups.len() {
                break;
            }
            failed += 1;
            let place = format!("seed {seed}, sync after operation {at}");
            assert!(store.commit(&script.groups[committed]).is_err(), "{place}");
            let image = disks.power_cut(&mut Random::new(seed << 32 | at));
            drop(store);
            script.check(image, committed, true, &place);
        }
    }
    assert!(failed > 200 || seeds(8).end < 8, "{failed} syncs failed only");
}

#[test]
fn a_sync_that_fails_ends_acknowledging_and_loses_nothing() {
    for seed in seeds(60) {
        let mut workload = Workload::new(seed, 1);
        let disks = SimulatedDisks::new();
        let store = open(disks.clone()).expect("an empty disk");
        disks.fail_sync_after(workload.random.below(60));
        let mut acknowledged = workload.model.clone();
        let mut attempted = acknowledged.clone();
        let failed = (0..40).any(|_| {
            let group = workload.group(3);
            attempted = workload.model.clone();
            let failed = store.commit(&group).is_err();
            if !failed {
                acknowledged = workload.model.clone();
            }
            failed
        });
        assert!(failed && store.has_failed(), "seed {seed}");
        assert!(store.commit(&workload.group(1)).is_err(), "seed {seed}");
        let image = disks.power_cut(&mut workload.random);
        drop(store);
        let store = open(SimulatedDisks::from_image(image)).expect("a working disk");
        let found = [&acknowledged, &attempted]
            .iter()
            .any(|model| model.difference(&store).expect("a working disk").is_none());
        assert!(found, "seed {seed}: {:?}", acknowledged.difference(&store));
    }
}

#[test]
fn a_full_disk_is_said_and_what_was_acknowledged_stays() {
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 1);
        let disks = SimulatedDisks::new();
        let store = open(disks.clone()).expect("an empty disk");
        let (full, capacity) = match seed % 2 {
            0 => (&disks.database, 200_000),
            _ => (&disks.journal, 20_000),
        };
        full.set_capacity(Some(capacity));
        let mut acknowledged = workload.model.clone();
        let error = loop {
            let group = workload.group(20);
            match store.commit(&group) {
                Ok(_) => acknowledged = workload.model.clone(),
                Err(error) => break error,
            }
        };
        let text = error.to_string();
        assert!(text.contains("is full"), "seed {seed}: {text}");
        drop(store);
        full.set_capacity(None);
        let store = open(disks.clone()).expect("a disk with room");
        let difference = acknowledged.difference(&store).expect("a working disk");
        let attempted = workload.model.difference(&store).expect("a working disk");
        assert!(difference.is_none() || attempted.is_none(), "seed {seed}: {difference:?}");
    }
}
