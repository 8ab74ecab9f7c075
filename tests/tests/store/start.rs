//! Every reason why the store cannot be opened has its own error that tells the way out.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use redb::TableDefinition;
use weir_broker::store::{Condition, Store, StoreError, StoreOptions};
use weir_tests::sim::disk::SimulatedDisks;

/// An empty directory of this test.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{name}"));
    if path.exists() {
        fs::remove_dir_all(&path).expect("an old run's directory can be removed");
    }
    fs::create_dir_all(&path).expect("the directory for tests can be written");
    path
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, StoreOptions::default())
}

fn refusal(path: &Path) -> StoreError {
    let error = open(path).expect_err("the store must not open");
    let text = error.to_string();
    assert!(text.contains(&*path.to_string_lossy()), "{text}");
    let way_out = ["move it away", "move the file away", "set `data_dir`", "restart", "restore"];
    assert!(way_out.iter().any(|way| text.contains(way)), "{text}");
    error
}

/// A store that was used and closed.
fn used(name: &str) -> PathBuf {
    let path = directory(name);
    let store = open(&path).expect("a directory that can be written");
    let mut workload = crate::workload::Workload::new(1, 1);
    store.register_readers(&crate::workload::READERS).expect("a working disk");
    for _ in 0..20 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    path
}

#[test]
fn a_data_directory_is_made_with_its_parents() {
    let path = directory("made").join("a/b");
    drop(open(&path).expect("it can be made"));
    let store = open(&path).expect("it is there");
    assert_eq!((store.boot_epoch(), store.condition()), (2, Condition::Clean));
    assert!(path.join("weir.redb").is_file());
    assert!(!path.join("weir.redb.new").exists());
}

#[test]
fn a_data_directory_that_cannot_be_made_is_an_error() {
    let path = directory("not-made");
    let file = path.join("file");
    fs::write(&file, "x").expect("it can be written");
    let errors = [refusal(&file), refusal(&file.join("below"))];
    for error in errors {
        assert!(matches!(error, StoreError::DirectoryNotCreated { .. }), "{error:?}");
    }
}

#[test]
fn a_data_directory_that_may_not_be_written_is_an_error() {
    // A directory in which nobody can make a file, not even root.
    let error = refusal(Path::new("/sys/kernel"));
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
}

#[test]
fn a_store_that_is_in_use_is_an_error_and_unharmed() {
    let path = used("in-use");
    let store = open(&path).expect("nobody uses it");
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    drop(store);
    assert_eq!(open(&path).expect("nobody uses it").boot_epoch(), 3);
}

/// The process before has not ended yet.
#[test]
fn a_store_that_is_given_up_a_moment_later_is_opened() {
    let path = used("given-up");
    let store = open(&path).expect("nobody uses it");
    thread::scope(|scope| {
        let next = scope.spawn(|| open(&path));
        drop(store);
        assert_eq!(next.join().expect("it opens").expect("nobody uses it").boot_epoch(), 3);
    });
}

#[test]
fn a_first_start_that_was_interrupted_is_made_good() {
    let path = directory("interrupted");
    fs::write(path.join("weir.redb.new"), vec![0; 10_000]).expect("it can be written");
    assert_eq!(open(&path).expect("nothing was kept yet").boot_epoch(), 1);
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let path = directory("foreign");
    let file = path.join("weir.redb");
    for content in ["", "a", "[some other program]\nkey = 1\n"] {
        fs::write(&file, content).expect("it can be written");
        let error = refusal(&path);
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
        assert_eq!(fs::read_to_string(&file).expect("it can be read"), content);
    }
    let tables: [fn(&redb::WriteTransaction); 2] = [
        |transaction| {
            let table: TableDefinition<u64, u64> = TableDefinition::new("other");
            transaction.open_table(table).expect("an empty file");
        },
        |transaction| {
            let table: TableDefinition<u64, u64> = TableDefinition::new("meta");
            transaction.open_table(table).expect("an empty file");
        },
    ];
    for make in tables {
        fs::remove_file(&file).expect("it is there");
        let database = redb::Database::create(&file).expect("it can be made");
        let transaction = database.begin_write().expect("nobody else writes");
        make(&transaction);
        transaction.commit().expect("a working disk");
        drop(database);
        let error = refusal(&path);
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    }
}

#[test]
fn a_newer_format_is_an_error_that_names_both_versions() {
    let path = used("newer");
    let database = redb::Database::create(path.join("weir.redb")).expect("nobody uses it");
    let transaction = database.begin_write().expect("nobody else writes");
    {
        let meta: TableDefinition<&[u8], &[u8]> = TableDefinition::new("meta");
        let mut meta = transaction.open_table(meta).expect("the store has it");
        meta.insert(&b"format_version"[..], &7_u64.to_le_bytes()[..]).expect("a working disk");
    }
    transaction.commit().expect("a working disk");
    drop(database);
    let error = refusal(&path);
    assert!(matches!(error, StoreError::UnknownFormat { found: 7, known: 3, .. }), "{error:?}");
}

#[test]
fn the_format_of_another_engine_is_an_error_that_names_it() {
    let path = used("engine");
    let file = path.join("weir.redb");
    let handle = OpenOptions::new().write(true).open(&file).expect("it is there");
    // The version is the first byte of each of the two commit slots in the engine's header.
    for slot in [64, 192] {
        handle.write_all_at(&[1], slot).expect("it can be written");
    }
    let error = refusal(&path);
    assert!(matches!(error, StoreError::UnknownEngineFormat { found: 1, .. }), "{error:?}");
}

#[test]
fn a_file_that_was_cut_or_overwritten_is_corrupt() {
    let path = used("cut");
    let file = path.join("weir.redb");
    let whole = fs::read(&file).expect("it can be read");
    fs::write(&file, &whole[..whole.len() / 3]).expect("it can be written");
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");

    fs::write(&file, &whole).expect("it can be written");
    let handle = OpenOptions::new().write(true).open(&file).expect("it is there");
    handle.write_all_at(&[0x5a; 64 * 1024], 4096).expect("it can be written");
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_full_disk_is_an_error_at_the_start_too() {
    let disks = SimulatedDisks::new();
    disks.database.set_capacity(Some(8 * 1024));
    let error = disks.open(StoreOptions::default()).expect_err("there is no room for the tables");
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
}

#[test]
fn a_bad_record_names_its_table_and_key() {
    let path = used("bad-record");
    let database = redb::Database::create(path.join("weir.redb")).expect("nobody uses it");
    let transaction = database.begin_write().expect("nobody else writes");
    {
        let cursor: TableDefinition<&[u8], &[u8]> = TableDefinition::new("cursor");
        let mut cursor = transaction.open_table(cursor).expect("the store has it");
        cursor.insert(&[0, 1, 2, 3, 4][..], &[5, 6][..]).expect("a working disk");
    }
    transaction.commit().expect("a working disk");
    drop(database);
    let store = open(&path).expect("the file itself is right");
    let error = store.recover(weir_core::ShardId(0), usize::MAX).expect_err("a record is wrong");
    let text = error.to_string();
    assert!(text.contains("table cursor under key 0001020304"), "{text}");
}
