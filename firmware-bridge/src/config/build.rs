//! From the values of the tables to the configuration, with the checks that look at more than one
//! value: names that are taken, chips that cannot be at an address, keys that exclude each other.

mod gateway;
mod modbus;
mod pins;
mod sensors;
mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use weir_config::{Origin, Problems, Refusal, Tree, Values};

use super::code;
use super::declared::{BRIDGE, DECLARED};
use super::settings::{BridgeConfig, Config, Layout};

/// Builds the configuration. It is to be used only if `problems` stays empty.
pub(crate) fn build(tree: &Tree, problems: &mut Problems) -> Config {
    let mut builder = Builder { problems, devices: BTreeMap::new() };
    let bridge = builder.bridge(tree.table(&BRIDGE));
    let buses = builder.buses(tree);
    let spi = builder.spi(tree);
    Config {
        bridge,
        tls: builder.tls(tree),
        sensors: builder.sensors(tree, &buses, &spi),
        buses,
        spi,
        onewire: builder.onewire(tree),
        system: builder.system(tree),
        gpio: builder.gpio(tree),
        pwm: builder.pwm(tree),
        modbus: builder.modbus(tree),
        links: builder.links(tree),
        predefined: builder.predefined(tree),
        nodes: builder.nodes(tree),
    }
}

/// What is known so far.
struct Builder<'a> {
    problems: &'a mut Problems,
    /// The section of each device.
    devices: BTreeMap<String, String>,
}

impl Builder<'_> {
    fn bridge(&mut self, values: &Values) -> BridgeConfig {
        if values.is_given("password_file") && !values.is_given("username") {
            let message = "a password without a user name";
            let at = values.place("password_file");
            self.conflict(at, message, "for whom?", "add `username`, or remove this key");
        }
        let discovery = values.choice("discovery") == "homeassistant";
        if values.is_given("discovery_prefix") && !discovery {
            let message = "`discovery_prefix` without discovery";
            let at = values.place("discovery_prefix");
            self.conflict(at, message, "not used", "add `discovery = \"homeassistant\"`");
        }
        let metrics_every = values.duration("metrics_s");
        BridgeConfig {
            id: values.text("id"),
            root: values.text("root"),
            layout: if values.choice("layout") == "flat" { Layout::Flat } else { Layout::Json },
            state_acknowledged: values.whole::<u8>("state_qos") == 1,
            state_retain: values.flag("state_retain"),
            discovery_prefix: discovery.then(|| values.text("discovery_prefix")),
            broker: values.text("broker"),
            username: values.optional("username", Values::text),
            password_file: values.optional("password_file", Values::path),
            data_dir: values.optional("data_dir", Values::path),
            queue_bytes_max: values.whole::<u64>("queue_max_mb") << 20,
            queue_age_max: Duration::from_secs(values.whole("queue_max_age_s")),
            safe_after: values.duration("safe_after_s"),
            clock_wait: values.duration("clock_wait_s"),
            metrics_every: (!metrics_every.is_zero()).then_some(metrics_every),
        }
    }

    /// The name of a device, which no other one may have.
    fn device(&mut self, values: &Values) -> String {
        let name = values.text("name");
        if !values.is_given("name") {
            return name;
        }
        if RESERVED.contains(&name.as_str()) {
            let message = format!("a device cannot be called `{name}`");
            let help = "topics of the bridge itself have this name";
            self.conflict(values.place("name"), &message, "taken", help);
        }
        let section = DECLARED.header(values.section(), "NAME");
        if let Some(other) = self.devices.insert(name.clone(), section) {
            let message = format!("two devices are called `{name}`");
            let help = format!("the first one is in {other}; topics need a name for each");
            self.conflict(values.place("name"), &message, "taken", &help);
        }
        name
    }

    /// A key that has no meaning beside another value.
    fn only_with(&mut self, values: &Values, key: &str, what: &str) {
        if values.is_given(key) {
            let message = format!("`{key}` has no meaning here");
            let label = format!("only for {what}");
            self.conflict(values.place(key), &message, &label, "remove the key");
        }
    }

    fn conflict(&mut self, at: Origin, message: &str, label: &str, help: &str) {
        let refusal = Refusal::new(code::CONFLICT, at.span, message, label);
        self.problems.refuse(at.source, refusal.help(help));
    }

    fn wrong(&mut self, at: Origin, message: &str, label: &str, help: &str) {
        let refusal = Refusal::new(code::VALUE, at.span, message, label);
        self.problems.refuse(at.source, refusal.help(help));
    }
}

/// Where a table was begun.
fn header(values: &Values) -> Origin {
    values.header().cloned().unwrap_or_default()
}

/// Thousandths, rounded.
fn milli(value: f64) -> i64 {
    // A cast saturates, and no quantity reaches that far.
    (value * 1_000.0).round() as i64
}

const RESERVED: [&str; 2] = ["bridge", "ota"];
