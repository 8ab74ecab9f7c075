//! Sleep, and what the gateway has kept meanwhile.

use super::*;

/// Asleep since 0, for a minute.
fn asleep(config: Config<'static>) -> Node {
    let mut node = connected(config);
    node.sleep(60, 0).unwrap();
    assert_sends(&mut node, 0, &Packet::Disconnect(Some(60)));
    assert_eq!(take(&mut node, &Packet::Disconnect(None), 0), Some(Event::Asleep));
    node
}

#[test]
fn sleeper_fetches_its_messages_when_it_wakes_and_sleeps_on() {
    let mut node = asleep(CONFIG);
    assert!(!node.is_connected());
    assert_eq!(node.poll(1), Output::WaitUntil(60_000));
    node.wake(20_000).unwrap();
    assert_sends(&mut node, 20_000, &Packet::Pingreq(Some("mill-1")));
    let kept = publish(TopicRef::Predefined(TopicId(7)), at_least_once(3, false), b"go");
    let event = take(&mut node, &kept, 20_010);
    assert!(matches!(event, Some(Event::Message(Incoming { payload: b"go", .. }))));
    assert_sends(&mut node, 20_010, &puback(7, 3, ReturnCode::Accepted));
    assert_eq!(take(&mut node, &Packet::Pingresp, 20_020), Some(Event::Asleep));
    assert_eq!(node.poll(20_020), Output::WaitUntil(80_020));
}

#[test]
fn sleeper_wakes_by_itself_at_the_end_of_its_time() {
    let mut node = asleep(CONFIG);
    assert_waits(&mut node, 59_999);
    assert_sends(&mut node, 60_000, &Packet::Pingreq(Some("mill-1")));
    assert_sends(&mut node, 61_000, &Packet::Pingreq(Some("mill-1")));
}

#[test]
fn sleeper_that_the_gateway_no_longer_knows_connects_again() {
    let mut node = asleep(CONFIG);
    node.wake(1).unwrap();
    assert_sends(&mut node, 1, &Packet::Pingreq(Some("mill-1")));
    let lost = take(&mut node, &Packet::Disconnect(None), 2);
    assert_eq!(lost, Some(Event::Lost(LostReason::Closed)));
}

#[test]
fn message_published_asleep_waits_for_the_next_connection_which_keeps_the_session() {
    let mut node = asleep(Config { clean_session: true, ..CONFIG });
    node.publish(message(PREDEFINED, QoS::AtMostOnce, b"x"), 10).unwrap();
    assert_waits(&mut node, 10);
    node.connect(20);
    let Ok(Packet::Connect(connect)) = Packet::decode(sent(&mut node, 20).leak()) else {
        panic!("no connect")
    };
    assert!(!connect.clean_session);
    assert_eq!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 21), Some(Event::Connected));
    let expected = publish(TopicRef::Predefined(TopicId(7)), Delivery::AtMostOnce, b"x");
    assert_sends(&mut node, 21, &expected);
}

#[test]
fn only_who_is_connected_can_sleep_and_only_a_sleeper_can_wake() {
    let mut node = node(CONFIG);
    assert_eq!(node.sleep(60, 0), Err(RequestError::NotConnected));
    assert_eq!(node.wake(0), Err(RequestError::NotAsleep));
    let mut node = connected(CONFIG);
    assert_eq!(node.wake(0), Err(RequestError::NotAsleep));
}

/// A copy of the answer to going to sleep would wake the node for nothing.
#[test]
fn disconnect_that_nobody_asked_for_does_not_wake_a_sleeper() {
    let mut node = asleep(CONFIG);
    assert_eq!(take(&mut node, &Packet::Disconnect(None), 5), None);
    assert_eq!(node.poll(5), Output::WaitUntil(60_000));
}

/// The answer to a CONNECT does not say whether the gateway has kept the session.
#[test]
fn sleeper_that_connects_makes_its_subscriptions_again() {
    let mut node = connected(CONFIG);
    node.subscribe(SHORT, QoS::AtLeastOnce).unwrap();
    assert_eq!(sent(&mut node, 0).get(1), Some(&0x12));
    assert!(take(&mut node, &suback(0, 1, ReturnCode::Accepted), 0).is_some());
    node.sleep(60, 0).unwrap();
    assert_sends(&mut node, 0, &Packet::Disconnect(Some(60)));
    assert_eq!(take(&mut node, &Packet::Disconnect(None), 0), Some(Event::Asleep));
    node.connect(10);
    assert_eq!(sent(&mut node, 10).get(1), Some(&0x04));
    assert_eq!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 11), Some(Event::Connected));
    assert_eq!(sent(&mut node, 11).get(1), Some(&0x12));
}
