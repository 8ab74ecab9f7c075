use smallvec::smallvec;
use weir_core::MessageParts;

use super::*;

fn message() -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: Some(1_700_000_000_000),
        received_at_ms: 0,
        publisher: "",
        topic: "site/a/temperature",
        properties: &[1, 1],
        payload: b"21.5",
    };
    Message::new(&parts, &mut Vec::new())
}

fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}

fn targets() -> Vec<Target> {
    vec![
        Target {
            destination: Destination::Session(SessionId(0x0102_0304)),
            qos: QoS::ExactlyOnce,
            retain: true,
            packet_id: Some(packet_id(0x0506)),
            subscription_identifiers: smallvec![1, 300, 268_435_455],
        },
        Target {
            destination: Destination::Reader(ReaderId(7)),
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: None,
            subscription_identifiers: smallvec![],
        },
    ]
}

fn session() -> SessionRecord {
    SessionRecord {
        client_id: "sensor-1".into(),
        version: Version::V5,
        expiry_interval_s: 3600,
        disconnected_at_ms: Some(1_700_000_000_001),
        will: Some(WillRecord {
            message: message(),
            delay_interval_s: 5,
            expiry_interval_s: Some(60),
        }),
    }
}

fn logged() -> Vec<u8> {
    let mut record = Vec::new();
    encode_logged(&message(), &targets(), &mut record);
    record
}

#[test]
fn a_logged_message_comes_back_with_its_targets() {
    assert_eq!(decode_logged(&logged()), Ok((targets(), message())));
}

#[test]
fn a_reader_is_found_among_the_targets() {
    assert_eq!(logged_for_reader(&logged(), ReaderId(7)), Ok(true));
    assert_eq!(logged_for_reader(&logged(), ReaderId(8)), Ok(false));
}

#[test]
fn a_session_comes_back_with_and_without_its_options() {
    let plain =
        SessionRecord { version: Version::V311, disconnected_at_ms: None, will: None, ..session() };
    let quiet_will = SessionRecord {
        will: Some(WillRecord { message: message(), delay_interval_s: 0, expiry_interval_s: None }),
        ..session()
    };
    for session in [session(), plain, quiet_will] {
        let mut record = Vec::new();
        encode_session(&session, &mut record);
        assert_eq!(decode_session(&record), Ok(session));
    }
}

#[test]
fn a_cursor_comes_back_also_at_its_limits() {
    let cursors = [
        Cursor::default(),
        Cursor { start: Sequence(u64::MAX), inflight: vec![Sequence(0), Sequence(u64::MAX - 1)] },
        Cursor { start: Sequence(300), inflight: vec![Sequence(7), Sequence(8), Sequence(299)] },
    ];
    for cursor in cursors {
        let mut record = Vec::new();
        encode_cursor(&cursor, &mut record);
        assert_eq!(decode_cursor(&record), Ok(cursor));
    }
}

#[test]
fn a_subscription_comes_back_with_every_option() {
    let handlings = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    for retain_handling in handlings {
        for (qos, flags) in [(QoS::AtMostOnce, false), (QoS::ExactlyOnce, true)] {
            let subscription = SubscriptionRecord {
                options: SubscriptionOptions {
                    qos,
                    no_local: flags,
                    retain_as_published: !flags,
                    retain_handling,
                },
                identifier: flags.then_some(268_435_455),
            };
            let value = encode_subscription(&subscription);
            assert_eq!(decode_subscription(&value), Ok(subscription));
        }
    }
    assert!(decode_subscription(&[0b0011_0000, 0, 0, 0, 0]).is_err());
    assert!(decode_subscription(&[0b0000_0011, 0, 0, 0, 0]).is_err());
    assert!(decode_subscription(&[0b0100_0000, 0, 0, 0, 0]).is_err());
}

#[test]
fn a_record_cut_short_is_an_error_or_has_a_shorter_payload() {
    let logged = logged();
    let payload_at = logged.len() - message().payload().len();
    for end in 0..payload_at {
        assert!(decode_logged(&logged[..end]).is_err(), "logged, at {end}");
    }
    let mut record = Vec::new();
    encode_session(&session(), &mut record);
    for end in 0..record.len() - message().payload().len() {
        assert!(decode_session(&record[..end]).is_err(), "session, at {end}");
    }
}

