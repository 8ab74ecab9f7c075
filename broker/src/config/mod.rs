//! The configuration: one `weir.toml` and the rule files that it names.
//!
//! Every key is declared once, in [`declared`]; the defaults, the reading, the messages and the
//! generated reference come from that. This module knows files and text only: it opens no socket
//! and no database, so `weir check` can run on any machine. A [`Config`] that was loaded holds no
//! value outside its declared range.

#![expect(dead_code, reason = "the loader that uses all of it is the next step")]

mod declared;
mod host_port;
mod key;
mod route;
mod settings;
mod unit;
mod values;

pub use host_port::{HostPort, HostPortError};
pub use route::{Route, TopicTemplate, TopicTemplateError};
pub use settings::{
    AdminConfig, AuthConfig, Config, LimitsConfig, ListenerConfig, LogConfig, LogLevel,
    MqttVersion, Protocol, QueueFull, RestartTimeout, RuleSource, Secret, StoreConfig,
    UpstreamConfig, UpstreamKind,
};
