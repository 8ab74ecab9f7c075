//! The retained messages, as somebody sees them who subscribes now.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_mqtt::{QoS, Version};

use super::load::{Ledger, retained_payload};
use crate::harness::publisher::{Message, Publisher};
use crate::harness::subscriber::{Arrival, Subscriber};
use crate::harness::wait::LIMIT;

/// Retained messages come in the order of the subscriptions: when this one comes, all have come.
const LAST: &str = "last";

/// Before the publishers are back, what is kept is what was acknowledged last or something that
/// was sent after it.
///
/// # Panics
/// It is something else.
pub fn check_before_resume<'a>(address: SocketAddr, ledgers: impl Iterator<Item = &'a Ledger>) {
    let kept = read(address);
    for (topic, history) in ledgers.flat_map(Ledger::retained) {
        let found = kept.get(&topic).cloned().unwrap_or_default();
        let mut may_be = (history.acknowledged..=history.sent).map(payload_after);
        let text = String::from_utf8_lossy(&found);
        assert!(may_be.any(|payload| payload == found), "{topic} is {text}: {history:?}");
    }
}

/// When everything is acknowledged, what is kept is what was sent last.
///
/// # Panics
/// It is something else.
pub fn check_settled<'a>(address: SocketAddr, ledgers: impl Iterator<Item = &'a Ledger> + Clone) {
    for (topic, history) in ledgers.clone().flat_map(Ledger::retained) {
        assert_eq!(history.acknowledged, history.sent, "{topic}");
    }
    check_before_resume(address, ledgers);
}

fn payload_after(number: u64) -> Vec<u8> {
    if number == 0 { Vec::new() } else { retained_payload(number) }
}

fn read(address: SocketAddr) -> BTreeMap<String, Vec<u8>> {
    let mut publisher = Publisher::new("retained-last", Version::V5, 1);
    publisher.connect(address).expect("the broker runs");
    publisher.publish([Message {
        topic: LAST.to_owned(),
        payload: b"1".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        ..Message::default()
    }]);
    let mut kept = BTreeMap::new();
    let mut subscriber = Subscriber::brief("retained", &["state/#", LAST]);
    subscriber.connect(address).expect("the broker runs");
    loop {
        match subscriber.receive(LIMIT) {
            Arrival::Message(message) if message.topic == LAST => return kept,
            Arrival::Message(message) => {
                assert!(message.retain, "{message:?}");
                let before = kept.insert(message.topic, message.payload);
                assert_eq!(before, None, "a retained message came twice");
            }
            other => panic!("the retained messages do not come: {other:?}"),
        }
    }
}
