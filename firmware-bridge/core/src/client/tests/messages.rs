//! Messages, topics and subscriptions.

use super::*;

fn delivered(event: Option<Event<'_>>, ticket: Ticket) -> bool {
    event == Some(Event::Delivered(ticket))
}

#[test]
fn topic_is_registered_once_and_published_to_by_id() {
    let mut node = connected(CONFIG);
    let first = node.publish(message(STATE, QoS::AtLeastOnce, b"1"), 0).unwrap();
    let second = node.publish(message(STATE, QoS::AtLeastOnce, b"2"), 0).unwrap();
    assert_sends(&mut node, 0, &register(0, 1, "mill/state"));
    assert_waits(&mut node, 999);
    assert_sends(&mut node, 1_000, &register(0, 1, "mill/state"));
    assert_eq!(take(&mut node, &regack(5, 9, ReturnCode::Accepted), 1_001), None);
    assert_waits(&mut node, 1_001);
    assert_eq!(take(&mut node, &regack(5, 1, ReturnCode::Accepted), 1_002), None);
    let topic = TopicRef::Normal(TopicId(5));
    assert_sends(&mut node, 1_002, &publish(topic, at_least_once(2, false), b"1"));
    assert_sends(&mut node, 2_002, &publish(topic, at_least_once(2, true), b"1"));
    assert!(delivered(take(&mut node, &puback(5, 2, ReturnCode::Accepted), 2_003), first));
    assert_sends(&mut node, 2_003, &publish(topic, at_least_once(3, false), b"2"));
    assert_eq!(take(&mut node, &puback(5, 2, ReturnCode::Accepted), 2_004), None);
    assert!(delivered(take(&mut node, &puback(5, 3, ReturnCode::Accepted), 2_005), second));
    assert!(!node.has_queued());
}

#[test]
fn exactly_once_takes_four_packets_and_repeats_the_second_half_alone() {
    let mut node = connected(CONFIG);
    let ticket = node.publish(message(SHORT, QoS::ExactlyOnce, b"1"), 0).unwrap();
    let id = MessageId(1);
    let topic = TopicRef::Short(*b"ab");
    assert_sends(&mut node, 0, &publish(topic, exactly_once(1, false), b"1"));
    // An acknowledgement of the wrong quality is none.
    assert_eq!(take(&mut node, &puback(0x6162, 1, ReturnCode::Accepted), 1), None);
    assert_eq!(take(&mut node, &Packet::Pubcomp(id), 1), None);
    assert_sends(&mut node, 1_000, &publish(topic, exactly_once(1, true), b"1"));
    assert_eq!(take(&mut node, &Packet::Pubrec(id), 1_001), None);
    assert_sends(&mut node, 1_001, &Packet::Pubrel(id));
    assert_eq!(take(&mut node, &Packet::Pubrec(id), 1_002), None);
    assert_waits(&mut node, 1_002);
    assert_sends(&mut node, 2_001, &Packet::Pubrel(id));
    assert!(delivered(take(&mut node, &Packet::Pubcomp(id), 2_002), ticket));
}

#[test]
fn exactly_once_goes_on_after_a_loss_where_it_was() {
    let mut node = connected(CONFIG);
    let ticket = node.publish(message(SHORT, QoS::ExactlyOnce, b"1"), 0).unwrap();
    assert_eq!(sent(&mut node, 0).len(), 8);
    assert_eq!(take(&mut node, &Packet::Pubrec(MessageId(1)), 1), None);
    assert!(take(&mut node, &Packet::Disconnect(None), 2).is_some());
    node.connect(3);
    assert_eq!(sent(&mut node, 3).get(1), Some(&0x04));
    assert!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 4).is_some());
    assert_sends(&mut node, 4, &Packet::Pubrel(MessageId(1)));
    assert!(delivered(take(&mut node, &Packet::Pubcomp(MessageId(1)), 5), ticket));
}

