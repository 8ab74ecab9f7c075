use weir_core::{MessageParts, ReaderId, Sequence};
use weir_mqtt::QoS;
use weir_rules::{Engine, Source};

use super::{LAZY_MS, Pipeline};
use crate::inner_turn::InnerTurn;

const NOW: u64 = 1_800_000_000_000;

/// A pipeline with a rule of each guarantee; each copies its own topic.
fn pipeline() -> Pipeline {
    let rule = |name: &str, more: &str| {
        format!(
            "[rule.{name}]\nfrom = \"in/{name}\"\ndecode = \"number\"\nto = \"out/{name}\"\n\
             select = {{ is = \"value\", was = \"prev.value\" }}\n{more}\n"
        )
    };
    let text = [
        rule("exact", ""),
        rule("least", "guarantee = \"at-least-once\""),
        rule("best", "guarantee = \"best-effort\""),
    ];
    let plan = weir_rules::compile(&[Source::new("r.toml", text.concat())]).expect("rules");
    let mut pipeline = Pipeline::new(Engine::new(plan), ReaderId(1), Vec::new());
    // The first state is a snapshot; what is looked at here comes after it.
    pipeline.finish();
    let _ = turns(&mut pipeline);
    pipeline
}

fn give(pipeline: &mut Pipeline, position: u64, topic: &str) -> Vec<InnerTurn> {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: NOW,
        topic,
        properties: &[],
        payload: b"1",
        publisher: "",
    };
    pipeline.handle_message(NOW, Some(Sequence(position)), &parts);
    pipeline.advance(NOW);
    turns(pipeline)
}

fn turns(pipeline: &mut Pipeline) -> Vec<InnerTurn> {
    std::iter::from_fn(|| pipeline.take_turn()).collect()
}

/// Messages, changes of the state, and the position of each turn.
fn outline(turns: &[InnerTurn]) -> Vec<(usize, usize, Option<u64>)> {
    let one = |turn: &InnerTurn| {
        let done = turn.done.map(|(_, sequence)| sequence.0);
        (turn.publications.len(), turn.changes.len(), done)
    };
    turns.iter().map(one).collect()
}

#[test]
fn exactly_once_sends_with_the_state() {
    let mut pipeline = pipeline();
    let turns = give(&mut pipeline, 1, "in/exact");
    assert_eq!(outline(&turns), [(1, 1, Some(1))]);
    assert!(pipeline.poll_timeout().is_none_or(|at| at > NOW + LAZY_MS));
}

#[test]
fn at_least_once_sends_before_the_state_and_writes_it_at_once() {
    let mut pipeline = pipeline();
    let turns = give(&mut pipeline, 1, "in/least");
    assert_eq!(outline(&turns), [(1, 0, None), (0, 1, Some(1))]);
}

#[test]
fn best_effort_writes_its_state_a_second_later() {
    let mut pipeline = pipeline();
    assert_eq!(outline(&give(&mut pipeline, 1, "in/best")), [(1, 0, None)]);
    assert_eq!(outline(&give(&mut pipeline, 2, "in/best")), [(1, 0, None)]);
    assert_eq!(pipeline.poll_timeout(), Some(NOW + LAZY_MS));
    pipeline.advance(NOW + LAZY_MS - 1);
    assert_eq!(outline(&turns(&mut pipeline)), []);
    pipeline.advance(NOW + LAZY_MS);
    assert_eq!(outline(&turns(&mut pipeline)), [(0, 1, Some(2))]);
    assert!(pipeline.poll_timeout().is_none_or(|at| at > NOW + LAZY_MS));
}

#[test]
fn best_effort_is_written_with_what_others_write() {
    let mut pipeline = pipeline();
    give(&mut pipeline, 1, "in/best");
    assert_eq!(outline(&give(&mut pipeline, 2, "in/exact")), [(1, 1, Some(2))]);
    pipeline.advance(NOW + LAZY_MS);
    assert_eq!(outline(&turns(&mut pipeline)), []);
}

#[test]
fn end_writes_what_was_put_off() {
    let mut pipeline = pipeline();
    give(&mut pipeline, 1, "in/best");
    pipeline.finish();
    assert_eq!(outline(&turns(&mut pipeline)), [(0, 1, Some(1))]);
}

/// What was not written is handled again from the log: nothing is lost, and what was sent comes
/// with the same identifiers.
#[test]
fn power_cut_before_the_write_repeats_with_the_same_identifiers() {
    let records = |turns: &[InnerTurn]| -> Vec<Vec<u8>> {
        let all = turns.iter().flat_map(|turn| &turn.publications);
        all.map(|publication| publication.record.clone()).collect()
    };
    let sent = |topic: &str| {
        let mut pipeline = pipeline();
        let mut sent = records(&give(&mut pipeline, 1, topic));
        sent.extend(records(&give(&mut pipeline, 2, topic)));
        sent
    };
    for topic in ["in/best", "in/least", "in/exact"] {
        let (before, after) = (sent(topic), sent(topic));
        assert_eq!(before.len(), 2);
        assert_eq!(before, after, "{topic}");
    }
}
