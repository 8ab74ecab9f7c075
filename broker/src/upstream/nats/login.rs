//! Who this box is at the server.
//!
//! The library connects again by itself, and would go on with the messages that come after those
//! that were lost. So it gets its login for one connection only; the next one is made by the outbox.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

use super::NatsOptions;
use crate::upstream::error::LinkError;

/// A login, for one connection.
pub(super) struct Login {
    auth: Auth,
    /// Signs what the server asks to have signed.
    seed: Option<String>,
}

/// Withholds the login once it is set.
#[derive(Clone, Default)]
pub(super) struct Used(Arc<AtomicBool>);

impl Login {
    /// Reads the files, as they are now.
    pub(super) fn of(options: &NatsOptions) -> Result<Self, LinkError> {
        let mut login = Self { auth: Auth::new(), seed: None };
        if let Some((username, password)) = &options.credentials {
            login.auth.username = Some(username.clone());
            login.auth.password = Some(password.clone());
        }
        login.auth.token = options.nats.token.as_ref().map(|token| token.reveal().to_owned());
        if let Some(path) = &options.nats.creds_file {
            let text = read(path)?;
            let jwt = between(&text, "NATS USER JWT");
            login.auth.jwt = Some(jwt.ok_or_else(|| unusable(path, "holds no JWT"))?.to_owned());
            login.seed = between(&text, "USER NKEY SEED").map(str::to_owned);
            login.check_seed(path)?;
        }
        if let Some(path) = &options.nats.nkey_file {
            let text = read(path)?;
            login.seed = text.lines().map(str::trim).find(|line| is_seed(line)).map(str::to_owned);
            login.auth.nkey = Some(login.check_seed(path)?.public_key());
        }
        Ok(login)
    }

    fn check_seed(&self, path: &Path) -> Result<KeyPair, LinkError> {
        let key = self.seed.as_deref().and_then(|seed| KeyPair::from_seed(seed).ok());
        key.ok_or_else(|| unusable(path, "holds no seed of an NKey"))
    }

    /// Options with which the library logs in until `used`.
    pub(super) fn options(self, used: Used) -> ConnectOptions {
        ConnectOptions::with_auth_callback(move |nonce| {
            let auth = self.sign(&nonce, &used);
            async { auth }
        })
    }

    fn sign(&self, nonce: &[u8], used: &Used) -> Result<Auth, AuthError> {
        if used.0.load(Ordering::Acquire) {
            return Err(AuthError::new("this login was for one connection"));
        }
        let mut auth = self.auth.clone();
        if let Some(seed) = &self.seed {
            let key = KeyPair::from_seed(seed).map_err(AuthError::new)?;
            auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
        }
        Ok(auth)
    }
}

impl Used {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

fn read(path: &Path) -> Result<String, LinkError> {
    fs::read_to_string(path).map_err(|error| unusable(path, &format!("cannot be read: {error}")))
}

fn unusable(path: &Path, why: &str) -> LinkError {
    let reason = format!("`{}` {why}", path.display());
    LinkError::Login { reason, help: HELP_FILE }
}

/// The line after the one that begins a part of a credentials file.
fn between<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

fn is_seed(line: &str) -> bool {
    line.starts_with("SU")
}

const HELP_FILE: &str = "check `creds_file` or `nkey_file` in `nats` of this upstream";
