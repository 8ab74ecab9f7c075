//! Events as entries of the journal of systemd, by its native protocol: one datagram for each, with
//! a field for each field of the event. The fields are in the text of the entry too, so that who
//! reads it line by line misses nothing.

use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Of a value; what is longer is cut. A datagram of more than some 200 KB would be refused.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Of an event.
const FIELDS_MAX: usize = 16;

/// Writes events to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    identifier: String,
}

impl Journal {
    /// The journal of this machine.
    pub(super) fn of_system() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A journal that does not read holds nobody up for long.
        socket.set_write_timeout(Some(PATIENCE))?;
        let program = std::env::args_os().next().unwrap_or_default();
        let name = Path::new(&program).file_name().unwrap_or_default();
        Ok(Self { socket, identifier: name.to_string_lossy().into_owned() })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut entry = Vec::with_capacity(256);
        put(&mut entry, "MESSAGE", &format!("{}{}", fields.text, fields.line));
        put(&mut entry, "PRIORITY", priority(*metadata.level()));
        put(&mut entry, "SYSLOG_IDENTIFIER", &self.identifier);
        put(&mut entry, "WEIR_TARGET", metadata.target());
        for (name, value) in &fields.named {
            put(&mut entry, name, value);
        }
        // There is nowhere to say that the log cannot be written.
        let _ = self.socket.send(&entry);
    }
}

/// What an event has to say.
#[derive(Default)]
struct Fields {
    text: String,
    /// ` name=value` for each field.
    line: String,
    named: Vec<(String, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field.name(), format!("{value:?}"));
    }
}

impl Fields {
    fn take(&mut self, name: &str, mut value: String) {
        let end =
            (0..=VALUE_BYTES_MAX.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
        value.truncate(end.unwrap_or(0));
        if name == "message" {
            self.text = value;
        } else if self.named.len() < FIELDS_MAX {
            write!(self.line, " {name}={value}").expect("a String takes everything");
            self.named.push((field_name(name), value));
        }
    }
}

/// `WEIR_CLIENT_ID` of `client_id`: names are capital letters, digits and `_`.
fn field_name(name: &str) -> String {
    let sign = |sign: char| match sign.is_ascii_alphanumeric() {
        true => sign.to_ascii_uppercase(),
        false => '_',
    };
    "WEIR_".chars().chain(name.chars().map(sign)).collect()
}

/// Of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// A field of an entry. One with lines in it has its length before it.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The entries that came of what is done.
    fn entries(count: usize, log: impl FnOnce()) -> Vec<Vec<u8>> {
        let name = format!("weir-journal-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        tracing::subscriber::with_default(Registry::default().with(journal), log);
        let mut buffer = vec![0; 256 * 1024];
        let mut next = || {
            let length = listener.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn event_is_an_entry_with_its_level_and_its_fields() {
        let found = entries(4, || {
            tracing::error!("the disk is gone");
            tracing::warn!(client_id = "pump", dropped = 3, "messages are dropped");
            tracing::info!(target: "audit", "let in");
            tracing::debug!("a detail");
        });
        let text = |number: usize| String::from_utf8(found[number].clone()).unwrap();
        assert!(text(0).starts_with("MESSAGE=the disk is gone\nPRIORITY=3\nSYSLOG_IDENTIFIER="));
        assert!(
            text(1)
                .starts_with("MESSAGE=messages are dropped client_id=pump dropped=3\nPRIORITY=4\n")
        );
        assert!(text(1).ends_with("\nWEIR_CLIENT_ID=pump\nWEIR_DROPPED=3\n"));
        assert!(text(2).contains("PRIORITY=6\n") && text(2).contains("WEIR_TARGET=audit\n"));
        assert!(text(3).contains("PRIORITY=7\n"));
    }

    #[test]
    fn lines_in_a_value_make_no_fields_and_what_is_long_is_cut() {
        let long = "ü".repeat(VALUE_BYTES_MAX);
        let found = entries(1, || tracing::warn!(client_id = "a\nPRIORITY=0", long, "odd"));
        let message = b"MESSAGE\n";
        assert!(found[0].starts_with(message));
        let (length, rest) = found[0][message.len()..].split_first_chunk().unwrap();
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        assert!(rest[..length].starts_with(b"odd client_id=a\nPRIORITY=0 long="));
        assert!(rest[length..].starts_with(b"\nPRIORITY=4\n"));
        let named = b"WEIR_CLIENT_ID\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n";
        assert!(rest.windows(named.len()).any(|part| part == named));
        assert!(found[0].len() < 3 * VALUE_BYTES_MAX);
    }
}
