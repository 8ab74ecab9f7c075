//! What holds whatever the network does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::World;
use super::*;

/// How often each payload is there.
fn counted<'a>(payloads: impl Iterator<Item = &'a Vec<u8>>) -> BTreeMap<&'a [u8], usize> {
    let mut counts = BTreeMap::new();
    for payload in payloads {
        *counts.entry(payload.as_slice()).or_default() += 1;
    }
    counts
}

/// Publishes numbered messages as there is room, until the gateway has all of them.
fn publish_all(world: &mut World, qualities: &[QoS]) {
    for (number, qos) in (0u32..).zip(qualities) {
        world.run_until("no room for the next message", |world| !world.node.has_queued());
        let now_ms = world.clock_ms();
        let payload = number.to_be_bytes();
        world.node.publish(message(STATE, *qos, &payload), now_ms).unwrap();
    }
    world.run_until("the last message is not delivered", |world| !world.node.has_queued());
}

fn quality() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Behaviour 13, with a clock that wraps on the way in some of the cases.
    #[test]
    fn to_the_gateway_nothing_is_lost_and_qos_2_is_exactly_once(
        qualities in prop::collection::vec(quality(), 1..60),
        seed in any::<u64>(),
        start_ms in prop_oneof![Just(0), Just(u64::from(u32::MAX) - 20_000)],
    ) {
        let mut world = World::new(CONFIG, start_ms, seed, 10);
        world.node.connect(world.clock_ms());
        publish_all(&mut world, &qualities);
        let counts = counted(world.gateway.published.iter().map(|(_, payload)| payload));
        prop_assert_eq!(counts.len(), qualities.len());
        for (number, qos) in (0u32..).zip(&qualities) {
            let count = counts.get(&number.to_be_bytes()[..]).copied().unwrap_or_default();
            prop_assert!(count == 1 || (count > 1 && *qos == QoS::AtLeastOnce), "{} times", count);
        }
        prop_assert_eq!(world.seen.delivered.len(), qualities.len());
        prop_assert_eq!(world.node.counters().dropped, 0);
    }

    /// Behaviour 13, the other way.
    #[test]
    fn from_the_gateway_nothing_is_lost_and_qos_2_is_exactly_once(
        qualities in prop::collection::vec(quality(), 1..60),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(CONFIG, 0, seed, 10);
        world.node.subscribe(FILTER, QoS::ExactlyOnce).unwrap();
        world.node.connect(0);
        for (number, qos) in (0u32..).zip(&qualities) {
            world.gateway.queue("mill/3/set", &number.to_be_bytes(), *qos);
        }
        world.run_until("the client has not had all", |world| !world.gateway.has_queued());
        let counts = counted(world.seen.received.iter());
        prop_assert_eq!(counts.len(), qualities.len());
        for (number, qos) in (0u32..).zip(&qualities) {
            let count = counts.get(&number.to_be_bytes()[..]).copied().unwrap_or_default();
            prop_assert!(count == 1 || (count > 1 && *qos == QoS::AtLeastOnce), "{} times", count);
        }
    }

    /// The gateway is away at times, and has then forgotten the topics.
    #[test]
    fn gateway_that_comes_and_goes_gets_everything_once(
        outages_s in prop::collection::vec(1..200u64, 1..5),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(CONFIG, 0, seed, 2);
        world.node.connect(0);
        let mut published = 0u32;
        for outage_s in &outages_s {
            for is_down in [false, true] {
                world.gateway.is_down = is_down;
                if is_down {
                    world.gateway.forget_topics();
                }
                let now_ms = world.clock_ms();
                let payload = published.to_be_bytes();
                world.node.publish(message(STATE, QoS::ExactlyOnce, &payload), now_ms).unwrap();
                published += 1;
                world.run_for(outage_s * 1_000);
            }
        }
        world.gateway.is_down = false;
        world.run_until("the queue is not sent", |world| !world.node.has_queued());
        let counts = counted(world.gateway.published.iter().map(|(_, payload)| payload));
        prop_assert_eq!(counts.len(), published as usize);
        prop_assert!(counts.values().all(|count| *count == 1));
    }

    #[test]
    fn sleeper_gets_everything_that_was_kept(
        naps in prop::collection::vec(0..4u32, 1..6),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(CONFIG, 0, seed, 5);
        world.node.subscribe(FILTER, QoS::ExactlyOnce).unwrap();
        world.node.connect(0);
        let mut queued = 0u32;
        // Bad luck with the network may keep it awake, but not every time.
        for messages in naps.into_iter().chain([0; 3]) {
            world.run_until("not connected", |world| {
                world.node.is_connected() || world.seen.asleep > 0
            });
            if world.node.is_connected() {
                let now_ms = world.clock_ms();
                world.node.sleep(30, now_ms).unwrap();
            }
            for _ in 0..messages {
                world.gateway.queue("mill/3/set", &queued.to_be_bytes(), QoS::ExactlyOnce);
                queued += 1;
            }
            world.run_for(40_000);
        }
        world.run_until("something is kept still", |world| !world.gateway.has_queued());
        prop_assert!(world.seen.asleep > 0);
        let counts = counted(world.seen.received.iter());
        prop_assert_eq!(counts.len(), queued as usize);
        prop_assert!(counts.values().all(|count| *count == 1));
    }

    /// Neither bytes nor any order of calls.
    #[test]
    fn nothing_makes_it_panic(
        steps in prop::collection::vec(
            (0..14u8, any::<u16>(), prop::collection::vec(any::<u8>(), 0..24)), 1..80,
        ),
        seed in any::<u16>(),
    ) {
        let config = Config { seed, will: Some(WILL), drops_topic: Some(AGED), ..CONFIG };
        let mut node = node(config);
        let mut now_ms = u32::from(seed) << 16;
        for (step, number, noise) in steps {
            let topic = TopicIndex((number % 7) as u8);
            let qos = match number % 3 {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            };
            match step {
                0 => node.connect(now_ms),
                1 => node.disconnect(now_ms),
                2 => drop(node.sleep(number, now_ms)),
                3 => drop(node.wake(now_ms)),
                4 => drop(node.subscribe(topic, qos)),
                5 => drop(node.unsubscribe(topic)),
                6 => drop(node.search(noise.len() as u8, now_ms)),
                7 => drop(node.publish(message(topic, qos, &noise), now_ms)),
                8 => drop(node.publish_without_session(message(topic, qos, &noise))),
                9 => now_ms = now_ms.wrapping_add(u32::from(number) << (number % 16)),
                10 => drop(node.handle_datagram(&noise, now_ms)),
                _ => {
                    // A packet that may well be expected.
                    let kinds = crate::mqtt_sn_1_2::PacketKind::ALL;
                    let kind = kinds.get(usize::from(number) % kinds.len()).unwrap();
                    let mut datagram = vec![noise.len() as u8 + 2, kind.code()];
                    datagram.extend(noise.iter().map(|octet| octet % 6));
                    node.handle_datagram(&datagram, now_ms);
                }
            }
            for _ in 0..12 {
                match node.poll(now_ms) {
                    Output::Idle | Output::WaitUntil(_) => break,
                    Output::Send(datagram) | Output::Broadcast(datagram) => {
                        prop_assert!(Packet::decode(datagram).is_ok(), "{:02x?}", datagram);
                    }
                    Output::Event(_) => {}
                }
            }
        }
    }
}

