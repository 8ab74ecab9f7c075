//! Shared subscriptions: one member of a group gets each message.

use crate::support::*;

const SHARED: &str = "$share/g/t";

fn members<const N: usize>(world: &World, qos: QoS, options: fn(&str) -> Options) -> [Client; N] {
    std::array::from_fn(|n| {
        let member = world.connect(options(&format!("member-{n}")));
        member.subscribe(SHARED, qos);
        member
    })
}

fn kept(name: &str) -> Options {
    v5(name).kept()
}

fn kept_v311(name: &str) -> Options {
    v311(name).kept()
}

/// Becomes a member of a group for which messages wait: they may come before the answer.
fn join(member: &Client, qos: QoS) {
    member.send_subscribe(SHARED, qos, None, |_| {});
}

fn publish_numbers(publisher: &Client, qos: QoS, numbers: std::ops::Range<u32>) {
    for n in numbers {
        publisher.publish_acknowledged_at(qos, "t", &n.to_string());
    }
}

/// [MQTT-4.8.2-3]: one after the other, each at the QoS that it was granted.
#[test]
fn one_member_gets_each_message() {
    in_one_shard();
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let members = [
        (QOS2, world.connect(v5("a"))),
        (QOS1, world.connect(v311("b"))),
        (QOS0, world.connect(v31("c"))),
    ];
    for (qos, member) in &members {
        member.subscribe(SHARED, *qos);
    }
    for published in [QOS0, QOS1, QOS2] {
        publish_numbers(&publisher, published, 0..3);
        for (n, (granted, member)) in members.iter().enumerate() {
            let received = member.receive_and_acknowledge();
            assert_eq!(received.payload, n.to_string());
            assert_eq!(received.qos, published.min(*granted));
            member.expect_nothing();
        }
    }
    assert_eq!(world.metrics().shared_subscriptions, 3);
    assert_eq!(world.metrics().subscriptions, 3);
}

/// [MQTT-3.3.4-5]: another share name, another filter and an ordinary subscription are other
/// reasons to get a message, each with its copy and its identifier.
#[test]
fn groups_and_ordinary_subscriptions_each_get_a_copy() {
    for qos in [QOS0, QOS1, QOS2] {
        let world = World::new();
        let publisher = world.connect(v5("publisher"));
        let client = world.connect(v5("a").kept());
        client.subscribe_identified("t", qos, 1);
        client.subscribe_identified("+", qos, 2);
        client.subscribe_identified("$share/g/t", qos, 3);
        client.subscribe_identified("$share/g/+", qos, 4);
        client.subscribe("$share/h/t", qos);
        publisher.publish_acknowledged_at(qos, "t", "x");
        let mut copies: Vec<Vec<u32>> = client
            .receive_all()
            .into_iter()
            .map(|mut received| {
                received.identifiers.sort_unstable();
                received.identifiers
            })
            .collect();
        copies.sort();
        assert_eq!(copies, [vec![], vec![1, 2], vec![3], vec![4]], "{qos:?}");
        client.expect_nothing();
        assert_eq!(world.metrics().queued_messages, 0);
    }
}

/// A copy for each reason also waits, and comes back after a crash.
#[test]
fn the_copies_of_one_message_survive_a_crash() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe_identified("t", QOS2, 1);
    client.subscribe_identified("$share/g/t", QOS2, 2);
    client.subscribe("$share/h/t", QOS2);
    client.hang_up();
    publisher.publish_exactly_once("t", "x");
    world.crash();
    let client = world.connect(v5("a").kept());
    let copies: Vec<Vec<u32>> =
        client.receive_all().into_iter().map(|received| received.identifiers).collect();
    assert_eq!(copies, [vec![1], vec![2], vec![]]);
    world.crash();
    world.connect(v5("a").kept()).expect_nothing();
}

