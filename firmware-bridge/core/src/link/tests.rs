//! The links over ports in memory, and over real sockets.

use core::cell::RefCell;
use core::convert::Infallible;
use std::boxed::Box;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use embedded_io::{ErrorType, Read, ReadReady, Write};

use super::*;
use crate::client::{Config, LostReason, Topic};
use crate::frame::encode;
use crate::mqtt_sn_1_2::{Connect, Packet, ReturnCode};

type Node = Client<'static, 128, 0>;

fn node() -> Node {
    const CONFIG: &Config<'static> = &Config::new("mill-1");
    const NO_TOPICS: &[Topic<'static>; 0] = &[];
    let mut node = Node::new(CONFIG, NO_TOPICS, &mut []).unwrap();
    node.connect(0);
    node
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = std::vec![0; packet.encoded_len().unwrap()];
    packet.encode(&mut out).unwrap();
    out
}

fn connect() -> Vec<u8> {
    bytes(&Packet::Connect(Connect {
        clean_session: false,
        will: false,
        duration_s: 60,
        client_id: "mill-1",
    }))
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(datagram, |byte| frame.push(byte));
    frame
}

/// A port that takes a few bytes at a time, as real ones do.
#[derive(Clone, Default)]
struct Port {
    incoming: Rc<RefCell<VecDeque<u8>>>,
    outgoing: Rc<RefCell<Vec<u8>>>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.incoming.borrow().is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        let byte = self.incoming.borrow_mut().pop_front();
        out.iter_mut().zip(byte).for_each(|(place, byte)| *place = byte);
        Ok(byte.iter().len())
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let taken = bytes.len().min(3);
        self.outgoing.borrow_mut().extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn client_connects_over_a_serial_line_with_noise() {
    let port = Port::default();
    let mut link = SerialLink::<_, 130>::new(port.clone());
    let mut node = node();
    assert_eq!(link.turn(&mut node, 0), Ok(Turn::Again));
    assert_eq!(*port.outgoing.borrow(), framed(&connect()));
    assert_eq!(link.turn(&mut node, 0), Ok(Turn::Idle(Some(10_000))));
    port.incoming.borrow_mut().extend(b"noise");
    let accepted = framed(&bytes(&Packet::Connack(ReturnCode::Accepted)));
    port.incoming.borrow_mut().extend(accepted);
    assert_eq!(link.turn(&mut node, 5), Ok(Turn::Event(Event::Connected)));
    assert!(matches!(link.turn(&mut node, 5), Ok(Turn::Idle(Some(_)))));
    assert_eq!(link.counters(), SerialCounters { frames: 1, broken: 1 });
}

#[test]
fn events_that_come_with_time_come_through_the_link() {
    let mut link = SerialLink::<_, 130>::new(Port::default());
    let mut node = node();
    let mut now_ms = 0;
    loop {
        match link.turn(&mut node, now_ms).unwrap() {
            Turn::Again => {}
            Turn::Event(event) => break assert_eq!(event, Event::Lost(LostReason::NoAnswer)),
            Turn::Idle(until_ms) => now_ms = until_ms.unwrap(),
        }
    }
}

#[cfg(feature = "async")]
mod asynchronous {
    use core::future::{pending, ready};
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;

    impl embedded_io_async::Read for Port {
        async fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
            core::future::poll_fn(|_| {
                if self.incoming.borrow().is_empty() {
                    return Poll::Pending;
                }
                Poll::Ready(Read::read(self, out))
            })
            .await
        }
    }

    impl embedded_io_async::Write for Port {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            Write::write(self, bytes)
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// What a future gives that has all it needs.
    pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the future waits"),
        }
    }

    #[test]
    fn client_connects_over_a_serial_line_that_is_waited_for() {
        let port = Port::default();
        let mut link = AsyncSerialLink::<_, 130>::new(port.clone());
        let mut node = node();
        assert_eq!(now(link.turn(&mut node, || 0, |_| pending())), Ok(Turn::Again));
        assert_eq!(*port.outgoing.borrow(), framed(&connect()));
        // Half of the answer, then the time is over: the half is not lost.
        let accepted = framed(&bytes(&Packet::Connack(ReturnCode::Accepted)));
        let (first, second) = accepted.split_at(4);
        port.incoming.borrow_mut().extend(first);
        let waited = RefCell::new(None);
        let turned = now(link.turn(
            &mut node,
            || 0,
            |until_ms| {
                waited.replace(until_ms);
                ready(())
            },
        ));
        assert_eq!(turned, Ok(Turn::Again));
        assert_eq!(waited.into_inner(), Some(10_000));
        port.incoming.borrow_mut().extend(second);
        let turned = now(link.turn(&mut node, || 5, |_| pending()));
        assert_eq!(turned, Ok(Turn::Event(Event::Connected)));
        assert_eq!(link.counters(), SerialCounters { frames: 1, broken: 0 });
    }

    #[cfg(feature = "nal")]
    #[test]
    fn client_connects_over_udp_that_is_waited_for() {
        struct Socket(Vec<Vec<u8>>);

        impl embedded_nal_async::ConnectedUdp for Socket {
            type Error = Infallible;

            async fn send(&mut self, datagram: &[u8]) -> Result<(), Infallible> {
                self.0.push(datagram.to_vec());
                Ok(())
            }

            async fn receive_into(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
                assert_eq!(self.0, [connect()]);
                let accepted = bytes(&Packet::Connack(ReturnCode::Accepted));
                out.iter_mut().zip(&accepted).for_each(|(place, byte)| *place = *byte);
                Ok(accepted.len())
            }
        }

        let mut link = AsyncUdpLink::<_, 128>::new(Socket(Vec::new()));
        let mut node = node();
        assert_eq!(now(link.turn(&mut node, || 0, |_| pending())), Ok(Turn::Again));
        let turned = now(link.turn(&mut node, || 1, |_| pending()));
        assert_eq!(turned, Ok(Turn::Event(Event::Connected)));
    }
}

