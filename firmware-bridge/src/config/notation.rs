//! Values that only a bridge has, as they are written in the file.

use weir_config::{Given, Kind, Notation, Refusal, Values};

use super::{BusName, SpiName};

/// `host:port`.
pub(crate) const ADDRESS: Kind = Kind::Notation(&Notation { range: "host:port", read: address });
/// What a node may do.
pub(crate) const GRANTS: Kind = Kind::List { of: &GRANT, least: 1 };
/// Number of an I2C bus of the machine, or the simulated one.
pub(crate) const I2C_BUS: Kind =
    Kind::Notation(&Notation { range: "0 to 255, or \"sim\"", read: i2c_bus });
/// One level of a topic.
pub(crate) const LEVEL: Kind =
    Kind::Notation(&Notation { range: "1 to 64 letters, digits, `-` and `_`", read: level });
/// A topic name of nodes, whose messages may carry their age: `$age/` and a topic name.
pub(crate) const NODE_TOPIC: Kind =
    Kind::Notation(&Notation { range: "a topic name, also behind `$age/`", read: node_topic });
/// The file of an SPI device of the machine, or a simulated one.
pub(crate) const SPI_DEVICE: Kind = Kind::Notation(&Notation {
    range: "a file such as \"/dev/spidev0.0\", or \"sim\", \"sim.1\" to \"sim.15\"",
    read: spi_device,
});
/// A topic name.
pub(crate) const TOPIC: Kind =
    Kind::Notation(&Notation { range: "a topic name without `+` and `#`", read: topic });

const GRANT: Kind = Kind::Notation(&Notation {
    range: "\"read FILTER\", \"write FILTER\" or \"readwrite FILTER\"",
    read: grant,
});

fn address(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(_) => Ok(text.to_owned()),
        None => Err(given.refuse_text(text).help("for example \"127.0.0.1:1883\"")),
    }
}

/// `read FILTER` or `write FILTER`.
fn grant(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    let filter = ["read ", "write ", "readwrite "].iter().find_map(|way| text.strip_prefix(way));
    let levels: Vec<&str> = filter.unwrap_or_default().split('/').collect();
    let last = levels.len() - 1;
    let is_right = levels.iter().enumerate().all(|(place, level)| match *level {
        "#" => place == last,
        "+" => true,
        level => !level.contains(['+', '#', ' ']),
    });
    if filter.is_none_or(str::is_empty) || !is_right {
        let help = "for example [\"write edge/+/+/state\", \"read edge/#\"]";
        return Err(given.refuse_text(text).help(help));
    }
    Ok(text.to_owned())
}

fn i2c_bus(given: &Given<'_>) -> Result<String, Refusal> {
    if given.is_whole() {
        return given.whole(0, i64::from(u8::MAX)).map(|number| number.to_string());
    }
    match given.text() {
        Ok("sim") => Ok("sim".to_owned()),
        _ => Err(given
            .wrong_type("the number of a bus, or \"sim\"")
            .help("`weir-bridge scan` shows the buses of this machine")),
    }
}

fn level(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.len() > LEVEL_BYTES_MAX || !text.chars().all(is_allowed) {
        return Err(given.refuse_text(text).help("it becomes a level of topics"));
    }
    Ok(text.to_owned())
}

fn topic(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    check_topic(given, text, text)
}

fn node_topic(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    check_topic(given, text, text.strip_prefix(AGE_PREFIX).unwrap_or(text))
}

fn check_topic(given: &Given<'_>, text: &str, topic: &str) -> Result<String, Refusal> {
    let is_level = |level: &str| !level.is_empty() && !level.contains(['+', '#', '\0']);
    if !topic.split('/').all(is_level) || topic.starts_with('$') {
        return Err(given.refuse_text(text).help("for example \"edge\" or \"site/mill\""));
    }
    Ok(text.to_owned())
}

fn spi_device(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    match SpiName::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(given
            .refuse_text(text)
            .help("`weir-bridge scan` shows the SPI devices of this machine")),
    }
}

/// The bus that a key names.
pub(crate) fn bus_of(values: &Values, name: &str) -> BusName {
    BusName::parse(&values.text(name)).expect("it was read as one")
}

/// The device that a key names.
pub(crate) fn spi_of(values: &Values, name: &str) -> SpiName {
    SpiName::parse(&values.text(name)).expect("it was read as one")
}

/// What a topic begins with whose messages carry their age.
const AGE_PREFIX: &str = "$age/";
const LEVEL_BYTES_MAX: usize = 64;