/// [MQTT-3.8.3-4]
#[test]
fn no_local_is_a_protocol_error() {
    let world = World::new();
    let client = world.connect(v5("a"));
    client.send_bytes(b"\x82\x10\x00\x01\x00\x00\x0a$share/g/t\x05");
    client.expect_disconnected(ReasonCode::ProtocolError);
    assert_eq!(world.metrics().subscriptions, 0);
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn a_share_without_a_good_name_or_without_a_filter_is_refused() {
    for filter in ["$share//t", "$share/a+/t", "$share/a#/t", "$share/g", "$share/g/", "$share/"] {
        let world = World::new();
        let client = world.connect(v5("a"));
        let length = u8::try_from(filter.len()).expect("short");
        let mut bytes = vec![0x82, length + 6, 0, 1, 0, 0, length];
        bytes.extend_from_slice(filter.as_bytes());
        bytes.push(0);
        client.send_bytes(&bytes);
        client.look(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{filter}"));
        client.expect_closed();
    }
}

/// A group has no first message: each retained message was somebody's before.
#[test]
fn no_retained_message_comes_with_a_shared_subscription() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS0, "t", "old");
    let [member] = members::<1>(&world, QOS1, v5);
    member.expect_nothing();
    member.subscribe_with(SHARED, QOS1, |options| options.retain_as_published = true);
    member.expect_nothing();
    publisher.publish_retained(QOS0, "t", "new");
    assert!(member.receive().retain);
}

/// Wildcards and `$`-topics are matched by what stands behind the share name.
#[test]
fn the_filter_of_a_share_matches_as_any_other() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v311("a"));
    client.subscribe("$share/g/a/+/c", QOS0);
    client.subscribe("$share/h/#", QOS0);
    for (topic, copies) in [("a/b/c", 2), ("a/b", 1), ("a/b/c/d", 1), ("$share/g/a/b/c", 0)] {
        publisher.publish(QOS0, topic, "x");
        assert_eq!(client.payloads().len(), copies, "{topic}");
    }
    client.unsubscribe("$share/h/#");
    publisher.publish(QOS0, "a/b", "x");
    client.expect_nothing();
    client.unsubscribe("$share/g/a/+/c");
    publisher.publish(QOS0, "a/b/c", "x");
    client.expect_nothing();
}

/// Messages wait only while nobody is there, and for no longer.
#[test]
fn members_that_are_there_go_before_those_that_are_away() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let [a, b, c] = members::<3>(&world, QOS1, kept_v311);
    a.hang_up();
    publish_numbers(&publisher, QOS1, 0..4);
    assert_eq!((b.payloads().len(), c.payloads().len()), (2, 2));
    b.hang_up();
    c.hang_up();
    publish_numbers(&publisher, QOS1, 4..10);
    assert_eq!(world.metrics().queued_messages, 6);
    let c = world.connect(kept_v311("member-2"));
    let mut payloads = c.payloads();
    payloads.sort();
    assert_eq!(payloads, ["4", "5", "6", "7", "8", "9"]);
    for name in ["member-0", "member-1"] {
        world.connect(kept_v311(name)).expect_nothing();
    }
    assert_eq!(world.metrics().queued_messages, 0);
}

/// QoS 0 is for somebody who is there.
#[test]
fn qos0_does_not_wait_for_a_member() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let [a, b] = members::<2>(&world, QOS1, kept);
    a.hang_up();
    b.hang_up();
    publisher.publish(QOS0, "t", "x");
    assert_eq!(world.metrics().queued_messages, 0);
    let id = publisher.publish(QOS1, "t", "y");
    assert_eq!(publisher.expect_reason(PacketKind::Puback, id), ReasonCode::Success);
}

/// [MQTT-4.8.2-4]: what was begun at QoS 2 stays with its receiver; what waited goes to the
/// others when the connection is lost.
#[test]
fn what_waits_for_a_lost_member_goes_to_those_that_are_there() {
    for crashes in [false, true] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let slow = || v5("member-0").kept().receive_max(2);
        let a = world.connect(slow());
        a.subscribe(SHARED, QOS2);
        publish_numbers(&publisher, QOS2, 0..6);
        let begun: Vec<Received> = (0..2).map(|_| a.receive()).collect();
        let b = world.connect(kept("member-1"));
        b.subscribe(SHARED, QOS2);
        b.expect_nothing();
        a.hang_up();
        let mut others = b.payloads();
        others.sort();
        assert_eq!(others, ["2", "3", "4", "5"]);
        if crashes {
            world.crash();
            world.connect(kept("member-1")).expect_nothing();
        }
        let a = world.connect(slow());
        for begun in &begun {
            assert_eq!(a.receive(), Received { dup: true, ..begun.clone() });
        }
        for begun in &begun {
            a.pubrec(begun.id);
            a.expect(PacketKind::Pubrel, begun.id);
            a.pubcomp(begun.id);
        }
        a.expect_nothing();
        assert_eq!(world.metrics().queued_messages, 0);
        assert!(world.net().store.log.is_empty());
    }
}

