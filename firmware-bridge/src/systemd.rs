//! What a service of systemd says to its manager, and what it is told by its environment: whether it
//! is ready, reads its files again or ends, one line on how it is, and a sign of life.
//!
//! The protocol is that of sd_notify(3): lines of `NAME=VALUE` in one datagram to the socket that
//! `NOTIFY_SOCKET` names. A manager that does not listen changes nothing: what is said is lost.

use std::env;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::fs::fstat;
use rustix::time::{ClockId, clock_gettime};

/// Where the service manager of this process listens.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

/// What a service can say. What is not said stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// It is alive (`WATCHDOG=1`).
    Alive,
    /// The start or the end may take so much longer from now on.
    Extend(Duration),
    /// It can be used; also the end of [`Notice::Reloading`].
    Ready,
    /// It reads its files again, since now.
    Reloading,
    /// How it is, in one line.
    Status(&'a str),
    /// It ends.
    Stopping,
}

impl Manager {
    /// That of this process; none when it has none, or one that cannot be reached.
    pub fn of_process() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
            [b'/', ..] => SocketAddr::from_pathname(&name),
            // A virtual machine can have others, which a service in it is not given.
            _ => return None,
        };
        Self::at(address.ok()?).ok()
    }

    /// One that listens at this address.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up its service for long.
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address })
    }

    /// Says all of this at once.
    pub fn tell(&self, notices: &[Notice<'_>]) {
        let mut text = String::new();
        for notice in notices {
            notice.write(&mut text);
        }
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

impl Notice<'_> {
    fn write(&self, text: &mut String) {
        let written = match self {
            Self::Alive => writeln!(text, "WATCHDOG=1"),
            Self::Extend(time) => writeln!(text, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            Self::Ready => writeln!(text, "READY=1"),
            Self::Reloading => {
                writeln!(text, "RELOADING=1\nMONOTONIC_USEC={}", monotonic().as_micros())
            }
            Self::Status(line) => {
                let line: String = line.chars().filter(|sign| !sign.is_control()).collect();
                writeln!(text, "STATUS={line}")
            }
            Self::Stopping => writeln!(text, "STOPPING=1"),
        };
        written.expect("a String takes everything");
    }
}

/// How long the manager waits for a sign of life before it ends this process; none when it does not
/// wait for any.
pub fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let is_for_us = env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
    let time = number("WATCHDOG_USEC").filter(|time| *time > 0 && is_for_us)?;
    Some(Duration::from_micros(time))
}

/// Whether what this process writes to stderr goes to the journal: `JOURNAL_STREAM` has the device
/// and the inode of it then.
pub fn stderr_is_journal() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What the processor has done for this process so far.
pub fn processor_time() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// Since the start of the machine, as the manager counts.
fn monotonic() -> Duration {
    clock(ClockId::Monotonic)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    // Neither clock goes below zero.
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_as_lines_of_one_datagram() {
        let name = format!("weir-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let manager = Manager::at(address).unwrap();
        let before = monotonic();
        manager.tell(&[Notice::Ready, Notice::Status("two\nlines"), Notice::Alive]);
        manager.tell(&[Notice::Extend(Duration::from_secs(30)), Notice::Reloading]);
        let mut buffer = [0; 1024];
        let mut next = || {
            let length = listener.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(next(), "READY=1\nSTATUS=twolines\nWATCHDOG=1\n");
        let second = next();
        let since = second.strip_prefix("EXTEND_TIMEOUT_USEC=30000000\nRELOADING=1\n");
        let since = since.and_then(|rest| rest.trim().strip_prefix("MONOTONIC_USEC="));
        let since = Duration::from_micros(since.unwrap().parse().unwrap());
        assert!(since + Duration::from_micros(1) >= before && since <= monotonic());
    }

    #[test]
    fn manager_that_does_not_listen_changes_nothing() {
        let address = SocketAddr::from_abstract_name("weir-nobody-is-here").unwrap();
        Manager::at(address).unwrap().tell(&[Notice::Stopping]);
    }
}
