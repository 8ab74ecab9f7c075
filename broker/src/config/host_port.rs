//! `host:port` as it is written in the configuration and on the command line. A name is kept as a
//! name: it is resolved when it is used, not when it is read.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

/// A host name or address and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// A character that no host name has.
    #[error("`{0}` cannot be part of a host name")]
    Character(char),
    /// An IPv6 address without its brackets.
    #[error("an IPv6 address needs brackets")]
    NoBrackets,
    /// Nothing before the colon.
    #[error("the host is missing before the `:`")]
    NoHost,
    /// No colon with a port behind it.
    #[error("the port is missing")]
    NoPort,
    /// Not a number from 0 to 65535.
    #[error("`{0}` is not a port number (0 to 65535)")]
    Port(String),
}

impl HostPort {
    /// A host, taken as it is, and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose one for a listener.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine can reach it. A name other than `localhost` counts as reachable.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError::NoPort)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => return Err(HostPortError::NoBrackets),
            None => host,
        };
        if host.is_empty() {
            return Err(HostPortError::NoHost);
        }
        // A name in other letters is looked up as `xn--...`, and nothing here makes it one.
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if let Some(wrong) = host.chars().find(|c| !allowed(*c)) {
            return Err(HostPortError::Character(wrong));
        }
        let port = port.parse().map_err(|_| HostPortError::Port(port.to_owned()))?;
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_read_and_printed_alike() {
        for text in ["localhost:1883", "192.168.1.4:0", "[::1]:8883", "mqtt.example.org:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_mistake_has_its_own_reason() {
        use HostPortError as E;
        let reason = |text: &str| text.parse::<HostPort>().unwrap_err();
        assert_eq!(reason("localhost"), E::NoPort);
        assert_eq!(reason(":1883"), E::NoHost);
        assert_eq!(reason("::1:1883"), E::NoBrackets);
        assert_eq!(reason("localhost:70000"), E::Port("70000".into()));
        assert_eq!(reason("tcp://localhost:1883"), E::NoBrackets);
        assert_eq!(reason("local host:1"), E::Character(' '));
        assert_eq!(reason("bücher.example:1883"), E::Character('ü'));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |text: &str| text.parse::<HostPort>().unwrap().is_loopback();
        assert!(loopback("127.0.0.1:1883") && loopback("[::1]:1883") && loopback("Localhost:1"));
        assert!(!loopback("0.0.0.0:1883") && !loopback("[::]:1883") && !loopback("gateway:1883"));
    }
}
