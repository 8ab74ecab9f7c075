//! A simulated gateway: a whole machine with a 64-bit ARM processor that `tests/cross/pi-sim` has
//! made, run by an emulator. Cutting its power ends the emulator with SIGKILL: what the guest's
//! kernel had in memory and had not given to the disk is gone, unlike after a `kill -9` of the
//! broker alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::foreign::{made, program};
use super::ports::free_address;
use super::process::{Process, Stream};
use super::wait::until;

/// Where the broker of the gateway listens, and where it finds its upstream.
pub const LISTENER: &str = "10.0.2.15:1883";
/// What the gateway sees there is a program of this machine.
pub const UPSTREAM: &str = "10.0.2.100:1883";

/// A gateway that is switched off. Its disk keeps what was written to it.
#[derive(Debug)]
pub struct Gateway {
    emulator: PathBuf,
    /// Carries one connection from the gateway to its upstream.
    carrier: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
    disk: PathBuf,
    memory_mib: u64,
    address: SocketAddr,
    upstream: SocketAddr,
}

/// A gateway that is switched on.
#[derive(Debug)]
pub struct Running {
    process: Process,
    address: SocketAddr,
    since: Instant,
}

/// What the gateway has said about its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel has for everything, in KiB.
    pub total_kib: u64,
    /// What a new program could have, in KiB.
    pub available_kib: u64,
    /// What of the broker is in memory, in KiB.
    pub weir_kib: u64,
}

impl Gateway {
    /// A gateway whose new disk has the files of `content`, with `weir.toml` at its top; `None` as
    /// in [`program`].
    ///
    /// # Panics
    /// As in [`program`], and when the disk cannot be made.
    #[must_use]
    pub fn new(
        test: &str,
        folder: &Folder,
        content: &Path,
        memory_mib: u64,
        upstream: SocketAddr,
    ) -> Option<Self> {
        let emulator = program(test, "qemu-system-aarch64")?;
        let carrier = program(test, "nc")?;
        let kernel = made(test, "gateway/kernel")?;
        let initramfs = made(test, "gateway/initramfs")?;
        let disk = folder.path().join("disk");
        make_disk(test, &disk, content)?;
        let address = free_address();
        Some(Self { emulator, carrier, kernel, initramfs, disk, memory_mib, address, upstream })
    }

    /// Switches it on and does not wait.
    #[must_use]
    pub fn switch_on(&self) -> Running {
        let since = Instant::now();
        let process = Process::spawn(&mut self.command());
        Running { process, address: self.address, since }
    }

    fn command(&self) -> Command {
        // What the guest writes goes to the file at once, and so into the memory of this machine,
        // which stays. A flush of the guest is a sync of the file. What the guest has only in its
        // own memory is lost with the emulator.
        let drive = format!(
            "file={},format=raw,if=none,id=data,cache=writeback,aio=threads",
            self.disk.display()
        );
        // The gateway reaches nothing but its upstream, and is reached from this machine alone.
        let network = format!(
            "user,id=net,restrict=on,hostfwd=tcp:{}-{LISTENER},guestfwd=tcp:{UPSTREAM}-cmd:{} -N \
             {} {}",
            self.address,
            self.carrier.display(),
            self.upstream.ip(),
            self.upstream.port(),
        );
        let mut command = Command::new(&self.emulator);
        command
            .args(["-machine", "virt", "-cpu", "cortex-a53", "-smp", "2"])
            .args(["-m", &format!("{}M", self.memory_mib)])
            .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", "console=ttyAMA0 quiet panic=-1"])
            .args(["-drive", &drive, "-device", "virtio-blk-device,drive=data"])
            .args(["-netdev", &network, "-device", "virtio-net-device,netdev=net"]);
        command
    }
}

impl Running {
    /// Waits until clients can connect, and answers how long that took from the switch.
    ///
    /// # Panics
    /// It does not come up.
    pub fn wait_until_ready(&self) -> Duration {
        let ready = self.process.wait_for(Stream::Stdout, " listens on ", BOOT_LIMIT);
        assert!(ready.is_some(), "the gateway does not come up: {:?}", self.process);
        self.since.elapsed()
    }

    /// Where its broker is, seen from this machine.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its console shows.
    #[must_use]
    pub fn console(&self) -> String {
        self.process.said(Stream::Stdout)
    }

    /// What it says next about its memory, after everything that it has said so far.
    ///
    /// # Panics
    /// It says nothing more.
    #[must_use]
    pub fn next_memory(&self) -> Memory {
        let known = self.memory().len();
        until("what the gateway says about its memory", || self.memory().get(known).copied())
    }

    /// The least that was free and the most that the broker has had since the switch.
    ///
    /// # Panics
    /// It has said nothing.
    #[must_use]
    pub fn worst_memory(&self) -> Memory {
        let worse = |one: Memory, other: Memory| Memory {
            available_kib: one.available_kib.min(other.available_kib),
            weir_kib: one.weir_kib.max(other.weir_kib),
            ..one
        };
        self.memory().into_iter().reduce(worse).expect("the gateway tells its memory")
    }

    fn memory(&self) -> Vec<Memory> {
        self.console().split_inclusive('\n').filter_map(parse_memory).collect()
    }

    /// Cuts its power.
    pub fn cut(mut self) {
        self.process.kill();
    }
}

/// A whole line of `tests/cross/gateway-init`; `None` for anything else on the console.
fn parse_memory(line: &str) -> Option<Memory> {
    let line = line.strip_suffix('\n')?.split_once("gateway: memory ")?.1;
    let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Memory { total_kib: next()?, available_kib: next()?, weir_kib: next()? })
}

/// A disk with ext4 as it is made by default, and the files on it.
fn make_disk(test: &str, disk: &Path, content: &Path) -> Option<()> {
    let maker = program(test, "mke2fs")?;
    let mut command = Command::new(maker);
    command.args(["-q", "-t", "ext4", "-d"]).arg(content).arg(disk).arg(DISK_SIZE);
    let ended = Process::spawn(&mut command).wait(BOOT_LIMIT);
    assert!(ended.status.success(), "{ended:?}");
    Some(())
}

const DISK_SIZE: &str = "256M";
/// An emulated machine on a busy one takes its time.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
