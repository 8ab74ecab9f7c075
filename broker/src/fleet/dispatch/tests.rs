//! Which boxes get a record, and when it is done with.

use super::*;
use crate::fleet::bucket::Outcome;
use weir_core::{Destination, MessageParts, Target};

const FLEET: ReaderId = ReaderId(3);
const NOW: Now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };

fn dispatch(boxes: &[(&str, &str)]) -> Dispatch {
    let options = DispatchOptions {
        reader: FLEET,
        shard: ShardId(0),
        own: "a".into(),
        shared: vec!["t/#".into()],
        backlog_bytes_max: 1 << 24,
        backlog_age_max_ms: None,
    };
    let mut dispatch = Dispatch::new(options, Sequence(0));
    let filters: Vec<(&str, Vec<String>)> =
        boxes.iter().map(|(name, filter)| (*name, vec![(*filter).to_owned()])).collect();
    dispatch.set_boxes(filters.iter().map(|(name, filters)| (*name, filters.as_slice())));
    dispatch.connected(1 << 20);
    dispatch
}

fn bucket() -> Bucket {
    let mut bucket = Bucket::default();
    bucket.read();
    bucket
}

fn message(qos: QoS, topic: &str, retain: bool, payload: &str) -> Message {
    let parts = MessageParts {
        qos,
        retain,
        expires_at_ms: None,
        received_at_ms: NOW.unix_ms,
        publisher: "p",
        topic,
        properties: &[],
        payload: payload.as_bytes(),
    };
    Message::new(&parts, &mut Vec::new())
}

fn read(dispatch: &mut Dispatch, messages: &[Message]) {
    let target = Target {
        destination: Destination::Reader(FLEET),
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: Default::default(),
    };
    let read: Result<Read, ()> = dispatch.read(|_, _, out| {
        let records = (1..).zip(messages).map(|(sequence, message)| LogRecord {
            sequence: Sequence(sequence),
            message: message.clone(),
            targets: vec![target.clone()],
        });
        out.extend(records);
        Ok(Sequence(messages.len() as u64))
    });
    assert_eq!(read, Ok(Read::More));
}

/// Who gets what: a copy or a live one.
fn send(dispatch: &mut Dispatch, bucket: &mut Bucket) -> Vec<String> {
    let mut orders = Vec::new();
    dispatch.send(NOW, bucket, &mut orders);
    let shown = orders.into_iter().map(|order| match order {
        Order::Copy { record, to, id, bytes } => {
            assert!(id.ends_with(&format!("-{to}")), "{id}");
            format!("{record} {to} {}", envelope::open(&bytes).expect("it is well").topic())
        }
        Order::Live { to, .. } => format!("live {to}"),
    });
    shown.collect()
}

fn done(dispatch: &mut Dispatch) -> u64 {
    dispatch.take_turn(Instant(1_000_000), true).and_then(|turn| turn.done).map_or(0, |(_, s)| s.0)
}

#[test]
fn each_box_that_wants_a_topic_gets_one_copy() {
    let mut dispatch = dispatch(&[("b", "t/#"), ("c", "t/+"), ("d", "other")]);
    let topics = ["t/1", "t/1/2", "other", "u"];
    let messages = topics.map(|topic| message(QoS::AtLeastOnce, topic, false, "x"));
    read(&mut dispatch, &messages);
    let mut bucket = bucket();
    assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/1", "1 c t/1", "2 b t/1/2"]);
    assert_eq!((done(&mut dispatch), dispatch.depth()), (0, 2));
    dispatch.handle_stored(1, &mut bucket);
    dispatch.handle_stored(2, &mut bucket);
    assert_eq!(done(&mut dispatch), 0, "one copy is missing");
    dispatch.handle_stored(1, &mut bucket);
    assert_eq!((done(&mut dispatch), dispatch.depth()), (4, 0));
    assert_eq!(dispatch.figures().sent, 3);
}

