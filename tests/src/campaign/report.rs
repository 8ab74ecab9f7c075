//! The report of a campaign: a file to which each run appends what it did, so that a campaign can
//! be made in several runs. Without a file nothing is kept.

use std::any::Any;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use crate::harness::weir::weir;

/// The report of one run.
#[derive(Debug)]
pub struct Report {
    path: Option<PathBuf>,
    /// What is in the file from earlier runs.
    earlier: String,
    /// What this run says of itself from the begin.
    head: String,
    what: String,
    begin: Instant,
}

impl Report {
    /// Begins the report of a run. `variable` names the file; earlier runs of the same `what` count.
    ///
    /// # Panics
    /// The file is there and cannot be read.
    #[must_use]
    pub fn begin(variable: &str, what: &str, more: &[(&str, String)]) -> Self {
        let path = env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let earlier = match &path {
            Some(path) if path.exists() => fs::read_to_string(path).expect("the report is text"),
            _ => String::new(),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
        let mut head = String::new();
        line(&mut head, "what", &quoted(what));
        line(&mut head, "begun_unix", &since.as_secs().to_string());
        line(&mut head, "version", &quoted(weir(&["--version"]).stdout.trim()));
        line(&mut head, "machine", &quoted(&machine()));
        for (name, value) in more {
            line(&mut head, name, value);
        }
        Self { path, earlier, head, what: what.to_owned(), begin: Instant::now() }
    }

    /// How much of this campaign earlier runs have done, by the name of its number. What a run did
    /// that failed does not count.
    #[must_use]
    pub fn done_before(&self, name: &str) -> u64 {
        let runs = self.earlier.split("[[run]]");
        let of_this = format!("what = {}\n", quoted(&self.what));
        let failure = format!("\n{FAILURE} = ");
        let runs = runs.filter(|run| run.contains(&of_this) && !run.contains(&failure));
        let prefix = format!("{name} = ");
        runs.flat_map(|run| run.lines().filter_map(|line| line.strip_prefix(&prefix)))
            .filter_map(|number| number.parse::<u64>().ok())
            .sum()
    }

    /// Writes what the run has done so far; the next time it takes the place of this.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write(&self, figures: &[(&str, String)]) {
        let Some(path) = &self.path else { return };
        let mut text = format!("{}[[run]]\n{}", self.earlier, self.head);
        for (name, value) in figures {
            line(&mut text, name, value);
        }
        line(&mut text, "seconds", &self.begin.elapsed().as_secs().to_string());
        text.push('\n');
        // Never half a file, whenever it ends.
        let new = path.with_extension("new");
        fs::write(&new, text).expect("the report can be written");
        fs::rename(&new, path).expect("the report can be written");
    }
}

/// The last lines of a run: what it has found. A run ends with the first thing that is wrong.
#[must_use]
pub fn outcome(failures: &[String]) -> Vec<(&'static str, String)> {
    if failures.is_empty() {
        return vec![("lost", "0".to_owned()), ("duplicated", "0".to_owned())];
    }
    failures.iter().map(|failure| (FAILURE, quoted(failure))).collect()
}

/// What a thread said when it panicked.
#[must_use]
pub fn panic_text(said: &(dyn Any + Send)) -> String {
    let text = said.downcast_ref::<String>().map(String::as_str);
    text.or(said.downcast_ref::<&str>().copied()).unwrap_or("it does not say why").to_owned()
}

/// A text as it stands in the report.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Durations in ms: the least, the median, what 99 of 100 do not exceed, and the most.
#[must_use]
pub fn spread(durations: &mut [Duration]) -> String {
    durations.sort_unstable();
    let Some(last) = durations.len().checked_sub(1) else { return "{}".to_owned() };
    let ms = |per_cent: usize| durations[last * per_cent / 100].as_secs_f64() * 1e3;
    format!(
        "{{ least = {:.0}, median = {:.0}, p99 = {:.0}, most = {:.0} }}",
        ms(0),
        ms(50),
        ms(99),
        ms(100)
    )
}

/// What these figures were measured on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo");
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{} {}, {}, {cores} cores, {} MiB",
        env::consts::OS,
        kernel.trim(),
        env::consts::ARCH,
        memory.unwrap_or(0) / 1024
    )
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name} = {value}").expect("a string takes everything");
}

const FAILURE: &str = "failure";
