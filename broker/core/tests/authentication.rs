//! Extended authentication (section 4.12), and credentials that end or have to be asked about
//! again while their client is connected. What a method says is for the shell to judge.

use crate::support::*;

const METHOD: &str = "METHOD";
const CONTINUE: ReasonCode = ReasonCode::ContinueAuthentication;
const AGAIN: ReasonCode = ReasonCode::Reauthenticate;
const SUCCESS: ReasonCode = ReasonCode::Success;

fn world() -> World {
    let limits = Limits { allow_anonymous: false, authentication: true, ..Limits::default() };
    World::with_limits(limits)
}

fn challenge(word: &[u8]) -> Outcome {
    Outcome::Continue(word.into())
}

/// Lets a user in, with a last word of the method.
fn proved(username: &str, word: &[u8]) -> Outcome {
    let Outcome::Granted { identity, .. } = granted(username) else { unreachable!() };
    Outcome::Granted { identity, last_word: Some(word.into()) }
}

fn said(world: &World) -> Vec<Vec<u8>> {
    let exchange = world.asked().expect("the shell is asked").exchange.expect("with a method");
    assert_eq!(&*exchange.method, METHOD);
    exchange.said.into_iter().map(Vec::from).collect()
}

/// A client that has connected with two steps.
fn connected(world: &World, options: Options) -> Client {
    let client = world.dial(&options.method(METHOD, b"one"));
    world.judge(challenge(b"two"));
    client.expect_auth(CONTINUE, METHOD);
    client.auth(CONTINUE, METHOD, b"three");
    world.judge(proved("a", b"four"));
    client.expect_connack();
    client
}

/// [MQTT-4.12.0-2] [MQTT-4.12.0-5]
#[test]
fn an_exchange_goes_on_until_connack_and_both_sides_name_the_method() {
    let world = world();
    let client = world.dial(&v5("c").method(METHOD, b"one"));
    client.expect_nothing();
    assert_eq!(said(&world), [b"one"]);
    assert_eq!(world.asked().map(|asked| asked.occasion), Some(Occasion::Connect));
    assert!(!format!("{:?}", world.asked()).contains("111"), "what is said stays out of logs");
    world.judge(challenge(b"two"));
    assert_eq!(client.expect_auth(CONTINUE, METHOD), b"two");
    client.auth(CONTINUE, METHOD, b"three");
    assert_eq!(said(&world), [&b"one"[..], b"two", b"three"]);
    world.judge(proved("a", b"four"));
    client.look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.reason, ReasonCode::Success);
        assert_eq!(connack.properties.authentication_method, Some(METHOD));
        assert_eq!(connack.properties.authentication_data, Some(&b"four"[..]));
    });
    client.publish_acknowledged("t", "");
}

#[test]
fn an_exchange_may_end_with_its_first_word_or_take_many() {
    let world = world();
    let first = world.dial(&v5("c").method(METHOD, b"ticket"));
    world.judge(granted("a"));
    first.expect_connack();
    let second = world.dial(&v5("d").method(METHOD, b"0"));
    for step in 1..10u8 {
        world.judge(challenge(&[step]));
        assert_eq!(second.expect_auth(CONTINUE, METHOD), [step]);
        second.auth(CONTINUE, METHOD, &[step]);
        assert_eq!(said(&world).len(), 1 + 2 * usize::from(step));
    }
    world.judge(granted("a"));
    second.expect_connack();
}

#[test]
fn an_exchange_that_comes_byte_by_byte_is_the_same() {
    let world = world();
    let mut client = world.open();
    client.version = Version::V5;
    for byte in v5("c").method(METHOD, b"one").encode() {
        client.send_bytes(&[byte]);
    }
    world.judge(challenge(b"two"));
    client.expect_auth(CONTINUE, METHOD);
    let auth = Auth {
        reason: CONTINUE,
        authentication_method: Some(METHOD),
        authentication_data: Some(b"three"),
        ..Auth::default()
    };
    for byte in client.encode(&Packet::Auth(auth)) {
        client.send_bytes(&[byte]);
    }
    world.judge(granted("a"));
    client.expect_connack();
}

