//! What goes from one shard to another, and what happens when it is late.

use crate::support::*;

/// A name whose client is in this shard, of three.
fn name_in(shard: u8) -> &'static str {
    ["c", "a", "b", "d", "e", "f"]
        .into_iter()
        .find(|name| Placement::new(3, []).home(name) == ShardId(shard))
        .expect("six names are spread over three shards")
}

fn world() -> World {
    World::with_shards(3, Limits::default(), Vec::new())
}

fn client_in(world: &World, shard: u8) -> Client {
    let client = world.connect(v5(name_in(shard)));
    assert_eq!(world.shard_of(&client), ShardId(shard));
    client
}

fn kept_in(world: &World, shard: u8) -> Client {
    world.connect(v5(name_in(shard)).kept())
}

#[test]
fn a_client_is_served_by_the_shard_of_its_name_and_nothing_it_said_is_lost() {
    let world = world();
    let mut client = world.open();
    client.version = Version::V5;
    let mut bytes = v5(name_in(2)).encode();
    let filter = TopicFilter::parse("t").expect("a filter");
    let filters = [SubscribeFilter { filter, options: SubscriptionOptions::default() }];
    let subscribe = Subscribe {
        packet_id: packet_id(7),
        properties: Default::default(),
        filters: (&filters[..]).into(),
    };
    bytes.extend(client.encode(&Packet::Subscribe(subscribe)));
    let (first, rest) = bytes.split_at(5);
    client.send_bytes(first);
    assert_eq!(world.shard_of(&client), ShardId(0), "nobody knows yet who it is");
    client.send_bytes(rest);
    assert!(!client.expect_connack());
    assert_eq!(world.shard_of(&client), ShardId(2));
    assert_eq!(client.expect_suback(), [0]);
    let metrics = world.metrics();
    assert_eq!((metrics.connections, metrics.connections_opened), (1, 1));
    assert_eq!(metrics.bytes_received, bytes.len() as u64, "counted once");
}

/// Without that a message that is published after SUBACK could miss its subscriber.
#[test]
fn suback_waits_until_all_shards_know() {
    let world = world();
    let (publisher, subscriber) = (client_in(&world, 1), client_in(&world, 2));
    world.hold_parcels();
    subscriber.send_subscribe("t", QOS0, None, |_| {});
    publisher.publish(QOS0, "t", "before");
    while !subscriber.has_arrived() {
        assert!(world.hand_over(0), "it is answered at the latest when all is handed over");
    }
    assert_eq!(subscriber.expect_suback(), [0]);
    publisher.publish(QOS0, "t", "after");
    world.release_parcels();
    assert_eq!(subscriber.payloads(), ["after"]);
}

/// [MQTT-4.6.0-5], whatever comes first from the other shards.
#[test]
fn a_publisher_is_heard_in_order() {
    for choice in 0..20 {
        let world = world();
        let (publisher, subscriber) = (client_in(&world, 1), client_in(&world, 2));
        subscriber.subscribe("t/#", QOS2);
        world.hold_parcels();
        for n in 0..20 {
            publisher.publish(QOS0, &format!("t/{}", n % 3), &n.to_string());
            if n % 4 == choice % 4 {
                world.hand_over(choice);
            }
        }
        world.release_parcels();
        let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(subscriber.payloads(), expected);
    }
}

#[test]
fn a_publisher_waits_for_what_becomes_of_its_message_in_other_shards() {
    for qos in [QOS1, QOS2] {
        let world = world();
        let (publisher, away) = (client_in(&world, 1), kept_in(&world, 2));
        away.subscribe("t", QOS2);
        away.hang_up();
        world.hold_parcels();
        world.hold_commits();
        publisher.publish(qos, "t", "x");
        assert!(!world.commit_one(), "half of it is not committed");
        publisher.expect_nothing();
        while world.hand_over(0) {}
        publisher.expect_nothing();
        assert!(world.commit_one());
        publisher.expect(if qos == QOS1 { PacketKind::Puback } else { PacketKind::Pubrec }, 1);
        world.crash();
        world.release_parcels();
        world.release_commits();
        assert_eq!(kept_in(&world, 2).payloads(), ["x"]);
    }
}

