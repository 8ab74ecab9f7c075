//! `amqp` of an upstream.

use weir_config::Values;

use super::super::declared::UPSTREAM_AMQP;

/// `amqp` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmqpConfig {
    /// The exchange that messages are published to; the default exchange has no name.
    pub exchange: String,
    /// The virtual host that it is in.
    pub vhost: String,
    /// What becomes of a message that no queue takes.
    pub unroutable: Unroutable,
    /// How this box logs in.
    pub sasl: AmqpSasl,
}

/// How a box logs in to an upstream over AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmqpSasl {
    /// With the certificate of TLS.
    External,
    /// With user name and password.
    Plain,
}

/// What becomes of a message that no queue of an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It is a dead letter here.
    DeadLetter,
    /// Nobody wanted it.
    Ignore,
}

impl AmqpConfig {
    pub(super) fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_AMQP);
        let values = values.unwrap_or(&declared);
        Self {
            exchange: values.text("exchange"),
            vhost: values.text("vhost"),
            unroutable: Unroutable::from_name(values.choice("unroutable")),
            sasl: AmqpSasl::from_name(values.choice("sasl")),
        }
    }
}

impl AmqpSasl {
    pub(crate) const NAMES: [&'static str; 2] = ["plain", "external"];

    fn from_name(name: &str) -> Self {
        match name {
            "external" => Self::External,
            "plain" => Self::Plain,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl Unroutable {
    pub(crate) const NAMES: [&'static str; 2] = ["dead_letter", "ignore"];

    fn from_name(name: &str) -> Self {
        match name {
            "dead_letter" => Self::DeadLetter,
            "ignore" => Self::Ignore,
            _ => unreachable!("declared by the same names"),
        }
    }
}