/// [MQTT-4.8.2-5]: nobody but its receiver knows whether a QoS 2 message that was begun has
/// arrived. The rest finds another member, also QoS 1 that was not acknowledged.
#[test]
fn what_a_session_leaves_behind_goes_to_another_member() {
    for crashes in [false, true] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let a = world.connect(v5("member-0").expiry(60).receive_max(3));
        a.subscribe(SHARED, QOS2);
        for (n, qos) in [QOS1, QOS2, QOS1, QOS1, QOS2].into_iter().enumerate() {
            publisher.publish_acknowledged_at(qos, "t", &n.to_string());
        }
        let begun: Vec<String> = (0..3).map(|_| a.receive().payload).collect();
        assert_eq!(begun, ["0", "1", "2"]);
        a.hang_up();
        let b = world.connect(kept("member-1"));
        join(&b, QOS2);
        assert_eq!(b.payloads(), ["3", "4"]);
        if crashes {
            world.crash();
            world.advance_s(70);
            assert_eq!(world.connect(kept("member-1")).payloads(), ["0", "2"]);
        } else {
            world.advance_s(70);
            assert_eq!(b.payloads(), ["0", "2"]);
        }
        assert_eq!(world.metrics().queued_messages, 0);
        assert_eq!(world.metrics().sessions, 1 + u64::from(!crashes));
    }
}

/// A session of the same client that begins anew is the end of the old one.
#[test]
fn a_clean_start_leaves_the_messages_to_the_others() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let [a, b] = members::<2>(&world, QOS1, kept_v311);
    a.hang_up();
    b.hang_up();
    publish_numbers(&publisher, QOS1, 0..4);
    let a = world.connect(v311("member-0"));
    a.expect_nothing();
    world.crash();
    let b = world.connect(kept_v311("member-1"));
    let mut payloads = b.payloads();
    payloads.sort();
    assert_eq!(payloads, ["0", "1", "2", "3"]);
}

/// The last member takes what waits with it, as any session does.
#[test]
fn nothing_is_left_of_a_group_without_members() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let [a] = members::<1>(&world, QOS1, kept);
    a.hang_up();
    publish_numbers(&publisher, QOS1, 0..4);
    world.advance_s(3601);
    assert_eq!(world.metrics().queued_messages, 0);
    assert_eq!(world.metrics().shared_subscriptions, 0);
    let id = publisher.publish(QOS1, "t", "x");
    let reason = publisher.expect_reason(PacketKind::Puback, id);
    assert_eq!(reason, ReasonCode::NoMatchingSubscribers);
}

/// [MQTT-3.10.4-3]: what was begun is finished with the member that unsubscribes; what waited
/// goes to the others.
#[test]
fn unsubscribing_leaves_what_waits_to_the_others() {
    for qos in [QOS1, QOS2] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let a = world.connect(v5("member-0").kept().receive_max(1));
        a.subscribe(SHARED, qos);
        publish_numbers(&publisher, qos, 0..3);
        let begun = a.receive();
        let b = world.connect(v311("member-1").kept());
        b.subscribe(SHARED, qos);
        a.unsubscribe(SHARED);
        assert_eq!(b.payloads(), ["1", "2"], "{qos:?}");
        world.crash();
        world.connect(v311("member-1").kept()).expect_nothing();
        let a = world.connect(v5("member-0").kept().receive_max(1));
        assert_eq!(a.receive_and_acknowledge(), Received { dup: true, ..begun });
        a.expect_nothing();
        assert_eq!(world.metrics().queued_messages, 0);
    }
}

