//! The machine, as it is known to those who read the page.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Processor, memory, kernel, disk and date.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    /// Of the last minute, at the end of the measurement.
    pub(crate) load: String,
    pub(crate) date: String,
}

/// `folder` is where brokers keep their data.
pub(crate) fn describe(folder: &Path) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    // What ARM has instead says little; the architecture is better than nothing.
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = memory.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let first = |path: &str| read(path).split_whitespace().next().unwrap_or("?").to_owned();
    Machine {
        processor: model.unwrap_or(std::env::consts::ARCH).trim().to_owned(),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory_gb: kib.unwrap_or(0).div_ceil(1024 * 1024),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        file_system: file_system(&read("/proc/mounts"), folder),
        load: first("/proc/loadavg"),
        date: today(),
    }
}

/// The kind of the deepest mount that the folder is below.
fn file_system(mounts: &str, folder: &Path) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let of_folder = mounts.filter(|(at, _)| folder.starts_with(at));
    let deepest = of_folder.max_by_key(|(at, _)| at.len());
    deepest.map_or("unknown", |(_, kind)| kind).to_owned()
}

fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x/y xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/tmp/x/y/z")), "xfs");
        assert_eq!(file_system(mounts, Path::new("/tmpx")), "ext4");
    }
}
