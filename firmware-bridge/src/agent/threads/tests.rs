use std::path::Path;

use tokio::sync::mpsc::{Receiver, channel};

use super::super::clock::Now;
use super::super::core::{Agent, Effect};
use super::*;
use crate::config::{self, Config};
use crate::simulate::Lines;

const UNIX_MS: u64 = 1_780_000_000_000;

fn config(text: &str) -> Config {
    config::parse("test", text, Path::new("")).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

const PLANT: &str = r#"
[bridge]
id = "plant"
metrics_s = 0
[[i2c]]
bus = "sim"
[[sensor]]
name = "hall"
driver = "bme280"
bus = "sim"
[[sensor]]
name = "office"
driver = "scd4x"
bus = "sim"
every_s = 5
[[sensor]]
name = "tank"
driver = "ads1115"
bus = "sim"
every_s = 2
[[onewire]]
name = "boiler"
id = "28-000000000001"
"#;

/// Topics and payloads of two minutes of a simulated plant, over virtual time.
fn two_minutes(seed: u64) -> Vec<(String, Vec<u8>)> {
    let config = config(PLANT);
    let hardware = Hardware::simulated(seed);
    let mut plan = Plan::of(&config);
    let at = |uptime_ms: u64| Now::new(uptime_ms, UNIX_MS + uptime_ms);
    let devices = std::mem::take(&mut plan.devices);
    let mut agent = Agent::new(&config.bridge, devices, at(0));
    agent.handle(at(0), Input::Connected);
    let rounds = plan.rounds.into_iter().map(|round| hardware.round(round, at(0)).1);
    let mut rounds: Vec<Round> = rounds.collect();
    let mut published = Vec::new();
    loop {
        let due = rounds.iter_mut().filter_map(|round| Some((round.next_due_ms()?, round)));
        let (due_ms, round) = due.min_by_key(|(due_ms, _)| *due_ms).unwrap();
        if due_ms > 120_000 {
            return published;
        }
        let report = round.poll_next(at(due_ms)).unwrap();
        agent.handle(at(due_ms), Input::Reported(report));
        while let Some(effect) = agent.next_effect() {
            if let Effect::Publish(message) = effect {
                published.push((message.topic.to_string(), message.payload.to_vec()));
            }
        }
    }
}

/// Behaviour 49.
#[test]
fn same_seed_gives_the_same_bytes() {
    let first = two_minutes(7);
    assert!(first.len() > 100);
    for device in ["hall", "office", "tank", "boiler"] {
        let topic = format!("edge/plant/{device}/state");
        assert!(first.iter().filter(|(found, _)| *found == topic).count() >= 11, "{device}");
    }
    assert_eq!(first, two_minutes(7));
    assert_ne!(first, two_minutes(8));
}

/// The next report of a device, while others go by.
fn report_of(inputs: &mut Receiver<Input>, device: usize) -> Report {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        match inputs.try_recv() {
            Ok(Input::Reported(report)) if report.device == DeviceId(device) => return report,
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("no report of device {device}");
}

/// Behaviour 45.
#[test]
fn edge_of_an_input_is_debounced_and_has_the_time_of_the_kernel() {
    let config = config(
        "[[gpio]]\nname = \"door\"\nchip = \"sim\"\nline = 4\ndirection = \"in\"\n\
         active_low = true\ndebounce_ms = 20\n",
    );
    let hardware = Hardware::of_this_machine();
    let lines: Lines = hardware.lines().clone();
    let (sender, mut inputs) = channel(16);
    let threads = Threads::start(Plan::of(&config), &hardware, Clock, &sender);
    let first = report_of(&mut inputs, 0);
    assert_eq!(first.values, [(0, Value::Flag(true))], "low, and so on");
    assert_eq!(first.change, Some(Availability::Online));
    // The contact opens and bounces, a while ago by now.
    let start_ms = Clock.now().uptime_ms - 5_000;
    for (after_ms, is_high) in [(0, true), (3, false), (7, true), (12, false), (15, true)] {
        lines.drive(4, is_high, start_ms + after_ms);
    }
    lines.advance_to(start_ms + 1_000);
    let edge = report_of(&mut inputs, 0);
    assert_eq!(edge.values, [(0, Value::Flag(false))]);
    assert_eq!(edge.at.uptime_ms, start_ms + 35, "quiet for 20 ms after the last bounce");
    let age_ms = Clock.now().wall_ms.unwrap() - edge.at.wall_ms.unwrap();
    assert!((4_900..15_000).contains(&age_ms), "{age_ms}");
    // A glitch that is over sooner is nothing at all.
    lines.drive(4, false, start_ms + 2_000);
    lines.drive(4, true, start_ms + 2_010);
    lines.drive(4, false, start_ms + 3_000);
    lines.advance_to(start_ms + 4_000);
    let edge = report_of(&mut inputs, 0);
    assert_eq!((edge.at.uptime_ms, edge.counters), (start_ms + 3_020, vec![("edges", 2)]));
    threads.stop(Duration::from_secs(5));
}

/// Behaviour 38.
#[test]
fn chip_that_does_not_answer_leaves_its_neighbour_and_other_buses_alone() {
    // Nothing is at the addresses of bus 250: it is not even there.
    let config = config(
        "[[i2c]]\nbus = 250\n[[i2c]]\nbus = \"sim\"\n\
         [[sensor]]\nname = \"gone\"\ndriver = \"bme280\"\nbus = 250\nevery_s = 0.1\n\
         [[sensor]]\nname = \"there\"\ndriver = \"sht4x\"\nbus = \"sim\"\nevery_s = 0.1\n",
    );
    let (sender, mut inputs) = channel(64);
    let hardware = Hardware::of_this_machine();
    let threads = Threads::start(Plan::of(&config), &hardware, Clock, &sender);
    let (mut samples, mut offline) = (0, None);
    let deadline = Instant::now() + Duration::from_secs(10);
    while (samples < 5 || offline.is_none()) && Instant::now() < deadline {
        match inputs.try_recv() {
            Ok(Input::Reported(report)) if report.device == DeviceId(1) => {
                samples += usize::from(!report.values.is_empty());
            }
            Ok(Input::Reported(report)) if report.change.is_some() => offline = Some(report),
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    assert!(samples >= 5);
    let offline = offline.expect("the other one is offline after three polls");
    assert_eq!(offline.change, Some(Availability::Offline));
    assert_eq!(offline.troubles.len(), 1);
    assert!(offline.troubles[0].text.contains("/dev/i2c-250"), "{:?}", offline.troubles);
    threads.stop(Duration::from_secs(5));
}

#[test]
fn outputs_are_driven_and_read_back_with_their_polarity() {
    let config = config(
        "[[gpio]]\nname = \"pump\"\nchip = \"sim\"\nline = 17\ndirection = \"out\"\n\
         active_low = true\n",
    );
    let hardware = Hardware::of_this_machine();
    let (sender, mut inputs) = channel(16);
    let threads = Threads::start(Plan::of(&config), &hardware, Clock, &sender);
    let pump = ActuatorId { device: DeviceId(0), actuator: 0 };
    threads.order(OrderId(5), pump, 1.0).unwrap();
    let Some(Input::Answered(id, result)) = inputs.blocking_recv() else { panic!() };
    assert_eq!((id, result), (OrderId(5), Ok(1.0)));
    assert!(!hardware.lines().level(17), "on is low");
    let other = ActuatorId { device: DeviceId(0), actuator: 1 };
    assert!(threads.order(OrderId(6), other, 1.0).is_err());
    threads.stop(Duration::from_secs(5));
}

#[test]
fn output_that_is_kept_is_told_as_it_was_found() {
    let config = config(
        "[[gpio]]\nname = \"valve\"\nchip = \"sim\"\nline = 3\ndirection = \"out\"\n\
         safe_state = \"keep\"\n",
    );
    let hardware = Hardware::of_this_machine();
    hardware.lines().set(3, true);
    let (sender, mut inputs) = channel(16);
    let threads = Threads::start(Plan::of(&config), &hardware, Clock, &sender);
    let Some(Input::Found(_, value)) = inputs.blocking_recv() else { panic!() };
    assert_eq!(value, 1.0);
    assert_eq!(report_of(&mut inputs, 0).change, Some(Availability::Online));
    threads.stop(Duration::from_secs(5));
}

#[test]
fn devices_of_a_thread_that_has_failed_are_offline() {
    let (sender, mut inputs) = channel(16);
    let mut threads = Threads::start(Plan::default(), &Hardware::of_this_machine(), Clock, &sender);
    let loss = Loss { devices: vec![DeviceId(4)], inputs: sender, clock: Clock };
    threads.spawn("failing", loss, || panic!("as a driver might"));
    let report = report_of(&mut inputs, 4);
    assert_eq!(report.change, Some(Availability::Offline));
    assert_eq!(report.troubles.len(), 1);
    threads.stop(Duration::from_secs(5));
}
