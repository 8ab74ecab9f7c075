//! Password files of mosquitto: one `name:hash` in each line, read unchanged.
//!
//! What mosquitto would skip without a word is an error here: a line that is not understood is a
//! user who cannot connect. A plain-text password is refused, and never shown.

use std::collections::BTreeMap;
use std::path::Path;

use weir_config::Diagnostic;
use weir_core::Credential;

use super::credential::credential_of;
use super::hash::{HashError, PasswordHash};
use super::line::{self, Line, code};
use super::salt_key::SaltKey;
use super::scram;

/// The users of a file and the hashes of their passwords.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passwords {
    users: BTreeMap<Box<str>, PasswordHash>,
    /// Length of the salt and iterations of each user with keys of SCRAM.
    salts: Vec<(usize, u32)>,
}

impl Passwords {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let text = line::read(path, "password file").map_err(|problem| vec![*problem])?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the text of a file; all that is wrong with it is told at once.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut passwords = Self::default();
        let mut problems = Vec::new();
        let shown = without_passwords(text);
        for line in line::lines(text) {
            match user(&line) {
                Err(problem) => problems.push(problem.at(name, &shown, line.span())),
                Ok((user, _)) if passwords.users.contains_key(user) => {
                    let message = format!("the user `{user}` has a line already");
                    let problem = Diagnostic::error(code::TWICE, message);
                    problems.push(problem.at(name, &shown, line.span_of(user)));
                }
                Ok((user, hash)) => {
                    passwords.users.insert(user.into(), hash);
                }
            }
        }
        let scrams = passwords.users.values().filter_map(PasswordHash::scram);
        passwords.salts = scrams.map(|(salt, iterations, _)| (salt.len(), iterations)).collect();
        if problems.is_empty() { Ok(passwords) } else { Err(problems) }
    }

    /// The users, and whether each has keys for SCRAM.
    pub(crate) fn users(&self) -> impl Iterator<Item = (&str, bool)> {
        self.users.iter().map(|(name, hash)| (&**name, hash.scram().is_some()))
    }

    /// Whether this is the password of the user. For a user who does not exist a hash is computed
    /// all the same, so that the time of the answer does not tell.
    pub(crate) fn verify(&self, username: &str, password: &[u8]) -> bool {
        match self.users.get(username) {
            Some(hash) => hash.verify(password),
            None => {
                if let Some(any) = self.users.values().next() {
                    std::hint::black_box(any.verify(password));
                }
                false
            }
        }
    }

    /// Whether anybody has keys of SCRAM.
    pub(crate) fn has_scram(&self) -> bool {
        !self.salts.is_empty()
    }

    /// What SCRAM needs of a user, and whether there is such a user with such keys: for any other
    /// name it is made up, the same each time, and cannot be told from the real thing.
    pub(crate) fn scram(&self, username: &str, salts: &SaltKey) -> Option<Challenged<'_>> {
        // In any case, so that the time of the answer does not tell either.
        let [first, second, ..] = salts.bytes("like", username);
        let chosen = usize::from(u16::from_le_bytes([first, second]));
        let (salt_bytes, iterations) = self.salts.get(chosen % self.salts.len().max(1))?;
        let mut salt = [salts.bytes("salt", username), salts.bytes("more", username)].concat();
        salt.truncate(*salt_bytes);
        let made_up = Challenged { salt, iterations: *iterations, keys: None };
        let known = self.users.get(username).and_then(PasswordHash::scram);
        Some(known.map_or(made_up, |(salt, iterations, keys)| Challenged {
            salt: salt.to_vec(),
            iterations,
            keys: Some(keys),
        }))
    }

    /// By what a user is revoked who has shown its password; none without such a user.
    pub(crate) fn credential(&self, username: &str) -> Option<Credential> {
        self.users.get(username).map(|hash| credential(username, hash))
    }

    /// Those of all users.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = Credential> {
        self.users.iter().map(|(name, hash)| credential(name, hash))
    }
}

