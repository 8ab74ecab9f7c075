//! Who a client is and what it may do: the wait for the shell's answer, ACLs at publish, at
//! subscribe and at delivery, and their change while clients are connected.

use crate::support::*;

const NAMED: Outcome = Outcome::Refused(ReasonCode::BadUserNameOrPassword);

fn limits() -> Limits {
    Limits { allow_anonymous: false, authentication: true, ..Limits::default() }
}

fn rule(access: Access, filter: &str) -> Rule {
    Rule::topic(access, TopicFilter::parse(filter).expect("a valid filter"))
}

/// Rules of the users `a` and `b`.
fn acl(rules: &[(&str, Access, &str)]) -> Option<Acl> {
    let rules = rules.iter().map(|(user, access, filter)| (Some(*user), rule(*access, filter)));
    Some(Acl::new(rules, []))
}

/// [MQTT-3.1.4-4] What follows CONNECT is handled once it is known whose it is.
#[test]
fn a_connect_with_credentials_waits_for_the_answer_and_all_that_follows_with_it() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let world = World::with_limits(limits());
        let password = Some(&b"secret"[..]);
        let options = Options { version, password, ..v5("c").username("a") };
        let client = world.dial(&options);
        client.ping();
        client.ping();
        client.expect_nothing();
        assert!(client.is_paused(), "what waits is bounded");
        let asked = world.asked().expect("the shell is asked");
        assert_eq!((&*asked.client_id, asked.username.as_deref()), ("c", Some("a")));
        assert_eq!(asked.password.as_deref(), password);
        assert!(!format!("{asked:?}").contains("115"), "a password stays out of logs");
        world.judge(granted("a"));
        client.expect_connack();
        client.look(|packet| assert_eq!(packet.kind(), PacketKind::Pingresp));
        client.look(|packet| assert_eq!(packet.kind(), PacketKind::Pingresp));
        assert!(!client.is_paused());
    }
}

#[test]
fn a_connect_that_comes_byte_by_byte_is_asked_about_once() {
    let world = World::with_limits(limits());
    let client = world.open();
    for byte in v311("c").username("a").encode() {
        client.send_bytes(&[byte]);
    }
    world.judge(granted("a"));
    client.expect_connack();
    assert!(world.asked().is_none());
}

#[test]
fn a_kept_session_waits_for_the_answer_and_then_for_the_store() {
    let world = World::with_limits(limits());
    world.hold_commits();
    let client = world.dial(&v311("c").kept().username("a"));
    world.judge(granted("a"));
    client.expect_nothing();
    world.release_commits();
    client.expect_connack();
}

/// [MQTT-3.2.2-6] 3.1.1: the return codes 4 and 5.
#[test]
fn a_refused_client_is_told_why_and_closed() {
    for reason in [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized] {
        for options in [v31("c"), v311("c"), v5("c")] {
            let world = World::with_limits(limits());
            let client = world.dial(&options.username("a"));
            world.judge(Outcome::Refused(reason));
            client.expect_refused(reason);
            assert_eq!((world.metrics().refused, world.metrics().sessions), (1, 0));
        }
    }
}

#[test]
fn a_refused_client_does_not_take_over_a_session() {
    let world = World::with_limits(limits());
    let first = world.connect_as("a", v5("c"));
    let second = world.dial(&v5("c").username("b"));
    world.judge(NAMED);
    second.expect_refused(ReasonCode::BadUserNameOrPassword);
    first.publish_acknowledged("t", "still here");
}

#[test]
fn a_client_without_credentials_is_refused_or_let_in_without_a_question() {
    let world = World::with_limits(limits());
    world.dial(&v5("c")).expect_refused(ReasonCode::NotAuthorized);
    let world = World::with_limits(Limits { allow_anonymous: true, ..limits() });
    world.connect(v5("c"));
    assert!(world.asked().is_none());
}

#[test]
fn a_name_counts_for_nothing_when_nobody_checks_it() {
    let world = World::new();
    world.permit(acl(&[("a", Access::ReadWrite, "#")]));
    let client = world.connect(v5("c").username("a"));
    assert!(world.asked().is_none());
    client.send_subscribe("t", QOS0, None, |_| {});
    assert_eq!(client.expect_suback(), [0x87]);
}

