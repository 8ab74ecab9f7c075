//! The further chips, each through its real driver and a register model.

use weir_node::sense::{
    Ads1115, Ads1115Address, Ads1115Range, Ina219, Ina219Address, Scd4x, Sht3x, Sht3xAddress,
};

use super::*;
use crate::simulate::{Ads1115Model, Breath, Ina219Model, Load, Scd4xModel, Sht3xModel};

fn sht3x(bus: &Bus) -> (Probe<Sht3x<Bus, Bus>>, Attached) {
    let model = Sht3xModel::new(|at_ms| Climate {
        temperature_c: 20.0 + (at_ms / 1_000) as f64,
        humidity_pct: 45.5,
    });
    let chip = bus.attach(0x45, model);
    let sensor = Sht3x::new(bus.clone(), Sht3xAddress::High, bus.clone());
    (Probe::new(sensor, 1_000, 0), chip)
}

fn converter(bus: &Bus, range: Ads1115Range) -> (Probe<Ads1115<Bus, Bus>>, Attached) {
    let chip = bus.attach(
        0x48,
        Ads1115Model::new(|at_ms| [0.1 + (at_ms / 1_000) as f64 * 0.01, 0.2, 0.0, 0.25]),
    );
    let sensor = Ads1115::new(bus.clone(), Ads1115Address::Ground, range, bus.clone());
    (Probe::new(sensor, 1_000, 0), chip)
}

fn meter(bus: &Bus) -> (Probe<Ina219<Bus, Bus>>, Attached) {
    let model = Ina219Model::new(0.1, |at_ms| Load {
        voltage_v: 12.0 + (at_ms / 1_000) as f64 * 0.1,
        current_a: -0.5,
    });
    let chip = bus.attach(0x41, model);
    let address = Ina219Address::new(0x41).unwrap();
    (Probe::new(Ina219::new(bus.clone(), address, 100_000, bus.clone()), 1_000, 0), chip)
}

fn breath(bus: &Bus) -> (Probe<Scd4x<Bus, Bus>>, Attached) {
    let model = Scd4xModel::new(0x0102_0304_0506, |at_ms| Breath {
        co2_ppm: 400.0 + (at_ms / 1_000) as f64,
        temperature_c: 22.5,
        humidity_pct: 40.0,
    });
    let chip = bus.attach(0x62, model);
    (Probe::new(Scd4x::new(bus.clone(), 500, bus.clone()), 10_000, 0), chip)
}

/// Polls at `now_ms`, with the time of the bus there.
fn poll_at<S: Sensor>(bus: &Bus, probe: &mut Probe<S>, now_ms: u64) -> Vec<i64> {
    bus.advance_to(now_ms);
    probe.poll(now_ms).readings.iter().map(|reading| reading.milli).collect()
}

/// Behaviours 37 and 41.
#[test]
fn sht3x_is_read_to_within_its_resolution_and_never_the_sample_before() {
    let bus = Bus::new(0);
    let (mut probe, _chip) = sht3x(&bus);
    for second in 0..60 {
        let values = poll_at(&bus, &mut probe, second * 1_000);
        assert!((values[0] - 20_000 - second as i64 * 1_000).abs() <= 3, "{values:?}");
        assert!((values[1] - 45_500).abs() <= 2, "{values:?}");
    }
    assert_eq!(probe.counters(), ProbeCounters { samples: 60, ..ProbeCounters::default() });
}

/// Behaviour 40.
#[test]
fn sht3x_with_a_wrong_checksum_is_not_shown() {
    let bus = Bus::new(0);
    let (mut probe, chip) = sht3x(&bus);
    poll_at(&bus, &mut probe, 0);
    chip.with_faults(Faults { wrong_crc_per_mille: 1_000, ..Faults::none() }, 1);
    assert!(poll_at(&bus, &mut probe, 1_000).is_empty());
    assert_eq!(probe.counters().crc, 3);
}

/// Behaviour 37.
#[test]
fn ads1115_is_read_to_within_its_resolution_in_every_range() {
    for range in [
        Ads1115Range::Mv6144,
        Ads1115Range::Mv4096,
        Ads1115Range::Mv2048,
        Ads1115Range::Mv1024,
        Ads1115Range::Mv512,
    ] {
        let bus = Bus::new(0);
        let (mut probe, _chip) = converter(&bus, range);
        let step_milli = i64::from(range.mv()) * 1_000 / 32_768 + 1;
        for second in 0..10 {
            let values = poll_at(&bus, &mut probe, second * 1_000);
            let expected = [100_000 + second as i64 * 10_000, 200_000, 0, 250_000];
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() <= step_milli, "{range:?}: {values:?}");
            }
            assert_eq!(values.len(), 4);
        }
    }
}

