//! A way over which connections go and on which they fail: they are cut, stand still, or are not let
//! in.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Passes connections on to one address, as long as it is there.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: Arc<Way>,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// None is let in, and none is open.
    Closed,
    /// They are passed on.
    #[default]
    Open,
    /// Nothing comes through, and nobody is told.
    Stalled,
    /// What is sent comes through, what is answered does not.
    Unanswered,
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Back,
    There,
}

#[derive(Debug, Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    passage: Passage,
    open: Vec<TcpStream>,
    is_over: bool,
}

impl Proxy {
    /// Listens on a free port of this machine.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let way = Arc::new(Way::default());
        let accepting = way.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.state().is_over {
                    return;
                }
                if let Ok(stream) = stream {
                    accepting.let_in(stream, target);
                }
            }
        });
        Self { address, way }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets this become of connections from now on.
    pub fn set(&self, passage: Passage) {
        self.way.state().passage = passage;
        self.way.changed.notify_all();
        if passage == Passage::Closed {
            self.cut();
        }
    }

    /// Ends all connections that are open.
    pub fn cut(&self) {
        for stream in self.way.state().open.drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.way.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.way.state().is_over = true;
        self.set(Passage::Closed);
        // So that the thread sees it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Way {
    fn let_in(self: &Arc<Self>, here: TcpStream, target: SocketAddr) {
        if self.state().passage == Passage::Closed {
            return;
        }
        let Ok(there) = TcpStream::connect(target) else { return };
        let ends = [(Direction::There, &here, &there), (Direction::Back, &there, &here)];
        let clone = |from: &TcpStream, to: &TcpStream| Ok((from.try_clone()?, to.try_clone()?));
        let clones = ends.map(|(direction, from, to)| (direction, clone(from, to)));
        self.state().open.extend([here, there]);
        for (direction, clones) in clones {
            let clones: io::Result<_> = clones;
            let (Ok((from, to)), way) = (clones, self.clone()) else { continue };
            thread::spawn(move || way.pump(direction, from, to));
        }
    }

    fn pump(&self, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 4096];
        while let Ok(count) = from.read(&mut buffer)
            && count > 0
        {
            let waits = |state: &mut State| match state.passage {
                Passage::Closed | Passage::Open => false,
                Passage::Stalled => true,
                Passage::Unanswered => direction == Direction::Back,
            };
            drop(self.changed.wait_while(self.state(), waits));
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }

    /// What a thread that panicked has left is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