#[test]
fn an_answer_that_never_comes_ends_the_connection_in_time() {
    let world = World::with_limits(limits());
    let client = world.dial(&v5("c").username("a"));
    world.advance_s(10);
    client.expect_closed();
    // It comes after all, for a connection that is gone.
    world.judge(granted("a"));
    assert_eq!(world.metrics().sessions, 0);
}

#[test]
fn a_client_that_is_gone_before_the_answer_leaves_nothing_behind() {
    let world = World::with_limits(limits());
    let client = world.dial(&v5("c").username("a"));
    client.hang_up();
    let next = world.open();
    world.judge(granted("a"));
    next.expect_nothing();
    assert_eq!((world.metrics().sessions, world.metrics().connections), (0, 1));
}

/// [MQTT-3.3.5-2] in 3.1.1: acknowledged, and it goes nowhere.
#[test]
fn a_denied_publish_is_refused_in_5_and_dropped_in_3() {
    for version in [Version::V311, Version::V5] {
        let world = World::with_limits(limits());
        world.permit(acl(&[("a", Access::Write, "ok/#"), ("b", Access::Read, "#")]));
        let reader = world.connect_as("b", v5("r"));
        reader.subscribe("#", QOS2);
        let client = world.connect_as("a", Options { version, ..v5("c") });
        let expected = match version {
            Version::V5 => ReasonCode::NotAuthorized,
            _ => ReasonCode::Success,
        };
        client.publish(QOS0, "no", "0");
        let id = client.publish(QOS1, "no", "1");
        assert_eq!(client.expect_reason(PacketKind::Puback, id), expected);
        let id = client.publish(QOS2, "no", "2");
        assert_eq!(client.expect_reason(PacketKind::Pubrec, id), expected);
        client.publish_retained(QOS0, "no", "3");
        reader.expect_nothing();
        assert_eq!(world.metrics().drops.acl, 4);
        assert_eq!(world.metrics().retained, 0);
        client.publish_acknowledged("ok/x", "4");
        assert_eq!(reader.receive_and_acknowledge().payload, "4");
        // The shell is told of the first one only.
        let denials = world.take_denials();
        let told: Vec<_> = denials.iter().map(|d| (&*d.client_id, d.access, &*d.topic)).collect();
        assert_eq!(told, [("c", Access::Write, "no")]);
    }
}

#[test]
fn refused_publishes_do_not_use_up_the_quota() {
    let world = World::with_limits(Limits { inflight_messages_max: 2, ..limits() });
    world.permit(acl(&[]));
    let client = world.connect_as("a", v5("c"));
    for _ in 0..10 {
        let id = client.publish(QOS2, "t", "");
        assert_eq!(client.expect_reason(PacketKind::Pubrec, id), ReasonCode::NotAuthorized);
        let id = client.publish(QOS1, "t", "");
        assert_eq!(client.expect_reason(PacketKind::Puback, id), ReasonCode::NotAuthorized);
    }
}

#[test]
fn a_denied_subscription_is_refused_and_the_others_of_its_packet_are_not() {
    for (version, code) in [(Version::V311, 0x80), (Version::V5, 0x87)] {
        let world = World::with_limits(limits());
        world.permit(acl(&[("a", Access::Read, "ok/#"), ("a", Access::Deny, "ok/no")]));
        let client = world.connect_as("a", Options { version, ..v5("c") });
        client.send_subscribe("no/#", QOS1, None, |_| {});
        assert_eq!(client.expect_suback(), [code]);
        client.send_subscribe("ok/no", QOS1, None, |_| {});
        assert_eq!(client.expect_suback(), [code]);
        client.subscribe("ok/+", QOS1);
        // Some of it may be read.
        client.subscribe("#", QOS1);
        assert_eq!(world.metrics().subscriptions, 2);
        assert_eq!(world.take_denials().len(), 1);
    }
}

#[test]
fn only_what_may_be_read_is_delivered_retained_or_not() {
    let world = World::with_limits(limits());
    let writer = world.connect_as("w", v5("w"));
    writer.publish_retained(QOS1, "ok/kept", "1");
    writer.publish_retained(QOS1, "no/kept", "2");
    world.permit(acl(&[("a", Access::Read, "ok/#"), ("w", Access::Write, "#")]));
    let client = world.connect_as("a", v5("c"));
    client.subscribe("#", QOS1);
    assert_eq!(client.receive_and_acknowledge().topic, "ok/kept");
    for qos in [QOS0, QOS1, QOS2] {
        writer.publish(qos, "no/x", "3");
        writer.publish(qos, "ok/x", "4");
        assert_eq!(client.receive_and_acknowledge().topic, "ok/x");
        client.expect_nothing();
    }
    assert_eq!(world.metrics().drops.acl, 3);
}

