//! Files that are damaged anywhere: the store starts with what can be trusted, and invents nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weir_broker::config::OnDamage;
use weir_broker::store::{
    Condition, ExportTable, Salvage, Store, StoreError, copy, examine, export,
};
use weir_tests::sim::random::Random;

use crate::model::Model;
use crate::start::directory;
use crate::workload::{READERS, Workload, options, seeds};

pub(crate) const NOW_S: u64 = 1_764_370_800;

/// The files of a store, and all that was ever in it.
struct Written {
    image: Vec<u8>,
    journal: Vec<u8>,
    last: Model,
    ever: Ever,
}

/// Everything that a store may give back without inventing it.
#[derive(Default)]
struct Ever {
    retained: BTreeSet<Vec<u8>>,
    logged: BTreeSet<(u8, u64, Vec<u8>)>,
    clients: BTreeSet<String>,
}

impl Ever {
    fn take(&mut self, model: &Model) {
        self.retained.extend(model.retained.values().map(|kept| kept.as_record().to_vec()));
        for (shard, state) in &model.shards {
            self.logged.extend(state.log.iter().map(|(sequence, (message, _))| {
                (shard.0, sequence.0, message.as_record().to_vec())
            }));
            let sessions = state.sessions.values();
            self.clients.extend(sessions.map(|session| session.record.client_id.to_string()));
        }
    }
}

/// A store that was closed well.
fn written(seed: u64) -> Written {
    let (store, written) = used(seed);
    drop(store);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-written-{seed}"));
    Written { image: file(&path, "weir.redb"), journal: file(&path, "weir.journal"), ..written }
}

/// A store whose process was killed.
fn killed(seed: u64) -> Written {
    let (store, written) = used(seed);
    drop(store);
    written
}

pub(crate) fn file(path: &Path, name: &str) -> Vec<u8> {
    fs::read(path.join(name)).expect("the store has it")
}

/// An open store, and its files as a kill leaves them.
fn used(seed: u64) -> (Store, Written) {
    let path = directory(&format!("written-{seed}"));
    let store = Store::open(&path, options()).expect("an empty directory");
    store.register_readers(&READERS).expect("a working disk");
    let mut workload = Workload::new(seed, 2);
    let mut ever = Ever::default();
    for _ in 0..60 {
        store.commit(&workload.group(6)).expect("a working disk");
        ever.take(&workload.model);
    }
    let (image, journal) = (file(&path, "weir.redb"), file(&path, "weir.journal"));
    (store, Written { image, journal, last: workload.model, ever })
}

pub(crate) fn start(path: &Path) -> Result<(Store, Option<Salvage>), StoreError> {
    Store::start(path, options(), OnDamage::Salvage, NOW_S)
}

/// Starts with a file, and checks what must hold whatever is wrong with it.
fn start_with(written: &Written, image: &[u8], path: &Path, what: &str) -> Option<Salvage> {
    start_with_both(written, image, &written.journal, path, what)
}

/// The same with a journal.
fn start_with_both(
    written: &Written,
    image: &[u8],
    journal: &[u8],
    path: &Path,
    what: &str,
) -> Option<Salvage> {
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path).expect("the directory for tests can be written");
    fs::write(path.join("weir.redb"), image).expect("there is room");
    fs::write(path.join("weir.journal"), journal).expect("there is room");
    let (store, salvage) = start(path).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.register_readers(&READERS).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (shard, last) in &written.last.shards {
        let recovered =
            store.recover(*shard, usize::MAX).unwrap_or_else(|error| panic!("{what}: {error}"));
        for kept in &recovered.retained {
            assert!(written.ever.retained.contains(kept.as_record()), "{what}: {kept:?}");
        }
        for record in &recovered.log {
            // What waits for readers only is not handed over.
            let read = store.read_messages(*shard, &[record.sequence]);
            let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
            let key = (shard.0, record.sequence.0, read[0].1.as_record().to_vec());
            assert!(written.ever.logged.contains(&key), "{what}: {record:?}");
        }
        for session in &recovered.sessions {
            let client = &*session.record.client_id;
            assert!(written.ever.clients.contains(client), "{what}: {client}");
        }
        if let Some(salvage) = &salvage {
            assert!(recovered.next_sequence >= last.next, "{what}: a position comes twice");
            assert_eq!(store.condition(), Condition::Salvaged, "{what}");
            // What only the engine finds wrong it has begun to repair in its own way.
            let is_of_engine = salvage.problems.iter().any(|told| told.contains("is corrupt"));
            let kept = fs::read(&salvage.quarantined).expect("it is kept");
            assert!(kept == image || is_of_engine, "{what}: the damaged file is as it was");
            assert!(salvage.report.exists(), "{what}");
        }
    }
    if salvage.is_none() && store.condition() == Condition::Clean {
        let difference = written.last.difference(&store).expect("it can be read");
        assert_eq!(difference, None, "{what}");
    }
    drop(store);
    let found = examine(&path.join("weir.redb")).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found.problems, Vec::<String>::new(), "{what}");
    // The batches of these tests may speak of messages that are gone; a salvage mends that.
    assert!(salvage.is_none() || found.loose_rows == 0, "{what}: {} rows", found.loose_rows);
    salvage
}

