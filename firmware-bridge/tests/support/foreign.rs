//! Programs that are not ours. A test that needs one that is missing fails under `tests/run`, which
//! installs them, and is named as not run elsewhere: it never passes in silence.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn top() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    crates.filter(|folder| folder.join("Cargo.lock").is_file()).last().unwrap()
}

/// Where a program is; `None` when the test cannot run without and that is allowed.
pub(crate) fn program(test: &str, name: &str) -> Option<PathBuf> {
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(more).map(|directory| directory.join(name));
    found_or_not_run(test, name, found.into_iter().find(|path| path.is_file()))
}

/// The interpreter of a Python environment that `tests/run` has made; `None` as for [`program`].
pub(crate) fn python(test: &str, environment: &str) -> Option<PathBuf> {
    let made = env::var_os("WEIR_TESTS_DIR").map(PathBuf::from);
    let places = made.into_iter().chain([top().join("target/tests")]);
    let name = format!("python-{environment}");
    let found = places.map(|place| place.join(&name).join("bin/python")).find(|path| path.exists());
    found_or_not_run(test, &name, found)
}

fn found_or_not_run(test: &str, name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        not_run(test, &format!("{name} is missing"));
    }
    found
}

/// For what `tests/run` installs: there, a test that cannot run has failed.
pub(crate) fn not_run(test: &str, why: &str) {
    let allowed = env::var("WEIR_TESTS_WITHOUT_FOREIGN").map_or(true, |value| value != "0");
    assert!(allowed, "{test} cannot run: {why}");
    left_out(test, why);
}

/// For what may be missing anywhere, as a toolchain that rustup cannot fetch.
pub(crate) fn left_out(test: &str, why: &str) {
    // Past the capture of output, because a test that passes is not heard.
    let written = writeln!(io::stderr(), "not run: {test}: {why} (tests/run installs what it can)");
    written.unwrap();
    if let Some(path) = env::var_os("WEIR_TESTS_NOT_RUN") {
        let mut list = OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(list, "{test}: {why}").unwrap();
    }
}
