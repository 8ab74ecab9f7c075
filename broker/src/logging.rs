//! The log: events of `tracing` in the journal of systemd when stderr goes there, else as lines on
//! stderr. Which events exist is decided where they happen; here is only which of them are written. The environment variable `WEIR_LOG` goes before
//! the configuration, so that one part can be looked at closely without changing a file.

use std::env;

use thiserror::Error;
use weir_core::{DropNotice, DropReason, MemoryPressure, ThrottleNotice};
use weir_firmware_bridge::log::{self, FilterError};

use crate::config::LogLevel;

/// The variable that goes before the configuration.
const VARIABLE: &str = "WEIR_LOG";

/// Other crates are heard only when something is wrong.
const OURS: [&str; 4] = ["weir", "weir_broker", "weir_core", "weir_rules"];

/// A library that writes payloads into the log, and what goes wrong twice: it is heard only when
/// it is named.
const QUIET: &str = "lapin=off";

/// Why there is no log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// `WEIR_LOG` has no meaning.
    #[error("WEIR_LOG cannot be `{text}`")]
    Filter {
        /// What it says.
        text: String,
        /// Why that is not a filter.
        source: FilterError,
    },
}

/// Starts the log of this process. Only the first call has an effect.
///
/// # Errors
/// `WEIR_LOG` is set and is not a filter.
pub fn start(level: LogLevel) -> Result<(), LogError> {
    match env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => log::start(&format!("{QUIET},{text}"))
            .map_err(|source| LogError::Filter { text, source }),
        _ => log::start(&directives(level))
            .map_err(|source| LogError::Filter { text: level.name().to_owned(), source }),
    }
}

/// Messages for a client are dropped: one line for each episode. What an ACL forbids is no
/// surprise, and whoever publishes against it stands in the audit log.
pub(crate) fn dropping(notice: &DropNotice) {
    let (client_id, reason) = (&*notice.client_id, notice.reason.name());
    let dropped = notice.dropped.of(notice.reason);
    if notice.reason == DropReason::Acl {
        tracing::debug!(client_id, reason, dropped, "messages are dropped");
    } else {
        tracing::warn!(client_id, reason, dropped, "messages are dropped");
    }
}

/// A client or a listener is too fast: one line for each episode.
pub(crate) fn throttled(notice: &ThrottleNotice, listener: &str) {
    let rate = notice.limit.name();
    match &notice.client_id {
        Some(client_id) => {
            let client_id = &**client_id;
            tracing::warn!(client_id, listener, rate, "a client over its rate is read more slowly");
        }
        None => tracing::warn!(listener, rate, "a listener at its rate lets connections wait"),
    }
}

/// Memory is short, or not any more.
pub(crate) fn memory(pressure: MemoryPressure, bytes: usize) {
    match pressure {
        MemoryPressure::None => tracing::info!(bytes, "there is enough memory again"),
        pressure => {
            let pressure = pressure.name();
            tracing::warn!(bytes, pressure, "memory is short: see memory_limit");
        }
    }
}

fn directives(level: LogLevel) -> String {
    let ours = OURS.map(|name| format!("{name}={}", level.name()));
    // Who was refused is told whatever the level of the rest, and who was let in unless only
    // errors are wanted.
    let audit = if level == LogLevel::Error { "warn" } else { "info" };
    // What the client of NATS calls an error is told once by the upstream, with what to do.
    format!("warn,async_nats=off,{QUIET},audit={audit},{}", ours.join(","))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::Targets;

    use super::*;

    #[test]
    fn every_level_is_a_filter() {
        for level in [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Trace] {
            directives(level).parse::<Targets>().unwrap();
        }
        assert_eq!(
            directives(LogLevel::Debug),
            "warn,async_nats=off,lapin=off,audit=info,weir=debug,weir_broker=debug,weir_core=debug,\
             weir_rules=debug"
        );
        assert!(
            directives(LogLevel::Error).starts_with("warn,async_nats=off,lapin=off,audit=warn,")
        );
    }
}
