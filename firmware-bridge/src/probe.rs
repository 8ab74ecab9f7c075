//! One sensor and its health.
//!
//! Responsible for when a sensor is polled, how often it is tried again, what is counted, and when
//! it counts as offline. Not for what becomes of the readings. Knows no clock: time is an
//! argument, in milliseconds of any epoch, and does not go backwards.
//!
//! Invariant: readings come only from a sample taken in this poll. A failed poll has none.

use std::ops::Add;

use weir_node::sense::{QUANTITIES_MAX, Quantity, Reading, SenseError, Sensor};

/// Polls a sensor at a fixed interval.
///
/// A poll tries three times. After three failed polls the sensor is offline: it is then tried
/// after 1, 2, 4 ... 60 seconds, each time with a reset first, since it may have lost its power.
///
/// ```
/// use weir_firmware_bridge::simulate::{Bus, Climate, Faults, Sht4xModel};
/// use weir_firmware_bridge::{Availability, Probe};
/// use weir_node::sense::{Sht4x, Sht4xAddress};
///
/// let bus = Bus::new(0);
/// bus.attach(0x44, Sht4xModel::new(1, |_| Climate { temperature_c: 21.5, humidity_pct: 40.0 }))
///     .with_faults(Faults::none(), 1);
/// let sensor = Sht4x::new(bus.clone(), Sht4xAddress::A, bus.clone());
/// let mut probe = Probe::new(sensor, 1_000, 0);
///
/// let polled = probe.poll(0);
/// assert_eq!(polled.change, Some(Availability::Online));
/// assert!((polled.readings[0].milli - 21_500).abs() <= 10);
/// assert_eq!(probe.next_due_ms(), 1_000);
/// ```
#[derive(Debug)]
pub struct Probe<S> {
    sensor: S,
    interval_ms: u64,
    due_ms: u64,
    /// `None` until the first poll has told.
    availability: Option<Availability>,
    failed_polls: u32,
    backoff_ms: u64,
    reset_needed: bool,
    /// How often in a row the chip had nothing new yet.
    waits: u32,
    readings: [Reading; QUANTITIES_MAX],
    counters: ProbeCounters,
}

/// Whether a sensor gives readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Too many polls in a row gave nothing.
    Offline,
    /// It gives readings, or has only just stopped.
    Online,
}

/// What one poll brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled<'a> {
    /// All quantities of one fresh sample, or nothing.
    pub readings: &'a [Reading],
    /// Set when the sensor went offline or came online with this poll.
    pub change: Option<Availability>,
    /// Why the last try of this poll failed, if all did.
    pub failure: Option<Failure>,
}

/// Why a try gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The transfer failed.
    Bus,
    /// The checksum did not match.
    Crc,
    /// The chip did not acknowledge, or another chip answered.
    NotPresent,
    /// The chip had nothing to give.
    NotReady,
    /// A value was outside of what can be.
    OutOfRange,
    /// What the chip measures with is wired wrongly.
    Wiring,
}

/// What became of the polls of a sensor, and of each single try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCounters {
    /// Polls that gave a sample.
    pub samples: u64,
    /// Polls that gave none.
    pub failed_polls: u64,
    /// Tries that failed on the bus, other than those counted in `not_present`.
    pub bus: u64,
    /// Tries discarded for their checksum.
    pub crc: u64,
    /// Tries that the chip did not acknowledge, or that another chip answered.
    pub not_present: u64,
    /// Tries for which the chip had nothing to give.
    pub not_ready: u64,
    /// Tries discarded because a value was outside of what the chip can measure.
    pub out_of_range: u64,
    /// Tries for which the chip said that what it measures with is wired wrongly.
    pub wiring: u64,
}

impl Add for ProbeCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            samples: self.samples + other.samples,
            failed_polls: self.failed_polls + other.failed_polls,
            bus: self.bus + other.bus,
            crc: self.crc + other.crc,
            not_present: self.not_present + other.not_present,
            not_ready: self.not_ready + other.not_ready,
            out_of_range: self.out_of_range + other.out_of_range,
            wiring: self.wiring + other.wiring,
        }
    }
}

impl<S: Sensor> Probe<S> {
    /// A probe that is first due at `first_due_ms` and then each `interval_ms`, at least 1.
    pub fn new(sensor: S, interval_ms: u64, first_due_ms: u64) -> Self {
        Self {
            sensor,
            interval_ms: interval_ms.max(1),
            due_ms: first_due_ms,
            availability: None,
            failed_polls: 0,
            backoff_ms: BACKOFF_MIN_MS,
            reset_needed: true,
            waits: 0,
            readings: [Reading::default(); QUANTITIES_MAX],
            counters: ProbeCounters::default(),
        }
    }