#[cfg(feature = "nal")]
mod udp {
    use core::net::SocketAddr;
    use std::io::{Error, ErrorKind};
    use std::net::UdpSocket;
    use std::time::Duration;

    use embedded_nal::{UdpClientStack, nb};

    use super::*;

    /// The network stack of this machine.
    struct Stack;

    impl UdpClientStack for Stack {
        type UdpSocket = UdpSocket;
        type Error = Error;

        fn socket(&mut self) -> Result<UdpSocket, Error> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        }

        fn connect(&mut self, socket: &mut UdpSocket, remote: SocketAddr) -> Result<(), Error> {
            UdpSocket::connect(socket, remote)
        }

        fn send(&mut self, socket: &mut UdpSocket, datagram: &[u8]) -> nb::Result<(), Error> {
            UdpSocket::send(socket, datagram).map(|_| ()).map_err(nb::Error::Other)
        }

        fn receive(
            &mut self,
            socket: &mut UdpSocket,
            out: &mut [u8],
        ) -> nb::Result<(usize, SocketAddr), Error> {
            socket.recv_from(out).map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => nb::Error::WouldBlock,
                _ => nb::Error::Other(error),
            })
        }

        fn close(&mut self, _: UdpSocket) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn client_connects_over_udp() -> Result<(), Box<dyn std::error::Error>> {
        let gateway = UdpSocket::bind("127.0.0.1:0")?;
        gateway.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut link = UdpLink::<_, 128>::open(Stack, gateway.local_addr()?)?;
        let mut node = node();
        assert_eq!(link.turn(&mut node, 0)?, Turn::Again);
        let mut datagram = [0; 128];
        let (length, from) = gateway.recv_from(&mut datagram)?;
        assert_eq!(datagram.get(..length), Some(connect().as_slice()));
        assert_eq!(link.turn(&mut node, 0)?, Turn::Idle(Some(10_000)));
        gateway.send_to(&bytes(&Packet::Connack(ReturnCode::Accepted)), from)?;
        // The datagram is there when the socket says so.
        wait_until_readable(&link.socket);
        assert_eq!(link.turn(&mut node, 1)?, Turn::Event(Event::Connected));
        link.close()?;
        Ok(())
    }

    fn wait_until_readable(socket: &UdpSocket) {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(socket.peek(&mut [0; 8]).is_ok(), "no datagram");
        socket.set_nonblocking(true).unwrap();
    }
}
