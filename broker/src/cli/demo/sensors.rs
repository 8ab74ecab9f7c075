//! The devices of the demo: a pure source of readings. The same seed and the same times give the
//! same readings.

use std::f64::consts::TAU;

/// What a device publishes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// All devices.
#[derive(Debug)]
pub(crate) struct Sensors {
    devices: Vec<Device>,
    random: Random,
}

#[derive(Debug)]
struct Device {
    name: &'static str,
    kind: Kind,
    every_ms: u64,
    /// When the next reading is due, since the start.
    due_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Temperature and humidity of a room, with its usual temperature.
    Climate { usual_c: f64 },
    /// Temperature of a freezer, whose door is opened now and then.
    Freezer,
    /// Durations of the cycles of a machine, with its usual duration.
    Machine { usual_ms: f64 },
}

impl Sensors {
    pub(crate) fn new(seed: u64) -> Self {
        let device = |name, kind, every_ms, due_ms| Device { name, kind, every_ms, due_ms };
        Self {
            devices: vec![
                device("kitchen", Kind::Climate { usual_c: 21.5 }, 500, 0),
                device("office", Kind::Climate { usual_c: 20.0 }, 500, 120),
                device("cellar", Kind::Climate { usual_c: 12.5 }, 1_000, 240),
                device("freezer", Kind::Freezer, 1_000, 360),
                device("press-1", Kind::Machine { usual_ms: 480.0 }, 500, 60),
                device("press-2", Kind::Machine { usual_ms: 690.0 }, 700, 180),
            ],
            random: Random(seed),
        }
    }

    /// The readings that are due `elapsed_ms` after the start, when the clocks of the devices
    /// show `unix_ms`.
    pub(crate) fn poll(&mut self, elapsed_ms: u64, unix_ms: u64) -> Vec<Reading> {
        let mut readings = Vec::new();
        for device in &mut self.devices {
            if device.due_ms <= elapsed_ms {
                device.due_ms = elapsed_ms - elapsed_ms % device.every_ms + device.every_ms;
                readings.push(device.read(elapsed_ms, unix_ms, &mut self.random));
            }
        }
        readings
    }
}

impl Device {
    fn read(&self, elapsed_ms: u64, unix_ms: u64, random: &mut Random) -> Reading {
        let name = self.name;
        match self.kind {
            Kind::Climate { usual_c } => {
                let temperature = usual_c + wave(elapsed_ms, 60_000) + random.noise(0.2);
                let humidity = 48.0 - 3.0 * wave(elapsed_ms, 60_000) + random.noise(0.5);
                Reading {
                    topic: format!("home/{name}/climate"),
                    payload: format!(
                        r#"{{"temperature":{temperature:.1},"humidity":{humidity:.1}}}"#
                    ),
                }
            }
            Kind::Freezer => {
                let door_is_open = elapsed_ms % DOOR_EVERY_MS < DOOR_OPEN_MS;
                let usual_c = if door_is_open { -12.0 } else { -18.0 };
                Reading {
                    topic: format!("home/{name}/temperature"),
                    payload: format!("{:.1}", usual_c + random.noise(0.4)),
                }
            }
            Kind::Machine { usual_ms } => {
                let cycle_ms = usual_ms + random.noise(40.0);
                Reading {
                    topic: format!("line/{name}/cycle"),
                    payload: format!(r#"{{"ts":{unix_ms},"cycle_ms":{cycle_ms:.0}}}"#),
                }
            }
        }
    }
}

/// A slow wave between -1 and 1.
fn wave(elapsed_ms: u64, period_ms: u64) -> f64 {
    ((elapsed_ms % period_ms) as f64 / period_ms as f64 * TAU).sin()
}

/// A small generator (SplitMix64): the demo needs no good one.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// Between minus and plus `width`.
    fn noise(&mut self, width: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        (unit * 2.0 - 1.0) * width
    }
}

const DOOR_EVERY_MS: u64 = 20_000;
const DOOR_OPEN_MS: u64 = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Vec<Reading> {
        let mut sensors = Sensors::new(seed);
        (0..100).flat_map(|step| sensors.poll(step * 100, 1_000_000 + step * 100)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_readings() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn every_device_reports_at_its_pace() {
        let readings = run(1);
        let of = |topic: &str| readings.iter().filter(|reading| reading.topic == topic).count();
        assert_eq!(of("home/kitchen/climate"), 20);
        assert_eq!(of("home/cellar/climate"), 10);
        assert!(of("line/press-2/cycle") >= 14);
    }

    #[test]
    fn a_reading_is_what_its_rule_expects() {
        let readings = run(1);
        let reading = |topic: &str| {
            let found = readings.iter().find(|reading| reading.topic == topic);
            found.unwrap().payload.clone()
        };
        assert!(reading("home/kitchen/climate").starts_with("{\"temperature\":2"));
        assert!(reading("home/freezer/temperature").parse::<f64>().unwrap() > -15.0);
        assert!(reading("line/press-1/cycle").starts_with("{\"ts\":1000"));
    }
}
