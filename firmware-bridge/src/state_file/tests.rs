//! The state file on a real file system.

use super::*;

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-sn-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The shortest record that the gateway writes: a client that is away.
fn record(keep_alive_s: u8) -> Vec<u8> {
    vec![1, 0, 0, 0, 0, keep_alive_s, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn change(client_id: &str, keep_alive_s: u8) -> Change {
    (client_id.into(), Some(record(keep_alive_s)))
}

fn held(path: &Path) -> Vec<String> {
    let (_, saved) = StateFile::open(path).unwrap();
    saved.iter().map(|saved| saved.client_id().to_owned()).collect()
}

#[test]
fn what_was_committed_is_there_when_it_is_opened_again() {
    let folder = Folder::new("committed");
    let (mut file, saved) = StateFile::open(&folder.file()).unwrap();
    assert_eq!(saved, []);
    file.commit([change("a", 1), change("b", 2)]).unwrap();
    file.commit([change("c", 3), ("a".into(), None)]).unwrap();
    drop(file);
    assert_eq!(held(&folder.file()), ["b", "c"]);
    assert_eq!(held(&folder.file()), ["b", "c"], "also after it was written anew");
}

#[test]
fn end_that_was_not_finished_is_cut_off_wherever_it_is() {
    let folder = Folder::new("torn");
    let (mut file, _) = StateFile::open(&folder.file()).unwrap();
    file.commit([change("a", 1)]).unwrap();
    let whole = fs::read(folder.file()).unwrap();
    file.commit([change("b", 2)]).unwrap();
    drop(file);
    let both = fs::read(folder.file()).unwrap();
    for length in 0..both.len() {
        fs::write(folder.file(), &both[..length]).unwrap();
        let expected: &[&str] = if length < whole.len() { &[] } else { &["a"] };
        assert_eq!(held(&folder.file()), expected, "{length} bytes");
    }
    // It can be written to again.
    let (mut file, _) = StateFile::open(&folder.file()).unwrap();
    file.commit([change("c", 3)]).unwrap();
    drop(file);
    assert_eq!(held(&folder.file()), ["a", "c"]);
}

#[test]
fn damaged_record_is_not_taken_for_one() {
    let folder = Folder::new("damaged");
    let (mut file, _) = StateFile::open(&folder.file()).unwrap();
    file.commit([change("a", 1)]).unwrap();
    drop(file);
    let bytes = fs::read(folder.file()).unwrap();
    for place in MAGIC.len()..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        fs::write(folder.file(), &damaged).unwrap();
        assert_eq!(held(&folder.file()), [""; 0], "byte {place}");
    }
}

#[test]
fn other_file_is_left_alone() {
    let folder = Folder::new("other");
    fs::write(folder.file(), "[bridge]\n").unwrap();
    let error = StateFile::open(&folder.file()).unwrap_err();
    assert!(matches!(error, StateError::NotAStateFile(_)), "{error}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "[bridge]\n");
}

#[test]
fn record_that_cannot_be_read_is_named() {
    let folder = Folder::new("named");
    let (mut file, _) = StateFile::open(&folder.file()).unwrap();
    file.commit([("n".into(), Some(vec![9]))]).unwrap();
    drop(file);
    let error = StateFile::open(&folder.file()).unwrap_err().to_string();
    assert!(error.contains("\"n\"") && error.contains("version 9"), "{error}");
}

#[test]
fn file_does_not_grow_for_ever() {
    let folder = Folder::new("growing");
    let (mut file, _) = StateFile::open(&folder.file()).unwrap();
    for round in 0..200 {
        let clients = (0..100).map(|client| change(&format!("client-{client}"), round));
        file.commit(clients).unwrap();
        let length = fs::metadata(folder.file()).unwrap().len();
        assert_eq!(length, file.length);
        assert!(length < 2 * GARBAGE_MIN, "{length} bytes");
    }
    drop(file);
    assert_eq!(held(&folder.file()).len(), 100);
}
