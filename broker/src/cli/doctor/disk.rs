//! The disk of the store: what kind it is, what room there is, how fast it takes what must not be
//! lost, and how long a card will last with what is written.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{statfs, statvfs};

use super::finding::Finding;
use crate::cli::store::size;
use crate::config::Config;
use crate::status::Status;

const CHECK: &str = "disk";
/// Writes that are timed, and for how long at most.
const WRITES: u32 = 16;
const WRITES_TIME_MAX: Duration = Duration::from_secs(5);
const WRITE_BYTES: usize = 4096;
/// A flush of a good card takes a few milliseconds; from here on somebody notices.
const SLOW: Duration = Duration::from_millis(100);
const TOO_SLOW: Duration = Duration::from_secs(1);
/// How often a cell of a simple card can be written, and how much more a card writes than it is
/// given in small pieces; both on the safe side.
const CYCLES: u64 = 1_000;
const AMPLIFICATION: u64 = 4;
/// What a card should last.
const YEARS_MIN: f64 = 3.0;
/// From when on a broker has run for long enough to tell what a day brings.
const UPTIME_MIN_S: u64 = 600;
const YEAR_S: f64 = 365.0 * 86_400.0;

pub(super) fn look(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    if !config.persistence {
        return vec![Finding::ok(CHECK, "nothing is kept: `persistence` is false")];
    }
    let data_dir = &config.data_dir;
    // Where it will be, if it is not there yet.
    let there = data_dir.ancestors().find(|part| part.is_dir()).unwrap_or(Path::new("."));
    let mut findings = Vec::new();
    if let Ok(found) = statfs(there) {
        // Its width and its sign are those of the machine.
        let magic = found.f_type as u64;
        findings.push(kind(magic).at_path(there));
    }
    let total = statvfs(there).ok().map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    if let Some(free) = crate::store::free_disk(there) {
        let used = used(data_dir);
        let store = &config.store;
        findings.push(room(free, used, store.max_store_bytes, store.min_free_disk).at_path(there));
    }
    if data_dir.is_dir() {
        findings.push(match flushes(data_dir) {
            Ok(times) => pace(times).at_path(data_dir),
            Err(error) => {
                let what = format!("the disk cannot be timed: {error}");
                let help = "run this as the user that runs weir, or as root";
                Finding::warning(CHECK, what).at_path(data_dir).help(help)
            }
        });
    }
    if let (Some(status), Some(total)) = (status, total) {
        findings.push(wear(status.store.bytes_written, status.uptime_s, total));
    }
    findings
}

/// What a file system is, by the number that Linux has for it.
pub(super) fn kind(magic: u64) -> Finding {
    let other = "name a `data_dir` on a disk of this machine with ext4, xfs, f2fs or btrfs";
    match magic & 0xffff_ffff {
        0x0102_1994 | 0x8584_58f6 => {
            let what = "the store is in memory (tmpfs): it is gone when the power is";
            Finding::problem(CHECK, what).help(other)
        }
        0x4d44 | 0x2011_bab0 => {
            let what = "the file system is FAT: a power cut can damage it, and it knows no owners";
            Finding::problem(CHECK, what).help(other)
        }
        0x794c_7630 => {
            let what = "the store is in the layer of a container: it is gone with the container";
            Finding::warning(CHECK, what).help("give the container a volume for `data_dir`")
        }
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b | 0x0102_1997 | 0x6573_5546 => {
            let what = "the file system is a remote one: a flush may be a promise, and locks too";
            Finding::warning(CHECK, what).help(other)
        }
        0xef53 => Finding::ok(CHECK, "the file system is ext4"),
        0x9123_683e => Finding::ok(CHECK, "the file system is btrfs"),
        0x5846_5342 => Finding::ok(CHECK, "the file system is xfs"),
        0xf2f5_2010 => Finding::ok(CHECK, "the file system is f2fs"),
        other => Finding::ok(CHECK, format!("the file system is of kind {other:#x}")),
    }
}

