//! What is read again while the broker runs: the rules and their tables, passwords and permissions,
//! certificates, and the file of the bridge. Everything is checked before anything is used: all or nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use weir_config::Places;
use weir_firmware_bridge::config::{Change, ChangeKind};
use weir_rules::{Diagnostic, RuleChange, RuleChangeKind, Source};

use crate::auth::{AuthenticatorHandle, LiveApiTokens, Rights, Sources};
use crate::bridge::{BridgeSeat, BridgeThreadError};
use crate::config::{ConfigError, ConfigFiles, KeyChange, Loaded, TlsError};
use crate::diagnostic_json;
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
    /// What is different in the file of the bridge. If anything is, another bridge took its place.
    pub bridge: Vec<Change>,
    /// Listeners whose certificates were read.
    pub certificates: usize,
    /// Keys of the configuration that say something else than before. Those that hold from the next
    /// start on are told at each reload until there was one.
    pub keys: Vec<KeyChange>,
    /// Nothing was changed: this is what a reload would do.
    pub dry_run: bool,
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
    /// The bridge cannot be opened as its file says it now.
    #[error("the bridge cannot be opened: {source}; it goes on as it was")]
    Bridge {
        /// The first thing that is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
    /// Those of the listeners.
    pub(crate) tls: Vec<Arc<TlsServer>>,
    pub(crate) admin_tls: Option<Arc<TlsServer>>,
    pub(crate) api_tokens: Arc<LiveApiTokens>,
    pub(crate) rules: Arc<LiveRules>,
    pub(crate) upstreams: Arc<Roster>,
    pub(crate) bridge: Arc<BridgeSeat>,
    pub(crate) mailboxes: Mailboxes,
    /// One at a time; it has what was read last, if that was not at the start.
    pub(crate) turn: Mutex<Option<ConfigFiles>>,
}

impl Reloader {
    /// Where the keys and rules stand that were read last; while they are read again, those of the
    /// start.
    pub(crate) fn places(&self) -> Option<Arc<Places>> {
        let last = self.turn.try_lock().ok().and_then(|last| last.clone());
        last.as_ref().or(self.files.as_ref()).map(|files| files.places().clone())
    }

    /// Reads everything again, and uses it unless it is a dry run.
    pub(crate) fn reload(&self, dry_run: bool) -> Result<Reloaded, ReloadError> {
        let mut last = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.files.as_ref().map(ConfigFiles::load).transpose()?;
        let rights = self.sources.read().map_err(ReloadError::Files)?;
        let certificates: Vec<_> = self
            .tls_servers()
            .map(|server| server.read())
            .collect::<Result<_, _>>()
            .map_err(|source| ReloadError::Certificates { source })?;
        let mut reloaded =
            Reloaded { certificates: certificates.len(), dry_run, ..Reloaded::default() };
        let mut read = None;
        let next = match loaded {
            Some(Loaded { config, plan, warnings }) => {
                let files = self.files.as_ref().zip(config.files.as_ref());
                reloaded.keys = files.map_or(Vec::new(), |(start, now)| {
                    start.changes(last.as_ref().unwrap_or(start), now)
                });
                reloaded.warnings = warnings;
                if dry_run {
                    reloaded.bridge = self.bridge.compare(config.bridge.as_ref());
                    reloaded.upstreams = self.upstreams.compare(&config.upstreams);
                    let rules = self.rules.compare(NextRules::new(config, plan));
                    reloaded.rules = rules.ok_or(ReloadError::Ended)?;
                    return Ok(reloaded);
                }
                read.clone_from(&config.files);
                let upstreams = self.upstreams.prepare(&config.upstreams)?;
                // It can fail, and is back where it was then: before anything else.
                reloaded.bridge = self.bridge.exchange(config.bridge.as_ref())?;
                Some((upstreams, NextRules::new(config, plan)))
            }
            None if dry_run => return Ok(reloaded),
            None => None,
        };
        // From here on nothing can be wrong.
        self.tls_servers().zip(certificates).for_each(|(server, read)| server.install(read));
        self.mailboxes.send_all(|| Mail::Certificates);
        self.install_rights(&rights);
        if let Some((upstreams, rules)) = next {
            self.upstreams.start_added(&upstreams)?;
            self.rules.add_upstreams(upstreams.readers());
            reloaded.rules = self.exchange_rules(rules)?;
            reloaded.upstreams = self.upstreams.finish(upstreams)?;
            *last = read;
        }
        Ok(reloaded)
    }

    pub(crate) fn reload_auth(&self) -> Result<(), Vec<Diagnostic>> {
        self.install_rights(&self.sources.read()?);
        Ok(())
    }

