//! Values that only a broker has, as they are written in the file.

use std::time::Duration;

use weir_config::{Given, Kind, Notation, Refusal, format_duration, parse_duration};

use super::{HostPort, HostPortError, HttpUrl, HttpUrlError};

/// `host:port`.
pub(crate) const ADDRESS: Kind = Kind::Notation(&Notation { range: "host:port", read: address });
/// One or more of them.
pub(crate) const ADDRESSES: Kind = Kind::List { of: &ADDRESS, least: 1 };
/// Topic filters; whether they are some is looked at when all values are known.
pub(crate) const FILTERS: Kind = Kind::List { of: &FILTER, least: 1 };
/// Names or addresses of hosts, without ports.
pub(crate) const HOST_NAMES: Kind = Kind::List { of: &HOST_NAME, least: 0 };
/// Permissions of a file, as octal digits in a text.
pub(crate) const MODE: Kind =
    Kind::Notation(&Notation { range: "\"0000\" to \"0777\"", read: permissions });
/// A shortest and a longest duration in one text.
pub(crate) const PAUSES: Kind =
    Kind::Notation(&Notation { range: "two durations, the shorter first", read: two_durations });
/// Lines of the form that mosquitto has for the topics of a bridge.
pub(crate) const TOPIC_LINES: Kind = Kind::List { of: &TOPIC_LINE, least: 0 };
/// Addresses of services that speak HTTP.
pub(crate) const URLS: Kind = Kind::List { of: &URL, least: 1 };

const FILTER: Kind = Kind::Notation(&Notation { range: "a topic filter", read: any_text });
const HOST_NAME: Kind = Kind::Notation(&Notation { range: "a host name", read: host_name });
const TOPIC_LINE: Kind = Kind::Notation(&Notation {
    range: "a line of `pattern [[in|out|both] [qos] [local/ [remote/]]]`",
    read: any_text,
});
const URL: Kind = Kind::Notation(&Notation { range: "http://host:port/path", read: url });

/// What [`PAUSES`] takes: the shortest and the longest one, which may be the same.
pub(crate) fn pauses(text: &str) -> Option<[Duration; 2]> {
    let mut durations = text.split_whitespace().map(parse_duration);
    let min = durations.next().flatten()?;
    let max = durations.next().unwrap_or(Some(min))?;
    let is_right = durations.next().is_none() && !min.is_zero() && min <= max;
    is_right.then_some([min, max])
}

/// What [`MODE`] takes.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|digit| digit.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok()?;
    (is_octal && mode <= 0o777).then_some(mode)
}

fn any_text(given: &Given<'_>) -> Result<String, Refusal> {
    given.text().map(str::to_owned)
}

fn address(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    text.parse::<HostPort>().map(|address| address.to_string()).map_err(|reason: HostPortError| {
        given
            .wrong(format!("`{text}` is not an address"), reason.to_string())
            .help("write it as \"host:port\", for example \"127.0.0.1:1883\"")
    })
}

fn host_name(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match text.chars().find(|c| !is_name(*c)) {
        None => Ok(text.to_ascii_lowercase()),
        Some(other) => {
            let message = format!("`{text}` is not a host name");
            let refusal = given.wrong(message, format!("`{other}` cannot be part of one"));
            Err(refusal.help("write it without a port, for example \"gateway.local\""))
        }
    }
}

fn permissions(given: &Given<'_>) -> Result<String, Refusal> {
    let mode = given.text().ok().and_then(mode);
    mode.map(|mode| format!("{mode:04o}")).ok_or_else(|| {
        given
            .wrong_type("permissions")
            .help("octal digits in a text, for example \"0660\" for owner and group")
    })
}

fn two_durations(given: &Given<'_>) -> Result<String, Refusal> {
    let pauses = given.text().ok().and_then(pauses);
    pauses.map(|pauses| pauses.map(format_duration).join(" ")).ok_or_else(|| {
        given
            .wrong_type("two durations")
            .help("the shortest and the longest pause, for example \"5s 30s\"")
    })
}

fn url(given: &Given<'_>) -> Result<String, Refusal> {
    let text = given.text()?;
    text.parse::<HttpUrl>().map(|url| url.to_string()).map_err(|reason: HttpUrlError| {
        // What stands before an `@` may be a password.
        let shown = if text.contains('@') { "it" } else { text };
        given
            .wrong(format!("`{shown}` is not an address of a service"), reason.to_string())
            .help("for example \"http://127.0.0.1:8080/mqtt\"")
    })
}