#[test]
fn a_kept_session_is_durable_before_the_last_word_is_said() {
    let world = world();
    world.hold_commits();
    let client = world.dial(&v5("c").kept().method(METHOD, b"one"));
    world.judge(proved("a", b"two"));
    client.expect_nothing();
    world.release_commits();
    client.expect_connack();
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4]
#[test]
fn a_method_or_a_proof_that_is_refused_ends_the_connection() {
    for reason in [ReasonCode::BadAuthenticationMethod, ReasonCode::BadUserNameOrPassword] {
        let world = world();
        let first = world.dial(&v5("c").method(METHOD, b"one"));
        world.judge(Outcome::Refused(reason));
        first.expect_refused(reason);
        let second = world.dial(&v5("c").method(METHOD, b"one"));
        world.judge(challenge(b"two"));
        second.expect_auth(CONTINUE, METHOD);
        second.auth(CONTINUE, METHOD, b"three");
        world.judge(Outcome::Refused(reason));
        second.expect_refused(reason);
        assert_eq!((world.metrics().refused, world.metrics().sessions), (2, 0));
    }
}

/// [MQTT-3.1.2-30]: nothing but AUTH and DISCONNECT before CONNACK.
#[test]
fn another_packet_than_auth_in_an_exchange_is_a_protocol_error() {
    let publish = Packet::Publish(Publish::new("t", b"x"));
    for wrong in [Packet::Pingreq, publish] {
        let world = world();
        let client = world.dial(&v5("c").method(METHOD, b"one"));
        world.judge(challenge(b"two"));
        client.expect_auth(CONTINUE, METHOD);
        client.send(wrong);
        client.expect_refused(ReasonCode::ProtocolError);
        assert!(world.asked().is_none());
    }
    let world = world();
    let client = world.dial(&v5("c").method(METHOD, b"one"));
    world.judge(challenge(b"two"));
    client.expect_auth(CONTINUE, METHOD);
    client.disconnect();
    client.expect_closed();
}

#[test]
fn an_answer_to_the_challenge_that_is_none_is_refused() {
    let refused = |send: fn(&Client), reason| {
        let world = world();
        let client = world.dial(&v5("c").method(METHOD, b"one"));
        world.judge(challenge(b"two"));
        client.expect_auth(CONTINUE, METHOD);
        send(&client);
        client.expect_refused(reason);
        assert!(world.asked().is_none());
    };
    let other = ReasonCode::BadAuthenticationMethod;
    refused(|client| client.auth(CONTINUE, "OTHER", b"three"), other);
    refused(|client| client.auth(AGAIN, METHOD, b"three"), ReasonCode::ProtocolError);
    refused(|client| client.auth(SUCCESS, METHOD, b"three"), ReasonCode::ProtocolError);
    refused(|client| client.send_bytes(&[0xf0, 0]), ReasonCode::ProtocolError);
    // Reserved flags, and a reason that does not exist.
    refused(|client| client.send_bytes(&[0xf1, 0]), ReasonCode::MalformedPacket);
    refused(|client| client.send_bytes(&[0xf0, 2, 0x77, 0]), ReasonCode::ProtocolError);
    let long = ReasonCode::NotAuthorized;
    refused(|client| client.auth(CONTINUE, METHOD, &[b'x'; 4097]), long);
}

#[test]
fn what_a_client_says_first_is_bounded() {
    let world = world();
    let long: &'static [u8] = &[b'x'; 4097];
    world.dial(&v5("c").method(METHOD, long)).expect_refused(ReasonCode::NotAuthorized);
    let name: &'static str = str::from_utf8(&long[..65]).unwrap();
    let refused = ReasonCode::BadAuthenticationMethod;
    world.dial(&v5("c").method(name, b"")).expect_refused(refused);
    assert!(world.asked().is_none());
}

#[test]
fn an_exchange_that_does_not_end_is_ended_by_the_connect_timeout() {
    let world = world();
    let client = world.dial(&v5("c").method(METHOD, b"one"));
    world.judge(challenge(b"two"));
    client.expect_auth(CONTINUE, METHOD);
    world.advance_ms(9_999);
    assert!(!client.is_closed());
    world.advance_ms(1);
    client.expect_closed();
}

