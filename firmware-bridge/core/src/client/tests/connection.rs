//! Connection, will, keep-alive, search for gateways, and what does not make a client.

use super::*;
use crate::mqtt_sn_1_2::{Advertise, GwInfo};

fn connect(clean_session: bool, will: bool) -> Packet<'static> {
    Packet::Connect(Connect { clean_session, will, duration_s: 60, client_id: "mill-1" })
}

#[test]
fn connection_without_will_takes_one_packet_each_way() {
    let mut node = node(CONFIG);
    assert_eq!(node.poll(0), Output::Idle);
    node.connect(0);
    assert_sends(&mut node, 0, &connect(false, false));
    assert_eq!(node.poll(0), Output::WaitUntil(1_000));
    let accepted = Packet::Connack(ReturnCode::Accepted);
    assert_eq!(take(&mut node, &accepted, 5), Some(Event::Connected));
    assert!(node.is_connected());
    // The keep-alive comes at three quarters of its time, counted from the last word each way.
    assert_eq!(node.poll(5), Output::WaitUntil(45_000));
}

#[test]
fn connection_with_will_gives_topic_and_message_and_repeats_what_is_lost() {
    let mut node = node(Config { will: Some(WILL), clean_session: true, ..CONFIG });
    node.connect(0);
    assert_sends(&mut node, 0, &connect(true, true));
    assert_eq!(take(&mut node, &Packet::WillTopicReq, 1), None);
    assert_sends(&mut node, 1, &Packet::WillTopic(Some(WILL.topic)));
    assert_waits(&mut node, 1_000);
    assert_sends(&mut node, 1_001, &Packet::WillTopic(Some(WILL.topic)));
    assert_eq!(take(&mut node, &Packet::WillMsgReq, 1_002), None);
    assert_sends(&mut node, 1_002, &Packet::WillMsg(b"gone"));
    // The gateway has not had the message and asks for the topic once more.
    assert_eq!(take(&mut node, &Packet::WillTopicReq, 1_003), None);
    assert_sends(&mut node, 1_003, &Packet::WillTopic(Some(WILL.topic)));
    assert_sends(&mut node, 2_002, &Packet::WillMsg(b"gone"));
    let accepted = Packet::Connack(ReturnCode::Accepted);
    assert_eq!(take(&mut node, &accepted, 2_003), Some(Event::Connected));
}

