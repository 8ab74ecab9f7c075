//! Who may read and write what weir keeps and what it is told: the data directory with its keys, the
//! configuration, and the files with passwords and keys that it names.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::finding::Finding;
use crate::config::{Config, ConfigFiles, NamedFile};

const CHECK: &str = "permissions";
const READ_BY_OTHERS: u32 = 0o004;
const WRITTEN_BY_OTHERS: u32 = 0o002;
const WRITTEN_BY_GROUP: u32 = 0o020;
const ROOT: u32 = 0;

/// Secrets that weir keeps itself, in the data directory.
const KEPT: [&str; 2] = ["admin.key", "salt.key"];

pub(super) fn look(file: Option<&Path>, config: &Config) -> Vec<Finding> {
    let me = geteuid().as_raw();
    let mut findings = Vec::new();
    // Whose weir is, as far as it can be known before it runs.
    let mut user = me;
    if config.persistence {
        let found = fs::metadata(&config.data_dir);
        if let Ok(found) = &found {
            user = found.uid();
        }
        findings.extend(data_dir(&config.data_dir, found.ok().as_ref(), me));
    }
    let (mut named, holds_secret) =
        config.files.as_ref().map(ConfigFiles::named_files).unwrap_or_default();
    let kept = KEPT.map(|name| config.data_dir.join(name)).into_iter().filter(|path| path.exists());
    let own = |path: PathBuf| NamedFile { key: "data_dir".to_owned(), path, is_secret: true };
    named.extend(kept.map(own));
    if let Some(path) = file {
        let path = path.to_owned();
        named.push(NamedFile { key: "--config".to_owned(), path, is_secret: holds_secret });
    }
    for one in &named {
        findings.extend(file_of(one, user));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "nobody else can read or change what is secret"));
    }
    findings
}

fn data_dir(path: &Path, found: Option<&Metadata>, me: u32) -> Option<Finding> {
    let name = path.display();
    let Some(found) = found else {
        let parent = path.ancestors().find(|part| part.is_dir()).unwrap_or(Path::new("."));
        let may_make = rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_ok();
        return (!may_make).then(|| {
            let what = "the data directory is not there, and this user cannot make it";
            let help =
                format!("sudo install -d -m 750 -o USER {name}, with the user that runs weir");
            Finding::problem(CHECK, what).at_path(path).help(help)
        });
    };
    if !found.is_dir() {
        let what = "the data directory is a file";
        return Some(Finding::problem(CHECK, what).at_path(path).help("name another `data_dir`"));
    }
    if me != ROOT && found.uid() != me {
        let what = format!("the data directory is of user {}, and this is user {me}", found.uid());
        let help = format!("run this as the user that runs weir; or sudo chown -R USER {name}");
        return Some(Finding::warning(CHECK, what).at_path(path).help(help));
    }
    let mode = found.permissions().mode();
    let help = format!("chmod 750 {name}");
    if mode & WRITTEN_BY_OTHERS != 0 {
        let what = "every user of this machine can change the store";
        return Some(Finding::problem(CHECK, what).at(place(path, mode)).help(help));
    }
    (mode & READ_BY_OTHERS != 0).then(|| {
        let what = "every user of this machine can list the data directory";
        Finding::warning(CHECK, what).at(place(path, mode)).help(help)
    })
}

/// The first thing that is wrong with a file; `user` is who runs weir.
fn file_of(named: &NamedFile, user: u32) -> Option<Finding> {
    let NamedFile { key, path, is_secret } = named;
    // What is not there or cannot be read is for the check of the configuration to tell.
    let found = fs::metadata(path).ok()?;
    let (mode, name) = (found.permissions().mode(), path.display());
    let at = || format!("{} by `{key}`", place(path, mode));
    let less = format!("chmod {} {name}", if *is_secret { "640" } else { "644" });
    if mode & WRITTEN_BY_OTHERS != 0 {
        let what = "every user of this machine can change what weir does";
        return Some(Finding::problem(CHECK, what).at(at()).help(less));
    }
    if *is_secret && mode & READ_BY_OTHERS != 0 {
        let what = "every user of this machine can read a secret";
        return Some(Finding::problem(CHECK, what).at(at()).help(less));
    }
    if ![ROOT, user].contains(&found.uid()) {
        let what = format!(
            "a file of weir belongs to user {}, who is neither root nor user {user}, who runs it",
            found.uid()
        );
        let help = format!("sudo chown root {name}");
        return Some(Finding::warning(CHECK, what).at(at()).help(help));
    }
    (*is_secret && mode & WRITTEN_BY_GROUP != 0).then(|| {
        let what = format!("the group {} can change a secret", found.gid());
        Finding::warning(CHECK, what).at(at()).help(less)
    })
}

fn place(path: &Path, mode: u32) -> String {
    format!("{} (mode {:04o})", path.display(), mode & 0o7777)
}
