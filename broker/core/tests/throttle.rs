//! Clients and listeners that are too fast wait, and nothing of theirs is lost.

use crate::support::*;

const LISTENER: ListenerId = ListenerId(0);

fn world(client_rates: ClientRates) -> World {
    let listener = ListenerLimits { client_rates, ..ListenerLimits::default() };
    World::with_limits(Limits { listeners: vec![listener], ..Limits::default() })
}

fn messages(messages: u32) -> ClientRates {
    ClientRates { messages, ..ClientRates::default() }
}

fn publish_numbers(client: &Client, qos: QoS, numbers: std::ops::Range<u32>) {
    for number in numbers {
        client.publish(qos, "t", &number.to_string());
    }
}

#[test]
fn messages_over_the_rate_wait_in_order_and_none_is_lost() {
    let world = world(messages(10));
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("t", QOS2);
    let client = world.connect(v5("fast"));
    publish_numbers(&client, QOS0, 0..35);
    assert!(client.is_paused());
    assert_eq!(watcher.payloads().len(), 10);
    let mut arrived = 10;
    for _ in 0..25 {
        world.advance_ms(100);
        arrived += watcher.payloads().len();
    }
    assert_eq!(arrived, 35);
    assert!(!client.is_paused());
    // It was slow for long enough to be fast for a second again.
    world.advance_s(10);
    publish_numbers(&client, QOS0, 100..110);
    let expected: Vec<String> = (100..110).map(|number| number.to_string()).collect();
    assert_eq!(watcher.payloads(), expected);
    assert!(!client.is_paused());
}

#[test]
fn acknowledgements_come_as_the_messages_are_taken() {
    let world = world(messages(5));
    for (version, kept) in [(v5("a"), false), (v311("b"), false), (v5("c").kept(), true)] {
        let client = world.connect(version);
        for _ in 0..20 {
            client.publish(QOS1, "t", "x");
        }
        let mut acknowledged = 0;
        for second in 0..=4_u16 {
            while client.has_arrived() {
                acknowledged += 1;
                client.expect(PacketKind::Puback, acknowledged);
            }
            assert!(acknowledged <= 5 * (second + 1), "{acknowledged} after {second} s, {kept}");
            world.advance_s(1);
        }
        assert_eq!(acknowledged, 20);
        client.disconnect();
    }
}

#[test]
fn bytes_over_the_rate_are_paid_back_whatever_the_packet() {
    let world = world(ClientRates { bytes: 1000, ..ClientRates::default() });
    let client = world.connect(v311("fast"));
    // Ten seconds' worth at once, which a full bucket lets through.
    client.publish(QOS0, "t", &"x".repeat(9_994));
    assert!(!client.is_paused());
    client.ping();
    client.expect_nothing();
    assert!(client.is_paused());
    world.advance_ms(8_900);
    client.expect_nothing();
    world.advance_ms(200);
    client.look(|packet| assert_eq!(*packet, Packet::Pingresp));
    assert_eq!(world.metrics().throttled, Throttles { bytes: 1, ..Throttles::default() });
}

/// Its own packets are not counted, and neither is what goes out.
#[test]
fn what_a_client_receives_is_no_reason_to_slow_it_down() {
    let world = world(ClientRates { bytes: 0, messages: 1, subscriptions: 1 });
    let quiet = world.connect(v5("quiet"));
    quiet.subscribe("t/#", QOS1);
    let mut publishers = Vec::new();
    for n in 0..20 {
        let publisher = world.connect(v5(&format!("publisher-{n}")));
        publisher.publish_acknowledged("t/x", "x");
        publishers.push(publisher);
    }
    assert_eq!(quiet.payloads().len(), 20);
    quiet.ping();
    quiet.look(|packet| assert_eq!(*packet, Packet::Pingresp));
    assert_eq!(world.metrics().throttled, Throttles::default());
}

#[test]
fn topic_filters_are_counted_one_by_one_both_ways() {
    let world = world(ClientRates { subscriptions: 10, ..ClientRates::default() });
    let client = world.connect(v5("a"));
    let names: Vec<String> = (0..30).map(|n| format!("t/{n}")).collect();
    let filters: Vec<TopicFilter<'_>> =
        names.iter().map(|name| TopicFilter::parse(name).unwrap()).collect();
    let options = SubscriptionOptions::default();
    let wanted: Vec<SubscribeFilter<'_>> =
        filters.iter().map(|filter| SubscribeFilter { filter: *filter, options }).collect();
    client.send(Packet::Subscribe(Subscribe {
        packet_id: packet_id(1),
        properties: Default::default(),
        filters: wanted.as_slice().into(),
    }));
    assert_eq!(client.expect_suback().len(), 30);
    // 20 are owed.
    client.send(Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(2),
        user_properties: Default::default(),
        filters: filters.as_slice().into(),
    }));
    client.expect_nothing();
    world.advance_ms(2_000);
    client.expect_nothing();
    world.advance_ms(100);
    client.expect(PacketKind::Unsuback, 2);
    // 29 are owed.
    client.publish(QOS1, "t", "x");
    client.expect_reason(PacketKind::Puback, 1);
    client.send_subscribe("u", QOS0, None, |_| {});
    world.advance_ms(2_900);
    client.expect_nothing();
    world.advance_ms(100);
    assert_eq!(client.expect_suback(), [0]);
    assert_eq!(world.metrics().throttled.subscriptions, 2);
}

