//! The page of the reference, which is generated from the declarations. A test holds it up to
//! date; run that with `WEIR_WRITE_REFERENCE=1` to write it.

use super::declared::DECLARED;

/// `docs/devices-configuration.md`.
pub fn reference_page() -> String {
    DECLARED.page(
        "# Configuration of the bridge\n\n\
         One file in TOML. Every table may be left out; [config/bridge.toml](../config/bridge.toml) \
         is an example. `weir-bridge check --config FILE` shows every problem at once, with its \
         place and what to do, without touching a device. A relative path starts at the directory \
         of the file; `\"credential:NAME\"` is one that systemd has handed to the service. \
         [Devices](devices.md) says how things are wired and what the topics are.\n",
    )
}
