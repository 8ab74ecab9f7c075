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

/// The clock was not set after a start in between, so a file begins long before the one in front
/// of it. Who asked for a time after that was given nothing of what is in front of it.
#[test]
fn what_a_wrong_clock_has_stamped_hides_nothing_in_front_of_it() {
    let folder = Folder::new();
    record_at(&folder, &[TEN, TEN + 1, EPOCH, TEN + 2 * HOUR]);
    let directories = [folder.of("a")];
    let count = |since_ms| read(&directories, since_ms, u64::MAX).len();
    assert_eq!(count(TEN - HOUR), 3);
    assert_eq!(count(TEN + 1), 2);
    assert_eq!(count(TEN + HOUR), 1);
    assert_eq!(count(TEN + 3 * HOUR), 0);
    assert_eq!(count(0), 4);
}

/// The last message of a file was taken to have come when the next file began, so a file was too
/// old at once when the clock was not set as that one began.
#[test]
fn a_young_file_in_front_of_a_wrong_clock_is_not_too_old() {
    let folder = Folder::new();
    record_at(&folder, &[TEN, TEN + 1, EPOCH, TEN + 2 * HOUR]);
    let mut recorder = folder.recorder(&[day_long()], 0);
    recorder.expire(TEN + 3 * HOUR);
    assert_eq!(status(&recorder).messages, 4);
    recorder.expire(TEN + 2 + DAY);
    assert_eq!(status(&recorder).messages, 1, "what the wrong clock has stamped goes with it");
    recorder.expire(TEN + 2 * HOUR + 1 + DAY);
    assert_eq!(status(&recorder).messages, 0);
}

/// A file from a time that has not come would keep those behind it for ever.
#[test]
fn a_file_of_the_future_goes_when_the_one_behind_it_is_too_old() {
    let folder = Folder::new();
    let at = TEN + HOUR;
    record_at(&folder, &[TEN, at + 1000 * DAY, at, at + DAY, at + 2 * DAY]);
    let mut recorder = folder.recorder(&[day_long()], 0);
    recorder.expire(at + 2 * DAY);
    assert_eq!(status(&recorder).messages, 2);
}

/// Records a message for each time, each in a file of its own, except that one of a millisecond
/// later goes into the same.
fn record_at(folder: &Folder, times: &[u64]) {
    let mut recorder = folder.recorder(&[day_long()], 0);
    for (place, at) in times.iter().enumerate() {
        let fills = times.get(place + 1).is_none_or(|next| *next != at + 1);
        let payload = vec![b'x'; if fills { 64 * 1024 } else { 10 }];
        recorder.record(None, &message("a", &payload, *at));
    }
    recorder.write();
}

fn day_long() -> HistoryConfig {
    let max_age = Duration::from_millis(DAY);
    HistoryConfig { max_bytes: 1 << 20, max_age, ..HistoryConfig::new("a") }
}

const PAGES_MAX: usize = 100;
const DAY: u64 = 24 * 3_600_000;
const HOUR: u64 = 3_600_000;
/// Ten o'clock of some day.
const TEN: u64 = 20_000 * DAY + 10 * HOUR;
/// What a clock says that is not set.
const EPOCH: u64 = 1000;
