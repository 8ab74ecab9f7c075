//! Clients of a listener whose topics all begin with something that they do not see.

use std::num::NonZeroU16;

use crate::support::*;

const OUTSIDE: u16 = 0;
const INSIDE: u16 = 1;
const ELSEWHERE: u16 = 2;

fn limits() -> Limits {
    let at = |mount_point: &str| ListenerLimits {
        mount_point: Some(mount_point.into()),
        ..ListenerLimits::default()
    };
    let listeners = vec![ListenerLimits::default(), at("site/a/"), at("site/b/")];
    Limits { listeners, ..Limits::default() }
}

fn world() -> World {
    World::with_limits(limits())
}

fn connect(world: &World, listener: u16, options: Options) -> Client {
    world.enter_by(listener).connect(options)
}

fn topics(client: &Client) -> Vec<String> {
    client.receive_all().into_iter().map(|received| received.topic).collect()
}

#[test]
fn topics_get_the_mount_point_on_their_way_in_and_lose_it_on_their_way_out() {
    let world = world();
    let outside = connect(&world, OUTSIDE, v5("outside"));
    outside.subscribe("#", QOS2);
    let elsewhere = connect(&world, ELSEWHERE, v5("elsewhere"));
    elsewhere.subscribe("#", QOS2);
    for options in [v31("x"), v311("x"), v5("x"), v5("x").topic_alias_max(5)] {
        let inside = connect(&world, INSIDE, options);
        inside.subscribe("t/+", QOS2);
        for qos in [QOS0, QOS1, QOS2] {
            let id = inside.publish(qos, "t/u", "x");
            match qos {
                QOS0 => {}
                QOS1 => {
                    assert_eq!(inside.receive_and_acknowledge().topic, "t/u");
                    inside.expect(PacketKind::Puback, id);
                    assert_eq!(outside.receive_and_acknowledge().topic, "site/a/t/u");
                    continue;
                }
                QOS2 => {
                    let received = inside.receive();
                    assert_eq!((&*received.topic, received.qos), ("t/u", QOS2));
                    inside.expect(PacketKind::Pubrec, id);
                    assert_eq!(outside.receive_and_acknowledge().topic, "site/a/t/u");
                    continue;
                }
            }
            assert_eq!(inside.receive().topic, "t/u");
            assert_eq!(outside.receive().topic, "site/a/t/u");
        }
        elsewhere.expect_nothing();
    }
}

#[test]
fn the_same_message_has_another_name_for_each_side() {
    let world = world();
    let watchers = [(OUTSIDE, "site/a/t"), (INSIDE, "t"), (OUTSIDE, "site/a/t"), (INSIDE, "t")];
    let watchers = watchers.map(|(listener, topic)| {
        let name = format!("watcher-{}", world.metrics().connections);
        let watcher = connect(&world, listener, v5(&name));
        watcher.subscribe(topic, QOS1);
        (watcher, topic)
    });
    connect(&world, OUTSIDE, v5("publisher")).publish_acknowledged("site/a/t", "x");
    for (watcher, topic) in &watchers {
        assert_eq!(watcher.receive_and_acknowledge().topic, *topic);
    }
}

#[test]
fn an_alias_stands_for_the_name_that_the_client_knows() {
    let world = world();
    let outside = connect(&world, OUTSIDE, v5("outside"));
    outside.subscribe("#", QOS0);
    let inside = connect(&world, INSIDE, v5("inside"));
    for topic in ["t", "", ""] {
        inside.publish_with(QOS0, topic, "x", |publish| {
            publish.properties.topic_alias = NonZeroU16::new(1);
        });
    }
    assert_eq!(topics(&outside), ["site/a/t"; 3]);
}

