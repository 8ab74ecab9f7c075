//! The manager is a socket of the test; time is told in milliseconds.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::config::Config;
use crate::status::UpstreamStatus;

const WATCHDOG: Duration = Duration::from_millis(400);
const LIMIT: Duration = Duration::from_secs(60);

struct Listener(UnixDatagram);

impl Listener {
    fn new(name: &str) -> (Self, Manager) {
        let name = format!("weir-service-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        (Self(socket), Manager::at(address).unwrap())
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// What comes before a datagram with the text, that one included.
    fn until(&self, text: &str) -> Vec<String> {
        let mut all = vec![self.next()];
        while !all.last().unwrap().contains(text) {
            all.push(self.next());
        }
        all
    }
}

fn broker() -> Broker {
    let config = Config { persistence: false, listeners: Vec::new(), ..Config::default() };
    Broker::start(config).unwrap()
}

/// Something for a thread to be stuck in.
fn stuck() -> (Sender<()>, impl FnOnce() + Send) {
    let (release, released) = mpsc::channel();
    (release, move || assert!(released.recv_timeout(LIMIT).is_ok(), "nobody lets it go on"))
}

/// Looks after a broker until `stick` has a thread stuck, and until it is not any more.
fn stuck_thread_is_told(
    name: &str,
    thread: &str,
    stick: impl FnOnce(&Broker, Box<dyn FnOnce() + Send>),
) {
    let (listener, manager) = Listener::new(name);
    let broker = broker();
    let mut pulse = broker.pulse();
    let watch = start(move |end| look_after(&manager, &mut pulse, &end, Some(WATCHDOG))).unwrap();
    listener.until("WATCHDOG=1");
    listener.until("WATCHDOG=1");
    let (release, wait) = stuck();
    stick(&broker, Box::new(wait));
    listener.until(&format!("STATUS=the thread {thread} does not answer"));
    // Nothing comes any more; the manager would end the process now.
    listener.0.set_read_timeout(Some(2 * WATCHDOG)).unwrap();
    let mut buffer = [0; 4096];
    assert!(listener.0.recv(&mut buffer).is_err(), "it says that it is alive");
    listener.0.set_read_timeout(Some(LIMIT)).unwrap();
    release.send(()).unwrap();
    listener.until("WATCHDOG=1");
    drop(watch);
    broker.shutdown();
}

#[test]
fn stuck_shard_gives_no_sign_of_life() {
    stuck_thread_is_told("shard", "weir-shard-0", |broker, wait| broker.pulse().stick_shard(wait));
}

#[test]
fn stuck_rules_give_no_sign_of_life() {
    stuck_thread_is_told("rules", "weir-rules", |broker, wait| broker.pulse().stick_rules(wait));
}

#[test]
fn start_is_given_more_time_for_as_long_as_it_does_something() {
    let (listener, manager) = Listener::new("start");
    let work = Arc::new(AtomicU64::new(0));
    let done = work.clone();
    let worker = start(move |end| {
        let looked = AtomicU64::new(0);
        extend(&manager, &end, Duration::from_millis(1), || {
            let look = looked.fetch_add(1, Ordering::Relaxed);
            // After the third look it stands still.
            done.store(look, Ordering::Relaxed);
            Duration::from_millis(look.min(5))
        });
    });
    let more = listener.next();
    assert_eq!(more, "EXTEND_TIMEOUT_USEC=30000000\n");
    // The looks go on, and nothing more is said.
    let deadline = Instant::now() + LIMIT;
    while work.load(Ordering::Relaxed) < 50 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    drop(worker);
    listener.0.set_nonblocking(true).unwrap();
    let rest = std::iter::from_fn(|| listener.0.recv(&mut [0; 64]).ok()).count();
    assert!(rest <= 2, "{rest} more for a start that stands still");
}

#[test]
fn status_is_one_line() {
    let mut status = Status { connections: 1, ..Status::default() };
    status.store.status = "ok".to_owned();
    assert_eq!(line(&status), "1 connection, 0 rules, store ok");
    let state = UpstreamState::Connected;
    status.upstreams = vec![UpstreamStatus { state, ..UpstreamStatus::default() }; 1];
    status.upstreams.push(UpstreamStatus::default());
    assert_eq!(line(&status), "1 connection, 0 rules, 1 of 2 upstreams, store ok");
}
