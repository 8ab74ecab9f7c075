//! What the kernel says of the broker's process and of this one. Linux only: elsewhere the numbers
//! are left out.

use std::{fs, time::Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{failure::BenchError, report::Report};

/// Of the times in `/proc/PID/stat`.
const TICKS_PER_S: f64 = 100.0;
/// What those times can be wrong by: one tick at each end.
const TICKS_WRONG_S: f64 = 2.0 / TICKS_PER_S;

/// One process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// Of all threads that there ever were, in ticks.
    coarse_cpu_s: f64,
    /// Of the threads that there are, in nanoseconds.
    fine_cpu_s: f64,
    pub(crate) resident_bytes: u64,
    /// To the disk; none when we may not know.
    written_bytes: Option<u64>,
}

impl Reading {
    pub(crate) fn take(pid: u32) -> Result<Self, BenchError> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let stat = read("stat").map_err(|source| BenchError::Process { pid, source })?;
        let status = read("status").map_err(|source| BenchError::Process { pid, source })?;
        // The name of the program stands in parentheses and may have spaces.
        let times = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let times = times.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Self {
            coarse_cpu_s: ticks as f64 / TICKS_PER_S,
            fine_cpu_s: fine_cpu_s(pid),
            resident_bytes: number(&status, "VmRSS:").unwrap_or(0) * 1024,
            written_bytes: read("io").ok().and_then(|text| number(&text, "write_bytes:")),
        })
    }
}

/// 0 when the kernel does not count so.
fn fine_cpu_s(pid: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    times.sum::<u64>() as f64 / 1e9
}

/// Processor time between two readings: the finer, unless a thread has ended meanwhile and has
/// taken its time with it.
fn cpu_s(before: &Reading, after: &Reading) -> f64 {
    let coarse = after.coarse_cpu_s - before.coarse_cpu_s;
    let fine = after.fine_cpu_s - before.fine_cpu_s;
    if (coarse - fine).abs() <= TICKS_WRONG_S { fine } else { coarse }
}

/// Measures a stretch of time.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: Option<u32>,
    start: Instant,
    own_cpu_s: f64,
    before: Option<Reading>,
}

impl Meter {
    pub(crate) fn start(pid: Option<u32>) -> Result<Self, BenchError> {
        let before = pid.map(Reading::take).transpose()?;
        Ok(Self { pid, before, own_cpu_s: own_cpu_s(), start: Instant::now() })
    }

    /// Until now.
    pub(crate) fn stop(&self) -> Result<Stretch, BenchError> {
        self.stop_at(Instant::now())
    }

    /// Until an earlier moment, at which there was nothing more to do.
    pub(crate) fn stop_at(&self, end: Instant) -> Result<Stretch, BenchError> {
        let after = self.pid.map(Reading::take).transpose()?;
        Ok(Stretch {
            seconds: end.saturating_duration_since(self.start).as_secs_f64(),
            own_cpu_s: own_cpu_s() - self.own_cpu_s,
            broker: self.before.zip(after),
        })
    }
}

/// What a stretch of time took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) seconds: f64,
    own_cpu_s: f64,
    broker: Option<(Reading, Reading)>,
}

impl Stretch {
    pub(crate) fn rate(&self, number: u64) -> f64 {
        number as f64 / self.seconds
    }

    /// Of the broker.
    pub(crate) fn cpu_percent(&self) -> Option<f64> {
        let (before, after) = self.broker?;
        Some(cpu_s(&before, &after) / self.seconds * 100.0)
    }

    /// By how much the broker has grown for each of so many things.
    pub(crate) fn growth_bytes_each(&self, number: u64) -> Option<f64> {
        let (before, after) = self.broker?;
        let growth = after.resident_bytes as f64 - before.resident_bytes as f64;
        Some(growth / number.max(1) as f64)
    }

    /// Rate and cost of so many things. `prefix` tells several stretches of a run apart, `thing`
    /// is the singular.
    pub(crate) fn report(&self, prefix: &str, thing: &str, number: u64, report: &mut Report) {
        let each = 1.0 / number.max(1) as f64;
        report.number(&format!("{prefix}seconds"), self.seconds);
        report.number(&format!("{prefix}{thing}s_per_s"), self.rate(number));
        report.number(&format!("{prefix}bench_cpu_us_per_{thing}"), self.own_cpu_s * 1e6 * each);
        let Some((before, after)) = self.broker else { return };
        let cpu_s = cpu_s(&before, &after);
        report.number(&format!("{prefix}broker_cpu_s"), cpu_s);
        report.number(&format!("{prefix}broker_cpu_us_per_{thing}"), cpu_s * 1e6 * each);
        report.count(&format!("{prefix}broker_bytes_before"), before.resident_bytes);
        report.count(&format!("{prefix}broker_bytes"), after.resident_bytes);
        if let (Some(before), Some(after)) = (before.written_bytes, after.written_bytes) {
            let written = after.saturating_sub(before) as f64;
            report.number(&format!("{prefix}disk_bytes_per_{thing}"), written * each);
        }
    }
}

/// Processor time of this process so far.
fn own_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let reading = Reading::take(std::process::id()).unwrap();
        assert!(reading.resident_bytes > 100_000, "{reading:?}");
    }

    #[test]
    fn a_thread_that_has_ended_does_not_take_its_time_with_it() {
        let reading =
            |coarse_cpu_s, fine_cpu_s| Reading { coarse_cpu_s, fine_cpu_s, ..Reading::default() };
        let all_there = cpu_s(&reading(1.0, 1.004), &reading(1.01, 1.0165));
        assert!((all_there - 0.0125).abs() < 1e-9, "{all_there}");
        let one_ended = cpu_s(&reading(1.0, 1.004), &reading(2.0, 0.5));
        assert!((one_ended - 1.0).abs() < 1e-9, "{one_ended}");
        let not_counted = cpu_s(&reading(1.0, 0.0), &reading(2.0, 0.0));
        assert!((not_counted - 1.0).abs() < 1e-9, "{not_counted}");
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let problem = Reading::take(u32::MAX).unwrap_err();
        assert!(problem.to_string().contains("4294967295"), "{problem}");
    }
}