/// A session that begins empty has forgotten the message with its identifier.
#[test]
fn exactly_once_begins_anew_in_a_session_that_does() {
    let mut node = connected(Config { clean_session: true, ..CONFIG });
    node.publish(message(SHORT, QoS::ExactlyOnce, b"1"), 0).unwrap();
    assert_eq!(sent(&mut node, 0).len(), 8);
    assert_eq!(take(&mut node, &Packet::Pubrec(MessageId(1)), 1), None);
    assert!(take(&mut node, &Packet::Disconnect(None), 2).is_some());
    node.connect(3);
    assert_eq!(sent(&mut node, 3).get(1), Some(&0x04));
    assert!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 4).is_some());
    let again = publish(TopicRef::Short(*b"ab"), exactly_once(1, true), b"1");
    assert_sends(&mut node, 4, &again);
}

#[test]
fn message_without_acknowledgement_is_sent_once() {
    let mut node = connected(CONFIG);
    for payload in [b"1", b"2"] {
        node.publish(message(PREDEFINED, QoS::AtMostOnce, payload), 0).unwrap();
    }
    let topic = TopicRef::Predefined(TopicId(7));
    assert_sends(&mut node, 0, &publish(topic, Delivery::AtMostOnce, b"1"));
    assert_sends(&mut node, 0, &publish(topic, Delivery::AtMostOnce, b"2"));
    assert_waits(&mut node, 0);
    assert!(!node.has_queued());
}

#[test]
fn message_without_session_needs_no_connection() {
    let mut node = node(CONFIG);
    let datagram = node.publish_without_session(message(PREDEFINED_AGED, QoS::AtMostOnce, b"x"));
    let topic = TopicRef::Predefined(TopicId(8));
    let expected = bytes(&publish(topic, Delivery::MinusOne, b"\0\0\0\0x"));
    assert_eq!(datagram, Ok(expected.as_slice()));
    let unnamed = node.publish_without_session(message(STATE, QoS::AtMostOnce, b"x"));
    assert_eq!(unnamed, Err(PublishError::NeedsSession));
}

/// Behaviour 42.
#[test]
fn buffered_reading_says_how_old_it_is_also_when_it_is_sent_again() {
    let mut node = node(CONFIG);
    node.publish(message(PREDEFINED_AGED, QoS::AtLeastOnce, b"21.5"), 1_000).unwrap();
    let hour_later = 3_601_000;
    node.connect(hour_later);
    assert_eq!(sent(&mut node, hour_later).get(1), Some(&0x04));
    assert!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), hour_later).is_some());
    for late in [0, 1_000] {
        let datagram = sent(&mut node, hour_later + late);
        let Ok(Packet::Publish(publish)) = Packet::decode(&datagram) else { panic!("no publish") };
        assert_eq!(age::split(publish.payload), Some((3_600_000 + late, &b"21.5"[..])));
    }
}

#[test]
fn aged_topic_is_registered_with_its_prefix_and_others_carry_no_age() {
    let mut node = connected(CONFIG);
    node.publish(message(AGED, QoS::AtMostOnce, b"21.5"), 0).unwrap();
    node.publish(message(STATE, QoS::AtMostOnce, b"on"), 0).unwrap();
    assert_sends(&mut node, 30, &register(0, 1, "$age/mill/reading"));
    assert_eq!(take(&mut node, &regack(5, 1, ReturnCode::Accepted), 40), None);
    let topic = TopicRef::Normal(TopicId(5));
    assert_sends(&mut node, 50, &publish(topic, Delivery::AtMostOnce, b"\0\0\0\x3221.5"));
    assert_sends(&mut node, 50, &register(0, 2, "mill/state"));
    assert_eq!(take(&mut node, &regack(6, 2, ReturnCode::Accepted), 60), None);
    let topic = TopicRef::Normal(TopicId(6));
    assert_sends(&mut node, 60, &publish(topic, Delivery::AtMostOnce, b"on"));
}