/// [MQTT-3.1.2-24]
#[test]
fn a_client_that_takes_only_short_packets_is_told_so_before_it_has_a_session() {
    let world = world();
    let small = || v5("c").packet_max(80).method(METHOD, b"one");
    let client = world.dial(&small());
    world.judge(challenge(&[b'x'; 100]));
    client.expect_refused(ReasonCode::PacketTooLarge);
    let client = world.dial(&small());
    world.judge(proved("a", &[b'x'; 100]));
    client.expect_refused(ReasonCode::PacketTooLarge);
    assert_eq!(world.metrics().sessions, 0);
    let client = world.dial(&small());
    world.judge(proved("a", b"two"));
    client.expect_connack();
}

#[test]
fn an_answer_for_a_client_that_is_gone_reaches_nobody() {
    let world = world();
    let client = world.dial(&v5("c").method(METHOD, b"one"));
    client.hang_up();
    let next = world.open();
    world.judge(challenge(b"two"));
    next.expect_nothing();
}

/// [MQTT-4.12.1-1]; the flow of other packets goes on meanwhile.
#[test]
fn a_client_shows_again_who_it_is_while_its_messages_go_on() {
    let world = world();
    let client = connected(&world, v5("c"));
    for _ in 0..2 {
        client.auth(AGAIN, METHOD, b"five");
        let asked = world.asked().expect("the shell is asked");
        assert_eq!(asked.occasion, Occasion::Reauthentication);
        assert_eq!((&*asked.client_id, asked.username.as_deref()), ("c", Some("a")));
        assert_eq!(said(&world), [b"five"]);
        client.publish_acknowledged("t", "");
        world.judge(challenge(b"six"));
        assert_eq!(client.expect_auth(CONTINUE, METHOD), b"six");
        client.publish_acknowledged("t", "");
        client.auth(CONTINUE, METHOD, b"seven");
        assert_eq!(said(&world), [&b"five"[..], b"six", b"seven"]);
        world.judge(proved("a", b"eight"));
        assert_eq!(client.expect_auth(SUCCESS, METHOD), b"eight");
    }
    world.advance_s(60);
    client.publish_acknowledged("t", "");
    assert_eq!(world.metrics().reauthenticated, 2);
}

#[test]
fn what_a_client_may_do_changes_with_its_re_authentication() {
    let world = world();
    let client = connected(&world, v5("c"));
    client.publish_acknowledged("t", "");
    client.auth(AGAIN, METHOD, b"five");
    let Outcome::Granted { identity, .. } = granted("a") else { unreachable!() };
    world.judge(Outcome::granted(Identity { rules: Some([].into()), ..identity }));
    client.expect_auth(SUCCESS, METHOD);
    let id = client.publish(QOS1, "t", "");
    assert_eq!(client.expect_reason(PacketKind::Puback, id), ReasonCode::NotAuthorized);
}

/// [MQTT-4.12.1-2]
#[test]
fn a_re_authentication_that_fails_ends_the_connection() {
    let world = world();
    let client = connected(&world, v5("c"));
    client.auth(AGAIN, METHOD, b"five");
    world.judge(Outcome::Refused(ReasonCode::BadUserNameOrPassword));
    client.expect_disconnected(ReasonCode::NotAuthorized);
    // It would be somebody else.
    let client = connected(&world, v5("c"));
    client.auth(AGAIN, METHOD, b"five");
    world.judge(granted("b"));
    client.expect_disconnected(ReasonCode::NotAuthorized);
    // It takes too long.
    let client = connected(&world, v5("c").keep_alive(0));
    client.auth(AGAIN, METHOD, b"five");
    world.judge(challenge(b"six"));
    client.expect_auth(CONTINUE, METHOD);
    world.advance_ms(9_999);
    client.publish_acknowledged("t", "");
    world.advance_ms(1);
    client.expect_disconnected(ReasonCode::NotAuthorized);
    assert_eq!(world.metrics().revoked, 3);
}

