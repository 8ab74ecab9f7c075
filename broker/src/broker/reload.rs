//! What is read again while the broker runs: who may connect, certificates, tables of rules.

use weir_rules::Diagnostic;

use super::Broker;
use crate::config::TlsError;
use crate::mailbox::Mail;

impl Broker {
    /// Reads the password file, the ACL file and the key of tokens again. What they say holds
    /// from now on, for clients that are connected too: the connections of users whose password
    /// was changed or who are gone end, and with another key those of all that have a token.
    ///
    /// # Errors
    /// Everything that is wrong with the files. Then what held before goes on to hold.
    pub fn reload_auth(&self) -> Result<(), Vec<Diagnostic>> {
        let rights = self.sources.read()?;
        self.authenticator.replace(rights.clone(), |before| {
            if let Some(running) = &self.running {
                let (acl, revoked) = (rights.acl.clone(), before.revoked_by(&rights));
                let rights = || Mail::Rights { acl: acl.clone(), revoked: revoked.clone() };
                running.mailboxes.send_all(rights);
            }
        });
        Ok(())
    }

    /// Reads the certificates of all listeners again, as it also happens by itself a few seconds
    /// after their files have changed. Clients stay connected, unless their own certificate is
    /// revoked by now. Answers how many listeners have certificates.
    ///
    /// # Errors
    /// What is wrong with files that cannot be used; in their place the old ones stay.
    pub fn reload_certificates(&self) -> Result<usize, Vec<TlsError>> {
        let reloaded = self.tls.iter().map(|server| server.reload());
        let errors: Vec<TlsError> = reloaded.filter_map(Result::err).collect();
        self.probe.tell_certificates();
        if errors.is_empty() { Ok(self.tls.len()) } else { Err(errors) }
    }

    /// Reads the tables that rules look values up in again, as it also happens by itself a few
    /// seconds after a file has changed. The state of the rules stays. Answers how many there are.
    ///
    /// # Errors
    /// Everything that is wrong with the files. Then the rules go on with the tables they have.
    pub fn reload_tables(&self) -> Result<usize, Vec<Diagnostic>> {
        self.tables.as_ref().map_or(Ok(0), |tables| tables.reload())
    }
}
