//! Who listens where weir is to listen, as far as /proc tells.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::finding::Finding;
use crate::config::{Config, HostPort, ListenAddress};

const CHECK: &str = "ports";
/// Below it a port needs a privilege.
const UNPRIVILEGED: u16 = 1024;
/// In /proc/net/tcp: a socket that listens.
const LISTENS: &str = "0A";
/// Processes that are looked at.
const PROCESSES_MAX: usize = 100_000;

/// An address of the configuration, and who listens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) address: HostPort,
    pub(super) by: Taken,
}

/// Who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    By { process: u32, name: String },
    BySomebody,
    Free,
}

/// All addresses with a port.
pub(super) fn holders(config: &Config) -> Vec<Holder> {
    let listeners = config.listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Tcp(address) => Some(address),
        _ => None,
    });
    let addresses = listeners.chain(config.admin.address.as_ref());
    let sockets: Vec<Socket> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .flat_map(|table| listening(&fs::read_to_string(table).unwrap_or_default()))
        .collect();
    addresses
        .filter(|address| address.port() != 0)
        .map(|address| {
            let inode = sockets.iter().find(|socket| socket.is_in_the_way_of(address));
            let by = match inode {
                None => Taken::Free,
                Some(socket) => holder_of(socket.inode).unwrap_or(Taken::BySomebody),
            };
            Holder { address: address.clone(), by }
        })
        .collect()
}

/// The process of weir that listens there, if one does.
pub(super) fn broker(holders: &[Holder]) -> Option<u32> {
    holders.iter().find_map(|holder| match &holder.by {
        Taken::By { process, name } if name == "weir" => Some(*process),
        _ => None,
    })
}

pub(super) fn look(holders: &[Holder], broker_answers: bool) -> Vec<Finding> {
    let is_root = geteuid().is_root();
    holders.iter().map(|holder| judge(holder, broker_answers, is_root)).collect()
}

pub(super) fn judge(holder: &Holder, broker_answers: bool, is_root: bool) -> Finding {
    let address = &holder.address;
    match &holder.by {
        Taken::By { process, name } if name == "weir" => {
            Finding::ok(CHECK, format!("weir listens on {address} (process {process})"))
        }
        Taken::By { process, name } => {
            let what = format!("{name} (process {process}) listens on {address}");
            let help = "end it, or choose another port; `sudo ss -ltnp` shows all";
            Finding::problem(CHECK, what).help(help)
        }
        Taken::BySomebody if broker_answers => {
            Finding::ok(CHECK, format!("somebody listens on {address}; a broker is running"))
        }
        Taken::BySomebody => {
            let what = format!("a program of another user listens on {address}");
            Finding::warning(CHECK, what).help("`sudo ss -ltnp` says which")
        }
        Taken::Free if address.port() < UNPRIVILEGED && !is_root => {
            let what = format!("{address} needs a privilege, as every port below 1024 does");
            let help = "choose another port, or grant CAP_NET_BIND_SERVICE to the service";
            Finding::warning(CHECK, what).help(help)
        }
        Taken::Free => Finding::ok(CHECK, format!("{address} is free")),
    }
}

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

impl Socket {
    fn is_in_the_way_of(&self, wanted: &HostPort) -> bool {
        if self.port != wanted.port() {
            return false;
        }
        let host = wanted.host().parse::<IpAddr>();
        let is_any = |address: IpAddr| address.is_unspecified();
        // A name can stand for any address of this machine.
        host.map_or(true, |host| host == self.address || is_any(host) || is_any(self.address))
    }
}

/// The sockets that listen in a table of the kernel, proc_net_tcp(5).
pub(super) fn listening(table: &str) -> Vec<Socket> {
    let sockets = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != LISTENS {
            return None;
        }
        let address = address_of(address)?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(Socket { address, port, inode: fields.get(9)?.parse().ok()? })
    });
    sockets.collect()
}

/// Words of 32 bits in the order of the machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let words: Vec<[u8; 4]> = text
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .map(|word| word.map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    match words.as_slice() {
        [word] => Some(IpAddr::from(*word)),
        [_, _, _, _] => <[u8; 16]>::try_from(words.concat()).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The process that has a socket open, among those that this user may look at.
fn holder_of(inode: u64) -> Option<Taken> {
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok).take(PROCESSES_MAX);
    for process in processes {
        let Ok(number) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        if has_open(&process.path(), &wanted) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Taken::By { process: number, name: name.trim().to_owned() });
        }
    }
    None
}

fn has_open(process: &Path, wanted: &Path) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.filter_map(Result::ok).any(|file| fs::read_link(file.path()).is_ok_and(|to| to == wanted))
}
