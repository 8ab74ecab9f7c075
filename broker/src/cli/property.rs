//! `-D PACKET NAME VALUE`: MQTT 5 properties on the command line, as mosquitto writes them.

use std::str::FromStr;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, PublishProperties, SubscribeProperties};

use super::CliError;
use weir_config::nearest;

/// The properties of each packet.
#[derive(Clone, Debug)]
pub(crate) struct Properties {
    pub(crate) connect: ConnectProperties,
    pub(crate) publish: PublishProperties,
    pub(crate) subscribe: SubscribeProperties,
}

const PACKETS: [&str; 3] = ["connect", "publish", "subscribe"];

const USER: &str = "user-property";

const NAMES: [&str; 9] = [
    "content-type",
    "correlation-data",
    "message-expiry-interval",
    "payload-format-indicator",
    "receive-maximum",
    "response-topic",
    "session-expiry-interval",
    "subscription-identifier",
    USER,
];

impl Properties {
    pub(crate) fn none() -> Self {
        Self {
            connect: ConnectProperties::new(),
            publish: PublishProperties::default(),
            subscribe: SubscribeProperties { id: None, user_properties: Vec::new() },
        }
    }

    /// Reads the words of every `-D`, one after the other: the name says how many belong to it.
    pub(crate) fn parse(words: &[String]) -> Result<Self, CliError> {
        let mut properties = Self::none();
        let mut words = words.iter().map(String::as_str);
        while let Some(packet) = words.next() {
            let name = words.next().ok_or_else(|| wrong("the name is missing".to_owned()))?;
            let mut value = || words.next().ok_or_else(|| wrong(format!("`{name}` needs a value")));
            if name == USER {
                let pair = (value()?.to_owned(), value()?.to_owned());
                properties.user(packet)?.push(pair);
            } else {
                properties.set(packet, name, value()?)?;
            }
        }
        Ok(properties)
    }

    fn user(&mut self, packet: &str) -> Result<&mut Vec<(String, String)>, CliError> {
        match packet {
            "connect" => Ok(&mut self.connect.user_properties),
            "publish" => Ok(&mut self.publish.user_properties),
            "subscribe" => Ok(&mut self.subscribe.user_properties),
            other => Err(unknown("packet", other, &PACKETS)),
        }
    }

    fn set(&mut self, packet: &str, name: &str, value: &str) -> Result<(), CliError> {
        let Self { connect, publish, subscribe } = self;
        match (packet, name) {
            ("connect", "receive-maximum") => connect.receive_maximum = Some(number(name, value)?),
            ("connect", "session-expiry-interval") => {
                connect.session_expiry_interval = Some(number(name, value)?);
            }
            ("publish", "content-type") => publish.content_type = Some(value.to_owned()),
            ("publish", "correlation-data") => {
                publish.correlation_data = Some(Bytes::copy_from_slice(value.as_bytes()));
            }
            ("publish", "message-expiry-interval") => {
                publish.message_expiry_interval = Some(number(name, value)?);
            }
            ("publish", "payload-format-indicator") => {
                publish.payload_format_indicator = Some(number(name, value)?);
            }
            ("publish", "response-topic") => publish.response_topic = Some(value.to_owned()),
            ("subscribe", "subscription-identifier") => subscribe.id = Some(number(name, value)?),
            _ if !PACKETS.contains(&packet) => return Err(unknown("packet", packet, &PACKETS)),
            _ if !NAMES.contains(&name) => return Err(unknown("property", name, &NAMES)),
            _ => return Err(wrong(format!("`{packet}` has no property `{name}`"))),
        }
        Ok(())
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, CliError> {
    value.parse().map_err(|_| wrong(format!("`{name}` cannot be `{value}`")))
}

fn unknown(kind: &str, name: &str, known: &[&str]) -> CliError {
    match nearest(name, known.iter().copied()) {
        Some(near) => wrong(format!("unknown {kind} `{name}`, did you mean `{near}`?")),
        None => wrong(format!("unknown {kind} `{name}`; possible: {}", known.join(", "))),
    }
}

fn wrong(reason: String) -> CliError {
    CliError::Argument {
        argument: "-D",
        reason,
        help: "for example -D publish content-type text/plain".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Properties, CliError> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        Properties::parse(&words)
    }

    #[test]
    fn several_properties_follow_each_other() {
        let properties = parse(
            "publish user-property a b publish content-type text/plain \
             connect receive-maximum 5 subscribe subscription-identifier 7",
        )
        .unwrap();
        assert_eq!(properties.publish.user_properties, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(properties.publish.content_type.as_deref(), Some("text/plain"));
        assert_eq!(properties.connect.receive_maximum, Some(5));
        assert_eq!(properties.subscribe.id, Some(7));
    }

    #[test]
    fn mistakes_are_named() {
        let reason = |words: &str| parse(words).unwrap_err().to_string();
        assert!(reason("publish content-typ x").contains("did you mean `content-type`?"));
        assert!(reason("publsh content-type x").contains("did you mean `publish`?"));
        assert!(reason("connect content-type x").contains("`connect` has no property"));
        assert!(reason("connect receive-maximum x").contains("cannot be `x`"));
        assert!(reason("publish user-property a").contains("needs a value"));
    }
}
