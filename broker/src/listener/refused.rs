//! Connections that ended before they could speak MQTT, by reason, since the start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stream::Layer;

/// The counters; written by the shard, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// The listener had all the connections that it may have.
    pub(crate) max_connections: AtomicU64,
    /// The header of a load balancer was missing or not right.
    pub(crate) proxy: AtomicU64,
    /// The TLS handshake did not come to an end.
    pub(crate) tls: AtomicU64,
    /// The HTTP request of a WebSocket was not complete or not right.
    pub(crate) websocket: AtomicU64,
}

impl Refused {
    /// Counts a connection that ended before this layer was open.
    pub(crate) fn count(&self, layer: Layer) {
        let counter = match layer {
            Layer::Proxy => &self.proxy,
            Layer::Tls => &self.tls,
            Layer::WebSocket => &self.websocket,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts by the names that the status has for them.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let counters = [
            ("max_connections", &self.max_connections),
            ("proxy", &self.proxy),
            ("tls", &self.tls),
            ("websocket", &self.websocket),
        ];
        let counts = counters.map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)));
        counts.into_iter().collect()
    }
}
