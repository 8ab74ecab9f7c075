//! Whether the clock of the machine is right: certificates, tokens, expiry and windows go by it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::finding::Finding;
use crate::clock::SET_FROM_MS;
use crate::config::Config;

const CHECK: &str = "clock";
/// What two clocks may be apart.
const APART_MS: u64 = 60_000;
/// For how long a box is off at most, usually.
const OFF_MS: u64 = 400 * 86_400_000;
/// systemd-timesyncd has been told the time.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// systemd runs here.
const SYSTEMD: &str = "/run/systemd/system";
/// How long another program may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What there is to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) now_ms: u64,
    /// When the store was written last.
    pub(super) stored_ms: Option<u64>,
    /// None when nobody here knows.
    pub(super) is_synchronised: Option<bool>,
}

pub(super) fn look(config: &Config, now_ms: u64) -> Vec<Finding> {
    let stored_ms = newest(&config.data_dir).filter(|_| config.persistence);
    let is_synchronised = is_synchronised();
    let mut findings = vec![judge(Facts { now_ms, stored_ms, is_synchronised })];
    if let Some(file) = config.clock_file.as_deref().filter(|file| !file.exists()) {
        let what = "the clock is not set, as `clock_file` tells it: rules wait for it";
        let help = "it should appear when the network has told the time";
        findings.push(Finding::warning(CHECK, what).at_path(file).help(help));
    }
    findings
}

pub(super) fn judge(facts: Facts) -> Finding {
    let set = "set it with `timedatectl set-time`, or let it be set by the network: \
               `timedatectl set-ntp true`";
    let Facts { now_ms, stored_ms, is_synchronised } = facts;
    if now_ms < SET_FROM_MS {
        let what = "the clock was never set: it is before 2020";
        return Finding::problem(CHECK, what).help(set);
    }
    if let Some(stored) = stored_ms {
        if stored > now_ms + APART_MS {
            let hours = (stored - now_ms) / 3_600_000;
            let what = format!("the store was written {hours} h from now: the clock is behind");
            let help = format!("{set}; a clock with a battery keeps it while the box is off");
            return Finding::problem(CHECK, what).help(help);
        }
        if now_ms - stored.min(now_ms) > OFF_MS {
            let days = (now_ms - stored) / 86_400_000;
            let what = format!("the store was written {days} days ago: is the clock right?");
            return Finding::warning(CHECK, what).help(set);
        }
    }
    match is_synchronised {
        Some(true) => Finding::ok(CHECK, "it is set, and synchronised with the network"),
        Some(false) => Finding::warning(CHECK, "it is not synchronised with the network").help(set),
        None => {
            let what = "it is set; whether it is synchronised is not known here";
            Finding::ok(CHECK, what)
        }
    }
}

/// When a file of a directory was changed last, milliseconds since the Unix epoch.
fn newest(directory: &Path) -> Option<u64> {
    let files = fs::read_dir(directory).ok()?;
    let changed = files.filter_map(|file| {
        let changed = file.ok()?.metadata().ok()?.modified().ok()?;
        u64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    });
    changed.max()
}

fn is_synchronised() -> Option<bool> {
    if Path::new(SYNCHRONISED).exists() {
        return Some(true);
    }
    if !Path::new(SYSTEMD).exists() {
        return None;
    }
    let mut asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let until = Instant::now() + PATIENCE;
    while asked.try_wait().ok()?.is_none() {
        if Instant::now() > until {
            // It has ended meanwhile, or it ends now.
            let _ = asked.kill();
            let _ = asked.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    match String::from_utf8_lossy(&asked.wait_with_output().ok()?.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