#[test]
fn full_queue_drops_by_policy_and_reports_how_many_after_the_next_connection() {
    let config = Config { drops_topic: Some(PREDEFINED), ..CONFIG };
    let mut node = node(config);
    // 50 bytes each with their header: the ring takes five.
    for number in 0..8 {
        node.publish(message(SHORT, QoS::AtMostOnce, &[number; 40]), 0).unwrap();
    }
    assert_eq!(node.counters().dropped, 3);
    node.connect(0);
    assert_eq!(sent(&mut node, 0).get(1), Some(&0x04));
    assert!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 0).is_some());
    let report = br#"{"kind":"overflow","count":3}"#;
    let topic = TopicRef::Predefined(TopicId(7));
    assert_sends(&mut node, 0, &publish(topic, at_least_once(1, false), report));
    assert_sends(&mut node, 1_000, &publish(topic, at_least_once(1, true), report));
    assert_eq!(take(&mut node, &puback(7, 1, ReturnCode::Accepted), 1_001), None);
    for number in 3..8 {
        let expected = publish(TopicRef::Short(*b"ab"), Delivery::AtMostOnce, &[number; 40]).kind();
        let datagram = sent(&mut node, 1_001);
        assert_eq!(Packet::decode(&datagram).map(|packet| packet.kind()), Ok(expected));
        assert_eq!(datagram.last(), Some(&number));
    }
    assert_waits(&mut node, 1_001);
}

#[test]
fn full_queue_that_keeps_the_oldest_refuses_the_new_one() {
    let mut node = node(Config { overflow: Overflow::KeepOldest, ..CONFIG });
    for number in 0..5 {
        node.publish(message(SHORT, QoS::AtMostOnce, &[number; 40]), 0).unwrap();
    }
    let refused = node.publish(message(SHORT, QoS::AtMostOnce, &[5; 40]), 0);
    assert_eq!(refused, Err(PublishError::QueueFull));
    assert_eq!(node.counters().dropped, 1);
}

#[test]
fn message_under_way_is_not_dropped() {
    let mut node = connected(CONFIG);
    let ticket = node.publish(message(SHORT, QoS::AtLeastOnce, &[0; 40]), 0).unwrap();
    assert_eq!(sent(&mut node, 0).len(), 47);
    for number in 1..8 {
        node.publish(message(SHORT, QoS::AtLeastOnce, &[number; 40]), 0).unwrap();
    }
    assert_eq!(node.counters().dropped, 3);
    assert!(delivered(take(&mut node, &puback(0x6162, 1, ReturnCode::Accepted), 1), ticket));
    let next = publish(TopicRef::Short(*b"ab"), at_least_once(2, false), &[4; 40]);
    assert_eq!(sent(&mut node, 1), bytes(&next));
}

#[test]
fn message_that_no_packet_can_hold_is_refused() {
    let mut node = node(CONFIG);
    assert!(node.publish(message(STATE, QoS::AtMostOnce, &[0; MTU - 7]), 0).is_ok());
    let too_long = [0; MTU - 6];
    let refused = Err(PublishError::TooLong);
    assert_eq!(node.publish(message(STATE, QoS::AtMostOnce, &too_long), 0), refused);
    assert_eq!(node.publish(message(AGED, QoS::AtMostOnce, &[0; MTU - 7]), 0), refused);
    let unknown = message(TopicIndex(6), QoS::AtMostOnce, b"");
    assert_eq!(node.publish(unknown, 0), Err(PublishError::TopicUnknown));
    assert_eq!(node.subscribe(TopicIndex(6), QoS::AtMostOnce), Err(RequestError::TopicUnknown));
}

/// Whoever publishes may read the clock after whoever polls has.
#[test]
fn message_a_moment_ahead_of_the_clock_is_sent_without_age() {
    let mut node = connected(CONFIG);
    node.publish(message(PREDEFINED_AGED, QoS::AtMostOnce, b"x"), 1_005).unwrap();
    let topic = TopicRef::Predefined(TopicId(8));
    assert_sends(&mut node, 1_000, &publish(topic, Delivery::AtMostOnce, b"\0\0\0\0x"));
    assert_eq!(node.counters().dropped, 0);
}

