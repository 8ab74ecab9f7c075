//! The commands of the programs that are shipped together: this one, and the bridge, which it has in
//! it as well.

use clap::{Command, CommandFactory as _};

/// Of `weir`.
pub(super) fn weir() -> Command {
    super::Arguments::command()
}

/// Of `weir-bridge`.
pub(super) fn bridge() -> Command {
    weir_firmware_bridge::cli::command()
}
