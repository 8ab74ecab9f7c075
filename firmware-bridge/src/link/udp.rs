//! MQTT-SN over UDP: a socket for nodes, and a group that gateways are advertised to and searched
//! in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::{FromLink, Inbox};
use crate::gateway::{LinkId, Peer};

/// What is configured about a network link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Where nodes send to. Loopback unless configured: the standard has no encryption.
    pub bind: SocketAddr,
    /// The group for ADVERTISE and SEARCHGW; `None` advertises nothing.
    pub multicast: Option<Multicast>,
}

/// A group of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multicast {
    /// The address of the group, such as 225.1.1.1.
    pub group: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The address of the interface that it is joined on.
    pub interface: Ipv4Addr,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 10_000)), multicast: None }
    }
}

/// Why a network link cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UdpError {
    /// The system does not give the address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The group cannot be joined.
    #[error("cannot join group {group} on interface {interface}: {source}")]
    Join {
        /// The group.
        group: Ipv4Addr,
        /// The interface.
        interface: Ipv4Addr,
        /// What the system says.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// An open network link. Closed when it is dropped.
#[derive(Debug)]
pub(crate) struct UdpLink {
    socket: Arc<UdpSocket>,
    group: Option<SocketAddr>,
    closed: Arc<AtomicBool>,
    /// Where threads listen.
    listening: Vec<SocketAddr>,
}

impl UdpLink {
    pub(crate) fn open(
        link: LinkId,
        options: &UdpOptions,
        inbox: &Inbox,
    ) -> Result<Self, UdpError> {
        let bind = options.bind;
        let socket = bound(bind).map_err(|source| UdpError::Bind { address: bind, source })?;
        let socket = Arc::new(socket);
        let mut opened =
            Self { socket, group: None, closed: Arc::default(), listening: Vec::new() };
        opened.read(link, Arc::clone(&opened.socket), inbox)?;
        if let Some(multicast) = options.multicast {
            let Multicast { group, port, interface } = multicast;
            let join = |source| UdpError::Join { group, interface, source };
            let listener = joined(multicast).map_err(join)?;
            opened.socket.set_multicast_ttl_v4(1).map_err(join)?;
            socket2::SockRef::from(&opened.socket).set_multicast_if_v4(&interface).map_err(join)?;
            // Otherwise the gateway hears itself.
            opened.socket.set_multicast_loop_v4(interface.is_loopback()).map_err(join)?;
            opened.group = Some(SocketAddr::from((group, port)));
            opened.read(link, Arc::new(listener), inbox)?;
        }
        Ok(opened)
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends to one node. What the system does not take at once is lost, as on any network.
    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.socket.send_to(bytes, to).is_ok()
    }

    /// Sends to the group, if there is one.
    pub(crate) fn broadcast(&self, bytes: &[u8]) -> bool {
        self.group.is_none_or(|group| self.send(group, bytes))
    }

    fn read(
        &mut self,
        link: LinkId,
        socket: Arc<UdpSocket>,
        inbox: &Inbox,
    ) -> Result<(), UdpError> {
        let (inbox, closed) = (inbox.clone(), Arc::clone(&self.closed));
        self.listening.extend(socket.local_addr());
        thread::Builder::new()
            .name(format!("udp-{}", link.0))
            .spawn(move || read(link, &socket, &inbox, &closed))
            .map_err(UdpError::Thread)?;
        Ok(())
    }
}

/// Threads end by themselves, soon after.
impl Drop for UdpLink {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        for address in &self.listening {
            // Only wakes the thread, which looks again from time to time in any case.
            let _ = self.socket.send_to(&[], address);
        }
    }
}

/// Reads until nobody listens.
fn read(link: LinkId, socket: &UdpSocket, inbox: &Inbox, closed: &AtomicBool) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    while !closed.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok(_) if closed.load(Ordering::Relaxed) => return,
            Ok((length, from)) => {
                let bytes = buffer[..length].into();
                if !inbox.put(FromLink::Datagram(link, Peer::Udp(from), bytes)) {
                    return;
                }
            }
            // Nothing has come for a while, or a node that was sent to is not there.
            Err(error) if IDLE.contains(&error.kind()) => {}
            Err(_) => thread::sleep(FAULT_TIME),
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    configured(socket, address)
}

fn joined(multicast: Multicast) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Other gateways of this machine listen to the same group.
    socket.set_reuse_address(true)?;
    socket.join_multicast_v4(&multicast.group, &multicast.interface)?;
    // Bound to the group, it hears what was sent to the group and nothing else.
    configured(socket, SocketAddr::new(IpAddr::V4(multicast.group), multicast.port))
}

fn configured(socket: Socket, address: SocketAddr) -> io::Result<UdpSocket> {
    // The system gives less if it is not allowed that much.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(CLOSE_TIME))?;
    socket.set_write_timeout(Some(WRITE_TIME))?;
    Ok(socket)
}

const IDLE: [io::ErrorKind; 3] =
    [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock];
/// How long a socket that the system has a problem with is left alone.
const FAULT_TIME: Duration = Duration::from_millis(100);
const DATAGRAM_MAX: usize = 65_535;
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// How long a thread takes to see that the link is closed, if nothing wakes it.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// How long the gateway waits for a network that does not take a datagram.
const WRITE_TIME: Duration = Duration::from_millis(5);
