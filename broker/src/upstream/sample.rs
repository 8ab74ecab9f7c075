//! Records of a log, for tests.

use weir_core::{Destination, LogRecord, Message, MessageParts, ReaderId, Sequence, Target};
use weir_mqtt::QoS;

/// A message at QoS 1 that a forward route brought to `reader`.
pub(super) fn record(
    reader: ReaderId,
    sequence: u64,
    payload: &[u8],
    received_at_ms: u64,
) -> LogRecord {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms,
        publisher: "",
        topic: "a",
        properties: &[],
        payload,
    };
    let target = Target {
        destination: Destination::Reader(reader),
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: [1][..].into(),
    };
    let message = Message::new(&parts, &mut Vec::new());
    LogRecord { sequence: Sequence(sequence), message, targets: vec![target] }
}