#[test]
fn message_too_old_for_the_clock_is_dropped_and_counted() {
    let mut node = connected(Config { keep_alive_s: 0, ..CONFIG });
    assert!(take(&mut node, &Packet::Disconnect(None), 0).is_some());
    node.publish(message(SHORT, QoS::AtLeastOnce, b"old"), 0).unwrap();
    let days_25 = 25 * 86_400_000;
    node.poll(days_25);
    assert!(!node.has_queued());
    assert_eq!(node.counters().dropped, 1);
}

/// Behaviour 31, the node's half.
#[test]
fn congestion_is_waited_out_and_the_message_sent_again() {
    let mut node = connected(CONFIG);
    let ticket = node.publish(message(SHORT, QoS::AtLeastOnce, b"1"), 0).unwrap();
    let topic = TopicRef::Short(*b"ab");
    assert_sends(&mut node, 0, &publish(topic, at_least_once(1, false), b"1"));
    assert_eq!(take(&mut node, &puback(0x6162, 1, ReturnCode::Congestion), 1), None);
    assert_eq!(node.poll(1), Output::WaitUntil(20_001));
    assert_sends(&mut node, 20_001, &publish(topic, at_least_once(1, true), b"1"));
    assert!(delivered(take(&mut node, &puback(0x6162, 1, ReturnCode::Accepted), 20_002), ticket));
}

