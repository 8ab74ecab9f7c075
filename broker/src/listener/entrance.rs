//! What all shards know of a listener: one takes its connections, all may have some of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::{ListenerConfig, Protocol, ProxyProtocol};
use crate::listener::Refused;
use crate::stream::{Layer, Stream, TlsServer};

/// A listener without its socket.
#[derive(Debug)]
pub(crate) struct Entrance {
    name: Box<str>,
    pub(super) tls: Option<Arc<TlsServer>>,
    pub(super) websocket: bool,
    pub(super) proxy: Option<ProxyProtocol>,
    knows_clients: bool,
    sees_everything: bool,
    connections_max: Option<u32>,
    connections: AtomicU32,
    refused: Arc<Refused>,
}

impl Entrance {
    /// The one by which connections come from inside the process.
    pub(crate) fn inside(refused: Arc<Refused>) -> Self {
        Self::new(&ListenerConfig::inside(), "inside".into(), None, refused)
    }

    /// The one by which the API subscribes, for those who may see everything.
    pub(crate) fn watching(refused: Arc<Refused>) -> Self {
        let inside = Self::new(&ListenerConfig::inside(), "api".into(), None, refused);
        Self { sees_everything: true, ..inside }
    }

    /// Whether whoever comes in by it may read every topic, and write none.
    pub(crate) fn sees_everything(&self) -> bool {
        self.sees_everything
    }

    pub(super) fn new(
        config: &ListenerConfig,
        name: Box<str>,
        tls: Option<Arc<TlsServer>>,
        refused: Arc<Refused>,
    ) -> Self {
        Self {
            name,
            tls,
            websocket: config.protocol == Protocol::WebSocket,
            proxy: config.proxy_protocol,
            knows_clients: config.knows_clients(),
            sees_everything: false,
            connections_max: config.max_connections,
            connections: AtomicU32::new(0),
            refused,
        }
    }

    /// Whether the certificates of clients say who they are.
    pub(crate) fn knows_clients(&self) -> bool {
        self.knows_clients
    }

    /// Its address for the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether certificates of its clients can be revoked.
    pub(crate) fn has_revocations(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_revocations())
    }

    /// Whether the certificate of a client is revoked by now.
    pub(crate) fn is_revoked(&self, stream: &Stream) -> bool {
        let (tls, certificates) = (self.tls.as_ref(), stream.certificates());
        tls.zip(certificates).is_some_and(|(tls, certificates)| tls.is_revoked(certificates))
    }

    /// Counts a connection; false when it is to be turned away.
    pub(crate) fn admit(&self) -> bool {
        let open = self.connections.load(Ordering::Relaxed);
        if self.connections_max.is_some_and(|max| open >= max) {
            self.refused.max_connections.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("a connection is turned away: its listener has max_connections");
            return false;
        }
        self.connections.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Hears that a connection of its own has ended, maybe before a layer was open.
    pub(crate) fn note_closed(&self, unfinished: Option<Layer>) {
        let open = self.connections.fetch_sub(1, Ordering::Relaxed);
        assert!(open > 0, "a connection is closed once");
        if let Some(layer) = unfinished {
            self.refused.count(layer);
        }
    }
}
