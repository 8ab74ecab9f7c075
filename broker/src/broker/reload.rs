//! What is read again while the broker runs, for whoever runs it.

use weir_rules::{Diagnostic, RuleChange, Source};

use super::Broker;
use crate::config::TlsError;
use crate::reload::{ReloadError, Reloaded};

impl Broker {
    /// Reads the configuration again that [`load`](crate::config::load) has read, with the rules and
    /// tables that it names, and the files of passwords, permissions and certificates. Everything is
    /// checked before anything is used. Of the configuration itself `rules` and the upstreams can change; the
    /// other keys hold from the next start on.
    ///
    /// Waits until the rules and the upstreams run.
    ///
    /// # Errors
    /// Everything that is wrong with the files. Then nothing has changed.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reloader.reload(false)
    }

    /// Reads and checks all that [`Broker::reload`] does, and answers what that would change. Nothing
    /// is.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn reload_dry_run(&self) -> Result<Reloaded, ReloadError> {
        self.reloader.reload(true)
    }

    /// Reads the password file, the ACL file and the key of tokens again. What they say holds
    /// from now on, for clients that are connected too: the connections of users whose password
    /// was changed or who are gone end, and with another key those of all that have a token.
    ///
    /// # Errors
    /// Everything that is wrong with the files. Then what held before goes on to hold.
    pub fn reload_auth(&self) -> Result<(), Vec<Diagnostic>> {
        self.reloader.reload_auth()
    }

    /// Reads the certificates of all listeners again, as it also happens by itself a few seconds
    /// after their files have changed. Clients stay connected, unless their own certificate is
    /// revoked by now. Answers how many listeners have certificates.
    ///
    /// # Errors
    /// What is wrong with files that cannot be used; in their place the old ones stay.
    pub fn reload_certificates(&self) -> Result<usize, Vec<TlsError>> {
        self.reloader.reload_certificates()
    }

    /// Runs these rules in the place of those that run; answers what has changed. A rule keeps its
    /// state where it would over a restart. Waits until the rules run.
    ///
    /// # Errors
    /// Everything that is wrong with the rules. Then those go on that run.
    pub fn reload_rules(&self, rules: Vec<Source>) -> Result<Vec<RuleChange>, ReloadError> {
        self.reloader.reload_rules(rules)
    }
}