/// Behaviour 14.
#[test]
fn alternating_qualities_do_not_stall_in_100_000_messages() {
    let qualities: Vec<QoS> = [QoS::AtLeastOnce, QoS::ExactlyOnce].repeat(50_000);
    let mut world = World::new(Config { keep_alive_s: 600, ..CONFIG }, 0, 5, 0);
    world.node.connect(0);
    publish_all(&mut world, &qualities);
    let numbers = (0..100_000u32).map(|number| number.to_be_bytes().to_vec());
    let published = world.gateway.published.iter().map(|(_, payload)| payload.clone());
    assert!(published.eq(numbers), "not in order, or not once");
    assert_eq!(world.seen.lost, 0);
}

#[test]
fn session_begun_anew_by_a_late_connect_gets_its_subscriptions_back() {
    let config = Config { clean_session: true, ..CONFIG };
    let mut world = World::new(config, 0, 1, 0);
    world.node.subscribe(FILTER, QoS::AtLeastOnce).unwrap();
    world.node.connect(0);
    world.run_for(1_000);
    let connect = Connect { clean_session: true, will: false, duration_s: 60, client_id: "mill-1" };
    world.gateway.handle(&bytes(&Packet::Connect(connect)), 1_000);
    world.run_for(1_000);
    world.gateway.queue("mill/1/set", b"on", QoS::AtLeastOnce);
    world.run_until("the message did not come", |world| !world.seen.received.is_empty());
    assert!(world.gateway.subscribes_to("mill/+/set"));
}