#[test]
fn retained_messages_and_wills_have_it_too() {
    let world = world();
    let inside = connect(&world, INSIDE, v5("inside").will("will", "gone"));
    inside.publish_retained(QOS1, "kept", "x");
    inside.expect(PacketKind::Puback, 1);
    let outside = connect(&world, OUTSIDE, v5("outside"));
    outside.subscribe("#", QOS1);
    assert_eq!(outside.receive_and_acknowledge().topic, "site/a/kept");
    let late = connect(&world, INSIDE, v311("late"));
    late.subscribe("#", QOS1);
    let replayed = late.receive_and_acknowledge();
    assert_eq!((&*replayed.topic, replayed.retain), ("kept", true));
    inside.hang_up();
    assert_eq!(outside.receive_and_acknowledge().topic, "site/a/will");
    assert_eq!(late.receive_and_acknowledge().topic, "will");
    connect(&world, INSIDE, v5("inside")).publish_retained(QOS0, "kept", "");
    assert_eq!(world.metrics().retained, 0);
}

#[test]
fn a_will_is_kept_under_its_whole_name_over_a_restart() {
    let world = world();
    let inside = connect(&world, INSIDE, v5("inside").kept().will("will", "gone").will_delay(60));
    let outside = connect(&world, OUTSIDE, v5("outside").kept());
    outside.subscribe("site/a/will", QOS1);
    inside.hang_up();
    world.crash();
    world.advance_s(61);
    let outside = connect(&world, OUTSIDE, v5("outside").kept());
    assert_eq!(topics(&outside), ["site/a/will"]);
}

#[test]
fn a_shared_subscription_has_it_behind_its_name() {
    let world = world();
    let members = [(INSIDE, "$share/g/t"), (OUTSIDE, "$share/g/site/a/t")].map(|(at, filter)| {
        let member = connect(&world, at, v5(&format!("member-{at}")));
        member.subscribe(filter, QOS1);
        member
    });
    let publisher = connect(&world, INSIDE, v5("publisher"));
    (0..4).for_each(|n| publisher.publish_acknowledged("t", &n.to_string()));
    assert_eq!(world.metrics().shared_subscriptions, 2);
    let [inside, outside] = members;
    assert_eq!(topics(&inside), ["t"; 2]);
    assert_eq!(topics(&outside), ["site/a/t"; 2]);
    inside.unsubscribe("$share/g/t");
    publisher.publish_acknowledged("t", "4");
    assert_eq!(topics(&outside), ["site/a/t"]);
}

#[test]
fn an_unsubscription_names_what_the_client_knows() {
    let world = world();
    let inside = connect(&world, INSIDE, v5("inside"));
    inside.subscribe("t", QOS0);
    let id = inside.send_unsubscribe("site/a/t");
    inside.look(|packet| {
        let Packet::Unsuback(unsuback) = packet else { panic!("{packet:?}") };
        assert_eq!(unsuback.packet_id.get(), id);
        assert!(unsuback.reasons.iter().eq([ReasonCode::NoSubscriptionExisted]));
    });
    inside.unsubscribe("t");
    assert_eq!(world.metrics().subscriptions, 0);
}

/// `#` behind the mount point also matches the level above it.
#[test]
fn what_is_not_below_the_mount_point_is_not_delivered() {
    let world = world();
    let inside = connect(&world, INSIDE, v5("inside"));
    inside.subscribe("#", QOS1);
    inside.subscribe("+", QOS1);
    let outside = connect(&world, OUTSIDE, v5("outside"));
    for topic in ["site/a", "site/a/", "site/b/t", "t"] {
        outside.publish_retained(QOS0, topic, "x");
        outside.publish_acknowledged(topic, "x");
    }
    inside.expect_nothing();
    let late = connect(&world, INSIDE, v5("late"));
    late.subscribe("#", QOS1);
    late.expect_nothing();
}

/// [MQTT-4.7.2-1] for what clients of every listener may not write.
#[test]
fn topics_of_the_broker_are_out_of_reach() {
    let world = world();
    let inside = connect(&world, INSIDE, v5("inside"));
    let id = inside.publish(QOS1, "$SYS/x", "x");
    assert_eq!(inside.expect_reason(PacketKind::Puback, id), ReasonCode::NotAuthorized);
    world.dial(&v5("w").will("$SYS/x", "gone")).expect_refused(ReasonCode::NotAuthorized);
    inside.subscribe("$SYS/#", QOS0);
    let parts = MessageParts {
        qos: QOS0,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "$SYS/x",
        properties: &[],
        payload: b"x",
    };
    let route = Route::Subscribers { origin: None };
    world.publish(Publication { message: parts, route });
    inside.expect_nothing();
}

