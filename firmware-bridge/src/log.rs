//! The log of a program: events of `tracing` to the journal of systemd when stderr goes there, else
//! as lines on stderr.

mod journal;

use thiserror::Error;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, fmt};

use crate::systemd::stderr_is_journal;
use journal::Journal;

/// What was said about which events to write has no meaning.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct FilterError(String);

/// Starts the log of this process with the events that `directives` let through, such as
/// `warn,weir_broker=debug`. Only the first call has an effect: a program that this library is part
/// of may have a log already, which then receives the events.
///
/// # Errors
/// The directives have no meaning.
pub fn start(directives: &str) -> Result<(), FilterError> {
    let filter = parse(directives)?;
    // Without a journal there is still stderr.
    let journal = stderr_is_journal().then(Journal::of_system).and_then(Result::ok);
    let set = match journal {
        Some(journal) => {
            tracing::subscriber::set_global_default(Registry::default().with(journal).with(filter))
        }
        None => {
            let lines = fmt::layer().with_writer(std::io::stderr);
            let lines = lines.with_ansi(false).with_target(false);
            tracing::subscriber::set_global_default(Registry::default().with(lines).with(filter))
        }
    };
    set.ok();
    Ok(())
}

/// Levels by part. An `EnvFilter` would take regular expressions over fields as well, which nobody
/// asks for and which bring all tables of Unicode into the program.
fn parse(directives: &str) -> Result<Targets, FilterError> {
    // A comma too many has no meaning, and does no harm.
    let parts: Vec<&str> = directives.split(',').filter(|part| !part.is_empty()).collect();
    parts.join(",").parse().map_err(|error| FilterError(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_parts_are_a_filter_and_the_last_one_counts() {
        let filter = parse("warn,lapin=off,,weir_broker::upstream=debug,lapin=info").unwrap();
        let level = |part: &str, level: &tracing::Level| filter.would_enable(part, level);
        assert!(level("hyper", &tracing::Level::WARN) && !level("hyper", &tracing::Level::INFO));
        assert!(level("lapin", &tracing::Level::INFO));
        assert!(level("weir_broker::upstream::nats", &tracing::Level::DEBUG));
    }

    #[test]
    fn what_is_no_level_is_refused() {
        let said = parse("weir_broker=loud").unwrap_err().to_string();
        assert!(!said.is_empty(), "{said}");
    }
}
