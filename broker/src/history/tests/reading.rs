//! Clients read page by page, and by time.

use super::*;

/// The payloads of all pages, of which each looks at no more than `budget` bytes of others.
fn read(directories: &[PathBuf], since_ms: u64, budget: u64) -> Vec<String> {
    let (mut found, mut position) = (Vec::new(), Vec::new());
    for _ in 0..PAGES_MAX {
        let wanted = Wanted { directories, since_ms, matches: &|_| true };
        let mut reader = Reader::new(wanted, &position, budget).expect("it can be read");
        for _ in 0..2 {
            let Some(kept) = reader.next().expect("it can be read") else { break };
            found.push(String::from_utf8_lossy(kept.message().payload()).into_owned());
        }
        if reader.is_at_end() {
            return found;
        }
        position = reader.position();
    }
    panic!("no end after {PAGES_MAX} pages, with {} messages", found.len());
}

/// A message that was wanted and larger than what a page looks at left nothing for the second
/// history, so the page was empty and the next one began at the same place.
#[test]
fn a_message_larger_than_what_a_page_looks_at_stops_nobody() {
    let folder = Folder::new();
    let configs = [HistoryConfig::new("a"), HistoryConfig::new("b")];
    let large = "x".repeat(10_000);
    let mut recorder = folder.recorder(&configs, 0);
    for (topic, payload) in [("b", "first"), ("a", &large), ("b", "middle"), ("b", &large)] {
        recorder.record(None, &message(topic, payload.as_bytes(), 1000));
    }
    recorder.write();
    let directories = [folder.of("a"), folder.of("b")];
    assert_eq!(read(&directories, 0, 1000), ["first", large.as_str(), "middle", large.as_str()]);
}

const PAGES_MAX: usize = 100;
