//! What is written into the bucket, and what never is.

use super::*;
use weir_core::MessageParts;
use weir_mqtt::QoS;

fn message(topic: &str, payload: &str, received_at_ms: u64) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at_ms: None,
        received_at_ms,
        publisher: "",
        topic,
        properties: &[],
        payload: payload.as_bytes(),
    };
    Message::new(&parts, &mut Vec::new())
}

fn bucket() -> Bucket {
    let mut bucket = Bucket::default();
    bucket.connected();
    bucket.read();
    bucket
}

fn put(bucket: &mut Bucket, message: Message, record: Option<u16>) {
    bucket.put(message, CopiedTo::UNSAID, record);
}

fn take(bucket: &mut Bucket) -> Option<(String, u64)> {
    let put = bucket.take_put(&mut Done::default())?;
    Some((String::from_utf8(put.message.payload().to_vec()).expect("a text"), put.revision))
}

fn outcome(bucket: &mut Bucket, outcome: Outcome) -> Vec<u16> {
    let mut done = Done::default();
    bucket.handle_outcome("t", outcome, &mut done);
    done.records
}

#[test]
fn nothing_is_written_before_the_bucket_is_read() {
    let mut bucket = Bucket::default();
    put(&mut bucket, message("t", "x", 5), Some(1));
    assert_eq!(take(&mut bucket), None);
    bucket.handle_entry(7, &message("t", "other", 4));
    bucket.read();
    assert_eq!(take(&mut bucket), Some(("x".into(), 7)));
    assert_eq!(take(&mut bucket), None, "one at a time");
    assert_eq!(outcome(&mut bucket, Outcome::Stored(8)), [1]);
    assert_eq!((bucket.depth(), bucket.messages()), (0, 1));
}

#[test]
fn an_older_value_is_done_with_and_not_written() {
    let mut bucket = bucket();
    bucket.handle_entry(7, &message("t", "newer", 9));
    put(&mut bucket, message("t", "x", 5), Some(1));
    let mut done = Done::default();
    assert_eq!(bucket.take_put(&mut done), None);
    assert_eq!((done.records, bucket.depth()), (vec![1], 0));
}

/// Whatever comes first, the answer or the other entry.
#[test]
fn a_write_that_meets_another_entry_is_compared_again() {
    for entry_first in [false, true] {
        for (other_ms, written) in [(4, Some(("x".to_owned(), 8))), (9, None)] {
            let mut bucket = bucket();
            put(&mut bucket, message("t", "x", 5), Some(1));
            assert_eq!(take(&mut bucket), Some(("x".into(), 0)));
            let other = message("t", "other", other_ms);
            if entry_first {
                assert!(bucket.handle_entry(8, &other));
                assert_eq!(take(&mut bucket), None, "its answer is to come");
            }
            assert!(outcome(&mut bucket, Outcome::Other(Some(8))).is_empty());
            if !entry_first {
                assert_eq!(take(&mut bucket), None, "it is to come");
                assert!(bucket.handle_entry(8, &other));
            }
            assert_eq!(take(&mut bucket), written);
        }
    }
}

#[test]
fn what_was_cleaned_up_meanwhile_is_written_anew() {
    let mut bucket = bucket();
    bucket.handle_entry(7, &message("t", "", 4));
    put(&mut bucket, message("t", "x", 5), Some(1));
    assert_eq!(take(&mut bucket), Some(("x".into(), 7)));
    assert!(outcome(&mut bucket, Outcome::Other(Some(0))).is_empty());
    assert_eq!(take(&mut bucket), Some(("x".into(), 0)));
}

#[test]
fn of_writes_that_wait_only_the_last_is_sent() {
    let mut bucket = bucket();
    for (record, payload) in [(1, "a"), (2, "b"), (3, "c")] {
        put(&mut bucket, message("t", payload, record.into()), Some(record));
    }
    assert_eq!(take(&mut bucket), Some(("a".into(), 0)));
    assert_eq!(outcome(&mut bucket, Outcome::Stored(1)), [1]);
    assert_eq!(take(&mut bucket), Some(("c".into(), 1)));
    assert_eq!(outcome(&mut bucket, Outcome::Stored(2)), [2, 3]);
    assert!(outcome(&mut bucket, Outcome::Stored(2)).is_empty());
}

#[test]
fn a_write_without_room_is_sent_again_and_its_records_wait() {
    let mut bucket = bucket();
    put(&mut bucket, message("t", "a", 1), Some(1));
    take(&mut bucket);
    assert!(outcome(&mut bucket, Outcome::NoRoom).is_empty());
    assert_eq!(take(&mut bucket), Some(("a".into(), 0)));
    assert_eq!(outcome(&mut bucket, Outcome::Stored(1)), [1]);
}

/// A box that has started again does not know what it has removed, so what it publishes then may
/// count as earlier.
#[test]
fn of_writes_that_wait_the_newest_is_sent() {
    let mut bucket = bucket();
    for (record, payload, at) in [(1, "a", 1), (2, "b", 3), (3, "c", 2)] {
        put(&mut bucket, message("t", payload, at), Some(record));
    }
    assert_eq!(take(&mut bucket), Some(("a".into(), 0)));
    assert_eq!(outcome(&mut bucket, Outcome::Stored(1)), [1]);
    assert_eq!(take(&mut bucket), Some(("b".into(), 1)));
    put(&mut bucket, message("t", "d", 2), None);
    bucket.give_up();
    assert_eq!(take(&mut bucket), Some(("b".into(), 1)));
}

