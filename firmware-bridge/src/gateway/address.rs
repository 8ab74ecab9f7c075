//! Where a client is: on which link, at which peer of it, and behind which forwarder.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// A link of the gateway: its place in [`Options::links`](super::Options::links).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u16);

/// Whom a link can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Whoever is at the other end of the line.
    Line,
    /// A socket of the network.
    Udp(SocketAddr),
}

/// The address of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The link.
    pub link: LinkId,
    /// The peer on it; a forwarder, if there is a `node`.
    pub peer: Peer,
    /// The address of the client on its forwarder's network.
    pub node: Option<Box<[u8]>>,
}

impl Address {
    /// A client that needs no forwarder.
    pub fn direct(link: LinkId, peer: Peer) -> Self {
        Self { link, peer, node: None }
    }
}

/// `127.0.0.1:1884`, `line`, and with a forwarder `127.0.0.1:1884 via 0a1b`.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Peer::Line => formatter.write_str("line")?,
            Peer::Udp(socket) => write!(formatter, "{socket}")?,
        }
        let Some(node) = &self.node else { return Ok(()) };
        formatter.write_str(" via ")?;
        node.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A range of IP addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `address/prefix`; an address alone is a range of one.
    ///
    /// # Errors
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| CidrError::Prefix { max: bits })?,
            None => bits,
        };
        if prefix > bits {
            return Err(CidrError::Prefix { max: bits });
        }
        Ok(Self { address, prefix })
    }

    /// Whether the address is in the range. An IPv4 address that came over IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// Why a text is not a range of addresses.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CidrError {
    /// What is before the slash.
    #[error("not an ip address; a range looks like 10.0.0.0/8")]
    Address,
    /// What is after the slash.
    #[error("not a prefix length from 0 to {max}; a range looks like 10.0.0.0/8")]
    Prefix {
        /// Bits of the address.
        max: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_holds_what_its_prefix_says() {
        for (range, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
        ] {
            let range = Cidr::parse(range).unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), expected, "{range:?} {address}");
        }
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        assert_eq!(Cidr::parse("ten/8"), Err(CidrError::Address));
        assert_eq!(Cidr::parse("10.0.0.0/33"), Err(CidrError::Prefix { max: 32 }));
        assert_eq!(Cidr::parse("::/129"), Err(CidrError::Prefix { max: 128 }));
        assert_eq!(Cidr::parse("10.0.0.0/x"), Err(CidrError::Prefix { max: 32 }));
    }

    #[test]
    fn address_reads_well() {
        let peer = Peer::Udp("127.0.0.1:1884".parse().unwrap());
        let address = Address { link: LinkId(0), peer, node: Some(Box::new([0x0a, 0x1b])) };
        assert_eq!(address.to_string(), "127.0.0.1:1884 via 0a1b");
        assert_eq!(Address::direct(LinkId(1), Peer::Line).to_string(), "line");
    }
}