#[test]
fn forgotten_topic_is_registered_again_but_not_for_ever() {
    let mut node = connected(CONFIG);
    let ticket = node.publish(message(STATE, QoS::AtLeastOnce, b"1"), 0).unwrap();
    let mut registered = 0;
    let rejected = loop {
        let datagram = sent(&mut node, 0);
        match Packet::decode(&datagram) {
            Ok(Packet::Register(register)) => {
                registered += 1;
                take(&mut node, &regack(5, register.message_id.0, ReturnCode::Accepted), 0);
            }
            Ok(Packet::Publish(publish)) => {
                let Delivery::AtLeastOnce { message_id, .. } = publish.delivery else {
                    panic!("{publish:?}")
                };
                let code = ReturnCode::InvalidTopicId;
                if let Some(event) = take(&mut node, &puback(5, message_id.0, code), 0) {
                    break event;
                }
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rejected, Event::Rejected(ticket, ReturnCode::InvalidTopicId));
    assert_eq!(registered, 4);
    assert!(!node.has_queued());
}

/// Between two tries the gateway gives the id to another topic.
#[test]
fn message_whose_topic_has_lost_its_id_is_registered_before_it_is_sent_again() {
    let mut node = connected(CONFIG);
    node.publish(message(STATE, QoS::AtLeastOnce, b"1"), 0).unwrap();
    assert_sends(&mut node, 0, &register(0, 1, "mill/state"));
    assert_eq!(take(&mut node, &regack(5, 1, ReturnCode::Accepted), 0), None);
    let topic = TopicRef::Normal(TopicId(5));
    assert_sends(&mut node, 0, &publish(topic, at_least_once(2, false), b"1"));
    assert!(take(&mut node, &register(5, 9, "mill/7/set"), 1).is_some());
    assert_sends(&mut node, 1, &regack(5, 9, ReturnCode::Accepted));
    assert_sends(&mut node, 1, &register(0, 3, "mill/state"));
    assert_eq!(take(&mut node, &regack(6, 3, ReturnCode::Accepted), 2), None);
    let topic = TopicRef::Normal(TopicId(6));
    assert_sends(&mut node, 2, &publish(topic, at_least_once(2, true), b"1"));
}

#[test]
fn refused_topic_or_message_is_given_up_and_the_next_one_goes_on() {
    let mut node = connected(CONFIG);
    let first = node.publish(message(STATE, QoS::AtMostOnce, b"1"), 0).unwrap();
    let second = node.publish(message(PREDEFINED, QoS::AtLeastOnce, b"2"), 0).unwrap();
    node.publish(message(PREDEFINED, QoS::AtMostOnce, b"3"), 0).unwrap();
    assert_sends(&mut node, 0, &register(0, 1, "mill/state"));
    let code = ReturnCode::NotSupported;
    assert_eq!(take(&mut node, &regack(0, 1, code), 0), Some(Event::Rejected(first, code)));
    let topic = TopicRef::Predefined(TopicId(7));
    assert_sends(&mut node, 0, &publish(topic, at_least_once(2, false), b"2"));
    let code = ReturnCode::InvalidTopicId;
    assert_eq!(take(&mut node, &puback(7, 2, code), 0), Some(Event::Rejected(second, code)));
    assert_sends(&mut node, 0, &publish(topic, Delivery::AtMostOnce, b"3"));
}

#[test]
fn refused_report_of_drops_does_not_stand_in_the_way() {
    let config = Config { drops_topic: Some(STATE), overflow: Overflow::KeepOldest, ..CONFIG };
    let mut node = connected(config);
    for _ in 0..6 {
        let _ = node.publish(message(SHORT, QoS::AtMostOnce, &[0; 40]), 0);
    }
    assert_sends(&mut node, 0, &register(0, 1, "mill/state"));
    assert_eq!(take(&mut node, &regack(0, 1, ReturnCode::NotSupported), 0), None);
    assert_eq!(sent(&mut node, 0).len(), 47);
}

#[test]
fn subscriptions_are_made_one_by_one_and_messages_find_their_topics() {
    let mut node = connected(CONFIG);
    node.subscribe(STATE, QoS::AtLeastOnce).unwrap();
    node.subscribe(SHORT, QoS::ExactlyOnce).unwrap();
    let subscribe = |dup, qos, message_id, topic| {
        Packet::Subscribe(Subscribe { dup, qos, message_id: MessageId(message_id), topic })
    };
    let name = SubscribeTopic::Name("mill/state");
    assert_sends(&mut node, 0, &subscribe(false, QoS::AtLeastOnce, 1, name));
    assert_sends(&mut node, 1_000, &subscribe(true, QoS::AtLeastOnce, 1, name));
    let granted = take(&mut node, &suback(9, 1, ReturnCode::Accepted), 1_001);
    assert_eq!(granted, Some(Event::Subscribed(STATE, QoS::AtLeastOnce)));
    let short = SubscribeTopic::Short(*b"ab");
    assert_sends(&mut node, 1_001, &subscribe(false, QoS::ExactlyOnce, 2, short));
    let refused = take(&mut node, &suback(0, 2, ReturnCode::NotSupported), 1_002);
    assert_eq!(refused, Some(Event::SubscriptionRefused(SHORT, ReturnCode::NotSupported)));
    assert_waits(&mut node, 1_002);
    for (topic, incoming) in [
        (TopicRef::Normal(TopicId(9)), IncomingTopic::Listed(STATE)),
        (TopicRef::Predefined(TopicId(7)), IncomingTopic::Listed(PREDEFINED)),
        (TopicRef::Short(*b"ab"), IncomingTopic::Listed(SHORT)),
        (TopicRef::Short(*b"xy"), IncomingTopic::Short(*b"xy")),
    ] {
        let event = take(&mut node, &publish(topic, Delivery::AtMostOnce, b"m"), 1_003);
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert_eq!(message.topic, incoming);
    }
    node.unsubscribe(STATE).unwrap();
    let unsubscribe = crate::mqtt_sn_1_2::Unsubscribe { message_id: MessageId(3), topic: name };
    assert_sends(&mut node, 1_004, &Packet::Unsubscribe(unsubscribe));
    let removed = take(&mut node, &Packet::Unsuback(MessageId(3)), 1_005);
    assert_eq!(removed, Some(Event::Unsubscribed(STATE)));
}

#[test]
fn subscriptions_are_made_again_after_a_loss() {
    let mut node = connected(CONFIG);
    node.subscribe(FILTER, QoS::AtLeastOnce).unwrap();
    assert_eq!(sent(&mut node, 0).get(1), Some(&0x12));
    assert!(take(&mut node, &suback(0, 1, ReturnCode::Accepted), 0).is_some());
    assert!(take(&mut node, &Packet::Disconnect(None), 1).is_some());
    node.connect(2);
    assert_eq!(sent(&mut node, 2).get(1), Some(&0x04));
    assert!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 3).is_some());
    assert_eq!(sent(&mut node, 3).get(1), Some(&0x12));
}