/// The broker does not read it: then its silence is not its own. It begins to be when it is read.
#[test]
fn keep_alive_waits_for_a_client_that_is_slowed_down() {
    let world = world(messages(1));
    let client = world.connect(v311("a").keep_alive(1));
    publish_numbers(&client, QOS0, 0..60);
    world.advance_s(58);
    assert!(client.is_paused() && !client.is_closed());
    world.advance_s(1);
    assert!(!client.is_paused());
    world.advance_ms(1_400);
    assert!(!client.is_closed());
    world.advance_s(2);
    client.expect_closed();
    assert_eq!(world.metrics().publish_received, 60);
}

#[test]
fn one_client_too_fast_slows_down_nobody_else() {
    let world = world(messages(5));
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("good", QOS1);
    let flood = world.connect(v5("flood"));
    let good = world.connect(v5("good"));
    for n in 0..50 {
        publish_numbers(&flood, QOS0, 0..20);
        good.publish_acknowledged("good", &n.to_string());
        assert_eq!(watcher.payloads(), [n.to_string()]);
        world.advance_ms(200);
    }
    assert_eq!(good.world.metrics().throttled.connects, 0);
    assert!(flood.is_paused() && !good.is_paused());
}

#[test]
fn each_episode_is_told_once() {
    let world = world(messages(1));
    let client = world.connect(v5("fast"));
    let notice = || ThrottleNotice {
        client_id: Some("fast".into()),
        listener: LISTENER,
        limit: RateLimit::Messages,
    };
    publish_numbers(&client, QOS0, 0..5);
    world.advance_s(30);
    publish_numbers(&client, QOS0, 0..3);
    assert_eq!(world.take_throttle_notices(), [notice()]);
    world.advance_s(70);
    publish_numbers(&client, QOS0, 0..3);
    assert_eq!(world.take_throttle_notices(), [notice()]);
    // The last two wait for their turn.
    assert_eq!(world.metrics().throttled.messages, 4 + 2 + 1);
}

/// Both brakes at once: neither may let go for the other.
#[test]
fn a_client_that_waits_for_commits_too_waits_for_both() {
    let listener = ListenerLimits { client_rates: messages(5), ..ListenerLimits::default() };
    let limits =
        Limits { listeners: vec![listener], unacknowledged_inbound_max: 4, ..Limits::default() };
    let world = World::with_limits(limits);
    let client = world.connect(v311("a").kept());
    client.subscribe("t", QOS1);
    world.hold_commits();
    publish_numbers(&client, QOS1, 0..20);
    assert_eq!(world.metrics().publish_received, 4);
    world.advance_s(5);
    assert_eq!(world.metrics().publish_received, 4, "no commit");
    world.release_commits();
    assert_eq!(world.metrics().publish_received, 4 + 5, "no tokens");
    world.advance_s(1);
    assert!(world.metrics().publish_received <= 4 + 5 + 6, "no tokens");
    world.advance_s(2);
    assert_eq!(world.metrics().publish_received, 20);
    assert!(!client.is_paused());
}

#[test]
fn a_client_that_goes_while_it_waits_leaves_nothing_behind() {
    let world = world(messages(1));
    for _ in 0..3 {
        let client = world.connect(v5("a"));
        publish_numbers(&client, QOS0, 0..5);
        assert!(world.poll_timeout().is_some());
        client.hang_up();
        assert_eq!(world.poll_timeout(), None);
    }
    // Taken over while it waits.
    let first = world.connect(v5("a"));
    publish_numbers(&first, QOS0, 0..5);
    let second = world.connect(v5("a"));
    first.expect_disconnected(ReasonCode::SessionTakenOver);
    second.publish_acknowledged("t", "x");
    world.advance_s(60);
    assert_eq!(world.poll_timeout(), None);
}

#[test]
fn a_listener_takes_no_more_connections_than_its_rate() {
    let listener = ListenerLimits { connects_per_second_max: 5, ..ListenerLimits::default() };
    let listeners = vec![ListenerLimits::default(), listener];
    let world = World::with_limits(Limits { listeners, ..Limits::default() });
    world.enter_by(1);
    let connect = |count: usize| {
        let mut taken = 0;
        while taken < count && world.takes_connections(1) {
            world.connect(v5(&format!("client-{taken}")));
            taken += 1;
        }
        taken
    };
    assert_eq!(connect(100), 5);
    assert!(world.takes_connections(0), "the other one has no limit");
    let mut taken = 0;
    for _ in 0..20 {
        assert_eq!(world.take_accepting(), []);
        world.advance_ms(200);
        assert_eq!(world.take_accepting(), [ListenerId(1)]);
        taken += connect(100);
    }
    assert_eq!(taken, 20);
    let notices = world.take_throttle_notices();
    let limit = RateLimit::Connects;
    assert_eq!(notices, [ThrottleNotice { client_id: None, listener: ListenerId(1), limit }]);
    assert_eq!(world.metrics().throttled.connects, 21);
    world.advance_s(10);
    assert_eq!(connect(100), 5);
}
