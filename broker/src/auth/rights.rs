//! All that the files say, read together: a broker either has all of it or keeps what it had.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use weir_config::Diagnostic;
use weir_core::{
    Access, Acl, AuthenticationRequest, Credential, Exchange, Identity, Occasion, Rule,
};
use weir_mqtt::TopicFilter;

use super::acl_file;
use super::api_tokens::ApiTokens;
use super::password_file::Passwords;
use super::salt_key::SaltKey;
use super::scram::{self, ClientFirst};
use super::service::{Service, ServiceSources};
use super::token::{TokenSources, Tokens};

/// Somebody who may read every topic, whatever the ACL says, and write none.
pub(crate) fn who_sees_everything() -> Identity {
    let filters = ["#", "$SYS/#"].map(TopicFilter::parse).into_iter().flatten();
    let rules = filters.map(|filter| Rule::topic(Access::Read, filter)).collect();
    Identity { rules: Some(rules), ..Identity::default() }
}

/// Where it stands who may connect and what they may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) acl_file: Option<PathBuf>,
    pub(crate) tokens: Option<TokenSources>,
    pub(crate) service: Option<ServiceSources>,
    pub(crate) api_tokens: Option<PathBuf>,
}

/// What stands there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(crate) passwords: Option<Passwords>,
    pub(crate) acl: Option<Arc<Acl>>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) service: Option<Arc<Service>>,
    pub(crate) api_tokens: Arc<ApiTokens>,
}

/// What comes of a word in an exchange.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// The client has to answer this.
    Continue(Box<[u8]>),
    /// It has shown who it is, and is told that the broker knows it too.
    Done { identity: Identity, last_word: Box<[u8]> },
    /// There is no such method, or nobody who could use it.
    UnknownMethod,
    /// It has not shown it.
    Wrong,
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
        let service = self.service.as_ref().map(ServiceSources::read).transpose();
        let service = service.map_err(&mut keep).ok().flatten().map(Arc::new);
        let api_tokens = self.api_tokens.as_deref().map(ApiTokens::read).transpose();
        let api_tokens = Arc::new(api_tokens.map_err(&mut keep).ok().flatten().unwrap_or_default());
        match problems.is_empty() {
            true => Ok(Rights { passwords, acl, tokens, service, api_tokens }),
            false => Err(problems),
        }
    }
}

impl Rights {
    /// The service that has to be asked about a client: about one that the files do not know.
    pub(crate) fn service_for(&self, request: &AuthenticationRequest) -> Option<&Arc<Service>> {
        let service = self.service.as_ref()?;
        let username = request.username.as_deref();
        let has_password = username.is_some_and(|name| self.has_password(name));
        let has_token =
            self.tokens.is_some() && request.password.as_deref().is_some_and(Tokens::are_like);
        let is_renewal = request.occasion == Occasion::Renewal;
        (is_renewal || !has_password && !has_token).then_some(service)
    }

    fn has_password(&self, username: &str) -> bool {
        self.passwords.as_ref().is_some_and(|known| known.credential(username).is_some())
    }

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
        let (username, known) = (username?, self.passwords.as_ref()?);
        if known.verify(username, password) { known_user(known, username) } else { None }
    }

    /// Carries on an exchange of extended authentication. `nonce` is never used twice.
    pub(crate) fn exchange(&self, exchange: &Exchange, nonce: &str, salts: &SaltKey) -> Step {
        let offered = self.passwords.as_ref().filter(|known| known.has_scram());
        let Some(known) = offered.filter(|_| *exchange.method == *scram::METHOD) else {
            return Step::UnknownMethod;
        };
        let step = || {
            let first = ClientFirst::parse(exchange.said.first()?)?;
            let asked = known.scram(&first.username, salts)?;
            match exchange.said.as_slice() {
                [_] => {
                    let challenge = first.challenge(nonce, &asked.salt, asked.iterations);
                    Some(Step::Continue(challenge.into_bytes().into()))
                }
                [_, challenge, proof] => {
                    let last_word = first.verify(challenge, proof, asked.keys?)?;
                    let identity = known_user(known, &first.username)?;
                    Some(Step::Done { identity, last_word: last_word.into_bytes().into() })
                }
                _ => None,
            }
        };
        step().unwrap_or(Step::Wrong)
    }

    /// Whose connections end when `newer` takes the place of this.
    pub(crate) fn revoked_by(&self, newer: &Self) -> BTreeSet<Credential> {
        let newer = newer.credentials();
        self.credentials().into_iter().filter(|known| !newer.contains(known)).collect()
    }

    fn credentials(&self) -> BTreeSet<Credential> {
        let passwords = self.passwords.iter().flat_map(Passwords::credentials);
        passwords.chain(self.tokens.as_ref().map(Tokens::credential)).collect()
    }
}

fn known_user(known: &Passwords, username: &str) -> Option<Identity> {
    let credential = known.credential(username)?;
    let username = Some(username.into());
    Some(Identity { username, credential, ..Identity::default() })
}
