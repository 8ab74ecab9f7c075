//! A connection to an upstream that is not MQTT: which one, and its life.

use std::sync::Arc;

#[cfg(feature = "amqp")]
use super::amqp::{self, AmqpOptions};
use super::desk::Desk;
use super::error::LinkError;
use super::http::{self, HttpOptions};
#[cfg(feature = "kafka")]
use super::kafka::{self, KafkaOptions};
#[cfg(feature = "nats")]
use super::nats::{self, NatsOptions};
#[cfg(any(feature = "kafka", feature = "nats"))]
use super::node;
use super::program::{self, Outlet, Outlets};
use crate::config::{HostPort, UpstreamConfig, UpstreamKind};

/// What is spoken there, and how.
#[derive(Clone, Debug)]
pub(crate) enum SinkOptions {
    #[cfg(feature = "amqp")]
    Amqp(AmqpOptions),
    Http(HttpOptions),
    #[cfg(feature = "kafka")]
    Kafka(KafkaOptions),
    #[cfg(feature = "nats")]
    Nats(NatsOptions),
    Program(Arc<Outlet>),
}

impl SinkOptions {
    /// What the configuration says; none for MQTT.
    pub(super) fn of(config: &UpstreamConfig, outlets: &Outlets) -> Option<Self> {
        let (credentials, tls) = (config.credentials(), config.tls.clone());
        match config.kind {
            #[cfg(feature = "amqp")]
            UpstreamKind::Amqp => {
                let amqp = config.amqp.clone();
                Some(Self::Amqp(AmqpOptions { amqp, credentials, tls }))
            }
            UpstreamKind::Http => {
                let http = config.http.clone();
                Some(Self::Http(HttpOptions { http, credentials, tls }))
            }
            #[cfg(feature = "kafka")]
            UpstreamKind::Kafka => {
                let name = node::client_id(config.remote_clientid.as_deref(), &config.name);
                let (bootstrap, kafka) = (config.address.clone(), config.kafka.clone());
                Some(Self::Kafka(KafkaOptions { name, bootstrap, kafka, credentials, tls }))
            }
            UpstreamKind::Mqtt => None,
            #[cfg(feature = "nats")]
            UpstreamKind::Nats => {
                let name = node::client_id(config.remote_clientid.as_deref(), &config.name);
                let nats = config.nats.clone();
                Some(Self::Nats(NatsOptions { name, nats, credentials, tls }))
            }
            UpstreamKind::Program => Some(Self::Program(outlets.of(&config.name))),
            #[cfg(not(all(feature = "amqp", feature = "kafka", feature = "nats")))]
            _ => unreachable!("the check refuses what is not built in"),
        }
    }

    /// Messages that are under way at a time; over HTTP one batch, and the next one that gathers.
    pub(super) fn window(&self) -> u16 {
        match self {
            #[cfg(feature = "amqp")]
            Self::Amqp(_) => amqp::WINDOW,
            Self::Http(options) => options.http.batch.saturating_mul(2),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => kafka::WINDOW,
            #[cfg(feature = "nats")]
            Self::Nats(_) => nats::WINDOW,
            Self::Program(_) => program::WINDOW,
        }
    }

    /// Runs a connection until it fails, or nobody sends any more.
    pub(super) async fn run(self, address: HostPort, mut desk: Desk) {
        let ended = match self {
            #[cfg(feature = "amqp")]
            Self::Amqp(options) => amqp::run(&address, options, &mut desk).await,
            Self::Http(options) => http::run(address, options, &mut desk).await,
            #[cfg(feature = "kafka")]
            Self::Kafka(options) => kafka::run(address, options, &mut desk).await,
            #[cfg(feature = "nats")]
            Self::Nats(options) => nats::run(&address, options, &mut desk).await,
            Self::Program(outlet) => program::run(outlet, &mut desk).await,
        };
        let given_up = || LinkError::Lost("it was given up".to_owned());
        desk.tell_failed(ended.err().unwrap_or_else(given_up)).await;
    }
}