/// Behaviours 19 and 20, the node's half.
#[test]
fn gateway_gives_ids_to_topics_of_a_filter_until_there_is_no_room() {
    let mut node = connected(CONFIG);
    let names: Vec<_> = (0..=ASSIGNED_MAX).map(|n| std::format!("mill/{n}/set")).collect();
    for (id, name) in (20u16..).zip(&names).take(ASSIGNED_MAX) {
        let assigned = node.handle_datagram(bytes(&register(id, 1, name)).leak(), 0);
        assert_eq!(assigned, Some(Event::TopicAssigned { id: TopicId(id), name }));
        assert_sends(&mut node, 0, &regack(id, 1, ReturnCode::Accepted));
    }
    let last = names.last().unwrap();
    let refused = node.handle_datagram(bytes(&register(40, 2, last)).leak(), 0);
    assert_eq!(refused, None);
    assert_sends(&mut node, 0, &regack(40, 2, ReturnCode::NotSupported));
    assert_eq!(node.counters().topics_refused, 1);
    // The same again takes no more room, and one of the list has a place of its own.
    assert!(node.handle_datagram(bytes(&register(20, 3, "mill/0/set")).leak(), 0).is_some());
    assert_sends(&mut node, 0, &regack(20, 3, ReturnCode::Accepted));
    assert_eq!(take(&mut node, &register(41, 4, "mill/state"), 0), None);
    assert_sends(&mut node, 0, &regack(41, 4, ReturnCode::Accepted));
    for (id, incoming) in
        [(41, IncomingTopic::Listed(STATE)), (22, IncomingTopic::Assigned(TopicId(22)))]
    {
        let topic = TopicRef::Normal(TopicId(id));
        let event = take(&mut node, &publish(topic, Delivery::AtMostOnce, b"m"), 0);
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert_eq!(message.topic, incoming);
    }
}

#[test]
fn message_of_an_unknown_topic_is_refused() {
    let mut node = connected(CONFIG);
    for (topic, id) in
        [(TopicRef::Normal(TopicId(33)), 33), (TopicRef::Predefined(TopicId(34)), 34)]
    {
        assert_eq!(take(&mut node, &publish(topic, at_least_once(6, false), b"m"), 0), None);
        assert_sends(&mut node, 0, &puback(id, 6, ReturnCode::InvalidTopicId));
    }
}

#[test]
fn message_of_exactly_once_is_given_once_and_answered_each_time() {
    let mut node = connected(CONFIG);
    let topic = TopicRef::Short(*b"ab");
    let first = take(&mut node, &publish(topic, exactly_once(4, false), b"m"), 0);
    assert!(matches!(first, Some(Event::Message(Incoming { qos: QoS::ExactlyOnce, .. }))));
    assert_sends(&mut node, 0, &Packet::Pubrec(MessageId(4)));
    assert_eq!(take(&mut node, &publish(topic, exactly_once(4, true), b"m"), 1), None);
    assert_sends(&mut node, 1, &Packet::Pubrec(MessageId(4)));
    for _ in 0..2 {
        assert_eq!(take(&mut node, &Packet::Pubrel(MessageId(4)), 2), None);
        assert_sends(&mut node, 2, &Packet::Pubcomp(MessageId(4)));
    }
    // A late copy.
    assert_eq!(take(&mut node, &publish(topic, exactly_once(4, false), b"m"), 3), None);
    assert_sends(&mut node, 3, &Packet::Pubrec(MessageId(4)));
}

#[test]
fn identifiers_begin_at_the_seed_and_go_around_zero() {
    let mut node = connected(Config { seed: u16::MAX, ..CONFIG });
    node.publish(message(SHORT, QoS::AtLeastOnce, b"1"), 0).unwrap();
    let expected = publish(TopicRef::Short(*b"ab"), at_least_once(1, false), b"1");
    assert_sends(&mut node, 0, &expected);
}