#[test]
fn two_subscriptions_of_which_one_needs_no_check_deliver_once() {
    let world = World::with_limits(limits());
    world.permit(acl(&[("a", Access::ReadWrite, "ok/#")]));
    let client = world.connect_as("a", v5("c"));
    client.subscribe_identified("#", QOS0, 1);
    client.subscribe_identified("ok/+", QOS1, 2);
    client.publish(QOS0, "ok/x", "1");
    let mut identifiers = client.receive_all().pop().expect("it arrives").identifiers;
    identifiers.sort_unstable();
    assert_eq!(identifiers, [1, 2]);
}

#[test]
fn a_new_acl_holds_for_connections_that_are_open() {
    let world = World::with_limits(limits());
    let client = world.connect_as("a", v5("c"));
    let other = world.connect_as("b", v5("d"));
    client.subscribe("t/#", QOS0);
    other.publish(QOS0, "t/1", "1");
    assert_eq!(client.receive().payload, "1");

    world.permit(acl(&[("b", Access::Write, "t/#"), ("a", Access::Read, "t/2")]));
    other.publish(QOS0, "t/1", "2");
    other.publish(QOS0, "t/2", "3");
    assert_eq!(client.receive().payload, "3");
    let id = client.publish(QOS1, "t/1", "");
    assert_eq!(client.expect_reason(PacketKind::Puback, id), ReasonCode::NotAuthorized);

    world.permit(None);
    other.publish(QOS0, "t/1", "4");
    assert_eq!(client.receive().payload, "4");
    client.publish_acknowledged("x", "5");
}

#[test]
fn what_has_waited_is_checked_when_its_client_comes_back() {
    let world = World::with_limits(limits());
    let kept = || v5("c").kept();
    let client = world.connect_as("a", kept());
    client.subscribe("#", QOS2);
    client.hang_up();
    let writer = world.connect_as("w", v5("w"));
    for topic in ["no/1", "ok/1", "no/2", "ok/2"] {
        writer.publish_exactly_once(topic, topic);
    }
    world.crash();
    world.permit(acl(&[("a", Access::Read, "ok/#"), ("w", Access::Write, "#")]));
    // Nobody knows yet who the session belongs to: the message waits unseen.
    let writer = world.connect_as("w", v5("w"));
    writer.publish_exactly_once("no/3", "");
    let client = world.connect_as("a", kept());
    let topics: Vec<String> = client.receive_all().into_iter().map(|m| m.topic).collect();
    assert_eq!(topics, ["ok/1", "ok/2"]);
    assert_eq!(world.metrics().drops.acl, 3);
}

#[test]
fn a_session_that_another_user_takes_over_shows_only_what_that_one_may_read() {
    let world = World::with_limits(limits());
    world.permit(acl(&[("a", Access::ReadWrite, "#"), ("b", Access::Read, "of/b")]));
    let client = world.connect_as("a", v5("c").kept());
    client.subscribe("#", QOS1);
    client.publish(QOS1, "of/a", "sent, not acknowledged");
    client.hang_up();
    let writer = world.connect_as("a", v5("w"));
    writer.publish_acknowledged("of/a", "queued");
    writer.publish_acknowledged("of/b", "allowed");
    let other = world.connect_as("b", v5("c").kept());
    assert!(other.session_present);
    assert_eq!(other.receive_and_acknowledge().payload, "allowed");
    writer.publish_acknowledged("of/a", "live");
    other.expect_nothing();
}

#[test]
fn a_will_must_be_allowed_when_it_is_given_and_when_it_is_published() {
    let world = World::with_limits(limits());
    world.permit(acl(&[("a", Access::Write, "ok"), ("b", Access::Read, "#")]));
    let refused = world.dial(&v5("c").username("a").will("no", ""));
    world.judge(granted("a"));
    refused.expect_refused(ReasonCode::NotAuthorized);
    assert_eq!(&*world.take_denials()[0].topic, "no");

    let reader = world.connect_as("b", v5("r"));
    reader.subscribe("#", QOS0);
    world.connect_as("a", v5("c").will("ok", "1")).hang_up();
    assert_eq!(reader.receive().payload, "1");
    let client = world.connect_as("a", v5("c").will("ok", "2"));
    world.permit(acl(&[("b", Access::Read, "#")]));
    client.hang_up();
    reader.expect_nothing();
    assert_eq!(world.metrics().drops.acl, 1);
}

