//! A small fleet of devices for demonstrations.
//!
//! Responsible for which devices there are and for the order of their messages. Three rooms with an
//! SHT4x each on one bus, two freezers with a BME280 each on another, and three machines that
//! report their cycles. Everything that a sensor gives went through its real driver.
//!
//! | topic | payload | each |
//! |---|---|---|
//! | `site/{site}/{device}/climate` | `{"temperature":21.35,"humidity":44.2,"ts":...}` | 2 s |
//! | `home/{room}/freezer` | `{"temperature":-18.42}` | 5 s |
//! | `line/{line}/{machine}/cycle` | `{"ts":...,"cycle_ms":1840}` | cycle |

use weir_node::sense::{Bme280, Bme280Address, Sht4x, Sht4xAddress};

use super::bme280::{Air, Bme280Model};
use super::bus::{Bus, Faults};
use super::machine::Machine;
use super::random::hash;
use super::sample::Sample;
use super::sht4x::{Climate, Sht4xModel};
use super::signal::{Daily, Freezer};
use super::station::Station;
use crate::probe::{Probe, ProbeCounters};

/// Simulated devices over virtual time.
///
/// The same seed and start give the same samples, byte for byte, however the calls of
/// [`poll`](Fleet::poll) are spread.
///
/// ```
/// use weir_firmware_bridge::simulate::Fleet;
///
/// let start_ms = 1_767_225_600_000;
/// let mut fleet = Fleet::new(42, start_ms);
/// let mut samples = Vec::new();
/// while fleet.next_due() < start_ms + 3_000 {
///     fleet.poll(fleet.next_due(), &mut samples);
/// }
/// assert!(samples.iter().any(|sample| sample.topic == "site/mill/office/climate"));
/// assert!(samples.iter().any(|sample| sample.topic == "home/kitchen/freezer"));
/// assert!(samples.iter().any(|sample| sample.topic == "line/a/press-1/cycle"));
/// ```
#[derive(Debug)]
pub struct Fleet {
    devices: Vec<Device>,
}

impl Fleet {
    /// A fleet whose chips fail now and then, as real ones do: a few transfers of a thousand, which
    /// the second try of a poll makes up for.
    pub fn new(seed: u64, now_unix_ms: u64) -> Self {
        Self::with_faults(seed, now_unix_ms, Faults { nack_per_mille: 2, wrong_crc_per_mille: 2 })
    }

    /// A fleet whose chips fail as often as asked.
    pub fn with_faults(seed: u64, now_unix_ms: u64, faults: Faults) -> Self {
        let start = Start { seed, now_ms: now_unix_ms, faults };
        let mut devices = start.rooms();
        devices.extend(start.freezers());
        devices.extend(start.machines());
        Self { devices }
    }

    /// When the next device has something to do, in milliseconds since the Unix epoch.
    pub fn next_due(&self) -> u64 {
        self.earliest().map_or(u64::MAX, |(due_ms, _)| due_ms)
    }

    /// Appends the samples that are due, in the order of their times.
    ///
    /// `now_unix_ms` must not go backwards. After a long pause one call gives a limited number of
    /// samples, [`next_due`](Fleet::next_due) then stays in the past, and the next call goes on.
    pub fn poll(&mut self, now_unix_ms: u64, out: &mut Vec<Sample>) {
        for _ in 0..STEPS_PER_POLL_MAX {
            let Some((due_ms, index)) = self.earliest() else { return };
            if due_ms > now_unix_ms {
                return;
            }
            // A device lives at the time it is due, not at the time of a late call.
            self.devices[index].poll(due_ms, out);
        }
    }

    /// What the polls of all sensors came to.
    pub fn counters(&self) -> ProbeCounters {
        self.devices.iter().fold(ProbeCounters::default(), |sum, device| sum + device.counters())
    }

    /// Time and place of the device that is due first; of several, the first in the list.
    fn earliest(&self) -> Option<(u64, usize)> {
        let due = self.devices.iter().enumerate();
        due.map(|(index, device)| (device.next_due_ms(), index)).min()
    }
}

#[derive(Debug)]
enum Device {
    Freezer(Station<Bme280<Bus, Bus>>),
    Machine(Machine),
    Room(Station<Sht4x<Bus, Bus>>),
}

