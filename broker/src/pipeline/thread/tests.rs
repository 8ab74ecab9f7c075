use super::*;
use std::time::Instant;

use mio::{Events, Poll, Token, Waker};
use weir_core::MessageParts;
use weir_mqtt::QoS;
use weir_rules::{Engine, Source};

use crate::inner_turn::InnerTurn;
use crate::mailbox::{MailReceiver, Mailbox, mailbox};

const PATIENCE: Duration = Duration::from_secs(20);
const RULE: &str = "[rule.copy]\nfrom = \"in\"\ndecode = \"number\"\n\
                    select = { value = \"value\" }\nto = { topic = \"out\", qos = 1 }\n";

/// A shard, as the rules see it.
fn shard() -> (Mailbox, MailReceiver, Poll) {
    let poll = Poll::new().expect("the system gives a poll");
    let waker = Waker::new(poll.registry(), Token(0)).expect("and a way to wake it");
    let (mailbox, mail) = mailbox(waker);
    (mailbox, mail, poll)
}

fn started() -> (PipelineThread, MailReceiver, Poll) {
    let (mailbox, mail, poll) = shard();
    (started_for(vec![mailbox]), mail, poll)
}

fn started_for(shards: Vec<Mailbox>) -> PipelineThread {
    let plan = weir_rules::compile(&[Source::new("copy.toml", RULE)]).expect("a rule");
    let pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
    let thread = PipelineThread::run(pipeline, Waiting::default(), Mailboxes::new(shards));
    thread.expect("the system gives a thread")
}

fn give(handle: &PipelineHandle, position: u64, payload: &[u8]) {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: unix_ms(),
        publisher: "",
        topic: "in",
        properties: &[],
        payload,
    };
    let mut records = Records::default();
    records.push(Some(Sequence(position)), &parts);
    handle.give(records);
}

/// The next turn with messages.
fn turn(mail: &MailReceiver, turns: &mut VecDeque<InnerTurn>) -> InnerTurn {
    let deadline = Instant::now() + PATIENCE;
    loop {
        turns.extend(mail.take().filter_map(|mail| match mail {
            Mail::Turn(turn) => Some(turn),
            _ => None,
        }));
        if let Some(turn) = turns.pop_front() {
            return turn;
        }
        assert!(Instant::now() < deadline, "no turn in time");
        std::thread::yield_now();
    }
}

/// What is not durable is bounded: past that the rules take nothing more until it is.
#[test]
fn rules_stand_still_until_their_turns_are_durable() {
    let (thread, mail, _poll) = started();
    let handle = thread.handle();
    let mut arrived = VecDeque::new();
    let mut unsettled = VecDeque::new();
    for position in 1..=UNSETTLED_TURNS_MAX as u64 {
        give(&handle, position, b"1");
        let turn = turn(&mail, &mut arrived);
        assert_eq!(turn.publications.len(), 1);
        unsettled.push_back(turn);
    }
    for position in 0..6 {
        give(&handle, UNSETTLED_TURNS_MAX as u64 + 1 + position, b"1");
    }
    assert_eq!(handle.status()[0].status.matched, UNSETTLED_TURNS_MAX as u64);
    let oldest = unsettled.pop_front().and_then(|turn| turn.committed);
    oldest.expect("it says when it is durable")();
    // All that waited comes in one turn: before that the rules took nothing of it.
    assert_eq!(turn(&mail, &mut arrived).publications.len(), 6);
    drop(thread);
}

