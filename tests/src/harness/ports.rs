//! Ports of this machine for programs that cannot be asked which one they have got, or that have to
//! find theirs free when they are started again.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests of other crates have this file as a module, too"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
/// From 32,768 on the system gives ports to connections and to whoever asks for any
/// (`net.ipv4.ip_local_port_range`): one of those could be gone while its program is down.
const COUNT: u16 = 22_000;

/// An address of this machine with a [free port](free_port).
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// A port that nobody has, for TCP and UDP. No other test of this process gets it, and those of others
/// begin elsewhere.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = process::id() * 97;
    let mut ports = (0..COUNT).map(|_| {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let place = start.wrapping_add(u32::from(given)) % u32::from(COUNT);
        FIRST + u16::try_from(place).expect("there are fewer")
    });
    ports.find(|port| is_free(*port)).expect("some port is free")
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}