#[test]
fn connect_is_repeated_then_given_up_and_tried_again_after_longer_and_longer_pauses() {
    let mut node = node(CONFIG);
    node.connect(0);
    let mut now_ms = 0;
    let (mut sends, mut losses) = (Vec::new(), Vec::new());
    while now_ms < 120_000 {
        match node.poll(now_ms) {
            Output::Send(datagram) => {
                assert_eq!(datagram, bytes(&connect(false, false)));
                sends.push(now_ms);
            }
            Output::Event(event) => {
                assert_eq!(event, Event::Lost(LostReason::NoAnswer));
                losses.push(now_ms);
            }
            Output::WaitUntil(until_ms) => now_ms = until_ms,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sends.get(..4), Some(&[0, 1_000, 2_000, 3_000][..]));
    assert_eq!(losses.first(), Some(&4_000));
    let pauses: Vec<u32> = losses
        .iter()
        .filter_map(|lost| Some(sends.iter().find(|sent| *sent > lost)? - lost))
        .collect();
    for (pause, doubled) in pauses.iter().zip([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]) {
        assert!((doubled * 3 / 4..=doubled).contains(pause), "{pause} of {doubled}");
    }
    assert!(pauses.len() >= 6);
}

#[test]
fn refused_connection_is_tried_again_and_a_busy_gateway_left_alone_for_twait() {
    for (code, pause) in
        [(ReturnCode::Congestion, 20_000..=20_000), (ReturnCode::NotSupported, 6_000..=8_000)]
    {
        let mut node = node(CONFIG);
        node.connect(0);
        assert_sends(&mut node, 0, &connect(false, false));
        let refused = take(&mut node, &Packet::Connack(code), 0);
        assert_eq!(refused, Some(Event::Lost(LostReason::Refused(code))));
        let Output::WaitUntil(until_ms) = node.poll(0) else { panic!("no other try") };
        assert!(pause.contains(&until_ms), "{until_ms} for {code:?}");
        assert_sends(&mut node, until_ms, &connect(false, false));
    }
}

#[test]
fn silent_gateway_is_asked_and_then_lost() {
    let mut node = connected(CONFIG);
    for repetition in 0..=u32::from(TIMING.retries) {
        assert_sends(&mut node, 45_000 + 1_000 * repetition, &Packet::Pingreq(None));
    }
    let lost = Output::Event(Event::Lost(LostReason::NoAnswer));
    assert_eq!(node.poll(49_000), lost);
    assert!(!node.is_connected());
    assert_eq!(node.counters().repeated, u16::from(TIMING.retries));
}

#[test]
fn answered_ping_keeps_the_connection_and_the_gateways_own_is_answered() {
    let mut node = connected(CONFIG);
    assert_sends(&mut node, 45_000, &Packet::Pingreq(None));
    assert_eq!(take(&mut node, &Packet::Pingresp, 45_100), None);
    assert_eq!(node.poll(45_100), Output::WaitUntil(90_000));
    assert_eq!(take(&mut node, &Packet::Pingreq(None), 50_000), None);
    assert_sends(&mut node, 50_000, &Packet::Pingresp);
}

#[test]
fn client_without_keep_alive_does_not_ping() {
    let mut node = connected(Config { keep_alive_s: 0, ..CONFIG });
    assert_eq!(node.poll(1_000_000), Output::Idle);
}

#[test]
fn disconnect_of_the_gateway_is_a_loss_and_is_followed_by_a_connect() {
    let mut node = connected(CONFIG);
    let lost = take(&mut node, &Packet::Disconnect(None), 100);
    assert_eq!(lost, Some(Event::Lost(LostReason::Closed)));
    let Output::WaitUntil(until_ms) = node.poll(100) else { panic!("no other try") };
    assert_sends(&mut node, until_ms, &connect(false, false));
}

#[test]
fn client_that_leaves_stays_away() {
    let mut node = connected(CONFIG);
    node.disconnect(10);
    assert_sends(&mut node, 10, &Packet::Disconnect(None));
    assert_eq!(take(&mut node, &Packet::Disconnect(None), 11), Some(Event::Disconnected));
    assert_eq!(node.poll(1_000_000), Output::Idle);
    // Also when nobody answers.
    let mut node = connected(CONFIG);
    node.disconnect(0);
    for repetition in 0..=u32::from(TIMING.retries) {
        assert_sends(&mut node, 1_000 * repetition, &Packet::Disconnect(None));
    }
    assert_eq!(node.poll(4_000), Output::Event(Event::Disconnected));
    assert_eq!(node.poll(4_000), Output::Idle);
}

#[test]
fn will_updates_are_repeated_until_they_are_answered() {
    let mut node = connected(CONFIG);
    node.set_will(Some(&WILL)).unwrap();
    assert_sends(&mut node, 0, &Packet::WillTopicUpd(Some(WILL.topic)));
    assert_sends(&mut node, 1_000, &Packet::WillTopicUpd(Some(WILL.topic)));
    let accepted = Some(Event::WillUpdated(ReturnCode::Accepted));
    assert_eq!(take(&mut node, &Packet::WillTopicResp(ReturnCode::Accepted), 1_001), accepted);
    assert_sends(&mut node, 1_001, &Packet::WillMsgUpd(b"gone"));
    assert_eq!(take(&mut node, &Packet::WillMsgResp(ReturnCode::Accepted), 1_002), accepted);
    assert_waits(&mut node, 1_002);
    node.set_will(None).unwrap();
    assert_sends(&mut node, 1_003, &Packet::WillTopicUpd(None));
    assert_eq!(take(&mut node, &Packet::WillTopicResp(ReturnCode::Accepted), 1_004), accepted);
    assert_waits(&mut node, 1_004);
}

#[test]
fn search_waits_a_moment_and_finds_a_gateway() {
    let mut node = node(Config { seed: 77, ..CONFIG });
    node.search(1, 0).unwrap();
    let Output::WaitUntil(until_ms) = node.poll(0) else { panic!("nothing planned") };
    assert!((1..=SEARCH_DELAY_MS).contains(&until_ms));
    assert_eq!(node.poll(until_ms), Output::Broadcast(&[3, 1, 1]));
    let info = Packet::GwInfo(GwInfo { gw_id: 4, gw_address: &[10, 0, 0, 1] });
    let found = take(&mut node, &info, until_ms + 5);
    assert_eq!(found, Some(Event::GatewayFound { gw_id: 4, address: &[10, 0, 0, 1] }));
    assert_eq!(node.poll(until_ms + 5), Output::Idle);
    node.connect(until_ms + 6);
    assert_eq!(node.search(1, until_ms + 6), Err(RequestError::NotOffline));
}

#[test]
fn gateways_around_are_heard_of_without_a_connection() {
    let mut node = node(CONFIG);
    let advertise = Packet::Advertise(Advertise { gw_id: 4, duration_s: 900 });
    let heard = take(&mut node, &advertise, 0);
    assert_eq!(heard, Some(Event::Advertised { gw_id: 4, duration_s: 900 }));
    // Another client that searches is no gateway.
    assert_eq!(take(&mut node, &Packet::SearchGw(1), 0), None);
    assert_eq!(node.counters().malformed, 0);
    assert_eq!(node.poll(0), Output::Idle);
}

#[test]
fn answer_to_the_search_of_another_client_will_do() {
    let mut node = node(Config { seed: 77, ..CONFIG });
    node.search(1, 0).unwrap();
    let info = Packet::GwInfo(GwInfo { gw_id: 4, gw_address: &[] });
    let found = take(&mut node, &info, 1);
    assert_eq!(found, Some(Event::GatewayFound { gw_id: 4, address: &[] }));
    assert_eq!(node.poll(60_000), Output::Idle);
}

#[test]
fn search_that_finds_nothing_ends() {
    let mut node = node(CONFIG);
    node.search(0, 0).unwrap();
    let mut now_ms = 0;
    let lost = loop {
        match node.poll(now_ms) {
            Output::WaitUntil(until_ms) => now_ms = until_ms,
            Output::Event(event) => break event,
            Output::Broadcast(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(lost, Event::Lost(LostReason::NoAnswer));
    assert_eq!(node.poll(now_ms), Output::Idle);
}

#[test]
fn what_cannot_be_sent_makes_no_client() {
    let of = |config: Config<'static>| {
        let config = std::boxed::Box::leak(config.into());
        Node::new(config, &TOPICS, &mut []).map(|_| ())
    };
    assert_eq!(of(Config { client_id: "", ..CONFIG }), Err(ConfigError::ClientId));
    assert_eq!(of(Config { client_id: "a\0b", ..CONFIG }), Err(ConfigError::ClientId));
    let long: &str = "c".repeat(MTU).leak();
    assert_eq!(of(Config { client_id: long, ..CONFIG }), Err(ConfigError::ClientId));
    let drops_topic = Some(TopicIndex(6));
    assert_eq!(of(Config { drops_topic, ..CONFIG }), Err(ConfigError::DropsTopic));
    let will = Some(Will { message: long.as_bytes(), ..WILL });
    assert_eq!(of(Config { will, ..CONFIG }), Err(ConfigError::Will));
    for name in ["", "a\0b", long] {
        let topics: &[Topic<'_>; 1] = std::boxed::Box::leak([Topic::Name(name)].into());
        let client = Client::<MTU, 1>::new(&CONFIG, topics, &mut []);
        assert_eq!(client.map(|_| ()), Err(ConfigError::Topic(TopicIndex(0))));
    }
}

#[test]
fn noise_is_counted() {
    let mut node = connected(CONFIG);
    assert_eq!(node.handle_datagram(&[9, 9, 9], 0), None);
    assert_eq!(node.handle_datagram(&[], 0), None);
    assert_eq!(node.counters().malformed, 2);
}
