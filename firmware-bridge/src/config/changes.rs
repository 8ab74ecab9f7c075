//! What differs between two configurations, in the words of the file.

use std::fmt;

use super::{Config, LinkConfig};

/// Something that another configuration has, has not, or has differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table and the name that it has in the file, such as `sensor hall`.
    pub what: String,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is there with other values.
    Changed,
    /// It is not there any more.
    Removed,
}

/// A sign, and what it is about: `+ sensor hall`.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
        };
        write!(formatter, "{sign} {}", self.what)
    }
}

/// What is different after, in the order of the reference; nothing if both say the same.
///
/// ```
/// use std::path::Path;
/// use weir_firmware_bridge::config::{changes, parse};
///
/// let gpio = |line: u8| {
///     format!("[[gpio]]\nname = \"door\"\nline = {line}\ndirection = \"in\"\n")
/// };
/// let config = |text: &str| parse("bridge.toml", text, Path::new("")).unwrap();
/// let found = changes(&config(&gpio(4)), &config(&gpio(5)));
/// assert_eq!(found[0].to_string(), "~ gpio door");
/// assert!(changes(&config(&gpio(4)), &config(&gpio(4))).is_empty());
/// ```
pub fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let mut found = Found(Vec::new());
    found.one("bridge", Some(&before.bridge), Some(&after.bridge));
    found.one("tls", before.tls.as_ref(), after.tls.as_ref());
    found.list("i2c", &before.buses, &after.buses, ToString::to_string);
    found.list("spi", &before.spi, &after.spi, |place| place.device.to_string());
    found.list("sensor", &before.sensors, &after.sensors, |sensor| sensor.name.clone());
    found.list("onewire", &before.onewire, &after.onewire, |one| one.name.clone());
    found.list("system", &before.system, &after.system, |one| one.name.clone());
    found.list("gpio", &before.gpio, &after.gpio, |one| one.name.clone());
    found.list("pwm", &before.pwm, &after.pwm, |one| one.name.clone());
    found.list("modbus", &before.modbus, &after.modbus, |one| one.name.clone());
    found.list("link", &before.links, &after.links, LinkConfig::place);
    found.list("predefined", &before.predefined, &after.predefined, |one| match &one.client {
        Some(client) => format!("{} of {client}", one.id),
        None => one.id.to_string(),
    });
    found.list("node", &before.nodes, &after.nodes, |node| node.client_id.clone());
    found.0
}

struct Found(Vec<Change>);

impl Found {
    fn one<T: PartialEq>(&mut self, what: &str, before: Option<&T>, after: Option<&T>) {
        let kind = match (before, after) {
            (Some(before), Some(after)) if before != after => ChangeKind::Changed,
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Removed,
            _ => return,
        };
        self.0.push(Change { what: what.to_owned(), kind });
    }

    /// What is known by its name.
    fn list<T: PartialEq>(
        &mut self,
        section: &str,
        before: &[T],
        after: &[T],
        name: impl Fn(&T) -> String,
    ) {
        for old in before {
            let same = after.iter().find(|new| name(new) == name(old));
            self.one(&format!("{section} {}", name(old)), Some(old), same);
        }
        for new in after {
            if !before.iter().any(|old| name(old) == name(new)) {
                self.one(&format!("{section} {}", name(new)), None, Some(new));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let config = |text: &str| {
            parse("bridge.toml", text, Path::new("")).unwrap_or_else(|p| panic!("{}", p[0]))
        };
        let found = changes(&config(before), &config(after));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_table_is_looked_at_and_named_as_in_the_file() {
        for (text, expected) in [
            ("[bridge]\nid = \"x\"\n", "~ bridge"),
            ("[tls]\n", "+ tls"),
            ("[[i2c]]\nbus = 1\n", "+ i2c 1"),
            ("[[spi]]\ndevice = \"sim\"\n", "+ spi \"sim\""),
            ("[[onewire]]\nname = \"a\"\nid = \"28-0316a2795aff\"\n", "+ onewire a"),
            ("[[system]]\nname = \"a\"\n", "+ system a"),
            ("[[gpio]]\nname = \"a\"\nline = 1\ndirection = \"in\"\n", "+ gpio a"),
            ("[[pwm]]\nname = \"a\"\nchannel = 0\n", "+ pwm a"),
            (
                "[[modbus]]\nname = \"a\"\ntcp = \"h:1\"\n[[modbus.read]]\nname = \"v\"\nregister = 1\n",
                "+ modbus a",
            ),
            ("[[link]]\nkind = \"udp\"\nbind = \"127.0.0.1:1\"\n", "+ link 127.0.0.1:1"),
            ("[[link]]\nkind = \"serial\"\npath = \"/dev/x\"\n", "+ link /dev/x"),
            ("[[predefined]]\nid = 1\ntopic = \"a\"\n", "+ predefined 1"),
            ("[[node]]\nclient_id = \"n\"\n", "+ node n"),
        ] {
            assert_eq!(shown("", text), [expected]);
            assert!(shown(text, text).is_empty(), "{text}");
            assert_eq!(shown(text, "").len(), 1, "{text}");
        }
    }

    #[test]
    fn sensor_that_moves_or_is_set_otherwise_has_changed() {
        let file = |name: &str, keys: &str| {
            format!(
                "[[spi]]\ndevice = \"sim\"\n{keys}\n[[sensor]]\nname = \"{name}\"\n\
                 driver = \"bme280\"\nspi = \"sim\"\n"
            )
        };
        let found = shown(&file("a", ""), &file("a", "mode = 3"));
        assert_eq!(found, ["~ spi \"sim\"", "~ sensor a"]);
        assert_eq!(shown(&file("a", ""), &file("b", "")), ["- sensor a", "+ sensor b"]);
    }
}
