//! The file of the bridge that runs inside the broker.

use std::sync::Arc;

use weir_config::Diagnostic;
use weir_config::{Origin, Problems, Refusal, Values};
use weir_firmware_bridge::config::{Config, ConfigError, load};

use super::code;

/// Reads the file that the key `bridge` names. What is wrong in it is added to `found`.
pub(crate) fn read(
    top: &Values,
    problems: &mut Problems,
    found: &mut Vec<Diagnostic>,
) -> Option<Arc<Config>> {
    let path = top.optional("bridge", Values::path)?;
    match load(&path) {
        Ok(config) => return Some(Arc::new(config)),
        Err(ConfigError::Invalid { problems }) => found.extend(problems),
        Err(error) => {
            let Origin { source, span } = top.origin("bridge")?;
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            let label = reason.unwrap_or_default();
            let refusal = Refusal::new(code::FILE, span.clone(), error.to_string(), label);
            problems.refuse(
                *source,
                refusal.help("check the name, what is in the file, and that this user may read it"),
            );
        }
    }
    None
}
