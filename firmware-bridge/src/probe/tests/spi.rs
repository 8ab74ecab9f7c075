//! Chips on SPI, each through its real driver and a model that shifts octets.

use weir_node::sense::{Bme280Spi, Max31855};

use super::*;
use crate::simulate::{
    Junction, Level, Max31855Model, SpiAttached, SpiBus, SpiSlot, ThermocoupleFault,
};

type Weather = Probe<Bme280Spi<SpiSlot, SpiSlot>>;

fn weather(bus: &SpiBus) -> (Weather, SpiAttached) {
    let chip = bus.attach(
        0,
        Bme280Model::new(|at_ms| Air { temperature_c: (at_ms / 1_000) as f64, ..Air::default() }),
    );
    (Probe::new(Bme280Spi::new(bus.slot(0), bus.slot(0)), 1_000, 0), chip)
}

fn kiln(
    bus: &SpiBus,
    junction: impl Fn(u64) -> Junction + Send + 'static,
) -> (Probe<Max31855<SpiSlot>>, SpiAttached) {
    let chip = bus.attach(1, Max31855Model::new(junction));
    (Probe::new(Max31855::new(bus.slot(1)), 1_000, 0), chip)
}

fn poll_at<S: Sensor>(bus: &SpiBus, probe: &mut Probe<S>, now_ms: u64) -> Vec<i64> {
    bus.advance_to(now_ms);
    probe.poll(now_ms).readings.iter().map(|reading| reading.milli).collect()
}

/// Behaviour 37.
#[test]
fn bme280_on_spi_is_read_to_within_its_resolution() {
    for (temperature_c, humidity_pct, pressure_pa) in [
        (-39.5, 10.0, 60_000.0),
        (-18.5, 65.0, 95_000.0),
        (25.08, 43.2, 100_653.0),
        (84.0, 80.0, 108_000.0),
    ] {
        let bus = SpiBus::new(0);
        bus.attach(0, Bme280Model::new(move |_| Air { temperature_c, humidity_pct, pressure_pa }));
        let sensor = Bme280Spi::new(bus.slot(0), bus.slot(0));
        let mut probe = Probe::new(sensor, 1_000, 0);
        let [temperature, humidity, pressure] = poll_at(&bus, &mut probe, 0)[..] else {
            panic!("no sample at {temperature_c} C: {:?}", probe.counters())
        };
        assert!((temperature as f64 / 1e3 - temperature_c).abs() <= 0.01, "{temperature:?}");
        assert!((humidity as f64 / 1e3 - humidity_pct).abs() <= 0.05, "{humidity:?}");
        assert!((pressure as f64 / 1e3 - pressure_pa).abs() <= 3.0, "{pressure:?}");
    }
}

/// Behaviour 41.
#[test]
fn bme280_on_spi_never_gives_the_reading_before() {
    let bus = SpiBus::new(0);
    let (mut probe, _chip) = weather(&bus);
    for second in 0..60 {
        let values = poll_at(&bus, &mut probe, second * 1_000);
        assert!((values[0] - second as i64 * 1_000).abs() <= 10, "at {second} s: {values:?}");
    }
    assert_eq!(probe.counters(), ProbeCounters { samples: 60, ..ProbeCounters::default() });
}

/// Behaviours 39 and 40: over SPI nobody says that nobody is there.
#[test]
fn bme280_on_spi_that_is_pulled_gives_nothing_and_is_read_again_when_it_is_back() {
    for level in [Level::High, Level::Low] {
        let bus = SpiBus::new(0);
        let (mut probe, chip) = weather(&bus);
        assert_eq!(poll_at(&bus, &mut probe, 0).len(), 3);
        chip.unplug(level);
        for second in 1..=3 {
            assert!(poll_at(&bus, &mut probe, second * 1_000).is_empty(), "{level:?}");
        }
        assert_eq!(probe.counters().not_present, 9, "{level:?}: {:?}", probe.counters());
        chip.plug_in();
        let now_ms = probe.next_due_ms();
        bus.advance_to(now_ms);
        let polled = probe.poll(now_ms);
        assert_eq!(polled.change, Some(Availability::Online), "{level:?}");
        assert!((polled.readings[0].milli - 4_000).abs() <= 10, "{level:?}: {polled:?}");
    }
}

