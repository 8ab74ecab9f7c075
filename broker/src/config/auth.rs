//! `[auth]` and `[auth.jwt]` as the rest of the program uses them. The files that they name are
//! read elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use weir_config::Values;

use super::{
    HttpUrl,
    declared::{AUTH, HTTP, JWT},
    settings::unless_zero,
};
use crate::auth::{
    Claims, KeySource, ServiceAddress, ServiceFigures, ServiceSources, Sources, TokenSources,
};

/// `[auth]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthConfig {
    /// Clients without a user name are let in.
    pub allow_anonymous: bool,
    /// The users and the hashes of their passwords; `None` = nobody has a password.
    pub password_file: Option<PathBuf>,
    /// What users may do; `None` = everything.
    pub acl_file: Option<PathBuf>,
    /// Tokens in the place of passwords; `None` = there are none.
    pub jwt: Option<JwtConfig>,
    /// A service that is asked; `None` = nobody is.
    pub http: Option<HttpAuthConfig>,
    /// Wrong passwords from one address until it is banned; `None` = it never is.
    pub max_failures: Option<u32>,
    /// How long a ban lasts.
    pub ban: Duration,
}

/// `[auth.jwt]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtConfig {
    /// The file that tokens are checked with.
    pub key: JwtKey,
    /// Claim with the user name.
    pub username_claim: String,
    /// Claim with what the user may do; `None` = only the ACL file says so.
    pub acl_claim: Option<String>,
    /// Who must have made them; `None` = anybody who has the key.
    pub issuer: Option<String>,
    /// Whom they must be for; `None` = anybody.
    pub audience: Option<String>,
}

/// `[auth.http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpAuthConfig {
    /// At least one address.
    pub url: Vec<HttpUrl>,
    /// Who signs certificates that are believed; `None` = nobody does.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an answer holds.
    pub ttl: Duration,
    /// How long open connections go on without a new one.
    pub grace: Duration,
    /// Answers that are remembered.
    pub cache_size: u32,
}

/// What tokens are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtKey {
    /// A file with a public key in PEM form.
    Public(PathBuf),
    /// A file with a secret.
    Secret(PathBuf),
}

impl AuthConfig {
    /// Whether anonymous clients are let in may depend on the listeners.
    pub(crate) fn read(
        values: &Values,
        jwt: &Values,
        http: &Values,
        allow_anonymous: bool,
    ) -> Self {
        Self {
            allow_anonymous,
            jwt: JwtConfig::read(jwt),
            http: HttpAuthConfig::read(http),
            password_file: values.optional("password_file", Values::path),
            acl_file: values.optional("acl_file", Values::path),
            max_failures: unless_zero(values.whole("max_failures")),
            ban: values.duration("ban"),
        }
    }

    /// Whether there is anything that credentials can be checked against.
    pub(crate) fn checks_credentials(&self) -> bool {
        self.password_file.is_some() || self.jwt.is_some() || self.http.is_some()
    }

    pub(crate) fn sources(&self) -> Sources {
        Sources {
            password_file: self.password_file.clone(),
            acl_file: self.acl_file.clone(),
            tokens: self.jwt.as_ref().map(JwtConfig::sources),
            service: self.http.as_ref().map(HttpAuthConfig::sources),
            api_tokens: None,
        }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self::read(&Values::new(&AUTH), &Values::new(&JWT), &Values::new(&HTTP), true)
    }
}

impl JwtConfig {
    /// Tokens that are checked with a key, with the defaults.
    pub fn new(key: JwtKey) -> Self {
        Self::with(key, &Values::new(&JWT))
    }

    /// None when there is no key.
    fn read(values: &Values) -> Option<Self> {
        let public = values.optional("key_file", Values::path).map(JwtKey::Public);
        let key =
            public.or_else(|| values.optional("secret_file", Values::path).map(JwtKey::Secret))?;
        Some(Self::with(key, values))
    }

    fn with(key: JwtKey, values: &Values) -> Self {
        Self {
            key,
            username_claim: values.text("username_claim"),
            acl_claim: values.optional("acl_claim", Values::text),
            issuer: values.optional("issuer", Values::text),
            audience: values.optional("audience", Values::text),
        }
    }

    fn sources(&self) -> TokenSources {
        TokenSources {
            key: match &self.key {
                JwtKey::Public(path) => KeySource::Public(path.clone()),
                JwtKey::Secret(path) => KeySource::Secret(path.clone()),
            },
            claims: Claims {
                username: self.username_claim.clone(),
                acl: self.acl_claim.clone(),
                issuer: self.issuer.clone(),
                audience: self.audience.clone(),
            },
        }
    }
}

impl HttpAuthConfig {
    /// A service that is asked at one address, with the defaults.
    pub fn new(url: HttpUrl) -> Self {
        Self::with(vec![url], &Values::new(&HTTP))
    }

    /// None when there is no address.
    fn read(values: &Values) -> Option<Self> {
        let url = values.all_parsed("url");
        (!url.is_empty()).then(|| Self::with(url, values))
    }

    fn with(url: Vec<HttpUrl>, values: &Values) -> Self {
        Self {
            url,
            ca_file: values.optional("ca_file", Values::path),
            timeout: values.duration("timeout"),
            ttl: values.duration("ttl"),
            grace: values.duration("grace"),
            cache_size: values.whole("cache_size"),
        }
    }

    fn sources(&self) -> ServiceSources {
        let address = |url: &HttpUrl| ServiceAddress {
            is_secure: url.is_secure(),
            host: url.address().host().to_owned(),
            port: url.address().port(),
            path: url.path().to_owned(),
        };
        ServiceSources {
            addresses: self.url.iter().map(address).collect(),
            ca_file: self.ca_file.clone(),
            timeout: self.timeout,
            ttl: self.ttl,
            grace: self.grace,
            answers_max: self.cache_size as usize,
            figures: Arc::new(ServiceFigures::default()),
        }
    }
}