/// [MQTT-4.8.2-6] [MQTT-4.4.0-2]
#[test]
fn a_refused_message_goes_to_nobody_else() {
    for qos in [QOS1, QOS2] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let [a, b] = members::<2>(&world, qos, kept);
        publish_numbers(&publisher, qos, 0..1);
        let id = packet_id(a.receive().id);
        let refusal = Acknowledge::with_reason(id, ReasonCode::ImplementationSpecificError);
        a.send(if qos == QOS1 { Packet::Puback(refusal) } else { Packet::Pubrec(refusal) });
        a.hang_up();
        b.expect_nothing();
        world.crash();
        for name in ["member-0", "member-1"] {
            world.connect(kept(name)).expect_nothing();
        }
        assert_eq!(world.metrics().queued_messages, 0);
    }
}

/// Messages of others wait between those of the group: they stay, and the cursor says so.
#[test]
fn messages_taken_from_the_middle_of_a_queue_stay_taken() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let a = world.connect(kept_v311("a"));
    a.subscribe(SHARED, QOS1);
    a.subscribe("own", QOS1);
    a.hang_up();
    for n in 0..5 {
        publisher.publish_acknowledged("own", &format!("own {n}"));
        publisher.publish_acknowledged("t", &n.to_string());
    }
    let b = world.connect(kept_v311("b"));
    join(&b, QOS1);
    assert_eq!(b.payloads(), ["0", "1", "2", "3", "4"]);
    publisher.publish_acknowledged("own", "own 5");
    world.crash();
    let a = world.connect(kept_v311("a"));
    let received: Vec<Received> = (0..6).map(|_| a.receive()).collect();
    a.expect_nothing();
    a.puback(received[3].id);
    world.crash();
    let payloads = world.connect(kept_v311("a")).payloads();
    assert_eq!(payloads, ["own 0", "own 1", "own 2", "own 4", "own 5"]);
    world.connect(kept_v311("b")).expect_nothing();
}

/// A member whose session would not survive a crash does not take what was to survive one.
#[test]
fn what_is_kept_stays_kept() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let [a] = members::<1>(&world, QOS1, kept);
    a.hang_up();
    publish_numbers(&publisher, QOS1, 0..2);
    let b = world.connect(v5("unkept"));
    b.subscribe(SHARED, QOS1);
    b.expect_nothing();
    publish_numbers(&publisher, QOS1, 2..3);
    assert_eq!(b.payloads(), ["2"]);
    world.crash();
    assert_eq!(world.connect(kept("member-0")).payloads(), ["0", "1"]);
}

/// A message that has expired meanwhile is not handed over.
#[test]
fn expired_messages_are_not_handed_over() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let [a] = members::<1>(&world, QOS1, kept);
    a.hang_up();
    for (n, expiry_s) in [Some(5), None, Some(500)].into_iter().enumerate() {
        publisher.publish_with(QOS1, "t", ["0", "1", "2"][n], |publish| {
            publish.packet_id = PacketId::new(60);
            publish.properties.message_expiry_interval_s = expiry_s;
        });
        publisher.expect(PacketKind::Puback, 60);
    }
    world.advance_s(10);
    let b = world.connect(kept("member-1"));
    join(&b, QOS1);
    let received = b.receive_all();
    let expiries: Vec<_> = received.iter().map(|r| (r.payload.as_str(), r.expiry_s)).collect();
    assert_eq!(expiries, [("1", None), ("2", Some(490))]);
    assert_eq!(world.metrics().drops.expired, 1);
}

/// Whatever waits for members that are away is taken at the pace of those that are there.
#[test]
fn a_backlog_is_taken_over_as_windows_have_room() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let [a] = members::<1>(&world, QOS1, kept);
    a.hang_up();
    publish_numbers(&publisher, QOS1, 0..100);
    let b = world.connect(v5("b").kept().receive_max(3));
    join(&b, QOS1);
    let c = world.connect(v5("c").kept().receive_max(3));
    join(&c, QOS1);
    let mut all = Vec::new();
    while b.has_arrived() || c.has_arrived() {
        for member in [&b, &c] {
            let Some(frame) = member.next_frame() else { continue };
            if let Packet::Publish(publish) = Packet::decode(&frame, Version::V5).unwrap() {
                all.push(String::from_utf8_lossy(publish.payload).into_owned());
                member.puback(publish.packet_id.unwrap().get());
            }
        }
    }
    all.sort_by_key(|payload| payload.parse::<u32>().expect("a number"));
    assert_eq!(all, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    world.crash();
    assert_eq!(world.metrics().queued_messages, 0);
}