#[test]
fn lies_in_a_record_are_errors() {
    assert_eq!(decode_logged(&[0xff; 64]), Err(MalformedRecord::OutOfRange));
    let many = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0];
    assert_eq!(decode_logged(&many), Err(MalformedRecord::CutShort));
    assert_eq!(decode_cursor(&[5, 6]), Err(MalformedRecord::OutOfRange));
    assert_eq!(decode_cursor(&[5, 0]), Err(MalformedRecord::OutOfRange));
    assert_eq!(decode_session(&[6; 32]), Err(MalformedRecord::UnknownKind));
    assert_eq!(decode_session(&[5; 32]), Err(MalformedRecord::CutShort));
    let mut record = Vec::new();
    encode_session(&SessionRecord { will: None, ..session() }, &mut record);
    record.push(0);
    assert_eq!(decode_session(&record), Err(MalformedRecord::TrailingBytes));
}

/// A small generator of bytes, so that a failure can be repeated from its number.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let mut session_record = Vec::new();
    encode_session(&session(), &mut session_record);
    for seed in 0..20_000 {
        let mut noise = noise(seed);
        let mut logged = logged();
        let at = usize::from(noise()) % logged.len();
        logged[at] = noise();
        let _ = decode_logged(&logged);
        let mut session = session_record.clone();
        let at = usize::from(noise()) % session.len();
        session[at] = noise();
        let _ = decode_session(&session);
        let bytes: Vec<u8> = (0..noise() % 40).map(|_| noise()).collect();
        let _ = decode_logged(&bytes);
        let _ = logged_for_reader(&bytes, ReaderId(1));
        let _ = decode_session(&bytes);
        let _ = decode_cursor(&bytes);
    }
}

/// The format that is on disks: a difference here needs a new format version and a migration.
#[test]
fn format_version_1_is_what_it_was() {
    let fixture = include_str!("fixture-1.txt");
    let rows = || fixture.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |name: &str| -> Vec<u8> {
        let (_, hexadecimal) = rows()
            .filter_map(|line| line.split_once(' '))
            .find(|(row, _)| *row == name)
            .expect("the fixture has the row");
        (0..hexadecimal.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    };
    let mut encoded = Vec::new();
    encode_logged(&message(), &targets(), &mut encoded);
    assert_eq!(encoded, row("log"));
    assert_eq!(decode_logged(&row("log")), Ok((targets(), message())));

    encoded.clear();
    encode_session(&session(), &mut encoded);
    assert_eq!(encoded, row("session"));
    assert_eq!(decode_session(&row("session")), Ok(session()));

    let cursor = Cursor { start: Sequence(300), inflight: vec![Sequence(7), Sequence(299)] };
    encoded.clear();
    encode_cursor(&cursor, &mut encoded);
    assert_eq!(encoded, row("cursor"));
    assert_eq!(decode_cursor(&row("cursor")), Ok(cursor));

    let subscription = SubscriptionRecord {
        options: SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        },
        identifier: Some(300),
    };
    assert_eq!(encode_subscription(&subscription).to_vec(), row("subscription"));

    use crate::store::schema;
    use weir_core::ShardId;
    let session_key = schema::session_key(ShardId(2), SessionId(0x0102_0304));
    assert_eq!(session_key.to_vec(), row("session-key"));
    assert_eq!(schema::packet_key(&session_key, packet_id(0x0506)).to_vec(), row("packet-key"));
    let log_key = schema::log_key(ShardId(2), Sequence(0x0102_0304_0506_0708));
    assert_eq!(log_key.to_vec(), row("log-key"));
    assert_eq!(schema::reader_key(ShardId(2), ReaderId(0x0102)).to_vec(), row("reader-key"));
    let mut key = Vec::new();
    schema::put_subscription_key(&mut key, &session_key, "a/+");
    assert_eq!(key, row("subscription-key"));
}