#[test]
fn what_was_not_stored_is_sent_again_under_the_same_name() {
    let mut dispatch = dispatch(&[("b", "#")]);
    read(&mut dispatch, &[message(QoS::AtLeastOnce, "t/1", false, "x")]);
    let mut bucket = bucket();
    let mut orders = Vec::new();
    dispatch.send(NOW, &mut bucket, &mut orders);
    dispatch.pause();
    dispatch.send(NOW, &mut bucket, &mut orders);
    dispatch.go_on();
    dispatch.handle_stored(1, &mut bucket);
    assert_eq!(done(&mut dispatch), 0, "an answer to what was given up");
    dispatch.send(NOW, &mut bucket, &mut orders);
    let [Order::Copy { id: first, .. }, Order::Copy { id: second, record, .. }] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(first, second);
    dispatch.handle_stored(*record, &mut bucket);
    assert_eq!(done(&mut dispatch), 1);
}

/// A box has the message before it hears of the value otherwise.
#[test]
fn what_is_retained_goes_to_the_bucket_behind_the_copies() {
    let mut dispatch = dispatch(&[("b", "t/1")]);
    let messages = [
        message(QoS::AtLeastOnce, "t/1", true, "x"),
        message(QoS::AtLeastOnce, "t/nobody", true, "y"),
        message(QoS::AtMostOnce, "t/1", true, "z"),
        message(QoS::AtLeastOnce, "unshared", true, "z"),
    ];
    read(&mut dispatch, &messages);
    let mut bucket = bucket();
    assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/1", "live b"]);
    let payload = |bucket: &mut Bucket| {
        let put = bucket.take_put(&mut Done::default())?;
        assert_eq!(put.message.parts().publisher, "");
        Some(String::from_utf8(put.message.payload().to_vec()).expect("a text"))
    };
    assert_eq!(payload(&mut bucket).as_deref(), Some("z"));
    assert_eq!(payload(&mut bucket).as_deref(), Some("y"));
    dispatch.handle_stored(1, &mut bucket);
    assert_eq!(payload(&mut bucket), None, "another value of the topic is under way");
    dispatch.handle_done(Done { records: vec![2], ..Done::default() }, 0);
    dispatch.handle_done(Done { records: vec![3, 1], ..Done::default() }, 0);
    assert_eq!((done(&mut dispatch), dispatch.depth()), (4, 0));
}

/// A box that wants it too by then, and is not named, hands the value to its subscribers.
#[test]
fn beside_a_value_stands_who_gets_it_as_a_message() {
    let mut dispatch = dispatch(&[("b", "t/1"), ("c", "t/#")]);
    let mut bucket = bucket();
    read(&mut dispatch, &[message(QoS::AtLeastOnce, "t/1", true, "x")]);
    send(&mut dispatch, &mut bucket);
    dispatch.set_boxes([("d", ["t/1".to_owned()].as_slice())].into_iter());
    dispatch.handle_stored(1, &mut bucket);
    dispatch.handle_stored(1, &mut bucket);
    let mut records = Records::default();
    records.push(None, &message(QoS::AtMostOnce, "t/2", true, "y").parts());
    records.push(None, &message(QoS::AtMostOnce, "t/1/2", true, "z").parts());
    dispatch.send_live(&records, &mut bucket, &mut Vec::new());
    let mut said = Vec::new();
    while let Some(put) = bucket.take_put(&mut Done::default()) {
        said.push((put.message.topic().to_owned(), put.copied_to.header().map(str::to_owned)));
    }
    let said: Vec<_> = said.iter().map(|(t, names)| (t.as_str(), names.as_deref())).collect();
    assert_eq!(said, [("t/1", Some("a b c")), ("t/1/2", Some("a")), ("t/2", Some("a"))]);
    assert_eq!(dispatch.copied_to_nobody(), CopiedTo::UNSAID, "one waits for its answer");
    dispatch.handle_done(Done { records: vec![1], ..Done::default() }, 0);
    assert_eq!(dispatch.copied_to_nobody().header(), Some("a"));
}

