use super::*;

const KEYS: &str = "discovery = \"homeassistant\"";

fn delivered(topic: &str, payload: &str, retain: bool) -> Input {
    Input::Delivered(Delivery {
        id: DeliveryId(1),
        topic: topic.into(),
        payload: Bytes::from(payload.to_owned()),
        qos: QoS::AtLeastOnce,
        retain,
        dup: false,
    })
}

fn configs(effects: &[Effect]) -> Vec<(String, String)> {
    let mut told = published(effects);
    told.retain(|(topic, _)| topic.starts_with("homeassistant/"));
    told
}

/// Behaviour 46.
#[test]
fn each_device_is_told_of_with_one_retained_message() {
    let mut bench = Bench::new(KEYS);
    let effects = bench.handle(0, Input::Connected);
    let told = configs(&effects);
    assert_eq!(told.len(), 4);
    let config: Json =
        serde_json::from_str(payload(&told, "homeassistant/device/weir-mill--hall/config"))
            .unwrap();
    let temperature = &config["cmps"]["temperature_c"];
    assert_eq!(temperature["p"], "sensor");
    assert_eq!(temperature["dev_cla"], "temperature");
    assert_eq!(temperature["unit_of_meas"], "°C");
    assert_eq!(temperature["stat_t"], "edge/mill/hall/state");
    assert_eq!(
        temperature["val_tpl"],
        "{% if 'temperature_c' in value_json %}{{ value_json['temperature_c'] }}{% endif %}"
    );
    assert_eq!(temperature["uniq_id"], "weir-mill--hall--temperature_c");
    assert_eq!(config["avty"][0]["t"], "edge/mill/bridge/state");
    assert_eq!(config["avty"][1]["t"], "edge/mill/hall/availability");
    let config: Json =
        serde_json::from_str(payload(&told, "homeassistant/device/weir-mill--pump/config"))
            .unwrap();
    let switch = &config["cmps"]["switch--set"];
    assert_eq!(
        (&switch["p"], &switch["cmd_t"]),
        (&"switch".into(), &"edge/mill/pump/switch/set".into())
    );
    assert!(effects.iter().all(|effect| match effect {
        Effect::Publish(message) => message.retain,
        _ => true,
    }));
}

/// Behaviour 46.
#[test]
fn devices_are_told_of_again_when_home_assistant_starts() {
    let mut bench = Bench::connected(KEYS);
    let first = {
        let mut other = Bench::new(KEYS);
        configs(&other.handle(0, Input::Connected))
    };
    let effects = bench.handle(10, delivered("homeassistant/status", "online", false));
    assert_eq!(configs(&effects), first);
    assert_eq!(*effects.last().unwrap(), Effect::Acknowledge(DeliveryId(1)));
    let effects = bench.handle(20, delivered("homeassistant/status", "offline", false));
    assert_eq!(effects, [Effect::Acknowledge(DeliveryId(1))]);
}

/// Behaviour 46.
#[test]
fn device_that_has_left_the_configuration_is_removed_and_others_are_left_alone() {
    let mut bench = Bench::connected(KEYS);
    let gone = "homeassistant/device/weir-mill--attic/config";
    let effects = bench.handle(10, delivered(gone, "{}", true));
    let Effect::Publish(message) = &effects[0] else { panic!() };
    assert_eq!((&*message.topic, message.payload.len(), message.retain), (gone, 0, true));
    for (topic, payload) in [
        ("homeassistant/device/weir-mill--hall/config", "{}"),
        ("homeassistant/device/weir-other--attic/config", "{}"),
        ("homeassistant/device/tasmota-1/config", "{}"),
        (gone, ""),
    ] {
        let effects = bench.handle(10, delivered(topic, payload, true));
        assert_eq!(effects, [Effect::Acknowledge(DeliveryId(1))], "{topic}");
    }
}

#[test]
fn without_discovery_nothing_is_told_and_nothing_is_asked_for() {
    let mut bench = Bench::new("");
    let effects = bench.handle(0, Input::Connected);
    assert!(configs(&effects).is_empty());
    let asked = effects.iter().filter(|effect| matches!(effect, Effect::Subscribe(_)));
    assert_eq!(asked.count(), 1);
}