#[test]
fn a_revoked_user_loses_its_connections_and_nobody_else_does() {
    let world = World::with_limits(limits());
    let first = world.connect_as("a", v5("c"));
    let second = world.connect_as("a", v311("d"));
    let other = world.connect_as("b", v5("e"));
    world.revoke("a");
    first.expect_disconnected(ReasonCode::NotAuthorized);
    second.expect_closed();
    other.publish_acknowledged("t", "");
    assert_eq!(world.metrics().revoked, 2);
}

#[test]
fn rules_of_the_credentials_restrict_without_an_acl() {
    let world = World::with_limits(limits());
    let client = world.dial(&v5("c").username("token"));
    let rules = Some([rule(Access::Write, "mine/#")].as_slice().into());
    let username = Some("device".into());
    world.judge(Outcome::granted(Identity { username, rules, ..Identity::default() }));
    client.expect_connack();
    client.publish_acknowledged("mine/x", "");
    let id = client.publish(QOS1, "other", "");
    assert_eq!(client.expect_reason(PacketKind::Puback, id), ReasonCode::NotAuthorized);
}

#[test]
fn a_shared_message_that_no_member_may_read_is_counted() {
    let world = World::with_limits(limits());
    world.permit(acl(&[("a", Access::Read, "ok/#"), ("w", Access::Write, "#")]));
    let member = world.connect_as("a", v5("a"));
    member.subscribe("$share/g/#", QOS1);
    let writer = world.connect_as("w", v5("w"));
    for qos in [QOS0, QOS1, QOS2] {
        writer.publish(qos, "no", "");
    }
    member.expect_nothing();
    assert_eq!(world.metrics().drops.acl, 3);
}

#[test]
fn a_client_whose_certificate_is_revoked_is_told_so() {
    let world = World::new();
    let (new, old) = (world.connect(v5("new")), world.connect(v311("old")));
    let staying = world.connect(v5("staying"));
    world.revoke_certificate(&new);
    world.revoke_certificate(&old);
    new.expect_disconnected(ReasonCode::AdministrativeAction);
    old.expect_closed();
    assert!(!staying.is_closed());
    assert_eq!(world.metrics().revoked, 2);
}

#[test]
fn only_a_client_without_a_name_is_told_of_when_it_is_let_in() {
    let world = World::with_limits(Limits { allow_anonymous: true, ..limits() });
    world.connect_as("a", v5("named"));
    world.connect(v5("nameless"));
    world.dial(&v5("x").username("a"));
    world.judge(NAMED);
    assert_eq!(world.net().admitted, ["nameless"]);
}

/// A message of a share goes to a member that may read it, whoever's turn it is.
#[test]
fn a_member_that_may_not_read_a_topic_does_not_take_it_from_its_group() {
    let world = World::with_limits(limits());
    world.permit(acl(&[
        ("a", Access::Read, "#"),
        ("b", Access::Read, "ok/#"),
        ("w", Access::Write, "#"),
    ]));
    let first = world.connect_as("a", v5("a").kept());
    let second = world.connect_as("b", v5("b").kept());
    first.subscribe("$share/g/#", QOS1);
    second.subscribe("$share/g/#", QOS1);
    second.send_subscribe("$share/g/no", QOS1, None, |_| {});
    assert_eq!(second.expect_suback(), [0x87]);
    let writer = world.connect_as("w", v5("w"));
    for _ in 0..4 {
        writer.publish_acknowledged("no", "1");
        assert_eq!(first.receive_and_acknowledge().topic, "no");
    }
    second.expect_nothing();
    // What waits for one that is away stays with it, too.
    first.hang_up();
    writer.publish_acknowledged("no", "2");
    writer.publish_acknowledged("ok/1", "3");
    assert_eq!(second.receive_and_acknowledge().payload, "3");
    second.expect_nothing();
    let first = world.connect_as("a", v5("a").kept());
    assert_eq!(first.receive_and_acknowledge().payload, "2");
    assert_eq!(world.metrics().drops.acl, 0);
}
