//! The memory of the process, as Linux counts it: what is in RAM, of the program and of its data.

use std::fs;

use weir_core::Memory;

/// What the process uses now and used at most; none where the system does not say.
pub(crate) fn of_process() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes = line.trim().strip_suffix(" kB")?;
        kibibytes.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { bytes: bytes("VmRSS:")?, bytes_max: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_linux_are_read() {
        let status = "Name:\tweir\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t5\n";
        let expected = Memory { bytes: 1024 * 1024, bytes_max: 2 * 1024 * 1024 };
        assert_eq!(parse(status), Some(expected));
        assert_eq!(parse("Name:\tweir\n"), None);
        assert_eq!(parse("VmHWM:\tmany kB\nVmRSS:\t1 kB\n"), None);
    }
}