#[test]
fn a_write_that_is_refused_is_told_with_its_records() {
    let mut bucket = bucket();
    put(&mut bucket, message("t", "a", 1), Some(1));
    take(&mut bucket);
    let mut done = Done::default();
    bucket.handle_outcome("t", Outcome::Refused, &mut done);
    assert_eq!(done, Done { records: vec![1], is_refused: true, removal: None });
}

#[test]
fn what_this_box_has_written_is_no_news_to_it() {
    let mut bucket = bucket();
    let own = message("t", "a", 1);
    put(&mut bucket, own.clone(), None);
    take(&mut bucket);
    outcome(&mut bucket, Outcome::Stored(4));
    assert!(!bucket.handle_entry(4, &own));
    assert!(bucket.handle_entry(5, &message("t", "b", 2)));
    assert!(!bucket.handle_entry(4, &own), "it is an old revision");
}

/// Also that which waits behind another one.
#[test]
fn each_value_is_written_with_those_who_got_it_as_a_message() {
    let mut bucket = bucket();
    let to = |name| CopiedTo::new("a", [name], usize::MAX);
    for (at, name) in [(1, "b"), (2, "c"), (3, "d")] {
        bucket.put(message("t", "x", at), to(name), None);
    }
    let copied_to = |bucket: &mut Bucket| bucket.take_put(&mut Done::default()).unwrap().copied_to;
    assert_eq!(copied_to(&mut bucket), to("b"));
    outcome(&mut bucket, Outcome::Stored(1));
    assert_eq!(copied_to(&mut bucket), to("d"));
    bucket.put(message("t", "x", 4), to("e"), None);
    bucket.give_up();
    assert_eq!(copied_to(&mut bucket), to("e"));
}

#[test]
fn after_a_time_apart_each_side_gets_what_it_misses() {
    let mut bucket = bucket();
    bucket.handle_entry(1, &message("newer-there", "x", 20));
    bucket.handle_entry(2, &message("newer-here", "x", 10));
    bucket.handle_entry(3, &message("removed-there", "", 20));
    let here = [
        message("newer-there", "old", 10),
        message("newer-here", "new", 20),
        message("removed-there", "old", 10),
        message("cleaned-there", "old", 10),
        message("published-meanwhile", "new", 15),
    ];
    let removals = bucket.reconcile(here.iter(), &CopiedTo::UNSAID, 15);
    let topics: Vec<&str> = removals.iter().map(Message::topic).collect();
    assert_eq!(topics, ["cleaned-there"]);
    assert!(removals[0].payload().is_empty() && removals[0].version() > here[3].version());
    let mut puts = Vec::new();
    while let Some(put) = bucket.take_put(&mut Done::default()) {
        puts.push((put.message.topic().to_owned(), put.revision));
    }
    puts.sort();
    assert_eq!(puts, [("newer-here".to_owned(), 2), ("published-meanwhile".to_owned(), 0)]);
}

/// An older one may have come before it, or comes after it.
#[test]
fn what_is_removed_is_told_to_this_box_too() {
    let mut bucket = bucket();
    bucket.handle_entry(1, &message("t", "x", 5));
    put(&mut bucket, message("t", "", 6), Some(1));
    take(&mut bucket);
    let mut done = Done::default();
    bucket.handle_outcome("t", Outcome::Stored(2), &mut done);
    assert_eq!(done.removal, Some(message("t", "", 6)));
    let late = message("t", "late", 5);
    let removal = bucket.removal_after(&late).expect("it was removed after that");
    assert!(removal.payload().is_empty() && removal.version() > late.version());
    assert_eq!(bucket.removal_after(&message("t", "new", 7)), None);
    assert_eq!(bucket.removal_after(&message("u", "x", 5)), None);
    bucket.handle_entry(3, &message("t", "newer", 8));
    assert_eq!(bucket.removal_after(&late), None, "the value that is there is newer");
}

#[test]
fn what_every_box_knows_by_now_is_cleaned_up() {
    let mut bucket = bucket();
    let expiring = {
        let kept = message("expired", "x", 1);
        let parts = MessageParts { expires_at_ms: Some(50), ..kept.parts() };
        Message::new(&parts, &mut Vec::new())
    };
    bucket.handle_entry(1, &message("removed", "", 10));
    bucket.handle_entry(2, &message("there", "x", 10));
    bucket.handle_entry(3, &expiring);
    assert!(bucket.outlived(110, 100).is_empty());
    assert_eq!(bucket.outlived(111, 100), [("removed".into(), 1)]);
    let all = [("expired".into(), 3), ("removed".into(), 1)];
    assert_eq!(bucket.outlived(151, 100), all);
    bucket.cleaned("removed", 1);
    bucket.cleaned("expired", 2);
    assert_eq!(bucket.outlived(151, 100), [("expired".into(), 3)]);
    assert_eq!(bucket.messages(), 2);
}
