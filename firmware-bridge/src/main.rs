//! The `weir-bridge` binary: everything is in the library, so that tests and other programs can use
//! it.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_firmware_bridge::cli::main()
}
