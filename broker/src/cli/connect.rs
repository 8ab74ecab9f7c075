//! How `weir pub` and `weir sub` connect: the options that both have, named as mosquitto names
//! them.

use clap::{ArgAction, Args};
use weir_config::nearest;

use super::{CliError, property::Properties};

/// The longest value of a session expiry: the session never ends.
const NEVER: u32 = u32::MAX;

/// Options of a connection.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Host of the broker
    #[arg(short = 'h', long, default_value = "localhost")]
    pub(crate) host: String,
    /// Port of the broker
    #[arg(short, long, default_value_t = 1883)]
    pub(crate) port: u16,
    /// Client identifier; without it the broker chooses one
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub(crate) id: String,
    /// User name
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// MQTT version: 5 or 311, also as mqttv5, mqttv311
    #[arg(short = 'V', long, default_value = "5", value_parser = parse_version)]
    pub(crate) protocol_version: Version,
    /// Keep alive in seconds
    #[arg(short, long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(5..))]
    pub(crate) keepalive: u16,
    /// Keep the session (needs -i)
    #[arg(short = 'c', long = "disable-clean-session")]
    pub(crate) keep_session: bool,
    /// How long the session is kept after the connection, in seconds (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS")]
    pub(crate) session_expiry_interval: Option<u32>,
    /// MQTT 5 property, for example: -D publish user-property name value
    #[arg(short = 'D', long = "property", num_args = 3..=4, value_names = ["PACKET", "NAME", "VALUE"], action = ArgAction::Append)]
    pub(crate) property: Vec<String>,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// MQTT version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

impl ConnectArguments {
    /// A connection with the defaults.
    pub(crate) fn to(host: &str, port: u16, id: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            id: id.to_owned(),
            username: None,
            password: None,
            protocol_version: Version::V5,
            keepalive: 60,
            keep_session: false,
            session_expiry_interval: None,
            property: Vec::new(),
            help: None,
        }
    }

    /// Checks what one option means for another.
    pub(crate) fn check(&self) -> Result<Properties, CliError> {
        let wrong = |argument, reason: &str, help: &str| {
            Err(CliError::Argument { argument, reason: reason.into(), help: help.into() })
        };
        if self.keep_session && self.id.is_empty() {
            return wrong("-c", "a session that is kept needs a client identifier", "add -i NAME");
        }
        if self.password.is_some() && self.username.is_none() {
            return wrong("-P", "a password needs a user name", "add -u NAME");
        }
        if self.protocol_version == Version::V311 {
            if self.session_expiry_interval.is_some() {
                return wrong("-x", "MQTT 3.1.1 has no session expiry", "use -V 5");
            }
            if !self.property.is_empty() {
                return wrong("-D", "MQTT 3.1.1 has no properties", "use -V 5");
            }
        }
        let mut properties = Properties::parse(&self.property)?;
        let kept = self.keep_session.then_some(NEVER);
        if let Some(expiry) = self.session_expiry_interval.or(kept) {
            properties.connect.session_expiry_interval.get_or_insert(expiry);
        }
        Ok(properties)
    }

    /// Where the broker is, for messages.
    pub(crate) fn address(&self) -> String {
        crate::config::HostPort::new(self.host.as_str(), self.port).to_string()
    }
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "311" | "mqttv311" | "3.1.1" => Ok(Version::V311),
        "5" | "mqttv5" | "mqttv50" | "5.0" => Ok(Version::V5),
        other => Err(match nearest(other, ["mqttv311", "mqttv5"]) {
            Some(near) => format!("did you mean {near}?"),
            None => "possible: 5, 311".to_owned(),
        }),
    }
}