/// Whether the store can become as large as it may; `used` is what it takes already.
pub(super) fn room(free: u64, used: u64, max: Option<u64>, min_free: Option<u64>) -> Finding {
    let left = size(free);
    if let Some(min) = min_free.filter(|min| free < *min) {
        let what = format!(
            "only {left} are free, less than min_free_disk ({}): nothing new is kept",
            size(min)
        );
        let help = "make room on this disk; `weir store compact` gives back what the store spares";
        return Finding::problem(CHECK, what).help(help);
    }
    let Some(max) = max else {
        let what = format!("{left} are free, and the store may take them all");
        return Finding::warning(CHECK, what).help("set max_store_bytes in [store]");
    };
    let to_come = max.saturating_sub(used).saturating_add(min_free.unwrap_or(0));
    if free < to_come {
        let what = format!(
            "{left} are free, and the store may still grow by {}: the disk is full before it is",
            size(max.saturating_sub(used))
        );
        return Finding::warning(CHECK, what).help("set a lower max_store_bytes, or make room");
    }
    Finding::ok(CHECK, format!("{left} are free, enough for max_store_bytes ({})", size(max)))
}

/// What the disk takes to keep a small piece of data, in order.
pub(super) fn pace(mut times: Vec<Duration>) -> Finding {
    times.sort_unstable();
    let (Some(median), Some(longest)) = (times.get(times.len() / 2), times.last()) else {
        let help = "run this as the user that runs weir, or as root";
        return Finding::warning(CHECK, "the disk was not timed").help(help);
    };
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let per_s = (1.0 / median.as_secs_f64().max(1e-6)).round();
    let what = format!(
        "a flush takes {:.1} ms, the longest of {} took {:.1} ms: a client that waits for each \
         acknowledgement gets {per_s} a second; those that come meanwhile share the next flush",
        ms(median),
        times.len(),
        ms(longest)
    );
    let help = "a better card or an SSD; or `durability = \"relaxed\"` for topics whose last second \
                may be lost with the power";
    match *median {
        median if median >= TOO_SLOW => Finding::problem(CHECK, what).help(help),
        median if median >= SLOW => Finding::warning(CHECK, what).help(help),
        _ => Finding::ok(CHECK, what),
    }
}

/// How long a card lasts with so many bytes in so many seconds; `total` is its size.
pub(super) fn wear(written: u64, uptime_s: u64, total: u64) -> Finding {
    if uptime_s < UPTIME_MIN_S {
        let what = "the broker has not run for long enough to tell how long a card will last";
        return Finding::ok("wear", what);
    }
    let day = written.saturating_mul(86_400) / uptime_s;
    let endurance = total.saturating_mul(CYCLES) as f64;
    let per_s = (written.saturating_mul(AMPLIFICATION)) as f64 / uptime_s as f64;
    let years = endurance / per_s.max(1.0) / YEAR_S;
    let lasts = if years > 100.0 { "more than 100".to_owned() } else { format!("some {years:.0}") };
    let what = format!(
        "the store writes {} a day: a simple SD card of {} would last {lasts} years",
        size(day),
        size(total)
    );
    if years >= YEARS_MIN {
        return Finding::ok("wear", what);
    }
    let help = "raise flush_interval or group_commit_max_delay, lower the durability of topics that \
                allow it, or use a larger card or an SSD";
    Finding::warning("wear", what).help(help)
}

fn used(data_dir: &Path) -> u64 {
    let files = fs::read_dir(data_dir).into_iter().flatten();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

/// Times a few small writes, each until it is on the disk.
fn flushes(directory: &Path) -> io::Result<Vec<Duration>> {
    let path = directory.join(format!(".weir-doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    // From now on nobody else sees it, whatever happens here.
    fs::remove_file(&path)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let started = Instant::now();
        file.write_all(&[0x5a; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(started.elapsed());
        if begun.elapsed() > WRITES_TIME_MAX {
            break;
        }
    }
    Ok(times)
}