/// Neither a topic of the client's own that begins with `$` nor a delay leads out.
#[test]
fn other_topics_that_begin_with_a_dollar_stay_behind_the_mount_point() {
    let world = world();
    let outside = connect(&world, OUTSIDE, v5("outside"));
    outside.subscribe("#", QOS1);
    outside.subscribe("$mine/#", QOS1);
    let inside = connect(&world, INSIDE, v5("inside"));
    inside.publish_acknowledged("$mine/x", "x");
    assert_eq!(topics(&outside), ["site/a/$mine/x"]);
    inside.publish_acknowledged("$delayed/10/t", "later");
    world.advance_s(10);
    assert_eq!(topics(&outside), ["site/a/t"]);
    let will = connect(&world, INSIDE, v5("will").will("$mine/w", "gone"));
    will.hang_up();
    assert_eq!(topics(&outside), ["site/a/$mine/w"]);
}

/// A name that would not fit into the record of a message otherwise.
#[test]
fn names_are_limited_with_their_mount_point() {
    let limits = Limits { topic_bytes_max: usize::from(u16::MAX), ..limits() };
    let world = World::with_limits(limits);
    let inside = connect(&world, INSIDE, v5("inside"));
    let longest = "t".repeat(usize::from(u16::MAX));
    let id = inside.send_subscribe(&longest, QOS0, None, |_| {});
    assert_eq!(inside.expect_suback(), [ReasonCode::TopicFilterInvalid as u8], "{id}");
    inside.publish(QOS0, &longest, "x");
    inside.expect_disconnected(ReasonCode::TopicNameInvalid);
}

/// A session is of a client, and the client may come in elsewhere the next time.
#[test]
fn a_session_that_moves_gets_what_it_may_see_there() {
    let world = world();
    let client = connect(&world, OUTSIDE, v5("moving").kept());
    client.subscribe("site/#", QOS1);
    client.disconnect();
    let publisher = connect(&world, OUTSIDE, v5("publisher"));
    publisher.publish_acknowledged("site/a/t", "1");
    publisher.publish_acknowledged("site/b/t", "2");
    let client = connect(&world, INSIDE, v5("moving").kept());
    publisher.publish_acknowledged("site/b/t", "3");
    publisher.publish_acknowledged("site/a/u", "4");
    assert_eq!(topics(&client), ["t", "u"]);
    assert_eq!(world.metrics().drops.acl, 2);
    client.disconnect();
    publisher.publish_acknowledged("site/a/t", "5");
    let client = connect(&world, OUTSIDE, v5("moving").kept());
    assert_eq!(topics(&client), ["site/a/t"]);
}

/// As in mosquitto: an ACL is about whole names.
#[test]
fn permissions_are_asked_for_whole_names() {
    let world = World::with_limits(Limits { authentication: true, ..limits() });
    let rule = |access, filter| {
        (Some("ann"), Rule::topic(access, TopicFilter::parse(filter).expect("a filter")))
    };
    let rules = [rule(Access::Write, "site/a/t"), rule(Access::Read, "site/a/#")];
    world.permit(Some(Acl::new(rules, [])));
    let ann = world.enter_by(INSIDE).connect_as("ann", v5("ann"));
    ann.subscribe("#", QOS0);
    ann.publish(QOS0, "t", "x");
    assert_eq!(topics(&ann), ["t"]);
    ann.publish(QOS0, "u", "x");
    ann.expect_nothing();
    assert_eq!(&*world.take_denials()[0].topic, "site/a/u");
    let will = world.dial(&v5("will").username("ann").will("u", "gone"));
    world.judge(granted("ann"));
    will.expect_refused(ReasonCode::NotAuthorized);
}

/// What a client asks for its answers stays in its own part of the names.
#[test]
fn a_response_topic_is_passed_on_as_it_is() {
    let world = world();
    let server = connect(&world, INSIDE, v5("server"));
    server.subscribe("ask", QOS0);
    let client = connect(&world, INSIDE, v5("client"));
    client.publish_with(QOS0, "ask", "x", |publish| {
        publish.properties.response_topic = Some("answer");
    });
    server.look(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert_eq!(publish.properties.response_topic, Some("answer"));
    });
}