/// The server refuses what is longer than it takes, headers included.
#[test]
fn who_gets_a_message_is_not_said_beside_one_that_is_as_long_as_the_server_takes() {
    let mut bucket = bucket();
    let value = message(QoS::AtLeastOnce, "t/1", true, "x");
    for (room, said) in [(2, None), (3, Some("a b"))] {
        let mut dispatch = dispatch(&[("b", "t/1")]);
        dispatch.connected(value.len() + HEADERS_BYTES + room);
        read(&mut dispatch, std::slice::from_ref(&value));
        assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/1"]);
        dispatch.handle_stored(1, &mut bucket);
        let put = bucket.take_put(&mut Done::default()).expect("it is stored");
        assert_eq!(put.copied_to.header(), said);
        bucket.handle_outcome("t/1", Outcome::Refused, &mut Done::default());
    }
}

#[test]
fn what_the_server_never_takes_becomes_a_dead_letter() {
    let mut dispatch = dispatch(&[("b", "#")]);
    let large = "x".repeat(1 << 20);
    let messages = [
        message(QoS::AtLeastOnce, "t/1", false, &large),
        message(QoS::AtLeastOnce, "t/2", false, "x"),
    ];
    read(&mut dispatch, &messages);
    let mut bucket = bucket();
    assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/2"]);
    dispatch.handle_refused(1, "no", 0);
    let turn = dispatch.take_turn(Instant(0), true).expect("all is done");
    let topics: Vec<String> =
        turn.publications.iter().map(|one| one.borrow().message.topic.to_owned()).collect();
    assert_eq!(topics, ["dead/upstream/fleet/t/1", "dead/upstream/fleet/t/2"]);
    assert_eq!(dispatch.figures().dropped.len(), 2);
}

#[test]
fn live_messages_go_to_those_who_want_them_and_are_not_kept() {
    let mut dispatch = dispatch(&[("b", "t/#"), ("c", "#")]);
    let mut records = Records::default();
    for (topic, retain) in [("t/1", false), ("u", false), ("t/2", true)] {
        records.push(None, &message(QoS::AtMostOnce, topic, retain, "x").parts());
    }
    let (mut bucket, mut orders) = (bucket(), Vec::new());
    dispatch.send_live(&records, &mut bucket, &mut orders);
    assert_eq!((orders.len(), bucket.depth()), (4, 1));
}

#[test]
fn one_by_one_the_next_goes_when_all_copies_of_the_one_before_are_stored() {
    let mut dispatch = dispatch(&[("b", "t/#"), ("c", "t/1")]);
    let mut bucket = bucket();
    dispatch.send_one_by_one(true);
    let messages = ["1", "2", "3"].map(|payload| message(QoS::AtLeastOnce, "t/1", false, payload));
    read(&mut dispatch, &messages);
    assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/1", "1 c t/1"]);
    dispatch.handle_stored(1, &mut bucket);
    assert!(send(&mut dispatch, &mut bucket).is_empty());
    dispatch.handle_stored(1, &mut bucket);
    assert_eq!(send(&mut dispatch, &mut bucket), ["2 b t/1", "2 c t/1"]);
    dispatch.send_one_by_one(false);
    assert_eq!(send(&mut dispatch, &mut bucket), ["3 b t/1", "3 c t/1"]);
}

/// It would come behind what was sent to it meanwhile.
#[test]
fn what_is_sent_again_goes_to_nobody_who_did_not_want_it_before() {
    let mut dispatch = dispatch(&[("b", "t/#"), ("c", "t/1")]);
    let mut bucket = bucket();
    read(&mut dispatch, &[message(QoS::AtLeastOnce, "t/2", false, "1")]);
    assert_eq!(send(&mut dispatch, &mut bucket), ["1 b t/2"]);
    dispatch.pause();
    let filters = ["t/#".to_owned()];
    dispatch.set_boxes(["b", "c"].into_iter().map(|name| (name, filters.as_slice())));
    dispatch.connected(1 << 20);
    assert_eq!(send(&mut dispatch, &mut bucket), ["2 b t/2"]);
    dispatch.handle_stored(2, &mut bucket);
    assert_eq!(dispatch.depth(), 0);
    assert!(dispatch.sent_to.is_empty());
}
