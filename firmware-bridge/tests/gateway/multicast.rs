//! The group that gateways are found in.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use weir_firmware_bridge::gateway::LinkOptions;
use weir_firmware_bridge::link::udp::{Multicast, UdpOptions};
use weir_firmware_bridge::run::LinkConfig;
use weir_node::mqtt_sn_1_2::{Advertise, GwInfo, Packet};

use crate::LIMIT;
use crate::running::{Mosquitto, Running};
use crate::support::foreign::not_run;
use crate::support::ports::free_port;

const GROUP: Ipv4Addr = Ipv4Addr::new(225, 1, 1, 7);

/// Behaviour 29.
#[test]
fn gateway_is_advertised_to_the_group_and_answers_who_searches_there() {
    let test = "multicast";
    let Some(mosquitto) = Mosquitto::start(test) else { return };
    let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let interface = socket2::SockRef::from(&node).set_multicast_if_v4(&Ipv4Addr::LOCALHOST);
    if interface.is_err() {
        return not_run(test, "no interface has multicast");
    }
    // A port that nobody else listens on, in the group and outside of it.
    let port = free_port();
    let listener = listener(port);
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let multicast = Some(Multicast { group: GROUP, port, interface: Ipv4Addr::LOCALHOST });
    let udp = LinkConfig::Udp(UdpOptions { bind, multicast });
    let _gateway = Running::start_with(mosquitto.port, None, vec![udp], |options| {
        options.gw_id = 9;
        options.links.push(LinkOptions::udp("group"));
    });
    listener.set_read_timeout(Some(LIMIT)).unwrap();
    let mut bytes = [0; 64];
    let (length, from) = listener.recv_from(&mut bytes).unwrap();
    let advertise = Packet::Advertise(Advertise { gw_id: 9, duration_s: 900 });
    assert_eq!(Packet::decode(&bytes[..length]), Ok(advertise));
    node.send_to(b"\x03\x01\x01", (GROUP, port)).unwrap();
    node.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (length, answered_from) = node.recv_from(&mut bytes).unwrap();
    let info = Packet::GwInfo(GwInfo { gw_id: 9, gw_address: &[] });
    assert_eq!(Packet::decode(&bytes[..length]), Ok(info));
    // Where ADVERTISE and GWINFO come from is where the gateway is.
    assert_eq!(answered_from, from);
}

fn listener(port: u16) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    socket.bind(&SocketAddr::from((GROUP, port)).into()).unwrap();
    socket.into()
}