/// The identifier would be known in one shard and the message in none, or the other way round.
#[test]
fn a_crash_finds_no_half_of_a_qos2_message() {
    for is_committed in [false, true] {
        let world = world();
        let (publisher, away) = (kept_in(&world, 1), kept_in(&world, 2));
        away.subscribe("t", QOS2);
        away.hang_up();
        world.hold_commits();
        publisher.publish(QOS2, "t", "x");
        if is_committed {
            world.commit();
        }
        world.crash();
        world.release_commits();
        let publisher = kept_in(&world, 1);
        publisher.publish_with(QOS2, "t", "x", |publish| {
            publish.packet_id = Some(packet_id(1));
            publish.dup = true;
        });
        publisher.expect(PacketKind::Pubrec, 1);
        publisher.pubrel(1);
        publisher.expect(PacketKind::Pubcomp, 1);
        assert_eq!(kept_in(&world, 2).payloads(), ["x"], "committed: {is_committed}");
    }
}

#[test]
fn what_is_retained_is_the_same_in_all_shards_whatever_comes_first() {
    for choice in 0..30 {
        let world = world();
        let publishers: Vec<Client> = (0..3).map(|shard| client_in(&world, shard)).collect();
        world.hold_parcels();
        for (n, publisher) in publishers.iter().enumerate() {
            publisher.publish_retained(QOS0, "t", &format!("of {n}"));
            if n as u64 == choice % 3 {
                world.hand_over(choice);
            }
        }
        let mut choice = choice;
        while world.hand_over(choice) {
            choice = choice * 7 + 3;
        }
        world.release_parcels();
        let seen = |world: &World| {
            let names = (0..).map(|n| format!("reader-{n}"));
            let readers = names.take(6).map(|name| world.connect(v5(&name)));
            readers
                .map(|reader| {
                    reader.subscribe("t", QOS0);
                    reader.receive().payload
                })
                .collect::<Vec<_>>()
        };
        let before = seen(&world);
        assert!(before.iter().all(|payload| *payload == before[0]), "{before:?}");
        assert_eq!(world.remembered_versions(), 0, "all have heard of each other");
        world.crash();
        assert_eq!(seen(&world), before);
    }
}

/// An older message came after the end of the one that had taken its place, and stayed.
#[test]
fn what_was_removed_does_not_come_back_from_another_shard() {
    let world = world();
    let (early, late) = (client_in(&world, 1), client_in(&world, 2));
    world.hold_parcels();
    early.publish_retained(QOS0, "t", "old");
    // From the first shard's point of view the end comes before the beginning.
    late.publish_retained(QOS0, "other", "x");
    late.publish_retained(QOS0, "t", "");
    for choice in [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0] {
        world.hand_over(choice);
    }
    world.release_parcels();
    for shard in 0..3 {
        let reader = world.connect(v5(&format!("{}-reader", name_in(shard))));
        reader.subscribe("t", QOS0);
        reader.expect_nothing();
    }
    assert!(!world.net().store.retained.contains_key("t"));
}

/// What is in the queues, in flight and retained is found again by more shards.
#[test]
fn more_shards_find_what_one_has_left() {
    let world = World::with_shards(1, Limits::default(), Vec::new());
    let publisher = world.connect(v5("publisher"));
    for n in 0..9 {
        let away = world.connect(v5(&format!("away-{n}")).kept());
        away.subscribe("t/#", QOS1);
        away.hang_up();
    }
    publisher.publish_acknowledged("t/1", "1");
    publisher.publish_retained(QOS0, "t/r", "r");
    world.restart_with_shards(3);
    let publisher = world.connect(v5("another"));
    publisher.publish_acknowledged("t/1", "2");
    for n in 0..9 {
        let back = world.connect(v5(&format!("away-{n}")).kept());
        assert!(back.session_present);
        assert_eq!(world.shard_of(&back), ShardId(0), "a session stays where it was");
        assert_eq!(back.payloads(), ["1", "2"], "QoS 0 for a client that is away is for nobody");
    }
    let new = world.connect(v5(name_in(2)));
    new.subscribe("t/r", QOS0);
    assert_eq!((world.shard_of(&new), new.payloads()), (ShardId(2), vec!["r".to_owned()]));
}

