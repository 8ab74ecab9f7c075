//! Programs that are not ours. A test that needs one that is missing fails under `tests/run`,
//! which installs them, and is named as not run elsewhere: it never passes in silence.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::{env, io, iter};

use super::weir::workspace;

/// Where a program is; `None` when the test cannot run and that is allowed.
///
/// # Panics
/// It is missing and that is not allowed.
#[must_use]
pub fn program(test: &str, name: &str) -> Option<PathBuf> {
    // Brokers are installed where only an administrator has a path to.
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(more).map(|directory| directory.join(name));
    found_or_named(test, name, found.into_iter().find(|path| path.is_file()))
}

/// The interpreter of a Python environment that `tests/run` has made; `None` as in [`program`].
///
/// # Panics
/// As in [`program`].
#[must_use]
pub fn python(test: &str, environment: &str) -> Option<PathBuf> {
    let name = format!("python-{environment}");
    found_or_named(test, &name, find_made(&format!("{name}/bin/python")))
}

/// The directory of the packages for Node that `tests/run` has installed; `None` as in
/// [`program`].
///
/// # Panics
/// As in [`program`].
#[must_use]
pub fn node_packages(test: &str, environment: &str) -> Option<PathBuf> {
    let name = format!("node-{environment}");
    found_or_named(test, &name, find_made(&format!("{name}/node_modules")))
}

/// Something else that a script has made for the tests; `None` as in [`program`].
///
/// # Panics
/// As in [`program`].
#[must_use]
pub fn made(test: &str, path: &str) -> Option<PathBuf> {
    found_or_named(test, path, find_made(path))
}

/// Whether a test can run that needs something of the system other than a program; it is named as
/// not run when not.
#[must_use]
pub fn allows(test: &str, what: &str, is_allowed: bool) -> bool {
    if !is_allowed {
        not_run(&format!("{test}: {what} is not allowed here"));
    }
    is_allowed
}

/// What `tests/run` has put below its directory, if it has.
fn find_made(path: &str) -> Option<PathBuf> {
    let directory = env::var_os("WEIR_TESTS_DIR").map(PathBuf::from);
    let places = directory.into_iter().chain(iter::once(workspace().join("target/tests")));
    places.map(|place| place.join(path)).find(|path| path.exists())
}

fn found_or_named(test: &str, name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let allowed = env::var("WEIR_TESTS_WITHOUT_FOREIGN").map_or(true, |value| value != "0");
        assert!(allowed, "{test} cannot run: {name} is missing");
        not_run(&format!("{test}: {name} is missing"));
    }
    found
}

/// Tells that a test is left out, and why.
///
/// # Panics
/// That cannot be written.
pub fn not_run(text: &str) {
    // Past the capture of output, because a test that passes is not heard, and into the list that
    // `tests/run` prints at the end.
    let written = writeln!(io::stderr(), "not run: {text} (tests/run installs what it can)");
    written.expect("there is a standard error");
    if let Some(path) = env::var_os("WEIR_TESTS_NOT_RUN") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let mut file = file.expect("tests/run has made the list");
        writeln!(file, "{text}").expect("the list can be written");
    }
}
