//! All that the files say, read together: a broker either has all of it or keeps what it had.

use std::path::PathBuf;
use std::sync::Arc;

use weir_core::{Acl, Identity};
use weir_rules::Diagnostic;

use super::acl_file;
use super::password_file::Passwords;
use super::token::{TokenSources, Tokens};

/// Where it stands who may connect and what they may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) acl_file: Option<PathBuf>,
    pub(crate) tokens: Option<TokenSources>,
}

/// What stands there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(crate) passwords: Option<Passwords>,
    pub(crate) acl: Option<Arc<Acl>>,
    pub(crate) tokens: Option<Tokens>,
}

impl Sources {
    /// Reads every file; the problems of all of them are told at once.
    pub(crate) fn read(&self) -> Result<Rights, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut keep = |found: Vec<Diagnostic>| problems.extend(found);
        let passwords = self.password_file.as_deref().map(Passwords::read).transpose();
        let passwords = passwords.map_err(&mut keep).ok().flatten();
        let acl = self.acl_file.as_deref().map(acl_file::read).transpose();
        let acl = acl.map_err(&mut keep).ok().flatten().map(Arc::new);
        let tokens = self.tokens.as_ref().map(TokenSources::read).transpose();
        let tokens = tokens.map_err(&mut keep).ok().flatten();
        if problems.is_empty() { Ok(Rights { passwords, acl, tokens }) } else { Err(problems) }
    }

    /// Whether there is anything that credentials can be checked against.
    pub(crate) fn has_credentials(&self) -> bool {
        self.password_file.is_some() || self.tokens.is_some()
    }
}

impl Rights {
    /// Who has these credentials; none when nobody has. Takes as long as a hash takes.
    /// A token says itself whose it is.
    pub(crate) fn identify(
        &self,
        username: Option<&str>,
        password: &[u8],
        unix_s: u64,
    ) -> Option<Identity> {
        if let Some(tokens) = self.tokens.as_ref().filter(|_| Tokens::are_like(password)) {
            return tokens.identify(password, unix_s);
        }
        let username = username?;
        let known = self.passwords.as_ref().is_some_and(|known| known.verify(username, password));
        known.then(|| Identity { username: Some(username.into()), rules: None })
    }

    /// The users whose connections end when `newer` takes the place of this.
    pub(crate) fn revoked_by(&self, newer: &Self) -> Vec<String> {
        let none = Passwords::default();
        let newer = newer.passwords.as_ref().unwrap_or(&none);
        let passwords = self.passwords.iter();
        passwords.flat_map(|known| known.revoked_by(newer)).map(str::to_owned).collect()
    }
}
