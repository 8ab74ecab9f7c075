//! The configuration: one `weir.toml` and the rule files that it names.
//!
//! Every key is declared once, in `declared`; the defaults, the reading, the messages and the
//! generated reference come from that. This module knows files and text only: it opens no socket
//! and no database, so `weir check` can run on any machine. A [`Config`] that was loaded holds no
//! value outside its declared range.

mod auth;
mod changes;
mod check;
mod declared;
mod durability;
mod history;
mod host_port;
mod http_url;
mod key;
mod listeners;
mod load;
mod ordered;
mod overrides;
mod problem;
mod read;
mod reference;
mod route;
mod rule_files;
mod settings;
mod tree;
mod unit;
mod upstream;
mod upstreams;
mod values;

pub use crate::stream::{
    CertificateUsername, ProxyProtocol, TlsClientConfig, TlsConfig, TlsError, TlsFile, TlsVersion,
};
pub use auth::{AuthConfig, HttpAuthConfig, JwtConfig, JwtKey};
pub use history::HistoryConfig;
pub use host_port::{HostPort, HostPortError};
pub use http_url::{HttpUrl, HttpUrlError};
pub use listeners::{ListenAddress, ListenerConfig, Protocol};
pub use load::{ConfigError, ConfigFiles, Loaded, load, state_dir};
pub use overrides::Overrides;
pub use reference::{reference_page, sample_file};
pub(crate) use unit::parse_duration;

pub use route::{Route, TopicTemplate, TopicTemplateError};
pub(crate) use rule_files::{compile as compile_rules, read_tables};
pub use settings::{
    AdminConfig, Config, DurabilityConfig, DurabilityLevel, LimitsConfig, LogConfig, LogLevel,
    OnDamage, QueueFull, ShareStrategy, StoreConfig,
};
pub use upstream::{
    AmqpConfig, BacklogFull, HttpBody, HttpCompression, HttpConfig, KafkaCompression, KafkaConfig,
    KafkaKey, KafkaSasl, MqttVersion, NatsConfig, RestartTimeout, Secret, StartType, Unroutable,
    UpstreamConfig, UpstreamKind,
};

#[cfg(test)]
mod tests;
