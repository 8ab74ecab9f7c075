//! What is read again while the broker runs: the rules and their tables, passwords and permissions,
//! certificates. Everything is checked before anything is used: all or nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use weir_rules::{Diagnostic, RuleChange, RuleChangeKind, Source};

use crate::auth::{AuthenticatorHandle, Rights, Sources};
use crate::config::{ConfigError, ConfigFiles, Loaded, TlsError};
use crate::live_rules::{LiveRules, NextRules};
use crate::mailbox::{Mail, Mailboxes};
use crate::store::StoreError;
use crate::stream::TlsServer;
use crate::upstream::{Ended, Roster, UpstreamChange, UpstreamChangeKind};

/// What has come of reading everything again; [`Display`](fmt::Display) shows it in lines for
/// people.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reloaded {
    /// Rules that are others now.
    pub rules: Vec<RuleChange>,
    /// Upstreams that are others now.
    pub upstreams: Vec<UpstreamChange>,
    /// Listeners whose certificates were read.
    pub certificates: usize,
    /// Keys of the configuration that say something else than at the start, and hold from the next
    /// start on.
    pub needs_restart: Vec<String>,
    /// What works but should be looked at.
    pub warnings: Vec<Diagnostic>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration, or a file that it names, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Rules, passwords or permissions are wrong.
    #[error("the files cannot be used")]
    Files(Vec<Diagnostic>),
    /// Certificates cannot be used.
    #[error("the certificates cannot be used: {source}; {}", .source.help())]
    Certificates {
        /// The first thing that is wrong.
        source: TlsError,
    },
    /// A new upstream could not be entered.
    #[error("a new upstream cannot be entered in the store: {0}")]
    Store(#[from] StoreError),
    /// The broker has ended.
    #[error("the broker has ended")]
    Ended,
}

/// Reads everything again.
pub(crate) struct Reloader {
    /// None for a configuration that was made by the program that runs the broker.
    pub(crate) files: Option<ConfigFiles>,
    pub(crate) sources: Sources,
    pub(crate) authenticator: AuthenticatorHandle,
    pub(crate) tls: Vec<Arc<TlsServer>>,
    pub(crate) rules: Arc<LiveRules>,
    pub(crate) upstreams: Arc<Roster>,
    pub(crate) mailboxes: Mailboxes,
    /// One at a time.
    pub(crate) turn: Mutex<()>,
}

impl Reloader {
    /// Reads everything again.
    pub(crate) fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.files.as_ref().map(ConfigFiles::load).transpose()?;
        let rights = self.sources.read().map_err(ReloadError::Files)?;
        let certificates: Vec<_> = self
            .tls
            .iter()
            .map(|server| server.read())
            .collect::<Result<_, _>>()
            .map_err(|source| ReloadError::Certificates { source })?;
        let mut reloaded = Reloaded { certificates: self.tls.len(), ..Reloaded::default() };
        let next = match loaded {
            Some(Loaded { config, plan, warnings }) => {
                let files = self.files.as_ref().zip(config.files.as_ref());
                reloaded.needs_restart =
                    files.map_or(Vec::new(), |(before, after)| before.changes(after));
                reloaded.warnings = warnings;
                let upstreams = self.upstreams.prepare(&config.upstreams)?;
                Some((upstreams, NextRules::new(config, plan)))
            }
            None => None,
        };
        // From here on nothing can be wrong.
        self.tls.iter().zip(certificates).for_each(|(server, read)| server.install(read));
        self.mailboxes.send_all(|| Mail::Certificates);
        self.install_rights(&rights);
        if let Some((upstreams, rules)) = next {
            self.upstreams.start_added(&upstreams)?;
            self.rules.add_upstreams(upstreams.readers());
            reloaded.rules = self.exchange_rules(rules)?;
            reloaded.upstreams = self.upstreams.finish(upstreams)?;
        }
        Ok(reloaded)
    }

    pub(crate) fn reload_auth(&self) -> Result<(), Vec<Diagnostic>> {
        self.install_rights(&self.sources.read()?);
        Ok(())
    }

    pub(crate) fn reload_certificates(&self) -> Result<usize, Vec<TlsError>> {
        let reloaded = self.tls.iter().map(|server| server.read().map(|next| server.install(next)));
        let errors: Vec<TlsError> = reloaded.filter_map(Result::err).collect();
        self.mailboxes.send_all(|| Mail::Certificates);
        if errors.is_empty() { Ok(self.tls.len()) } else { Err(errors) }
    }

    pub(crate) fn reload_rules(&self, rules: Vec<Source>) -> Result<Vec<RuleChange>, ReloadError> {
        let next = self.rules.check(rules).map_err(ReloadError::Files)?;
        self.exchange_rules(next)
    }

    fn exchange_rules(&self, rules: NextRules) -> Result<Vec<RuleChange>, ReloadError> {
        self.rules.exchange(rules).ok_or(ReloadError::Ended)
    }

    /// The connections of users whose password was changed or who are gone end.
    fn install_rights(&self, rights: &Rights) {
        self.authenticator.replace(rights.clone(), |before| {
            let (acl, revoked) = (rights.acl.clone(), before.revoked_by(rights));
            let mail = || Mail::Rights { acl: acl.clone(), revoked: revoked.clone() };
            self.mailboxes.send_all(mail);
        });
    }
}

impl From<Ended> for ReloadError {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl ReloadError {
    /// What is wrong with which files, as far as it has places in them.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        match self {
            Self::Config(ConfigError::Invalid { problems }) | Self::Files(problems) => problems,
            _ => &[],
        }
    }

    /// All that is known, in lines for people.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text: String = self.problems().iter().map(ToString::to_string).collect();
        text.push_str(&format!("error: {self}"));
        if let Self::Config(ConfigError::File { source, .. }) = self {
            text.push_str(&format!(": {source}"));
        }
        text.push_str("\nnothing was changed\n");
        text
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            write!(f, "{warning}")?;
        }
        for UpstreamChange { upstream, kind } in &self.upstreams {
            let (sign, words) = match kind {
                UpstreamChangeKind::Added => ('+', "added".to_owned()),
                UpstreamChangeKind::Changed => {
                    ('~', "changed, goes on with its backlog".to_owned())
                }
                UpstreamChangeKind::Removed { waited } => {
                    ('-', format!("removed; messages that it does not get: {waited}"))
                }
            };
            writeln!(f, "{sign} upstream {upstream}  {words}")?;
        }
        let width = self.rules.iter().map(|change| change.rule.len()).max().unwrap_or(0);
        for RuleChange { rule, kind } in &self.rules {
            let (sign, words) = match kind {
                RuleChangeKind::Added => ('+', "added".to_owned()),
                RuleChangeKind::Changed => ('~', "changed, goes on with its state".to_owned()),
                RuleChangeKind::Restarted { groups } => {
                    ('~', format!("changed, begins anew; groups forgotten: {groups}"))
                }
                RuleChangeKind::Removed { groups } => {
                    ('-', format!("removed; groups forgotten: {groups}"))
                }
                _ => ('~', "changed".to_owned()),
            };
            writeln!(f, "{sign} {rule:width$}  {words}")?;
        }
        if self.rules.is_empty() {
            writeln!(f, "the rules are the same")?;
        }
        match self.certificates {
            0 => writeln!(f, "passwords and permissions were read again"),
            _ => writeln!(f, "passwords, permissions and certificates were read again"),
        }?;
        self.needs_restart
            .iter()
            .try_for_each(|key| writeln!(f, "! {key} has changed: restart weir to use it"))
    }
}
