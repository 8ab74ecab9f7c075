mod drivers;
mod spi;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use weir_node::sense::{Bme280, Bme280Address, Sht4x, Sht4xAddress};

use super::*;
use crate::simulate::{Air, Attached, Bme280Model, Bus, Climate, Faults, Sht4xModel};

/// A room whose temperature the test sets, in thousandths.
fn room(bus: &Bus) -> (Probe<Sht4x<Bus, Bus>>, Attached, Arc<AtomicI64>) {
    let temperature_milli = Arc::new(AtomicI64::new(21_500));
    let shown = Arc::clone(&temperature_milli);
    let model = Sht4xModel::new(1, move |_| Climate {
        temperature_c: shown.load(Ordering::Relaxed) as f64 / 1_000.0,
        humidity_pct: 40.0,
    });
    let chip = bus.attach(0x44, model);
    let sensor = Sht4x::new(bus.clone(), Sht4xAddress::A, bus.clone());
    (Probe::new(sensor, 1_000, 0), chip, temperature_milli)
}

/// Polls at each due time up to `until_ms`; the changes with their times.
fn changes<S: Sensor>(probe: &mut Probe<S>, until_ms: u64) -> Vec<(u64, Availability)> {
    let mut changes = Vec::new();
    while probe.next_due_ms() <= until_ms {
        let now_ms = probe.next_due_ms();
        changes.extend(probe.poll(now_ms).change.map(|change| (now_ms, change)));
    }
    changes
}

/// Behaviour 37.
#[test]
fn sht4x_is_read_to_within_its_resolution() {
    let bus = Bus::new(0);
    let (mut probe, _chip, temperature_milli) = room(&bus);
    for (step, set_milli) in (0u64..).zip((-39_900..124_900).step_by(1_234)) {
        temperature_milli.store(set_milli, Ordering::Relaxed);
        let polled = probe.poll(step * 1_000);
        // The driver computes with 16 fractional bits: 175 times that, and half a step.
        assert!((polled.readings[0].milli - set_milli).abs() <= 6, "{set_milli}: {polled:?}");
        assert!((polled.readings[1].milli - 40_000).abs() <= 6, "{polled:?}");
    }
}

/// Behaviour 37.
#[test]
fn bme280_is_read_to_within_its_resolution() {
    for (temperature_c, humidity_pct, pressure_pa) in [
        (-39.5, 10.0, 60_000.0),
        (-18.5, 65.0, 95_000.0),
        (25.08, 43.2, 100_653.0),
        (84.0, 80.0, 108_000.0),
    ] {
        let bus = Bus::new(0);
        bus.attach(
            0x77,
            Bme280Model::new(move |_| Air { temperature_c, humidity_pct, pressure_pa }),
        );
        let sensor = Bme280::new(bus.clone(), Bme280Address::Secondary, bus.clone());
        let mut probe = Probe::new(sensor, 1_000, 0);
        let polled = probe.poll(0);
        let [temperature, humidity, pressure] = polled.readings else {
            panic!("no sample at {temperature_c} C: {:?}", probe.counters())
        };
        assert!((temperature.milli as f64 / 1e3 - temperature_c).abs() <= 0.01, "{temperature:?}");
        assert!((humidity.milli as f64 / 1e3 - humidity_pct).abs() <= 0.05, "{humidity:?}");
        assert!((pressure.milli as f64 / 1e3 - pressure_pa).abs() <= 3.0, "{pressure:?}");
    }
}

/// Behaviour 41.
#[test]
fn bme280_reading_is_never_the_one_before() {
    let bus = Bus::new(0);
    bus.attach(
        0x76,
        Bme280Model::new(|at_ms| Air { temperature_c: (at_ms / 1_000) as f64, ..Air::default() }),
    );
    let sensor = Bme280::new(bus.clone(), Bme280Address::Primary, bus.clone());
    let mut probe = Probe::new(sensor, 1_000, 0);
    for second in 0..60 {
        bus.advance_to(second * 1_000);
        let polled = probe.poll(second * 1_000);
        let expected = second as i64 * 1_000;
        assert!((polled.readings[0].milli - expected).abs() <= 10, "at {second} s: {polled:?}");
    }
}

/// Behaviour 40.
#[test]
fn value_out_of_range_is_discarded_and_counted() {
    let bus = Bus::new(0);
    let (mut probe, _chip, temperature_milli) = room(&bus);
    assert_eq!(probe.poll(0).readings.len(), 2);
    temperature_milli.store(126_000, Ordering::Relaxed);
    assert!(probe.poll(1_000).readings.is_empty());
    assert_eq!(probe.counters().out_of_range, u64::from(TRIES_PER_POLL));
    assert_eq!(probe.counters().failed_polls, 1);
}

#[test]
fn bme280_beyond_its_range_is_discarded_although_the_driver_gives_the_bound() {
    let bus = Bus::new(0);
    bus.attach(0x76, Bme280Model::new(|_| Air { temperature_c: 90.0, ..Air::default() }));
    let sensor = Bme280::new(bus.clone(), Bme280Address::Primary, bus.clone());
    let mut probe = Probe::new(sensor, 1_000, 0);
    assert!(probe.poll(0).readings.is_empty());
    assert_eq!(probe.counters().out_of_range, u64::from(TRIES_PER_POLL));
}