/// Retained values are there before the first message, and are not messages themselves.
#[test]
fn joined_values_that_were_retained_are_known_at_the_start() {
    let rule = "[rule.r]\nfrom = \"in\"\ndecode = \"number\"\nto = \"out\"\n\
                select = { over = \"value - set.value\" }\n\
                [rule.r.join.set]\ntopic = \"set/#\"\ndecode = \"number\"\n";
    let plan = weir_rules::compile(&[Source::new("join.toml", rule)]).expect("a rule");
    let mut pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
    let parts = |topic, payload, expires_at_ms| MessageParts {
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at_ms,
        received_at_ms: 5,
        publisher: "",
        topic,
        properties: &[],
        payload,
    };
    let mut retained = Records::default();
    retained.push(None, &parts("set", b"20", None));
    retained.push(None, &parts("in", b"1", None));
    retained.push(None, &parts("set", b"30", Some(6)));
    pipeline.start(7, &retained, &Records::default());
    assert!(pipeline.take_turn().is_none());
    pipeline.handle_message(7, Some(Sequence(1)), &parts("in", b"21", None));
    let turn = pipeline.take_turn().expect("a result");
    let [result] = &turn.publications[..] else { panic!("one result") };
    let message = weir_core::Message::from_record(&result.record).expect("a record");
    assert_eq!((message.topic(), message.parts().payload), ("out", &br#"{"over":1}"#[..]));
}

/// A value that was retained after a message counted for that message as well, when the power
/// failed before either was handled.
#[test]
fn a_retained_value_that_waits_in_the_log_is_not_known_before_its_turn() {
    let rule = "[rule.r]\nfrom = \"in\"\ndecode = \"number\"\nto = \"out\"\n\
                select = { v = \"value\", set = \"set.value\", old = \"old.value\" }\n\
                [rule.r.join.set]\ntopic = \"set\"\ndecode = \"number\"\n\
                [rule.r.join.old]\ntopic = \"old\"\ndecode = \"number\"\n";
    let plan = weir_rules::compile(&[Source::new("join.toml", rule)]).expect("a rule");
    let mut pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
    let parts = |topic, payload| MessageParts {
        qos: QoS::AtLeastOnce,
        retain: topic != "in",
        expires_at_ms: None,
        received_at_ms: 5,
        publisher: "",
        topic,
        properties: &[],
        payload,
    };
    let (mut retained, mut waiting) = (Records::default(), Records::default());
    retained.push(None, &parts("old", b"10"));
    retained.push(None, &parts("set", b"20"));
    waiting.push(Some(Sequence(1)), &parts("in", b"1"));
    waiting.push(Some(Sequence(2)), &parts("set", b"20"));
    waiting.push(Some(Sequence(3)), &parts("in", b"2"));
    pipeline.start(7, &retained, &waiting);
    let turn = pipeline.take_turn().expect("there are results");
    let results: Vec<_> = turn.publications.iter().map(|one| one.borrow()).collect();
    let results: Vec<_> = results.iter().map(|one| one.message.payload).collect();
    let expected: [&[u8]; 2] = [br#"{"v":1,"set":null,"old":10}"#, br#"{"v":2,"set":20,"old":10}"#];
    assert_eq!(results, expected);
}

/// Every shard stops reading its clients while the rules have too much to do, and sleeps until
/// it is woken. Only the first one was, and the clients of the others waited on.
#[test]
fn every_shard_is_woken_when_the_rules_have_room_again() {
    let shards: Vec<_> = (0..3).map(|_| shard()).collect();
    let thread = started_for(shards.iter().map(|(mailbox, ..)| mailbox.clone()).collect());
    let handle = thread.handle();
    let (mut arrived, mut oldest) = (VecDeque::new(), None);
    for position in 1..=UNSETTLED_TURNS_MAX as u64 {
        give(&handle, position, b"1");
        let turn = turn(&shards[0].1, &mut arrived);
        oldest.get_or_insert(turn);
    }
    let mut position = UNSETTLED_TURNS_MAX as u64;
    while handle.has_room() {
        position += 1;
        give(&handle, position, &[b' '; 64 * 1024]);
    }
    let oldest = oldest.and_then(|turn| turn.committed);
    oldest.expect("it says when it is durable")();
    for (.., mut poll) in shards {
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(PATIENCE)).expect("the system waits");
        assert!(!events.is_empty(), "it is woken");
    }
    drop(thread);
}