/// Behaviour 40.
#[test]
fn ads1115_beyond_its_range_is_discarded() {
    let bus = Bus::new(0);
    let (mut probe, _chip) = converter(&bus, Ads1115Range::Mv256);
    assert_eq!(poll_at(&bus, &mut probe, 0).len(), 4);
    let now_ms = 20_000;
    assert!(poll_at(&bus, &mut probe, now_ms).is_empty(), "a0 is at 300 mV");
    assert!(probe.counters().out_of_range > 0);
}

/// Behaviour 41.
#[test]
fn ads1115_that_lost_its_power_during_a_sample_gives_no_old_value() {
    let bus = Bus::new(0);
    let (mut probe, chip) = converter(&bus, Ads1115Range::Mv4096);
    poll_at(&bus, &mut probe, 0);
    chip.set_plugged(false);
    assert!(poll_at(&bus, &mut probe, 1_000).is_empty());
    chip.set_plugged(true);
    let values = poll_at(&bus, &mut probe, 2_000);
    assert!((values[0] - 120_000).abs() <= 126, "{values:?}");
}

/// Behaviours 37 and 41.
#[test]
fn ina219_is_read_to_within_its_resolution_and_never_the_sample_before() {
    let bus = Bus::new(0);
    let (mut probe, _chip) = meter(&bus);
    for second in 0..30 {
        let values = poll_at(&bus, &mut probe, second * 1_000);
        let voltage = 12_000_000 + second as i64 * 100_000;
        assert!((values[0] - voltage).abs() <= 4_000, "{values:?}");
        // 10 uV at 100 milliohm.
        assert!((values[1] + 500_000).abs() <= 100, "{values:?}");
        assert!((values[2] + voltage / 2).abs() <= 4_000, "{values:?}");
    }
    assert_eq!(probe.counters(), ProbeCounters { samples: 30, ..ProbeCounters::default() });
}

#[test]
fn another_chip_at_the_address_of_an_ina219_is_refused() {
    let bus = Bus::new(0);
    bus.attach(0x41, Bme280Model::new(|_| Air::default()));
    let address = Ina219Address::new(0x41).unwrap();
    let mut probe = Probe::new(Ina219::new(bus.clone(), address, 100_000, bus.clone()), 1_000, 0);
    assert!(poll_at(&bus, &mut probe, 0).is_empty());
    assert_eq!(probe.counters().not_present, 3);
}

/// Behaviour 41.
#[test]
fn scd4x_gives_each_measurement_once_and_nobody_waits_for_it() {
    let bus = Bus::new(0);
    let (mut probe, _chip) = breath(&bus);
    let mut samples = Vec::new();
    while probe.next_due_ms() < 120_000 {
        let now_ms = probe.next_due_ms();
        bus.advance_to(now_ms);
        let before_us = bus.now_us();
        let values = poll_at(&bus, &mut probe, now_ms);
        assert!(bus.now_us() - before_us < 600_000, "the bus was held up");
        samples.extend(values.first().copied());
    }
    // What is read was measured at most five seconds ago.
    assert!(samples.len() >= 11, "{samples:?}");
    assert!(samples.is_sorted_by(|a, b| b - a >= 5_000), "a value was given twice: {samples:?}");
    assert_eq!(probe.counters().failed_polls, 0);
}

/// Behaviour 37.
#[test]
fn scd4x_is_read_to_within_its_resolution() {
    let bus = Bus::new(0);
    let (mut probe, _chip) = breath(&bus);
    let mut values = Vec::new();
    while values.is_empty() && probe.next_due_ms() < 20_000 {
        let now_ms = probe.next_due_ms();
        values = poll_at(&bus, &mut probe, now_ms);
    }
    assert!((values[0] - 405_000).abs() <= 1_000, "{values:?}");
    assert!((values[1] - 22_500).abs() <= 3 && (values[2] - 40_000).abs() <= 2, "{values:?}");
}

#[test]
fn scd4x_that_lost_its_power_is_started_again() {
    let bus = Bus::new(0);
    let (mut probe, chip) = breath(&bus);
    let mut samples = 0;
    while probe.next_due_ms() < 60_000 {
        let now_ms = probe.next_due_ms();
        samples += usize::from(!poll_at(&bus, &mut probe, now_ms).is_empty());
    }
    assert!(samples >= 5);
    chip.set_plugged(false);
    chip.set_plugged(true);
    let mut values = Vec::new();
    while values.is_empty() && probe.next_due_ms() < 120_000 {
        let now_ms = probe.next_due_ms();
        values = poll_at(&bus, &mut probe, now_ms);
    }
    assert!(!values.is_empty(), "it was never started again");
    assert_eq!(probe.counters().not_ready, 1);
}
