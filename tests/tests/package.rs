//! The package of Debian: what is in it, and its life on a copy of this system. The programs in it
//! are those of the tests, so that nothing has to be built as it is shipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::{allows, not_run, program};
use weir_tests::harness::process::{Ended, Process};
use weir_tests::harness::weir::{binary, workspace};

/// To build the tool that packs takes minutes, if nobody has done so before.
const LIMIT: Duration = Duration::from_secs(540);

#[test]
fn the_package_is_installed_upgraded_and_removed_without_a_trace() {
    let test = "the life of the package";
    let Some(old) = pack(test, "0.0.9-1") else { return };
    let Some(new) = pack(test, "0.1.0-1") else { return };
    let mut command = script("lifecycle");
    let ended = run(command.args([&old.path, &new.path, &new.archive()]));
    if allows(test, "root, or a mount of its own,", ended.status.code() != Some(77)) {
        assert!(ended.status.success() && ended.stdout.ends_with("ok\n"), "{ended:?}");
    }
}

#[test]
fn the_package_has_no_file_that_a_policy_would_refuse() {
    let test = "the files of the package";
    let Some(lintian) = program(test, "lintian") else { return };
    let Some(package) = pack(test, "0.1.0-1") else { return };
    let mut command = Command::new(lintian);
    command.args(["--fail-on", "error", "--tag-display-limit", "0", "--allow-root"]);
    command.args(["--suppress-tags", &ALLOWED.map(|(tag, _)| tag).join(",")]);
    let ended = run(command.arg(&package.path));
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    for (tag, reason) in ALLOWED {
        assert!(!reason.is_empty(), "{tag} has no reason");
    }
}

/// What lintian calls an error and is meant so.
const ALLOWED: [(&str, &str); 2] = [
    ("missing-dependency-on-libc", "those of the tests are not static, as what is shipped is"),
    ("statically-linked-binary", "one file runs on every system that has its processor"),
];

/// A package, in a folder that goes with it.
struct Package {
    path: PathBuf,
    _folder: Folder,
}

impl Package {
    /// What goes into a container, which is made with it.
    fn archive(&self) -> PathBuf {
        let mut names = fs::read_dir(self.path.parent().unwrap()).unwrap();
        let is_it = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tar");
        names.find_map(|entry| Some(entry.unwrap().path()).filter(is_it)).unwrap()
    }
}

/// The programs of the tests as a package; `None` when what packs them is missing.
fn pack(test: &str, version: &str) -> Option<Package> {
    let folder = Folder::new("package");
    let mut command = script("build");
    command.arg("--programs").arg(programs()).args(["--version", version]);
    let ended = run(command.arg("--output").arg(folder.path()));
    if ended.status.code() == Some(77) {
        // Before it stands what the tools had to say.
        let reason = ended.stderr.trim().lines().next_back().unwrap_or_default();
        not_run(&format!("{test}: {reason}"));
        return None;
    }
    assert!(ended.status.success(), "{ended:?}");
    let path = PathBuf::from(ended.stdout.trim());
    assert!(fs::metadata(&path).unwrap().len() > 0, "{ended:?}");
    Some(Package { path, _folder: folder })
}

/// Where both programs are.
fn programs() -> PathBuf {
    let directory = binary().parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--workspace", "--all-features", "--bin", "weir-bridge"]);
    command.current_dir(workspace()).env("CARGO_TARGET_DIR", directory.parent().unwrap());
    if directory.ends_with("release") {
        command.arg("--release");
    }
    assert!(run(&mut command).status.success(), "the bridge cannot be built: {command:?}");
    directory.to_owned()
}

fn script(name: &str) -> Command {
    let mut command = Command::new(workspace().join("tests/package").join(name));
    // cargo-deb is looked for where the tests are built.
    let directory = binary().parent().and_then(Path::parent).unwrap();
    command.current_dir(workspace()).env("CARGO_TARGET_DIR", directory);
    command
}

fn run(command: &mut Command) -> Ended {
    Process::spawn(command).wait(LIMIT)
}
