//! Any bytes, played as what happens to a core: see `broker/core/tests/play`.
//!
//! Several clients send valid and broken packets, come and go, and do not read; batches are
//! committed late, time passes, the process dies. Whatever happens, every invariant holds.
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz play
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

// Files of the crate's own tests, which play the same way.
#[path = "../../../broker/core/tests/play/mod.rs"]
mod play;

#[path = "../../../broker/core/tests/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "it has more for other tests")]
mod support;

fuzz_target!(|script: &[u8]| {
    play::play(script);
});