impl Device {
    fn poll(&mut self, now_ms: u64, out: &mut Vec<Sample>) {
        match self {
            Self::Freezer(station) => station.poll(now_ms, out),
            Self::Machine(machine) => machine.poll(now_ms, out),
            Self::Room(station) => station.poll(now_ms, out),
        }
    }

    fn next_due_ms(&self) -> u64 {
        match self {
            Self::Freezer(station) => station.next_due_ms(),
            Self::Machine(machine) => machine.next_due_ms(),
            Self::Room(station) => station.next_due_ms(),
        }
    }

    fn counters(&self) -> ProbeCounters {
        match self {
            Self::Freezer(station) => station.counters(),
            Self::Machine(_) => ProbeCounters::default(),
            Self::Room(station) => station.counters(),
        }
    }
}

/// What the devices start from.
struct Start {
    seed: u64,
    now_ms: u64,
    faults: Faults,
}

impl Start {
    fn rooms(&self) -> Vec<Device> {
        let bus = Bus::new(self.now_ms);
        let rooms = [
            ("office", Sht4xAddress::A, 21.5, 43.0),
            ("workshop", Sht4xAddress::B, 18.5, 51.0),
            ("store", Sht4xAddress::C, 15.0, 58.0),
        ];
        let rooms = (0u64..).zip(rooms);
        rooms
            .map(|(index, (device, address, temperature_c, humidity_pct))| {
                let seed = hash(self.seed, index);
                let temperature =
                    Daily { mean: temperature_c, swing: 1.5, peak_hour: 15.0, wander: 0.8, seed };
                let humidity =
                    Daily { mean: humidity_pct, swing: 6.0, peak_hour: 5.0, wander: 4.0, seed };
                let model = Sht4xModel::new(seed as u32, move |at_ms| Climate {
                    temperature_c: temperature.at(at_ms),
                    humidity_pct: humidity.at(at_ms),
                });
                bus.attach(address.bits(), model).with_faults(self.faults, seed);
                let sensor = Sht4x::new(bus.clone(), address, bus.clone());
                let probe = Probe::new(sensor, ROOM_EVERY_MS, self.now_ms + index * 600);
                let topic = format!("site/mill/{device}/climate");
                let station = Station::new(topic, bus.clone(), probe, &["temperature", "humidity"]);
                Device::Room(station.stamped())
            })
            .collect()
    }

    fn freezers(&self) -> Vec<Device> {
        let bus = Bus::new(self.now_ms);
        let freezers = [
            ("kitchen", Bme280Address::Primary, -18.5),
            ("cellar", Bme280Address::Secondary, -20.0),
        ];
        let freezers = (100u64..).zip(freezers);
        freezers
            .map(|(index, (room, address, target_c))| {
                let seed = hash(self.seed, index);
                let freezer = Freezer { target_c, seed };
                let model = Bme280Model::new(move |at_ms| Air {
                    temperature_c: freezer.at(at_ms),
                    humidity_pct: 65.0,
                    ..Air::default()
                });
                bus.attach(address.bits(), model).with_faults(self.faults, seed);
                let sensor = Bme280::new(bus.clone(), address, bus.clone());
                let first_ms = self.now_ms + (index - 100) * 1_300 + 300;
                let probe = Probe::new(sensor, FREEZER_EVERY_MS, first_ms);
                let topic = format!("home/{room}/freezer");
                Device::Freezer(Station::new(topic, bus.clone(), probe, &["temperature"]))
            })
            .collect()
    }

    fn machines(&self) -> Vec<Device> {
        let machines = [("a", "press-1", 1_800), ("a", "press-2", 2_100), ("b", "filler-1", 1_200)];
        let machines = (200u64..).zip(machines);
        machines
            .map(|(index, (line, machine, typical_ms))| {
                let topic = format!("line/{line}/{machine}/cycle");
                let seed = hash(self.seed, index);
                Device::Machine(Machine::new(topic, typical_ms, seed, self.now_ms))
            })
            .collect()
    }
}

const ROOM_EVERY_MS: u64 = 2_000;
const FREEZER_EVERY_MS: u64 = 5_000;
/// A step is one poll of one device: well over a minute of the whole fleet.
const STEPS_PER_POLL_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
