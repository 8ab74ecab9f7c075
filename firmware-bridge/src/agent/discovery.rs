//! Discovery by Home Assistant: one retained message for each device.
//!
//! The messages of devices that have left the configuration are found at the broker itself, which
//! retains them: they are those of this bridge whose device is not known.

use serde_json::{Value, json};

use super::core::retained_empty;
use super::device::{Actuator, ActuatorKind, Device, Field};
use super::outbox::Message;
use super::topics::Topics;
use crate::config::Layout;

/// What is needed to tell Home Assistant of devices.
#[derive(Debug)]
pub(crate) struct Discovery {
    prefix: String,
    /// Start of the ids of all devices of this bridge.
    id_prefix: String,
    topics: Topics,
    layout: Layout,
}

impl Discovery {
    pub(crate) fn new(prefix: &str, bridge: &str, topics: &Topics, layout: Layout) -> Self {
        Self {
            prefix: prefix.to_owned(),
            id_prefix: format!("weir-{bridge}--"),
            topics: topics.clone(),
            layout,
        }
    }

    /// The birth of Home Assistant, and what the broker has retained of devices.
    pub(crate) fn filters(&self) -> impl Iterator<Item = String> {
        [format!("{}/status", self.prefix), format!("{}/device/+/config", self.prefix)].into_iter()
    }

    /// Whether a message says that Home Assistant has started.
    pub(crate) fn is_birth(&self, topic: &str, payload: &[u8]) -> bool {
        payload == b"online" && topic.strip_prefix(&self.prefix) == Some("/status")
    }

    /// What removes a device of this bridge that is not known any more.
    pub(crate) fn removal(
        &self,
        topic: &str,
        payload: &[u8],
        is_known: impl Fn(&str) -> bool,
    ) -> Option<Message> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix("/device/")?;
        let name = rest.strip_suffix("/config")?.strip_prefix(&self.id_prefix)?;
        // What is empty is removed already.
        (!payload.is_empty() && !is_known(name)).then(|| retained_empty(topic))
    }

    /// The message of a device.
    pub(crate) fn config(&self, device: &Device) -> Message {
        let id = format!("{}{}", self.id_prefix, device.name);
        let sensors = device.fields.iter().map(|field| self.sensor(&id, device, field));
        let actuators = device.actuators.iter().map(|one| self.actuator(&id, device, one));
        let components: serde_json::Map<String, Value> = sensors.chain(actuators).collect();
        let config = json!({
            "dev": {
                "ids": [id],
                "name": device.name,
                "mdl": device.info.hardware,
            },
            "o": { "name": "weir-bridge", "sw": env!("CARGO_PKG_VERSION") },
            "avty": [
                { "t": self.topics.bridge_state() },
                { "t": self.topics.device(&device.name, "availability") },
            ],
            "avty_mode": "all",
            "cmps": components,
            "qos": 1,
        });
        let topic = format!("{}/device/{id}/config", self.prefix);
        super::core::retained(topic, config.to_string())
    }

    fn sensor(&self, id: &str, device: &Device, field: &Field) -> (String, Value) {
        let name = &field.name;
        let mut component = json!({
            "p": if field.is_flag { "binary_sensor" } else { "sensor" },
            "name": name,
            "uniq_id": format!("{id}--{name}"),
        });
        let object = component.as_object_mut().expect("it was made as an object");
        match self.layout {
            Layout::Flat => {
                object.insert("stat_t".into(), self.topics.device(&device.name, name).into());
            }
            Layout::Json => {
                object.insert("stat_t".into(), self.topics.device(&device.name, "state").into());
                // A message may have only some of the values. Where one is not, nothing comes of
                // the template, and Home Assistant leaves the state as it is.
                let value = match field.is_flag {
                    true => format!("'ON' if value_json['{name}'] else 'OFF'"),
                    false => format!("value_json['{name}']"),
                };
                let template =
                    format!("{{% if '{name}' in value_json %}}{{{{ {value} }}}}{{% endif %}}");
                object.insert("val_tpl".into(), template.into());
            }
        }
        if !field.is_flag {
            if let Some(class) = device_class(field) {
                object.insert("dev_cla".into(), class.into());
            }
            let is_total = field.unit.ends_with("Wh");
            let state_class = if is_total { "total_increasing" } else { "measurement" };
            object.insert("stat_cla".into(), state_class.into());
            if !field.unit.is_empty() {
                object.insert("unit_of_meas".into(), field.unit.clone().into());
            }
        }
        (name.clone(), component)
    }

    fn actuator(&self, id: &str, device: &Device, actuator: &Actuator) -> (String, Value) {
        let name = &actuator.name;
        let mut component = json!({
            "name": name,
            "uniq_id": format!("{id}--{name}--set"),
            "cmd_t": self.topics.command(&device.name, name),
            "stat_t": self.topics.device(&device.name, name),
        });
        let object = component.as_object_mut().expect("it was made as an object");
        match &actuator.kind {
            ActuatorKind::Number { min, max, decimals, unit } => {
                object.insert("p".into(), "number".into());
                object.insert("min".into(), (*min).into());
                object.insert("max".into(), (*max).into());
                object.insert("step".into(), 10f64.powi(-i32::from(*decimals)).into());
                if !unit.is_empty() {
                    object.insert("unit_of_meas".into(), unit.clone().into());
                }
            }
            ActuatorKind::Switch => {
                object.insert("p".into(), "switch".into());
            }
        }
        // A quantity may have the same name.
        (format!("{name}--set"), component)
    }
}

/// What Home Assistant calls the kind of quantity.
fn device_class(field: &Field) -> Option<&'static str> {
    Some(match field.unit.as_str() {
        "°C" | "°F" | "K" => "temperature",
        "%" if field.name.contains("humidity") => "humidity",
        "Pa" | "hPa" | "bar" | "mbar" => "pressure",
        "ppm" if field.name.contains("co2") => "carbon_dioxide",
        "V" | "mV" => "voltage",
        "A" | "mA" => "current",
        "W" | "kW" | "mW" => "power",
        "Wh" | "kWh" | "MWh" => "energy",
        "Hz" => "frequency",
        _ => return None,
    })
}