/// What a client is asked that wants to show by SCRAM that it knows a password.
pub(crate) struct Challenged<'a> {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    /// None when nothing that it shows can be right.
    pub(crate) keys: Option<scram::Keys<'a>>,
}

/// Another one for another hash.
fn credential(username: &str, hash: &PasswordHash) -> Credential {
    credential_of(&["password", username, &hash.to_string()])
}

/// The text of a password file with another hash for one user, or without that user; every other
/// line stays as it is. The answer also tells whether there was a line of the user.
pub(crate) fn edit(text: &str, username: &str, hash: Option<&PasswordHash>) -> (String, bool) {
    line::edit(text, username, hash.map(|hash| format!("{username}:{hash}\n")))
}

/// Why a name cannot stand in a password file; none when it can.
pub(crate) fn name_problem(username: &str) -> Option<&'static str> {
    if username.is_empty() {
        Some("a user name cannot be empty")
    } else if username.contains(':') || username.chars().any(char::is_control) {
        Some("a user name cannot have a colon or a control character in it")
    } else if username.trim() != username {
        Some("a user name cannot begin or end with white space")
    } else if username.starts_with('#') {
        Some("a user name cannot begin with `#`, which begins a comment")
    } else if username.len() > NAME_BYTES_MAX {
        Some("a user name cannot be longer than 65535 bytes")
    } else {
        None
    }
}

fn user<'a>(line: &Line<'a>) -> Result<(&'a str, PasswordHash), Box<Diagnostic>> {
    let Some((name, hash)) = line.text.split_once(':') else {
        let problem = Diagnostic::error(code::LINE, "the line has no `:`");
        return Err(Box::new(problem.label("must be name:hash").help(MAKE_ONE)));
    };
    let name = name.trim();
    if let Some(reason) = name_problem(name) {
        return Err(Box::new(Diagnostic::error(code::LINE, reason).help(MAKE_ONE)));
    }
    PasswordHash::parse(hash.trim()).map(|hash| (name, hash)).map_err(|reason| {
        let message = format!("the password of `{name}` cannot be used: {reason}");
        let help = match reason {
            HashError::PlainText => {
                "passwords are only read as hashes: `mosquitto_passwd -U FILE` or \
                 `weir passwd FILE USER` makes them"
            }
            _ => MAKE_ONE,
        };
        Box::new(Diagnostic::error(code::HASH, message).help(help))
    })
}

/// The text with stars for all that follows a colon, and for lines without one: what is wrong
/// with a line may be that a password stands there.
fn without_passwords(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let shown = line.find(':').map_or(0, |colon| colon + 1);
        hidden.push_str(&line[..shown]);
        for character in line[shown..].chars() {
            match character.is_whitespace() {
                true => hidden.push(character),
                false => hidden.extend(std::iter::repeat_n('*', character.len_utf8())),
            }
        }
    }
    hidden
}

