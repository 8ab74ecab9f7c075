use super::*;

fn command(id: u64, topic: &str, payload: &str) -> Input {
    Input::Delivered(Delivery {
        id: DeliveryId(id),
        topic: topic.into(),
        payload: Bytes::from(payload.to_owned()),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
    })
}

/// The one order among effects.
fn order(effects: &[Effect]) -> (OrderId, f64) {
    let mut orders = effects.iter().filter_map(|effect| match effect {
        Effect::Order { id, value, .. } => Some((*id, *value)),
        _ => None,
    });
    let order = orders.next().unwrap_or_else(|| panic!("no order in {effects:?}"));
    assert!(orders.next().is_none(), "more than one order");
    order
}

const SET: &str = "edge/mill/pump/switch/set";

/// Behaviour 43.
#[test]
fn command_is_acknowledged_and_told_only_after_the_pin_was_written() {
    let mut bench = Bench::connected("");
    let effects = bench.handle(0, command(7, SET, "ON"));
    let (id, value) = order(&effects);
    assert_eq!((effects.len(), value), (1, 1.0), "nothing is acknowledged yet");
    let effects = bench.handle(50, Input::Answered(id, Ok(1.0)));
    assert_eq!(
        published(&effects),
        [
            ("edge/mill/pump/switch".to_owned(), "ON".to_owned()),
            ("edge/mill/pump/switch/result".to_owned(), r#"{"ok":true,"value":"ON"}"#.to_owned()),
        ]
    );
    assert_eq!(*effects.last().unwrap(), Effect::Acknowledge(DeliveryId(7)));
    let Effect::Publish(state) = &effects[0] else { panic!() };
    let Effect::Publish(result) = &effects[1] else { panic!() };
    assert!(state.retain && !result.retain);
}

/// Behaviour 43.
#[test]
fn wrong_command_is_an_error_and_no_pin_moves() {
    let mut bench = Bench::connected("");
    for payload in ["open", "", "2", "{\"value\":\"x\"}", "{"] {
        let effects = bench.handle(0, command(1, SET, payload));
        let told = published(&effects);
        let result = super::payload(&told, "edge/mill/pump/switch/result");
        assert!(result.starts_with(r#"{"ok":false,"error":""#), "{payload}: {result}");
        assert_eq!(effects[1..], [Effect::Acknowledge(DeliveryId(1))]);
    }
    let effects = bench.handle(0, command(1, "edge/mill/heating/setpoint_c/set", "31"));
    assert!(published(&effects)[0].1.contains("must be a number from 5 to 30"));
    assert_eq!(bench.agent.counters().commands_failed, 6);
}

#[test]
fn failed_write_is_an_error_and_the_state_stays() {
    let mut bench = Bench::connected("");
    let (id, _) = order(&bench.handle(0, command(1, SET, "ON")));
    let effects = bench.handle(10, Input::Answered(id, Err("read back OFF".to_owned())));
    let told = published(&effects);
    assert_eq!(told[0].1, r#"{"ok":false,"error":"read back OFF"}"#);
    assert_eq!(told.len(), 1);
    assert_eq!(effects[1], Effect::Acknowledge(DeliveryId(1)));
}

#[test]
fn command_that_is_not_answered_in_time_is_an_error_and_a_late_answer_is_no_second_result() {
    let mut bench = Bench::connected("");
    let (id, _) = order(&bench.handle(0, command(1, SET, "ON")));
    assert_eq!(bench.agent.next_due_ms(), Some(5_000));
    assert!(bench.poll(4_999).is_empty());
    let effects = bench.poll(5_000);
    assert!(published(&effects)[0].1.contains("did not answer in time"));
    assert_eq!(effects[1], Effect::Acknowledge(DeliveryId(1)));
    assert_eq!(bench.agent.next_due_ms(), None);
    let told = published(&bench.handle(6_000, Input::Answered(id, Ok(1.0))));
    let expected = ("edge/mill/pump/switch".to_owned(), "ON".to_owned());
    assert_eq!(told, [expected], "it was done after all, and that is how it is");
}

#[test]
fn command_with_a_known_correlation_is_carried_out_once_within_a_minute() {
    let mut bench = Bench::connected("");
    let text = r#"{"value":"ON","correlation":"a7"}"#;
    let (id, _) = order(&bench.handle(0, command(1, SET, text)));
    assert!(bench.handle(5, command(2, SET, text)).is_empty(), "the first one is under way");
    let effects = bench.handle(10, Input::Answered(id, Ok(1.0)));
    let result = r#"{"ok":true,"value":"ON","correlation":"a7"}"#;
    assert_eq!(published(&effects)[1].1, result);
    let acknowledged: Vec<_> =
        effects.iter().filter(|effect| matches!(effect, Effect::Acknowledge(_))).collect();
    assert_eq!(acknowledged.len(), 2, "both deliveries");
    let effects = bench.handle(59_000, command(3, SET, text));
    assert_eq!(published(&effects)[0].1, result, "told again, not done again");
    assert_eq!(effects[1], Effect::Acknowledge(DeliveryId(3)));
    assert_eq!(effects.len(), 2);
    order(&bench.handle(61_000, command(4, SET, text)));
}

#[test]
fn retained_command_is_not_carried_out() {
    let mut bench = Bench::connected("");
    let Input::Delivered(delivery) = command(1, SET, "ON") else { panic!() };
    let effects = bench.handle(0, Input::Delivered(Delivery { retain: true, ..delivery }));
    assert!(published(&effects)[0].1.contains("it may be old"));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Order { .. })));
}

#[test]
fn so_many_commands_wait_and_more_are_refused() {
    let mut bench = Bench::connected("");
    for id in 0..16 {
        order(&bench.handle(0, command(id, SET, "ON")));
    }
    assert!(published(&bench.handle(0, command(16, SET, "ON")))[0].1.contains("too many"));
}

#[test]
fn command_for_somebody_else_is_only_acknowledged() {
    let mut bench = Bench::connected("");
    for topic in
        ["edge/mill/node-7/valve/set", "edge/mill/pump/valve/set", "edge/other/pump/switch/set"]
    {
        let effects = bench.handle(0, command(1, topic, "ON"));
        assert_eq!(effects, [Effect::Acknowledge(DeliveryId(1))], "{topic}");
    }
}

/// Behaviour 44.
#[test]
fn outputs_go_to_their_safe_states_at_the_start_and_at_the_end() {
    let mut bench = Bench::new("");
    let (id, value) = order(&bench.effects());
    assert_eq!(value, 0.0);
    bench.handle(0, Input::Answered(id, Ok(0.0)));
    bench.handle(0, Input::Connected);
    let (id, _) = order(&bench.handle(0, command(1, SET, "ON")));
    bench.handle(0, Input::Answered(id, Ok(1.0)));
    let (id, value) = order(&bench.handle(100, Input::Stopping));
    assert_eq!(value, 0.0);
    assert!(bench.agent.has_orders());
    let told = published(&bench.handle(110, Input::Answered(id, Ok(0.0))));
    assert_eq!(payload(&told, "edge/mill/pump/switch"), "OFF");
    assert!(!bench.agent.has_orders());
}

/// Behaviour 44.
#[test]
fn outputs_go_to_their_safe_states_when_the_broker_stays_away() {
    let mut bench = Bench::connected("safe_after_s = 30");
    let (id, _) = order(&bench.handle(0, command(1, SET, "ON")));
    bench.handle(0, Input::Answered(id, Ok(1.0)));
    assert!(bench.handle(1_000, Input::Lost).is_empty());
    assert_eq!(bench.agent.next_due_ms(), Some(31_000));
    assert!(bench.poll(30_999).is_empty(), "a short loss changes nothing");
    let (id, value) = order(&bench.poll(31_000));
    assert_eq!(value, 0.0);
    bench.handle(31_010, Input::Answered(id, Ok(0.0)));
    bench.handle(32_000, Input::Lost);
    assert!(bench.poll(100_000).is_empty(), "once for each loss");
    let told = published(&bench.handle(110_000, Input::Connected));
    assert_eq!(payload(&told, "edge/mill/pump/switch"), "OFF");
    assert_eq!(bench.agent.counters().safe_states, 1);
    assert_eq!(bench.agent.counters().broker_losses, 1);
}

#[test]
fn broker_that_comes_back_in_time_leaves_outputs_as_they_are() {
    let mut bench = Bench::connected("safe_after_s = 30");
    bench.handle(1_000, Input::Lost);
    bench.handle(20_000, Input::Connected);
    assert!(bench.poll(40_000).is_empty());
}

#[test]
fn safe_state_that_fails_is_an_event() {
    let mut bench = Bench::new("");
    let (id, _) = order(&bench.effects());
    let told = published(&bench.handle(0, Input::Answered(id, Err("no such line".to_owned()))));
    assert!(payload(&told, "edge/mill/pump/event").contains("safe state: no such line"));
}
