//! The PROXY header that a load balancer puts in front of a connection, so that the address of the
//! client is not lost (versions 1 and 2 of HAProxy's specification).
//!
//! Where it is configured it must be there: whoever could leave it out could also make one up.
//! Kept are at most the bytes that hold the addresses; what follows them in version 2 is passed
//! over as it comes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_BYTES: usize = 16;

/// Which versions a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Either.
    Any,
    /// The line of text.
    V1,
    /// The binary one.
    V2,
}

/// A header that is not complete yet.
#[derive(Debug)]
pub(crate) struct ProxyHeader {
    versions: ProxyProtocol,
    head: Vec<u8>,
    /// Bytes still to be passed over, once the addresses are known.
    rest: Option<usize>,
    source: Option<SocketAddr>,
}

/// Why a header cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the PROXY header is not formed as it should be")]
    Malformed,
    #[error("the connection does not begin with a PROXY header of a version that is allowed")]
    Missing,
}

/// What a complete header came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// How many of the last bytes belonged to it.
    pub(crate) used: usize,
    /// The address of the client; none when the balancer itself asks, or does not know.
    pub(crate) source: Option<SocketAddr>,
}

impl ProxyHeader {
    pub(crate) fn new(versions: ProxyProtocol) -> Self {
        Self { versions, head: Vec::new(), rest: None, source: None }
    }

    /// Takes bytes, none of them twice; answers when the header is complete.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
        let mut used = 0;
        while self.rest.is_none() {
            let wanted = self.wanted()?;
            if wanted == self.head.len() {
                self.read_addresses()?;
                break;
            }
            let take = (wanted - self.head.len()).min(bytes.len() - used);
            if take == 0 {
                return Ok(None);
            }
            self.head.extend_from_slice(&bytes[used..used + take]);
            used += take;
        }
        let rest = self.rest.expect("the addresses are read");
        let skipped = rest.min(bytes.len() - used);
        self.rest = Some(rest - skipped);
        used += skipped;
        Ok((skipped == rest).then_some(Header { used, source: self.source }))
    }

    /// How long the head must be for the next step; as long as it is when it is complete.
    fn wanted(&self) -> Result<usize, ProxyError> {
        let head = self.head.as_slice();
        let may_be = |start: &[u8]| head.iter().zip(start).all(|(byte, wanted)| byte == wanted);
        let v1 = self.versions != ProxyProtocol::V2 && may_be(V1_START);
        let v2 = self.versions != ProxyProtocol::V1 && may_be(V2_START);
        match head.len() {
            _ if !v1 && !v2 => Err(ProxyError::Missing),
            // The line has no length of its own: one byte at a time, or what follows is lost.
            length if v1 && length > 0 => match head {
                [.., b'\r', b'\n'] => Ok(length),
                _ if length == V1_BYTES_MAX => Err(ProxyError::Malformed),
                _ => Ok(length + 1),
            },
            0 => Ok(1),
            length if length < V2_BYTES => Ok(V2_BYTES),
            _ => Ok(V2_BYTES + v2_address_bytes(head)?),
        }
    }

    fn read_addresses(&mut self) -> Result<(), ProxyError> {
        if self.head.starts_with(V1_START) {
            self.source = v1_source(&self.head)?;
            self.rest = Some(0);
        } else {
            let (start, addresses) = self.head.split_at(V2_BYTES);
            self.source = v2_source(start[13], addresses);
            self.rest = Some(v2_length(start) - addresses.len());
        }
        // The addresses are all that was needed of it.
        self.head = Vec::new();
        Ok(())
    }
}

fn v1_source(line: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let line = line.strip_suffix(b"\r\n").ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let fields: Vec<&str> = line.split(' ').collect();
    match fields.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, source_port, port] => {
            let address = |text: &str| match text.parse::<IpAddr>() {
                Ok(address) if address.is_ipv4() == (*family == "TCP4") => Ok(address),
                _ => Err(ProxyError::Malformed),
            };
            let (source, _) = (address(source)?, address(destination)?);
            let (source_port, _) = (v1_port(source_port)?, v1_port(port)?);
            Ok(Some(SocketAddr::new(source, source_port)))
        }
        _ => Err(ProxyError::Malformed),
    }
}

fn v1_port(text: &str) -> Result<u16, ProxyError> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(ProxyError::Malformed)
}

fn v2_length(head: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([head[14], head[15]]))
}

/// Bytes of addresses that are of use: none when the balancer itself asks, or for a family
/// without ports.
fn v2_address_bytes(head: &[u8]) -> Result<usize, ProxyError> {
    let bytes = match (head[12], head[13]) {
        (0x20, _) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => 0,
        _ => return Err(ProxyError::Malformed),
    };
    if v2_length(head) < bytes { Err(ProxyError::Malformed) } else { Ok(bytes) }
}

/// The source comes first, its port after both addresses.
fn v2_source(family: u8, addresses: &[u8]) -> Option<SocketAddr> {
    match (family, addresses.len()) {
        (0x11, 12) => {
            let source: [u8; 4] = addresses[..4].try_into().ok()?;
            let port = u16::from_be_bytes([addresses[8], addresses[9]]);
            Some(SocketAddr::new(Ipv4Addr::from(source).into(), port))
        }
        (0x21, 36) => {
            let source: [u8; 16] = addresses[..16].try_into().ok()?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Some(SocketAddr::new(Ipv6Addr::from(source).into(), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
