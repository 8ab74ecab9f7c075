//! Subscriptions without end, and topics without end.

use super::*;

fn subscribe(id: u16, filters: &[&str], options: u8) -> Vec<u8> {
    let mut body = [&id.to_be_bytes()[..], &[0]].concat();
    for filter in filters {
        body.extend(text(filter));
        body.push(options);
    }
    packet(0x82, &body)
}

fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = [&id.to_be_bytes()[..], &[0]].concat();
    filters.iter().for_each(|filter| body.extend(text(filter)));
    packet(0xa2, &body)
}

#[test]
fn a_flood_of_subscriptions_ends_at_the_limit() {
    let world = World::with_limits(Limits { subscriptions_max: 1_000, ..Limits::default() });
    let mut neighbours = Neighbours::new(&world);
    for options in [v5("flood"), v5("flood").kept()] {
        let client = world.connect(options);
        let names: Vec<String> = (0..20_000).map(|n| format!("+/{n}/#")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (round, part) in names.chunks(5_000).enumerate() {
            client.send_bytes(&subscribe(1, part, 1));
            let granted: Vec<u8> = client.expect_suback();
            let accepted = granted.iter().filter(|reason| **reason == 1).count();
            assert_eq!(accepted, if round == 0 { 1_000 } else { 0 });
            assert!(granted.iter().skip(accepted).all(|reason| *reason == 0x97));
        }
        assert_eq!(world.metrics().subscriptions, 1_001);
        neighbours.check();
        client.send_bytes(&unsubscribe(2, &names));
        client.expect(PacketKind::Unsuback, 2);
        assert_eq!(world.metrics().subscriptions, 1);
    }
    neighbours.check();
}

/// Ten thousand filters with as many levels as there may be took more memory than a small box has.
#[test]
fn the_deepest_subscriptions_take_a_bounded_amount_of_memory() {
    let limits = Limits { subscriptions_max: 1_000, ..Limits::default() };
    for (level, first) in [("/+", ""), ("/level", "+/")] {
        let world = World::with_limits(limits.clone());
        let client = world.connect(v5("deep").kept());
        let names: Vec<String> =
            (0..300).map(|n| format!("{first}{n}{}/#", level.repeat(125))).collect();
        let mut granted = 0;
        let taken = memory_of(|| {
            for name in &names {
                client.send_bytes(&subscribe(1, &[name], 0));
                match client.expect_suback()[..] {
                    [0] => granted += 1,
                    [0x97] => {}
                    ref other => panic!("{other:?}"),
                }
            }
        });
        assert!((50..200).contains(&granted), "{granted}");
        assert!(taken < 10_000_000, "{taken} bytes");
        // One that it has may be changed, and one that is gone leaves its room, over a restart too.
        world.crash();
        let mut neighbours = Neighbours::new(&world);
        let client = world.connect(v5("deep").kept());
        client.subscribe(&names[0], QOS1);
        client.send_subscribe(&names[299], QOS1, None, |_| {});
        assert_eq!(client.expect_suback(), [0x97]);
        client.unsubscribe(&names[0]);
        client.subscribe(&names[299], QOS1);
        neighbours.check();
    }
}

/// Each kind of packet that has a topic in it, with all the slashes that there is room for.
#[test]
fn topics_with_the_most_levels_are_refused() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let deep = "/".repeat(65_535);
    let many = vec![&*deep; 20];
    let client = world.connect(v5("deep"));
    client.send_bytes(&subscribe(1, &many, 0));
    assert_eq!(client.expect_suback(), [0x8f; 20]);
    client.send_bytes(&unsubscribe(2, &many));
    assert_eq!(client.expect_reason(PacketKind::Unsuback, 2), ReasonCode::NoSubscriptionExisted);
    neighbours.check();
    client.publish(QOS0, &deep, "x");
    client.expect_disconnected(ReasonCode::TopicNameInvalid);
    let mut connect = b"\0\x04MQTT\x05\x06\0\0\0".to_vec();
    for field in [text("deep"), vec![0], text(&deep), text("x")] {
        connect.extend(field);
    }
    let mut client = world.open();
    client.version = Version::V5;
    client.send_bytes(&packet(0x10, &connect));
    client.expect_refused(ReasonCode::TopicNameInvalid);
    let older = world.connect(v311("deep"));
    older.publish(QOS1, &deep, "x");
    older.expect_closed();
    neighbours.check();
}

/// One packet had every retained message looked through for each of its filters, over and over,
/// although nothing more could wait for the client.
#[test]
fn asking_for_all_retained_messages_again_and_again_holds_up_nobody() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let publisher = world.connect(v311("publisher"));
    for n in 0..5_000 {
        publisher.publish_retained(QOS0, &format!("r/{n}"), "x");
    }
    let client = world.connect(v5("greedy"));
    client.stall();
    let packet = subscribe(1, &vec!["#"; 50_000], 0);
    let taken = memory_of(|| client.send_bytes(&packet));
    // One for each time that nothing was looked for, and what there was no room for before.
    let dropped = world.drops_of("greedy").queue_full;
    assert!((40_000..60_000).contains(&dropped), "{dropped}");
    assert!(taken < 20_000_000, "{taken} bytes");
    neighbours.check();
    client.go_on_reading();
    assert_eq!(client.expect_suback().len(), 50_000);
    // Four times what is retained, and what was in the buffer.
    let mut count = 0;
    while client.has_arrived() {
        client.receive();
        count += 1;
    }
    assert!((5_000..=20_000 + 256_000 / 9).contains(&count), "{count}");
}

/// A message keeps the identifiers of all subscriptions that it matches: a few bytes became tens
/// of thousands, which no limit counted.
#[test]
fn the_identifiers_of_messages_that_wait_count_too() {
    let world = World::with_limits(Limits { queued_bytes_max: 1_000_000, ..Limits::default() });
    let mut neighbours = Neighbours::new(&world);
    let client = world.connect(v5("wide").kept());
    let levels = 10_u32;
    for bits in 0_u32..1 << levels {
        let wild = |level: u32| if bits >> level & 1 == 1 { "+" } else { "a" };
        let filter: Vec<&str> = (0..levels).map(wild).collect();
        client.subscribe_identified(&filter.join("/"), QOS1, bits + 1);
    }
    client.hang_up();
    let topic = vec!["a"; levels as usize].join("/");
    let publisher = world.connect(v311("publisher"));
    let taken = memory_of(|| {
        for _ in 0..500 {
            publisher.publish_acknowledged(&topic, "x");
        }
    });
    assert!(taken < 5_000_000, "{taken} bytes");
    let queued = world.metrics().queued_messages;
    assert!((200..250).contains(&queued), "{queued}");
    assert_eq!(world.drops_of("wide").queue_full, 500 - queued);
    neighbours.check();
    // All of them arrive with all of theirs.
    let client = world.connect(v5("wide").kept());
    let arrived = client.receive_all();
    assert_eq!(arrived.len() as u64, queued);
    assert!(arrived.iter().all(|message| message.identifiers.len() == 1 << levels));
    neighbours.check();
}