/// Each strategy as a client sees it.
#[test]
fn the_strategy_says_who_gets_a_message() {
    in_one_shard();
    let spread = |share_strategy| {
        let world = World::with_limits(Limits { share_strategy, ..Limits::default() });
        let members = members::<3>(&world, QOS1, kept);
        let publishers: Vec<Client> =
            (0..8).map(|n| world.connect(v311(&format!("publisher-{n}")))).collect();
        for _ in 0..2 {
            for publisher in &publishers {
                publisher.publish_acknowledged("t", "x");
            }
        }
        members.each_ref().map(|member| {
            let mut count = 0;
            while member.has_arrived() {
                member.receive();
                count += 1;
            }
            count
        })
    };
    assert_eq!(spread(ShareStrategy::RoundRobin), [6, 5, 5]);
    assert_eq!(spread(ShareStrategy::LeastInflight), [6, 5, 5]);
    assert_eq!(spread(ShareStrategy::Sticky), [16, 0, 0]);
    let by_topic = spread(ShareStrategy::HashTopic);
    assert!(by_topic.contains(&16), "{by_topic:?}");
    let by_client = spread(ShareStrategy::HashClient);
    assert!(by_client.iter().all(|count| count % 2 == 0), "{by_client:?}");
    assert!(by_client.iter().filter(|count| **count > 0).count() > 1, "{by_client:?}");
}

/// Every message of a group reaches exactly one member at QoS 2, and at least one at QoS 1,
/// whatever connections, commits and the process do.
#[test]
fn whatever_happens_each_message_reaches_one_member() {
    for seed in 0..150 {
        let mut chance = Chance(seed);
        let world = World::with_limits(Limits {
            inflight_messages_max: [0, 5, 20][chance.below(3) as usize],
            share_strategy: if seed % 2 == 0 {
                ShareStrategy::RoundRobin
            } else {
                ShareStrategy::LeastInflight
            },
            ..Limits::default()
        });
        let mut members: Vec<Device> = (0..3)
            .map(|n| {
                let options = kept(&format!("member-{n}")).receive_max(1 + chance.below(4) as u16);
                let own = [("own", QOS1)];
                let wanted = [("$share/g/t/#", QOS2), ("$share/h/#", QOS2), own[0]];
                Device::new(&world, options, &wanted[..2 + usize::from(n == 0)])
            })
            .collect();
        for member in &mut members {
            while !member.is_subscribed() {
                member.step();
            }
        }
        let mut publisher = Device::new(&world, kept_v311("publisher"), &[]);
        for n in 0..20 {
            let (qos, topic) = if n % 4 == 3 { (QOS1, "own") } else { (QOS2, "t/x") };
            publisher.to_publish.push_back((qos, topic.to_owned(), format!("{topic} {n}")));
        }
        world.hold_commits();
        world.hold_parcels();
        for _ in 0..400 {
            world.hand_over_some(&mut chance);
            match chance.below(40) {
                0 => world.crash(),
                1..=4 => members[chance.below(3) as usize].hang_up(),
                5..=12 => {
                    world.commit_one();
                }
                13..=20 => {
                    publisher.step();
                }
                _ => {
                    members[chance.below(3) as usize].step();
                }
            }
        }
        world.release_parcels();
        world.release_commits();
        let mut idle = 0;
        while idle < 10 {
            let mut acted = publisher.step();
            for member in &mut members {
                acted |= member.step();
            }
            idle = if acted { 0 } else { idle + 1 };
        }
        for n in 0..20 {
            let (topic, copies) = if n % 4 == 3 { ("own", 2) } else { ("t/x", 2) };
            let payload = format!("{topic} {n}");
            let times: usize = members
                .iter()
                .map(|member| member.payloads().iter().filter(|p| **p == payload).count())
                .sum();
            if topic == "own" {
                assert!(times >= copies, "{payload} arrived {times} times, seed {seed}");
            } else {
                assert_eq!(times, copies, "{payload}, seed {seed}");
            }
        }
        assert_eq!(world.metrics().queued_messages, 0, "seed {seed}");
    }
}
