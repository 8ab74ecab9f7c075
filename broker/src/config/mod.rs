//! The configuration: one `weir.toml` and the rule files that it names.
//!
//! Every key is declared once, in `declared`; `weir_config` makes the defaults, the reading, the
//! messages and the generated reference of that. This module knows files and text only: it opens no socket
//! and no database, so `weir check` can run on any machine. A [`Config`] that was loaded holds no
//! value outside its declared range.

mod admin;
mod auth;
mod bridge;
mod changes;
mod check;
mod code;
mod declared;
mod durability;
mod fleet;
mod history;
mod host_port;
mod http_url;
mod listeners;
mod load;
mod named_files;
mod notation;
mod ordered;
mod overrides;
mod priority;
mod reference;
mod route;
mod rule_files;
mod settings;
mod upstream;
mod upstreams;

pub use crate::stream::{
    CertificateUsername, ProxyProtocol, TlsClientConfig, TlsConfig, TlsError, TlsFile, TlsVersion,
};
pub use admin::AdminConfig;
pub use auth::{AuthConfig, HttpAuthConfig, JwtConfig, JwtKey};
pub use changes::KeyChange;
pub use fleet::FleetConfig;
pub use history::HistoryConfig;
pub use host_port::{HostPort, HostPortError};
pub use http_url::{HttpUrl, HttpUrlError};
pub use listeners::{ListenAddress, ListenerConfig, Protocol};
pub use load::{ConfigError, ConfigFiles, Loaded, load, state_dir};
pub(crate) use named_files::NamedFile;
pub use overrides::Overrides;
pub use priority::Priority;
pub use reference::{reference_page, sample_file};

pub use route::{Route, TopicTemplate, TopicTemplateError};
pub(crate) use rule_files::{compile as compile_rules, read_tables};
pub use settings::{
    Config, DurabilityConfig, DurabilityLevel, LimitsConfig, LogConfig, LogLevel, OnDamage,
    QueueFull, ShareStrategy, StoreConfig,
};
pub use upstream::{
    AmqpConfig, AmqpSasl, BacklogFull, HttpBody, HttpCompression, HttpConfig, KafkaCompression,
    KafkaConfig, KafkaKey, KafkaSasl, MqttVersion, NatsConfig, RestartTimeout, Secret, StartType,
    Unroutable, UpstreamConfig, UpstreamKind,
};

/// Whether there is such a key, its section before it.
#[cfg(test)]
pub(crate) fn key_is_declared(name: &str) -> bool {
    let (section, key) = name.rsplit_once('.').unwrap_or(("", name));
    declared::DECLARED.key(section, key).is_some()
}

#[cfg(test)]
mod tests;