    pub(crate) fn reload_certificates(&self) -> Result<usize, Vec<TlsError>> {
        let install = |server: &TlsServer| server.read().map(|next| server.install(next));
        let reloaded = self.tls_servers().map(install);
        let errors: Vec<TlsError> = reloaded.filter_map(Result::err).collect();
        self.mailboxes.send_all(|| Mail::Certificates);
        if errors.is_empty() { Ok(self.tls_servers().count()) } else { Err(errors) }
    }

    pub(crate) fn reload_rules(&self, rules: Vec<Source>) -> Result<Vec<RuleChange>, ReloadError> {
        let next = self.rules.check(rules).map_err(ReloadError::Files)?;
        self.exchange_rules(next)
    }

    fn exchange_rules(&self, rules: NextRules) -> Result<Vec<RuleChange>, ReloadError> {
        self.rules.exchange(rules).ok_or(ReloadError::Ended)
    }

    fn tls_servers(&self) -> impl Iterator<Item = &TlsServer> {
        self.tls.iter().chain(&self.admin_tls).map(|server| &**server)
    }

    /// The connections of users whose password was changed or who are gone end.
    fn install_rights(&self, rights: &Rights) {
        self.api_tokens.replace(rights.api_tokens.clone());
        self.authenticator.replace(rights.clone(), |before| {
            let (acl, revoked) = (rights.acl.clone(), before.revoked_by(rights));
            let mail = || Mail::Rights { acl: acl.clone(), revoked: revoked.clone() };
            self.mailboxes.send_all(mail);
        });
    }
}

impl From<BridgeThreadError> for ReloadError {
    fn from(error: BridgeThreadError) -> Self {
        Self::Bridge { source: error.into() }
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

    /// What is wrong with which files, as an object of JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "problems": diagnostic_json::all(self.problems()) })
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

impl Reloaded {
    /// The same as an object of JSON.
    pub(crate) fn to_json(&self) -> Value {
        let rule = |RuleChange { rule, kind }: &RuleChange| {
            let (change, groups) = match kind {
                RuleChangeKind::Added => ("added", 0),
                RuleChangeKind::Restarted { groups } => ("restarted", *groups),
                RuleChangeKind::Removed { groups } => ("removed", *groups),
                _ => ("changed", 0),
            };
            json!({ "rule": &**rule, "change": change, "groups_forgotten": groups })
        };
        let upstream = |UpstreamChange { upstream, kind }: &UpstreamChange| {
            let (change, waited) = match kind {
                UpstreamChangeKind::Added => ("added", 0),
                UpstreamChangeKind::Changed => ("changed", 0),
                UpstreamChangeKind::Removed { waited } => ("removed", *waited),
            };
            json!({ "upstream": upstream, "change": change, "messages_lost": waited })
        };
        let bridge =
            |Change { what, kind }: &Change| json!({ "device": what, "change": word(*kind) });
        let key = |KeyChange { key, before, after, needs_restart, .. }: &KeyChange| json!({ "key": key, "before": before, "after": after, "needs_restart": needs_restart });
        json!({
            "dry_run": self.dry_run,
            "keys": self.keys.iter().map(key).collect::<Value>(),
            "bridge": self.bridge.iter().map(bridge).collect::<Value>(),
            "rules": self.rules.iter().map(rule).collect::<Value>(),
            "upstreams": self.upstreams.iter().map(upstream).collect::<Value>(),
            "certificates": self.certificates,
            "warnings": diagnostic_json::all(&self.warnings),
        })
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            writeln!(f, "nothing was changed; a reload would do this:")?;
        }
        for warning in &self.warnings {
            write!(f, "{warning}")?;
        }
        for KeyChange { key, before, after, .. } in
            self.keys.iter().filter(|key| !key.needs_restart)
        {
            writeln!(f, "~ {key}: {before} -> {after}")?;
        }
        for change in &self.bridge {
            let sign = match change.kind {
                ChangeKind::Added => '+',
                ChangeKind::Changed => '~',
                ChangeKind::Removed => '-',
            };
            writeln!(f, "{sign} bridge: {}  {}", change.what, word(change.kind))?;
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
        let what = match self.certificates {
            0 => "passwords and permissions",
            _ => "passwords, permissions and certificates",
        };
        let done = if self.dry_run { "can be read" } else { "were read again" };
        writeln!(f, "{what} {done}")?;
        for KeyChange { key, before, after, .. } in self.keys.iter().filter(|key| key.needs_restart)
        {
            writeln!(f, "! {key}: {before} -> {after}, restart weir to use it")?;
        }
        Ok(())
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}
