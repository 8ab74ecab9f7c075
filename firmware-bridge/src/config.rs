//! The configuration of the bridge: one file in TOML.
//!
//! Every key is declared once, in `declared`; `weir_config` makes the defaults, the reading, the
//! messages and the generated reference of that. This module knows text only: it opens no device, so that a
//! file can be checked on any machine. A [`Config`] that was read holds no value outside its
//! declared range, and nothing that contradicts another part of it.

mod build;
mod changes;
mod code;
mod declared;
mod notation;
mod reference;
mod settings;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use weir_config::{Diagnostic, Problems, Source, Tree};

use declared::DECLARED;

pub use changes::{Change, ChangeKind, changes};
pub use reference::reference_page;
pub use settings::{
    Bias, BridgeConfig, BusName, Config, Direction, Driver, Framing, GpioChip, GpioConfig, Layout,
    LinkConfig, LinkKind, Measure, ModbusConfig, ModbusEnd, NodeConfig, OneWireConfig, Parity,
    PredefinedConfig, PwmConfig, ReadConfig, RegisterPlace, RegisterType, SafeState, SensorConfig,
    SensorPlace, SensorRules, SerialLine, SpiConfig, SpiName, SystemConfig, Table, WordOrder,
    WriteConfig,
};

/// Why there is no configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is wrong.
    #[error("the configuration cannot be used")]
    Invalid {
        /// Every problem, in the order of the file.
        problems: Vec<Diagnostic>,
    },
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, or it is wrong: then with all problems at once.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let source = Source::read(path);
    let source = source.map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    read(source).map_err(|problems| ConfigError::Invalid { problems })
}

/// Reads a text. `name` stands in messages, and relative paths start at `folder`.
///
/// # Errors
/// Every problem of the text, in its order.
///
/// ```
/// use std::path::Path;
/// use weir_firmware_bridge::config::parse;
///
/// let text = "[[sensor]]\nname = \"hall\"\ndriver = \"bme280\"\nbus = \"sim\"\nadress = 0x76\n";
/// let problems = parse("bridge.toml", text, Path::new("")).unwrap_err();
/// assert_eq!(
///     problems[1].to_string(),
///     "error[D002]: unknown key `adress` in [[sensor]]\n  --> bridge.toml:5:1\n\
///      5 | adress = 0x76\n  | ^^^^^^ no such key\n  = help: did you mean `address`?\n"
/// );
/// ```
pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Config, Vec<Diagnostic>> {
    read(Source { name: name.into(), text: text.to_owned(), folder: folder.to_owned() })
}

fn read(source: Source) -> Result<Config, Vec<Diagnostic>> {
    let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
    tree.lay(0, &source, &mut problems);
    tree.check_required(&mut problems);
    let config = build::build(&tree, &mut problems);
    let found = problems.into_diagnostics(&[source]);
    if found.is_empty() { Ok(config) } else { Err(found) }
}

#[cfg(test)]
mod tests;