/// Behaviour 40.
#[test]
fn bad_checksum_is_tried_again_and_never_shown() {
    let bus = Bus::new(0);
    let (mut probe, chip, _) = room(&bus);
    probe.poll(0);
    let chip = chip.with_faults(Faults { wrong_crc_per_mille: 1_000, ..Faults::none() }, 1);
    assert!(probe.poll(1_000).readings.is_empty());
    assert_eq!(probe.counters().crc, u64::from(TRIES_PER_POLL));
    chip.with_faults(Faults::none(), 1);
    assert_eq!(probe.poll(2_000).readings.len(), 2);
    assert_eq!(probe.counters().samples, 2);
}

/// Behaviour 39.
#[test]
fn three_failed_polls_take_the_sensor_offline_once_and_it_comes_back() {
    let bus = Bus::new(0);
    let (mut probe, chip, _) = room(&bus);
    assert_eq!(changes(&mut probe, 5_000), [(0, Availability::Online)]);
    chip.set_plugged(false);
    assert_eq!(changes(&mut probe, 100_000), [(8_000, Availability::Offline)]);
    chip.set_plugged(true);
    let back = changes(&mut probe, 200_000);
    assert!(matches!(back.as_slice(), [(_, Availability::Online)]), "{back:?}");
}

#[test]
fn offline_sensor_is_tried_less_and_less_often_but_each_minute() {
    let bus = Bus::new(0);
    let (mut probe, chip, _) = room(&bus);
    chip.set_plugged(false);
    let mut waits_ms = Vec::new();
    for _ in 0..12 {
        let now_ms = probe.next_due_ms();
        assert!(probe.poll(now_ms).readings.is_empty());
        waits_ms.push(probe.next_due_ms() - now_ms);
    }
    let offline = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000];
    assert_eq!(waits_ms[..2], [1_000, 1_000]);
    assert_eq!(waits_ms[2..], offline);
}

#[test]
fn chip_that_lost_its_power_is_calibrated_again() {
    let bus = Bus::new(0);
    let chip = bus.attach(0x76, Bme280Model::new(|_| Air::default()));
    let sensor = Bme280::new(bus.clone(), Bme280Address::Primary, bus.clone());
    let mut probe = Probe::new(sensor, 1_000, 0);
    assert_eq!(probe.poll(0).readings.len(), 3);
    chip.set_plugged(false);
    changes(&mut probe, 10_000);
    chip.set_plugged(true);
    let now_ms = probe.next_due_ms();
    let polled = probe.poll(now_ms);
    assert_eq!(polled.change, Some(Availability::Online));
    assert!((polled.readings[2].milli - 101_325_000).abs() <= 3_000);
}

/// Behaviour 40.
#[test]
fn chip_that_lost_its_power_between_two_polls_gives_no_power_on_default() {
    let bus = Bus::new(0);
    let chip = bus.attach(0x76, Bme280Model::new(|_| Air::default()));
    let sensor = Bme280::new(bus.clone(), Bme280Address::Primary, bus.clone());
    let mut probe = Probe::new(sensor, 1_000, 0);
    assert_eq!(probe.poll(0).readings.len(), 3);
    chip.set_plugged(false);
    chip.set_plugged(true);
    let polled = probe.poll(1_000);
    assert!((polled.readings[0].milli - 21_000).abs() <= 10, "{polled:?}");
    assert!((polled.readings[1].milli - 45_000).abs() <= 50, "{polled:?}");
    assert_eq!(probe.counters().not_ready, 1);
}

/// Behaviour 38.
#[test]
fn trouble_of_one_chip_leaves_its_neighbour_alone() {
    let bus = Bus::new(0);
    let (mut probe, _chip, _) = room(&bus);
    bus.attach(0x76, Bme280Model::new(|_| Air::default()))
        .with_faults(Faults { nack_per_mille: 1_000, ..Faults::none() }, 1);
    let sensor = Bme280::new(bus.clone(), Bme280Address::Primary, bus.clone());
    let mut troubled = Probe::new(sensor, 1_000, 0);
    for second in 0..10 {
        assert!(troubled.poll(second * 1_000).readings.is_empty());
        assert_eq!(probe.poll(second * 1_000).readings.len(), 2);
    }
    assert_eq!(probe.counters().failed_polls, 0);
    assert!(troubled.counters().bus > 0);
}

#[test]
fn late_poll_stays_on_the_grid_and_is_not_made_up_for() {
    let bus = Bus::new(0);
    let (mut probe, _chip, _) = room(&bus);
    probe.poll(0);
    assert_eq!(probe.poll(3_700).readings.len(), 2);
    assert_eq!(probe.next_due_ms(), 4_000);
    assert!(probe.poll(3_999).readings.is_empty(), "not due yet");
}