/// Behaviour 40.
#[test]
fn bme280_on_spi_that_lost_its_power_between_two_polls_is_reset_and_never_gives_its_defaults() {
    let bus = SpiBus::new(0);
    let (mut probe, chip) = weather(&bus);
    assert_eq!(poll_at(&bus, &mut probe, 0).len(), 3);
    chip.unplug(Level::High);
    chip.plug_in();
    let values = poll_at(&bus, &mut probe, 1_000);
    assert!((values[0] - 1_000).abs() <= 10, "{values:?}");
    assert_eq!(probe.counters().not_ready, 1);
}

#[test]
fn another_chip_in_the_place_of_a_bme280_is_refused() {
    let bus = SpiBus::new(0);
    let junction = Junction { temperature_c: 20.0, cold_junction_c: 20.0, fault: None };
    bus.attach(0, Max31855Model::new(move |_| junction));
    let mut probe = Probe::new(Bme280Spi::new(bus.slot(0), bus.slot(0)), 1_000, 0);
    assert!(poll_at(&bus, &mut probe, 1_000).is_empty());
    assert_eq!(probe.counters().not_present, 3);
}

/// Behaviours 37 and 41.
#[test]
fn max31855_is_read_to_within_its_resolution_and_never_the_sample_before() {
    let bus = SpiBus::new(0);
    let (mut probe, _chip) = kiln(&bus, |at_ms| Junction {
        temperature_c: -200.0 + (at_ms / 1_000) as f64 * 10.3,
        cold_junction_c: 28.4 - (at_ms / 1_000) as f64,
        fault: None,
    });
    for second in 1..=120 {
        // A conversion ends at each tenth of a second.
        let values = poll_at(&bus, &mut probe, second * 1_000 + 200);
        let hot = -200_000 + second as i64 * 10_300;
        assert!((values[0] - hot).abs() <= 125, "at {second} s: {values:?}");
        let cold = 28_400 - second as i64 * 1_000;
        let cold = cold.max(-55_000);
        assert!((values[1] - cold).abs() <= 32, "at {second} s: {values:?}");
    }
    assert_eq!(probe.counters().samples, 120);
}

/// Behaviour 40.
#[test]
fn max31855_that_is_pulled_or_broken_gives_no_value_and_says_why() {
    for (fault, expected) in [
        (ThermocoupleFault::Open, "open"),
        (ThermocoupleFault::ShortToGround, "ground"),
        (ThermocoupleFault::ShortToSupply, "supply"),
    ] {
        let bus = SpiBus::new(0);
        let junction = Junction { temperature_c: 1.0, cold_junction_c: 1.0, fault: Some(fault) };
        let chip = bus.attach(1, Max31855Model::new(move |_| junction));
        let mut sensor = Max31855::new(bus.slot(1));
        let error = sensor.sample(&mut [Reading::default(); 2]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let mut probe = Probe::new(sensor, 1_000, 0);
        let polled = probe.poll(0);
        assert_eq!((polled.readings.len(), polled.failure), (0, Some(Failure::Wiring)));
        for level in [Level::High, Level::Low] {
            chip.unplug(level);
            let now_ms = probe.next_due_ms();
            assert_eq!(probe.poll(now_ms).failure, Some(Failure::NotPresent), "{level:?}");
        }
    }
}

/// Behaviour 40.
#[test]
fn max31855_that_has_just_got_its_power_gives_nothing_before_its_first_conversion() {
    let bus = SpiBus::new(0);
    let junction = Junction { temperature_c: 500.0, cold_junction_c: 25.0, fault: None };
    let (mut probe, chip) = kiln(&bus, move |_| junction);
    assert_eq!(poll_at(&bus, &mut probe, 0), [500_000, 25_000]);
    chip.unplug(Level::High);
    chip.plug_in();
    assert!(poll_at(&bus, &mut probe, 1_000).is_empty());
    assert_eq!(probe.counters().not_present, 3);
    assert_eq!(poll_at(&bus, &mut probe, 2_000), [500_000, 25_000]);
}
