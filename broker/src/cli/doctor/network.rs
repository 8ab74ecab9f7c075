//! Whether the upstreams can be reached: their names resolve, and somebody listens there.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::finding::Finding;
use crate::config::{Config, HostPort};

const CHECK: &str = "network";
/// How long an address may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const ADDRESSES_MAX: usize = 64;

pub(super) fn look(config: &Config, is_wanted: bool) -> Vec<Finding> {
    let upstreams = config.upstreams.iter();
    let addresses: Vec<_> = upstreams
        .flat_map(|upstream| upstream.address.iter().map(|address| (&*upstream.name, address)))
        .take(ADDRESSES_MAX)
        .collect();
    if addresses.is_empty() {
        return Vec::new();
    }
    if !is_wanted {
        let what = "the upstreams were not tried: --network does so";
        return vec![Finding::ok(CHECK, what)];
    }
    addresses.into_iter().map(|(name, address)| reach(name, address)).collect()
}

pub(super) fn reach(name: &str, address: &HostPort) -> Finding {
    let found = match (address.host(), address.port()).to_socket_addrs() {
        Ok(found) => found,
        Err(error) => {
            let what = format!("upstream {name}: `{}` has no address: {error}", address.host());
            let help = "is the name right, and does this machine have a name server?";
            return Finding::problem(CHECK, what).help(help);
        }
    };
    let mut last = "the name has no address".to_owned();
    for one in found {
        match TcpStream::connect_timeout(&one, PATIENCE) {
            Ok(_) => return Finding::ok(CHECK, format!("upstream {name}: {address} is reached")),
            Err(error) => last = error.to_string(),
        }
    }
    let what = format!("upstream {name}: {address} is not reached: {last}");
    let help = "is it running, and does a firewall let this machine through?";
    Finding::problem(CHECK, what).help(help)
}
