//! `http://host:port/path` as it is written in the configuration. What may be part of a path is
//! not looked at more closely than a request needs it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{HostPort, HostPortError};

/// The address of a service that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpUrl {
    is_secure: bool,
    address: HostPort,
    path: String,
}

/// Why a text is not such an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HttpUrlError {
    /// The host or the port is wrong.
    #[error(transparent)]
    Address(#[from] HostPortError),
    /// A character that must be written in another way.
    #[error("`{0}` cannot be part of a path: write it as %XX")]
    Character(char),
    /// Another protocol, or none.
    #[error("it must begin with http:// or https://")]
    Protocol,
    /// A user name before the host.
    #[error("a user name cannot stand there")]
    User,
}

impl HttpUrl {
    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host and the port.
    pub fn address(&self) -> &HostPort {
        &self.address
    }

    /// The path and what follows it, from the `/` on.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let plain = text.strip_prefix("http://").map(|rest| (false, rest));
        let secure = text.strip_prefix("https://").map(|rest| (true, rest));
        let (is_secure, rest) = plain.or(secure).ok_or(HttpUrlError::Protocol)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.contains('@') {
            return Err(HttpUrlError::User);
        }
        let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '#' | '\\');
        if let Some(wrong) = path.chars().find(|c| !allowed(*c)) {
            return Err(HttpUrlError::Character(wrong));
        }
        let has_port = host.rfind(':').is_some_and(|colon| !host[colon..].contains(']'));
        let address = match (has_port, is_secure) {
            (true, _) => host.parse(),
            (false, false) => format!("{host}:80").parse(),
            (false, true) => format!("{host}:443").parse(),
        }?;
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Self { is_secure, address, path })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.is_secure { "https" } else { "http" };
        write!(f, "{protocol}://{}{}", self.address, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port_and_a_path() {
        for (text, shown) in [
            ("http://localhost", "http://localhost:80/"),
            ("http://127.0.0.1:8080/mqtt?x=1", "http://127.0.0.1:8080/mqtt?x=1"),
            ("https://auth.example/a%20b", "https://auth.example:443/a%20b"),
            ("https://[::1]", "https://[::1]:443/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<HttpUrl>().unwrap_err();
        assert_eq!(refused("localhost:80"), HttpUrlError::Protocol);
        assert_eq!(refused("ftp://localhost"), HttpUrlError::Protocol);
        assert_eq!(refused("http://me:x@localhost/"), HttpUrlError::User);
        assert_eq!(refused("http://localhost/a b"), HttpUrlError::Character(' '));
        assert_eq!(refused("http://localhost/a#b"), HttpUrlError::Character('#'));
        for text in ["http://", "http:///x", "http://h:x/", "http://a b/", "http://::1/"] {
            assert!(matches!(refused(text), HttpUrlError::Address(_)), "{text}");
        }
    }
}
