//! What the kernel says of a process.

use std::fs;
use std::path::Path;

/// A process at one moment.
pub(crate) struct Reading {
    pub(crate) cpu_s: f64,
    /// What of it is of the thread on which upstreams and the admin server have their turns.
    pub(crate) control_s: f64,
    pub(crate) resident_bytes: u64,
    /// The most that was resident since [`forget_peak`].
    pub(crate) peak_bytes: u64,
}

impl Reading {
    pub(crate) fn take(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        // The name of the program stands in parentheses and may have spaces.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
        };
        Self {
            cpu_s: ticks as f64 / TICKS_PER_S,
            control_s: thread_s(pid, "weir-control"),
            resident_bytes: bytes("VmRSS:"),
            peak_bytes: bytes("VmHWM:"),
        }
    }
}

/// The processor time of a thread, which the kernel says in nanoseconds.
fn thread_s(pid: u32, name: &str) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap);
    let is_named = |thread: &fs::DirEntry| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|found| found.trim_end() == name)
    };
    let thread = threads.into_iter().find(is_named).expect("the broker has it");
    let figures = fs::read_to_string(thread.path().join("schedstat")).unwrap();
    figures.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Lets the most that is resident be what is now.
pub(crate) fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// What the files of a directory take on the disk.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let bytes = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => disk_bytes(&entry.path()),
        false => entry.metadata().unwrap().blocks() * 512,
    };
    entries.map(bytes).sum()
}

const TICKS_PER_S: f64 = 100.0;
