//! How often a message went from broker to broker, which ends the loops of those that exchange
//! everything with each other.
//!
//! User properties carry the counts, so they need MQTT 5. A message goes from broker to broker
//! twice at most and is forwarded once at most: a box forwards it to a hub and another one receives
//! it there, or it is received from a broker that has received it. What others have written into
//! these properties counts as nothing if it is no number, and is replaced.

use weir_mqtt::{PublishProperties, UserProperties};

/// How often a message was passed on, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crossings {
    /// By brokers that have it to an upstream.
    forwarded: u32,
    /// By brokers that have it from an upstream.
    received: u32,
}

impl Crossings {
    pub(super) fn of(properties: UserProperties<'_>) -> Self {
        let count = |name: &str| {
            let numbers = properties.iter().filter(|pair| pair.0 == name);
            numbers.filter_map(|pair| pair.1.parse().ok()).max().unwrap_or(0)
        };
        Self { forwarded: count(FORWARDED), received: count(RECEIVED) }
    }

    pub(super) fn may_be_forwarded(self) -> bool {
        self.forwarded < FORWARDED_MAX && self.may_be_received()
    }

    pub(super) fn may_be_received(self) -> bool {
        self.forwarded.saturating_add(self.received) < CROSSINGS_MAX
    }

    /// The property of a message that is forwarded once more.
    pub(super) fn once_more_forwarded(self) -> (&'static str, String) {
        (FORWARDED, self.forwarded.saturating_add(1).to_string())
    }

    /// The properties of a message, as they are stored, that is received once more.
    pub(super) fn once_more_received(self, properties: PublishProperties<'_>) -> Vec<u8> {
        let received = self.received.saturating_add(1).to_string();
        let others = properties.user_properties.iter().filter(|pair| pair.0 != RECEIVED);
        let user: Vec<_> = others.chain([(RECEIVED, received.as_str())]).collect();
        let properties = PublishProperties { user_properties: user[..].into(), ..properties };
        let mut encoded = Vec::new();
        properties.encode_end_to_end(&mut encoded).expect("they came encoded, and one is short");
        encoded
    }

    /// Whether this is the property that [`once_more_forwarded`](Self::once_more_forwarded) makes.
    pub(super) fn is_forwarded(name: &str) -> bool {
        name == FORWARDED
    }
}

const FORWARDED: &str = "weir-hop";
const RECEIVED: &str = "weir-received";
const FORWARDED_MAX: u32 = 1;
const CROSSINGS_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Crossings {
        Crossings::of(pairs.into())
    }

    #[test]
    fn a_message_crosses_twice_and_is_forwarded_once() {
        for (pairs, forwarded, received) in [
            (&[][..], true, true),
            (&[("weir-hop", "1")], false, true),
            (&[("weir-received", "1")], true, true),
            (&[("weir-received", "2")], false, false),
            (&[("weir-hop", "1"), ("weir-received", "1")], false, false),
            (&[("weir-hop", "4294967295"), ("weir-received", "4294967295")], false, false),
        ] {
            let crossings = of(pairs);
            let may = (crossings.may_be_forwarded(), crossings.may_be_received());
            assert_eq!(may, (forwarded, received), "{pairs:?}");
        }
    }

    /// A device could let its messages go round for ever.
    #[test]
    fn what_a_device_has_written_is_counted_on_or_replaced() {
        assert_eq!(of(&[("weir-hop", "0")]).once_more_forwarded(), ("weir-hop", "1".to_owned()));
        assert_eq!(of(&[("weir-hop", "x")]).once_more_forwarded(), ("weir-hop", "1".to_owned()));
        let pairs = [("weir-received", "no"), ("unit", "celsius"), ("weir-received", "0")];
        let properties =
            PublishProperties { user_properties: pairs[..].into(), ..Default::default() };
        let encoded = of(&pairs).once_more_received(properties);
        let stored = PublishProperties::decode_end_to_end(&encoded).unwrap();
        let user: Vec<_> = stored.user_properties.iter().collect();
        assert_eq!(user, [("unit", "celsius"), ("weir-received", "1")]);
    }
}
