//! The files that a configuration names, for whoever looks after their permissions.

use std::path::PathBuf;

use weir_config::{Kind, Tree, Value, Values};

use super::declared::{LISTENER, UPSTREAM};

/// A file that a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// As it is written in the file: `auth.password_file`.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// Nobody else is to read it.
    pub(crate) is_secret: bool,
}

/// All files that are named, and whether a secret stands in the configuration itself.
pub(crate) fn named_files(tree: &Tree) -> (Vec<NamedFile>, bool) {
    let mut found = Found::default();
    for values in tree.tables() {
        found.look(values.section().name, values);
    }
    for values in tree.list(&LISTENER) {
        found.look("listener", values);
    }
    for (name, values) in tree.named(&UPSTREAM) {
        found.look(&format!("upstream.{name}"), values);
    }
    (found.files, found.holds_secret)
}

#[derive(Default)]
struct Found {
    files: Vec<NamedFile>,
    holds_secret: bool,
}

impl Found {
    fn look(&mut self, place: &str, values: &Values) {
        for key in values.section().keys {
            let Some((value, _)) = values.given(key.name) else { continue };
            let full = match place {
                "" => key.name.to_owned(),
                place => format!("{place}.{}", key.name),
            };
            match value {
                Value::Path(_) if NO_FILES.contains(&key.name) => {}
                Value::Path(path) => {
                    let path = path.clone();
                    let is_secret = SECRET_FILES.contains(&key.name);
                    self.files.push(NamedFile { key: full, path, is_secret });
                }
                Value::Table(values) => self.look(&full, values),
                _ if matches!(key.kind, Kind::Secret) => self.holds_secret = true,
                _ => {}
            }
        }
    }
}

/// Keys with a directory, or with a file whose contents do not matter.
const NO_FILES: [&str; 2] = ["clock_file", "data_dir"];

/// Keys with a file that shows who one is.
const SECRET_FILES: [&str; 8] = [
    "authorization_file",
    "creds_file",
    "keyfile",
    "nkey_file",
    "password_file",
    "secret_file",
    "token_file",
    "tokens_file",
];

#[cfg(test)]
mod tests {
    use weir_config::{Problems, Source};

    use super::*;
    use crate::config::declared::{DECLARED, SECTIONS};

    #[test]
    fn files_of_all_tables_are_found_and_secrets_known() {
        let text = "data_dir = \"data\"\n[auth]\npassword_file = \"users\"\nacl_file = \"acl\"\n\
                    [[listener]]\naddress = \"[::1]:1\"\n[listener.tls]\ncertfile = \"c\"\n\
                    keyfile = \"k\"\n[upstream.far]\nkind = \"mqtt\"\npassword = \"x\"\n";
        let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
        let file = Source { name: "weir.toml".into(), text: text.into(), folder: "/etc".into() };
        tree.lay(0, &file, &mut problems);
        let (files, holds_secret) = named_files(&tree);
        let found: Vec<(&str, &str, bool)> = files
            .iter()
            .map(|file| (&*file.key, file.path.to_str().unwrap(), file.is_secret))
            .collect();
        let expected = [
            ("auth.password_file", "/etc/users", true),
            ("auth.acl_file", "/etc/acl", false),
            ("listener.tls.certfile", "/etc/c", false),
            ("listener.tls.keyfile", "/etc/k", true),
        ];
        assert_eq!(found, expected);
        assert!(holds_secret);
    }

    /// So that a key that is new is thought about.
    #[test]
    fn every_key_that_sounds_like_a_secret_is_one() {
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            let sounds = ["password", "secret", "token", "creds", "nkey", "keyfile", "authoriz"];
            let is_file = matches!(key.kind, Kind::Path);
            if is_file && sounds.iter().any(|part| key.name.contains(part)) {
                assert!(SECRET_FILES.contains(&key.name), "{}", key.name);
            }
        }
    }
}