/// Each member gets its part, whatever shard a message comes in by.
#[test]
fn a_group_is_spread_over_shards() {
    let world = world();
    let members: Vec<Client> = (0..6)
        .map(|n| {
            let member = world.connect(v5(&format!("member-{n}")));
            member.subscribe("$share/g/t", QOS1);
            member
        })
        .collect();
    let publishers: Vec<Client> = (0..3).map(|shard| client_in(&world, shard)).collect();
    for n in 0..180 {
        publishers[n % 3].publish_acknowledged("t", &n.to_string());
    }
    let counts: Vec<usize> = members.iter().map(|member| member.receive_all().len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 180, "each message once");
    assert!(counts.iter().all(|count| (20..=40).contains(count)), "{counts:?}");
}

/// The shard of the member did not know the publisher, and gave everything to one.
#[test]
fn the_hash_of_a_publisher_counts_in_every_shard() {
    let limits = Limits { share_strategy: ShareStrategy::HashClient, ..Limits::default() };
    let world = World::with_shards(3, limits, Vec::new());
    let members: Vec<Client> = (0..12)
        .map(|n| {
            let member = world.connect(v5(&format!("member-{n}")));
            member.subscribe("$share/g/t", QOS1);
            member
        })
        .collect();
    for n in 0..60 {
        let name = format!("publisher-{n}");
        let publisher = world.connect(v5(&name));
        (0..3).for_each(|_| publisher.publish_acknowledged("t", &name));
    }
    let mut busy = 0;
    for member in &members {
        let mut payloads = member.payloads();
        payloads.sort();
        assert!(payloads.chunks(3).all(|three| three[0] == three[2]), "{payloads:?}");
        busy += usize::from(!payloads.is_empty());
    }
    assert!(busy > 6, "{busy} members got something");
}

#[test]
fn what_waits_for_a_lost_member_goes_to_one_of_another_shard() {
    let world = world();
    let publisher = client_in(&world, 0);
    let lost = world.connect(v5(name_in(1)).kept().receive_max(1));
    lost.subscribe("$share/g/t", QOS1);
    for n in 0..5 {
        publisher.publish_acknowledged("t", &n.to_string());
    }
    assert_eq!(lost.receive().payload, "0");
    let other = kept_in(&world, 2);
    other.subscribe("$share/g/t", QOS1);
    lost.hang_up();
    assert_eq!(other.payloads(), ["1", "2", "3", "4"], "what was begun stays with its receiver");
    world.crash();
    assert_eq!(kept_in(&world, 1).payloads(), ["0"]);
    kept_in(&world, 2).expect_nothing();
}

/// The session ends while the message is on its way to the shard of its last member.
#[test]
fn a_message_for_a_member_that_has_left_goes_on_to_another_shard() {
    let world = world();
    let publisher = client_in(&world, 0);
    let leaves = client_in(&world, 1);
    leaves.subscribe("$share/g/t", QOS1);
    world.hold_parcels();
    publisher.publish(QOS1, "t", "x");
    leaves.send_unsubscribe("$share/g/t");
    world.release_parcels();
    publisher.expect(PacketKind::Puback, 1);
    let stays = client_in(&world, 2);
    stays.subscribe("$share/g/t", QOS1);
    publisher.publish_acknowledged("t", "y");
    assert_eq!(stays.payloads(), ["y"]);
}

#[test]
fn limits_hold_for_all_shards_together() {
    let world = World::with_shards(3, Limits { sessions_max: 4, ..Limits::default() }, Vec::new());
    let clients: Vec<Client> = (0..4).map(|n| world.connect(v5(&format!("client-{n}")))).collect();
    world.dial(&v5("one-too-many")).expect_refused(ReasonCode::QuotaExceeded);
    clients[0].disconnect();
    world.connect(v5("one-too-many"));
}

#[test]
fn a_client_without_a_name_gets_one_of_the_shard_that_has_it() {
    let world = world();
    for _ in 0..20 {
        let client = world.dial(&v5("").kept());
        let name = client.look(|packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            connack.properties.assigned_client_identifier.expect("a name").to_owned()
        });
        let shard = world.shard_of(&client);
        client.hang_up();
        let back = world.connect(Options { ..v5(Box::leak(name.into_boxed_str())) }.kept());
        assert!(back.session_present);
        assert_eq!(world.shard_of(&back), shard);
    }
}