const MAKE_ONE: &str = "`weir passwd FILE USER` writes such a line";
const NAME_BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::vectors;

    fn problems(text: &str) -> String {
        let problems = Passwords::parse(text, "passwords").unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_of_mosquitto_are_read_unchanged() {
        for file in [vectors::FILE_6, vectors::FILE_7] {
            let passwords = Passwords::parse(file, "passwords").unwrap();
            assert!(passwords.verify("ann", b"secret"));
            assert!(passwords.verify("bob", "pa:ss wörd".as_bytes()));
            assert!(!passwords.verify("ann", "pa:ss wörd".as_bytes()));
            assert!(!passwords.verify("eve", b"secret") && !passwords.verify("", b""));
        }
    }

    #[test]
    fn comments_empty_lines_and_the_ends_of_other_systems_are_skipped() {
        let (_, hash) = vectors::SHA512[0];
        let text = format!("# users\r\n\r\n  ann : {hash}\r\n#bob:x\n");
        let passwords = Passwords::parse(&text, "passwords").unwrap();
        assert_eq!(passwords.users.len(), 1);
        assert!(passwords.verify("ann", b"secret"));
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_without_the_password() {
        let (_, hash) = vectors::SHA512[0];
        let text = format!("ann:hunter2\n{hash}\n:{hash}\nbob:{hash}\nbob:{hash}\ncy:$9$x\n");
        let told = problems(&text);
        assert_eq!(told.matches("error[").count(), 5, "{told}");
        for part in [
            "passwords:1:1",
            "passwords:2:1",
            "passwords:3:1",
            "passwords:5:1",
            "passwords:6:1",
            "the password stands there as plain text",
            "the line has no `:`",
            "cannot be empty",
            "the user `bob` has a line already",
            "`cy` cannot be used: the kind of hash is not known",
            "mosquitto_passwd -U",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("hunter2") && !told.contains(&hash[4..12]), "{told}");
    }

    #[test]
    fn an_edit_touches_the_line_of_its_user_only() {
        let (_, old) = vectors::SHA512[0];
        let (_, new) = vectors::PBKDF2[0];
        let hash = PasswordHash::parse(new).unwrap();
        let text = format!("# kept: \nann:{old}\n#bob:no\nbob:{old}");
        let (edited, found) = edit(&text, "bob", Some(&hash));
        assert_eq!((edited, found), (format!("# kept: \nann:{old}\n#bob:no\nbob:{new}\n"), true));
        let (edited, found) = edit(&text, "cy", Some(&hash));
        assert_eq!((edited.as_str(), found), (&*format!("{text}\ncy:{new}\n"), false));
        let (edited, found) = edit(&text, "ann", None);
        assert_eq!((edited, found), (format!("# kept: \n#bob:no\nbob:{old}"), true));
        assert_eq!(edit("", "ann", Some(&hash)).0, format!("ann:{new}\n"));
    }

    #[test]
    fn a_change_or_an_end_of_a_user_is_seen() {
        let [(_, first), (_, second)] = [vectors::SHA512[0], vectors::SHA512[1]];
        let read = |text: String| Passwords::parse(&text, "passwords").unwrap();
        let old = read(format!("a:{first}\nb:{first}\nc:{first}\n"));
        let new = read(format!("a:{first}\nb:{second}\nd:{first}\n"));
        assert_eq!(old.credential("a"), new.credential("a"));
        assert_ne!(old.credential("b"), new.credential("b"));
        assert_ne!(old.credential("a"), old.credential("b"));
        assert_eq!(new.credential("c"), None);
        assert_eq!(old.credentials().collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_name_that_does_not_exist_has_a_salt_like_the_others() {
        let (_, other) = vectors::SHA512[0];
        let keys = PasswordHash::new_scram(b"pencil", 5000).unwrap();
        let text = format!("ann:{keys}\nbob:{other}\n");
        let passwords = Passwords::parse(&text, "passwords").unwrap();
        let salts = SaltKey::new().unwrap();
        let real = passwords.scram("ann", &salts).unwrap();
        assert!(real.keys.is_some() && real.iterations == 5000);
        for name in ["eve", "bob"] {
            let made_up = passwords.scram(name, &salts).unwrap();
            assert!(made_up.keys.is_none() && made_up.iterations == 5000);
            assert_eq!(made_up.salt.len(), real.salt.len());
            assert_eq!(made_up.salt, passwords.scram(name, &salts).unwrap().salt);
            assert_ne!(made_up.salt, passwords.scram("mallory", &salts).unwrap().salt);
        }
        // Nobody could use it.
        let without = Passwords::parse(&format!("bob:{other}\n"), "passwords").unwrap();
        assert!(without.scram("bob", &salts).is_none());
    }

    #[test]
    fn names_that_a_line_cannot_hold_are_refused() {
        for name in ["", "a:b", " a", "a\n", "#a", "a\u{7}"] {
            assert!(name_problem(name).is_some(), "{name:?}");
        }
        assert_eq!(name_problem("Jörg +/# 1"), None);
    }
}
