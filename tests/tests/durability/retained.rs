//! The retained messages, as somebody sees them who subscribes now.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_mqtt::Version;
use weir_tests::harness::publisher::{Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;

use super::load::{Ledger, retained_payload};

/// Retained messages come in the order of the subscriptions: when this one comes, all have come.
const LAST: &str = "last";

/// Before the publishers are back, what is kept is what was acknowledged last or something that
/// was sent after it.
pub(crate) fn check_before_resume(address: SocketAddr, ledgers: &[&Ledger]) {
    check(address, ledgers, |_| true);
}

/// When everything is acknowledged, what is kept is what was sent last.
pub(crate) fn check_settled(address: SocketAddr, ledgers: &[&Ledger]) {
    check(address, ledgers, |ledger| {
        let retained = ledger.retained.lock().unwrap();
        retained.iter().all(|history| history.acknowledged == history.sent)
    });
}

fn check(address: SocketAddr, ledgers: &[&Ledger], is_right: impl Fn(&Ledger) -> bool) {
    let kept = read(address);
    for ledger in ledgers {
        assert!(is_right(ledger), "{ledger:?}");
        for (place, history) in ledger.retained.lock().unwrap().iter().enumerate() {
            let topic = format!("state/{}/{place}", ledger.name);
            let found = kept.get(&topic).cloned().unwrap_or_default();
            let mut may_be = (history.acknowledged..=history.sent).map(payload_after);
            let text = String::from_utf8_lossy(&found);
            assert!(may_be.any(|payload| payload == found), "{topic} is {text}: {history:?}");
        }
    }
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
        qos: weir_mqtt::QoS::AtLeastOnce,
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
