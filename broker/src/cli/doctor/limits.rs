//! Whether the limits of the configuration fit those of the system: open files, and the memory of the
//! machine and of the control group.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use crate::cli::store::size;
use crate::config::Config;

const CHECK: &str = "limits";
/// Files that are open beside connections: the store, threads, upstreams, the admin server.
const OWN_FILES: u64 = 64;
/// Without a limit of connections, so many should be possible.
const FILES_MIN: u64 = 1024;
const MB: u64 = 1 << 20;
/// What the smallest system takes beside weir, with the pages of files that it cannot do without:
/// docs/raspberry-pi.md has it measured.
const REST_OF_MACHINE: u64 = 32 * MB;

/// What the system gives to weir.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Files that may be open; none = as many as it likes.
    pub(super) files: Option<u64>,
    pub(super) memory: Option<u64>,
    /// Of the control group, if it has a limit.
    pub(super) group: Option<u64>,
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) connections: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) queues: u64,
}

/// `broker` is the number of the process that runs, if one does; otherwise this process stands for
/// it.
pub(super) fn look(config: &Config, broker: Option<u32>) -> Vec<Finding> {
    let process = broker.map_or("self".to_owned(), |number| number.to_string());
    let of_listeners = config.listeners.iter().map(|one| one.max_connections.map(u64::from));
    let of_listeners = of_listeners.sum::<Option<u64>>();
    let wanted = Wanted {
        connections: config.limits.global_max_connections.map(u64::from).or(of_listeners),
        memory: config.limits.memory_limit,
        queues: config.limits.queued_memory,
    };
    let given = given(&process);
    let mut findings = vec![files(given, wanted), memory(given, wanted)];
    if broker.is_none() {
        let what = "no broker runs: these are the limits of this user; a service may have others";
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

pub(super) fn files(given: Given, wanted: Wanted) -> Finding {
    let Some(files) = given.files else { return Finding::ok(CHECK, "any number of open files") };
    let help = "LimitNOFILE=65536 in the unit of systemd, or `ulimit -n 65536`";
    match wanted.connections {
        Some(connections) if connections.saturating_add(OWN_FILES) > files => {
            let what = format!(
                "{files} files may be open, too few for {connections} connections and \
                 {OWN_FILES} of weir itself"
            );
            Finding::problem(CHECK, what).help(help)
        }
        None if files < FILES_MIN => {
            let what = format!("only {files} files may be open, one for each connection");
            Finding::warning(CHECK, what).help(help)
        }
        _ => Finding::ok(CHECK, format!("{files} files may be open")),
    }
}

pub(super) fn memory(given: Given, wanted: Wanted) -> Finding {
    let there = [given.memory, given.group].into_iter().flatten().min();
    let Some(there) = there else { return Finding::ok(CHECK, "the memory is not known") };
    // A machine has other programs; a group has what weir takes beside what it counts.
    let (whose, most) = match given.group == Some(there) {
        true => ("the control group", there / 100 * 85),
        false => ("the machine", (there / 100 * 75).min(there.saturating_sub(REST_OF_MACHINE))),
    };
    let has = format!("{whose} has {}", size(there));
    let Some(limit) = wanted.memory else {
        let what =
            format!("{has}, and weir has no memory_limit: it can be killed for what it takes");
        return Finding::warning(CHECK, what).help("set memory_limit in [limits]");
    };
    let help = format!("set memory_limit in [limits] to at most {} MB", (most / MB).max(1));
    if limit > there {
        let what = format!("memory_limit is {}, and {has}: weir is killed before it", size(limit));
        return Finding::problem(CHECK, what).help(help);
    }
    if limit > most {
        let what = format!("memory_limit is {}, and {has}: little is left", size(limit));
        return Finding::warning(CHECK, what).help(help);
    }
    if wanted.queues > limit {
        let what = format!(
            "queued_memory ({}) is more than memory_limit ({}): only the latter counts",
            size(wanted.queues),
            size(limit)
        );
        return Finding::warning(CHECK, what).help("lower queued_memory in [limits]");
    }
    Finding::ok(CHECK, format!("memory_limit is {}, and {has}", size(limit)))
}

fn given(process: &str) -> Given {
    let read = |name: &str| fs::read_to_string(name).unwrap_or_default();
    Given {
        files: open_files(&read(&format!("/proc/{process}/limits"))),
        memory: total(&read("/proc/meminfo")),
        group: group(&read(&format!("/proc/{process}/cgroup")), Path::new("/sys/fs/cgroup")),
    }
}

/// The soft limit; none when there is none.
pub(super) fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(super) fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of a group and of those that it is in (cgroups(7), version 2).
pub(super) fn group(of_process: &str, root: &Path) -> Option<u64> {
    let name = of_process.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(name);
    let groups = group.ancestors().take_while(|one| one.starts_with(root));
    let limits = groups.filter_map(|one| {
        fs::read_to_string(one.join("memory.max")).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
}