#[test]
fn auth_out_of_turn_on_an_open_connection_ends_it() {
    let ended = |send: fn(&Client), reason| {
        let world = world();
        let client = connected(&world, v5("c"));
        send(&client);
        client.expect_disconnected(reason);
    };
    ended(|client| client.auth(AGAIN, "OTHER", b""), ReasonCode::BadAuthenticationMethod);
    // Nothing was asked.
    ended(|client| client.auth(CONTINUE, METHOD, b""), ReasonCode::ProtocolError);
    ended(|client| client.auth(SUCCESS, METHOD, b""), ReasonCode::ProtocolError);
    ended(|client| client.send_bytes(&[0xf0, 0]), ReasonCode::ProtocolError);
    let long = ReasonCode::NotAuthorized;
    ended(|client| client.auth(AGAIN, METHOD, &[b'x'; 4097]), long);
    // One exchange at a time, and one word after the other.
    let twice = |client: &Client| {
        client.auth(AGAIN, METHOD, b"five");
        client.auth(AGAIN, METHOD, b"five");
    };
    ended(twice, ReasonCode::ProtocolError);
    let in_a_row = |client: &Client| {
        client.auth(AGAIN, METHOD, b"five");
        client.auth(CONTINUE, METHOD, b"seven");
    };
    ended(in_a_row, ReasonCode::ProtocolError);
}

#[test]
fn a_re_authentication_whose_words_are_too_long_for_the_client_ends_the_connection() {
    for outcome in [challenge(&[b'x'; 100]), proved("a", &[b'x'; 100])] {
        let world = world();
        let client = connected(&world, v5("c").packet_max(80));
        client.auth(AGAIN, METHOD, b"five");
        world.judge(outcome);
        client.expect_disconnected(ReasonCode::PacketTooLarge);
    }
}

fn valid(validity: Validity) -> Outcome {
    let Outcome::Granted { identity, .. } = granted("a") else { unreachable!() };
    Outcome::granted(Identity { validity, ..identity })
}

#[test]
fn a_connection_does_not_outlive_its_credentials() {
    for version in [Version::V311, Version::V5] {
        let world = world();
        let client = world.dial(&Options { version, ..v5("c").username("a") });
        let now = world.net().now.unix_ms;
        world.judge(valid(Validity::Until(now + 3_600_000)));
        client.expect_connack();
        world.advance_ms(3_599_999);
        client.publish_acknowledged("t", "");
        world.advance_ms(1);
        client.expect_disconnected(ReasonCode::NotAuthorized);
        assert_eq!(world.metrics().revoked, 1);
        assert_eq!(world.poll_timeout(), None, "nothing is left behind");
    }
}

#[test]
fn a_client_that_leaves_before_its_credentials_end_leaves_no_timer() {
    let world = world();
    let client = world.dial(&v5("c").username("a"));
    let now = world.net().now.unix_ms;
    world.judge(valid(Validity::Until(now + 3_600_000)));
    client.expect_connack();
    client.disconnect();
    assert_eq!(world.poll_timeout(), None);
}

#[test]
fn a_client_is_asked_about_again_and_goes_on_as_it_is_said_then() {
    let world = world();
    let renewable = |world: &World| {
        let now = world.net().now.unix_ms;
        valid(Validity::Renewable { renew_at_ms: now + 30_000, ends_at_ms: now + 90_000 })
    };
    let client = world.dial(&v5("c").username("a"));
    world.judge(renewable(&world));
    client.expect_connack();
    for _ in 0..3 {
        world.advance_ms(29_999);
        assert!(world.asked().is_none());
        world.advance_ms(1);
        let asked = world.asked().expect("the shell is asked");
        assert_eq!((asked.occasion, &*asked.client_id), (Occasion::Renewal, "c"));
        assert_eq!((asked.username.as_deref(), asked.password), (Some("a"), None));
        client.publish_acknowledged("t", "");
        world.judge(renewable(&world));
        client.expect_nothing();
    }
    world.advance_s(30);
    world.judge(Outcome::Refused(ReasonCode::NotAuthorized));
    client.expect_disconnected(ReasonCode::NotAuthorized);
}

#[test]
fn a_client_that_nothing_can_be_said_about_goes_on_for_a_while() {
    let world = world();
    let client = world.dial(&v5("c").username("a"));
    let now = world.net().now.unix_ms;
    let validity = Validity::Renewable { renew_at_ms: now + 30_000, ends_at_ms: now + 60_000 };
    world.judge(valid(validity));
    client.expect_connack();
    world.advance_s(30);
    for _ in 0..5 {
        world.judge(Outcome::Refused(ReasonCode::ServerUnavailable));
        world.advance_s(5);
        client.publish_acknowledged("t", "");
    }
    // The last question is not answered at all.
    world.advance_s(5);
    client.expect_disconnected(ReasonCode::NotAuthorized);
}