#[test]
fn a_whole_store_is_what_was_written() {
    let written = written(1);
    let path = directory("salvage-whole");
    assert_eq!(start_with(&written, &written.image, &path, "whole"), None);
    let (store, salvage) = start(&path).expect("nothing is wrong with it");
    assert_eq!(salvage, None);
    store.register_readers(&READERS).expect("a working disk");
    written.last.check(&store, 1);
}

#[test]
fn flipped_bits_lose_what_they_hit_and_nothing_is_invented() {
    let path = directory("salvage-flips");
    let (mut salvaged, mut lost) = (0, 0);
    for base in 0..4 {
        let written = written(100 + base);
        for seed in seeds(60) {
            let mut random = Random::new(base * 1_000_000 + seed);
            let mut image = written.image.clone();
            for _ in 0..=random.below(4) {
                let at = in_use(&image, &mut random);
                image[at] ^= 1 << random.below(8);
            }
            let what = format!("file {base}, seed {seed}");
            if let Some(salvage) = start_with(&written, &image, &path, &what) {
                salvaged += 1;
                lost += u32::from(salvage.lost() != Some(0));
                assert!(!salvage.problems.is_empty(), "{what}");
            }
        }
    }
    assert!(seeds(60).end < 60 || salvaged > 60 && lost > 20, "{salvaged} salvaged, {lost} lost");
}

#[test]
fn flipped_bits_in_the_files_of_a_killed_broker_invent_nothing_either() {
    let path = directory("salvage-killed");
    let (mut salvaged, mut of_journal) = (0, 0);
    for base in 0..4 {
        let written = killed(200 + base);
        for seed in seeds(40) {
            let mut random = Random::new(base * 1_000_000 + seed);
            let (mut image, mut journal) = (written.image.clone(), written.journal.clone());
            for _ in 0..=random.below(3) {
                let file = if random.chance(50) { &mut image } else { &mut journal };
                let at = in_use(file, &mut random);
                file[at] ^= 1 << random.below(8);
            }
            let what = format!("file {base}, seed {seed}");
            if let Some(salvage) = start_with_both(&written, &image, &journal, &path, &what) {
                salvaged += 1;
                let told = salvage.problems.iter().any(|told| told.starts_with("the journal"));
                of_journal += u32::from(told);
            }
        }
    }
    let is_enough = salvaged > 30 && of_journal > 10;
    assert!(seeds(40).end < 40 || is_enough, "{salvaged} salvaged, {of_journal} for the journal");
}

/// A copy and an export of the files of a killed broker have what was in its journal.
#[test]
fn what_is_in_the_journal_is_copied_and_exported() {
    let written = killed(300);
    let path = directory("salvage-copied");
    fs::write(path.join("weir.redb"), &written.image).expect("there is room");
    fs::write(path.join("weir.journal"), &written.journal).expect("there is room");
    let from = path.join("weir.redb");
    let found = examine(&from).expect("it can be read");
    assert!(found.is_whole() && found.journal.records > 0, "{found:?}");
    let to = directory("salvage-copy");
    copy(&from, &to.join("weir.redb")).expect("it is whole");
    assert!(!to.join("weir.journal").exists());
    let mut lines = [Vec::new(), Vec::new()];
    for (path, lines) in [&from, &to.join("weir.redb")].into_iter().zip(&mut lines) {
        export(path, &ExportTable::ALL, lines).expect("it can be read");
    }
    assert!(lines[0] == lines[1] && lines[0].len() > 10_000, "{}", lines[0].len());
    assert!(fs::read(&from).expect("it is there") == written.image, "it is only read");
    let (store, salvage) = start(&to).expect("it is a store");
    assert_eq!(salvage, None);
    store.register_readers(&READERS).expect("a working disk");
    written.last.check(&store, 300);
}

#[test]
fn a_file_that_is_cut_anywhere_starts() {
    let written = written(7);
    let path = directory("salvage-cut");
    let mut kept = BTreeSet::new();
    for pages in 0..written.image.len() / 4096 {
        // The rest of a young file is empty.
        if pages > 100 && pages % 7 > 0 {
            continue;
        }
        let what = format!("cut after {pages} pages");
        let salvage = start_with(&written, &written.image[..pages * 4096], &path, &what);
        let salvage = salvage.unwrap_or_else(|| panic!("{what}: nobody noticed"));
        kept.insert(salvage.kept());
    }
    // What the journal holds is there whatever the file has lost.
    assert!(kept.first() < Some(&50) && kept.last() > Some(&100), "{kept:?}");
}

#[test]
fn a_file_without_any_one_of_its_pages_starts() {
    let written = written(8);
    let path = directory("salvage-zeroed");
    let mut salvaged = 0;
    for page in 0..written.image.len() / 4096 {
        let mut image = written.image.clone();
        let zeroed = &mut image[page * 4096..][..4096];
        if zeroed.iter().all(|byte| *byte == 0) {
            continue;
        }
        zeroed.fill(0);
        let what = format!("page {page} zeroed");
        let salvage = start_with(&written, &image, &path, &what);
        salvaged += u32::from(salvage.is_some());
        if page == 0 {
            let salvage = salvage.expect("the head of the file is gone");
            assert_eq!(salvage.lost(), Some(0), "{:?}", salvage.problems);
        }
    }
    assert!(salvaged > 10, "{salvaged}");
}

/// A place that is written to: most of a young file is empty.
fn in_use(image: &[u8], random: &mut Random) -> usize {
    loop {
        let at = random.below(image.len() as u64) as usize;
        if image[at] != 0 || random.chance(1) {
            return at;
        }
    }
}