    /// Samples the sensor if it is due; if not, this is an empty [`Polled`].
    pub fn poll(&mut self, now_ms: u64) -> Polled<'_> {
        if now_ms < self.due_ms {
            return Polled::nothing();
        }
        match self.sample() {
            Tried::Failed(failure) => {
                let change = self.handle_failed_poll(now_ms);
                Polled { change, failure: Some(failure), ..Polled::nothing() }
            }
            Tried::Measuring { wait_ms } => {
                self.due_ms = now_ms.saturating_add(u64::from(wait_ms.max(1)));
                Polled::nothing()
            }
            Tried::Sampled(length) => {
                self.counters.samples += 1;
                self.failed_polls = 0;
                self.backoff_ms = BACKOFF_MIN_MS;
                let change = self.become_available(Availability::Online);
                self.due_ms = next_on_grid(self.due_ms, self.interval_ms, now_ms);
                let readings = self.readings.get(..length).unwrap_or_default();
                Polled { readings, change, failure: None }
            }
        }
    }

    /// When the next poll does something.
    pub fn next_due_ms(&self) -> u64 {
        self.due_ms
    }

    /// What the readings mean.
    pub fn quantities(&self) -> &[Quantity] {
        self.sensor.quantities()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> ProbeCounters {
        self.counters
    }

    /// The sensor.
    pub fn sensor(&self) -> &S {
        &self.sensor
    }

    /// Tries a few times, until one try succeeds.
    fn sample(&mut self) -> Tried {
        let mut failure = Failure::NotReady;
        for _ in 0..TRIES_PER_POLL {
            let result = self.try_once();
            if let Err(SenseError::Measuring { wait_ms }) = result
                && self.waits < WAITS_MAX
            {
                self.waits += 1;
                return Tried::Measuring { wait_ms };
            }
            self.waits = 0;
            match result {
                Ok(length) => return Tried::Sampled(length),
                Err(error) => failure = self.count(&error),
            }
        }
        Tried::Failed(failure)
    }

    fn try_once(&mut self) -> Result<usize, SenseError<S::Error>> {
        if self.reset_needed {
            self.sensor.reset()?;
            self.reset_needed = false;
        }
        self.sensor.sample(&mut self.readings)
    }

    fn count(&mut self, error: &SenseError<S::Error>) -> Failure {
        let failure = match error {
            SenseError::Crc => Failure::Crc,
            SenseError::NotPresent => Failure::NotPresent,
            // One that measures and measures has not begun to.
            SenseError::Measuring { .. } | SenseError::NotReady => Failure::NotReady,
            SenseError::OutOfRange => Failure::OutOfRange,
            SenseError::Wiring(_) => Failure::Wiring,
            _ => Failure::Bus,
        };
        // A chip that forgot its settings gets them again before the next try.
        self.reset_needed |= failure == Failure::NotReady;
        let counter = match failure {
            Failure::Bus => &mut self.counters.bus,
            Failure::Crc => &mut self.counters.crc,
            Failure::NotPresent => &mut self.counters.not_present,
            Failure::NotReady => &mut self.counters.not_ready,
            Failure::OutOfRange => &mut self.counters.out_of_range,
            Failure::Wiring => &mut self.counters.wiring,
        };
        *counter += 1;
        failure
    }

    fn handle_failed_poll(&mut self, now_ms: u64) -> Option<Availability> {
        self.counters.failed_polls += 1;
        self.failed_polls = self.failed_polls.saturating_add(1);
        if self.failed_polls < FAILED_POLLS_MAX {
            self.due_ms = next_on_grid(self.due_ms, self.interval_ms, now_ms);
            return None;
        }
        self.reset_needed = true;
        self.due_ms = now_ms.saturating_add(self.backoff_ms);
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MAX_MS);
        self.become_available(Availability::Offline)
    }

    fn become_available(&mut self, availability: Availability) -> Option<Availability> {
        let changed = self.availability != Some(availability);
        self.availability = Some(availability);
        changed.then_some(availability)
    }
}

impl Polled<'_> {
    const fn nothing() -> Self {
        Self { readings: &[], change: None, failure: None }
    }
}

/// What the tries of one poll came to.
enum Tried {
    Failed(Failure),
    Measuring { wait_ms: u32 },
    Sampled(usize),
}

/// The first multiple of the interval after `due_ms` that lies after `now_ms`: a late poll neither
/// moves the grid nor is made up for.
fn next_on_grid(due_ms: u64, interval_ms: u64, now_ms: u64) -> u64 {
    let missed = now_ms.saturating_sub(due_ms) / interval_ms;
    due_ms.saturating_add((missed + 1).saturating_mul(interval_ms))
}

const TRIES_PER_POLL: u32 = 3;
/// Times in a row that a chip may still be measuring.
const WAITS_MAX: u32 = 20;
const FAILED_POLLS_MAX: u32 = 3;
const BACKOFF_MIN_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 60_000;

#[cfg(test)]
mod tests;
