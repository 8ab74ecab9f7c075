//! Who may do what with the admin server, and who has tried.
//!
//! Figures are for everybody on this machine. Whatever shows clients, topics or payloads, or changes
//! something, is for whoever shows a token; and from other machines everything is, but for the
//! health. A page in a browser is not to do it for somebody: a name that is not ours is refused where
//! no token is shown (DNS rebinding), and a change that comes from another site is.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};

use super::answer::ApiError;
use super::key::Guard;
use crate::auth::{self, Bans, LiveApiTokens, Role, Throttle};

/// Who a route is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Audience {
    /// Everybody, from everywhere.
    Anybody,
    /// Everybody on this machine, and whoever shows a token elsewhere.
    Local,
    /// Whoever shows a token.
    Viewers,
    /// Whoever shows a token that may change things.
    Operators,
}

/// The address at the other end of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who has made a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Caller {
    /// Somebody without a token.
    Unknown,
    /// Somebody who can read the data directory.
    Owner,
    /// Somebody with a token of this name.
    Token(Arc<str>),
}

/// Lets requests in, or not.
pub(super) struct Access {
    /// None without a data directory.
    key: Option<Guard>,
    tokens: Arc<LiveApiTokens>,
    host_names: Vec<String>,
    ban: Duration,
    seen: Mutex<Seen>,
}

/// What is remembered of those who were refused.
struct Seen {
    bans: Bans,
    throttle: Throttle,
    refused: BTreeMap<&'static str, u64>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    Banned,
    CrossSite,
    NoToken,
    UnknownHost,
    ViewOnly,
    WrongToken,
}

impl Refusal {
    const ALL: [Self; 6] = [
        Self::Banned,
        Self::CrossSite,
        Self::NoToken,
        Self::UnknownHost,
        Self::ViewOnly,
        Self::WrongToken,
    ];

    fn code(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::CrossSite => "cross_site",
            Self::NoToken => "no_token",
            Self::UnknownHost => "unknown_host",
            Self::ViewOnly => "view_only",
            Self::WrongToken => "wrong_token",
        }
    }
}

impl Access {
    /// Those who can read the data directory have `key`. An address that shows `failures_max` wrong
    /// tokens is banned for a while, 0 = never.
    pub(super) fn new(
        key: Option<Guard>,
        tokens: Arc<LiveApiTokens>,
        host_names: Vec<String>,
        failures_max: u32,
        ban: Duration,
    ) -> Self {
        let bans = Bans::new(failures_max, ban);
        let refused = Refusal::ALL.map(|refusal| (refusal.code(), 0)).into();
        let seen = Mutex::new(Seen { bans, throttle: Throttle::default(), refused });
        Self { key, tokens, host_names, ban, seen }
    }

    /// Who makes a request, if they may.
    pub(super) fn admit(
        &self,
        parts: &Parts,
        peer: IpAddr,
        audience: Audience,
        now: Instant,
    ) -> Result<Caller, ApiError> {
        let judged = self.judge(parts, peer, audience, now);
        judged.map_err(|(refusal, token)| {
            self.note(parts, peer, refusal, token.as_deref(), now);
            self.answer(refusal, parts)
        })
    }

    /// How many requests were refused, by reason.
    pub(super) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.seen().refused.clone()
    }

    fn judge(
        &self,
        parts: &Parts,
        peer: IpAddr,
        audience: Audience,
        now: Instant,
    ) -> Result<Caller, (Refusal, Option<Arc<str>>)> {
        if audience == Audience::Anybody {
            return Ok(Caller::Unknown);
        }
        let is_local = is_local(peer);
        if !is_read(&parts.method) && self.is_cross_site(&parts.headers) {
            return Err((Refusal::CrossSite, None));
        }
        // Whoever is on this machine could lock its owner out.
        if !is_local && self.seen().bans.is_banned(peer, now) {
            return Err((Refusal::Banned, None));
        }
        let Some(shown) = parts.headers.get(header::AUTHORIZATION) else {
            return match audience {
                Audience::Local if !is_local => Err((Refusal::NoToken, None)),
                Audience::Local if self.knows_host(parts) => Ok(Caller::Unknown),
                Audience::Local => Err((Refusal::UnknownHost, None)),
                _ => Err((Refusal::NoToken, None)),
            };
        };
        match self.identify(shown.as_bytes()) {
            None => Err((Refusal::WrongToken, None)),
            Some((caller, role)) if audience <= Audience::Viewers || role == Role::Operate => {
                Ok(caller)
            }
            Some((Caller::Token(name), _)) => Err((Refusal::ViewOnly, Some(name))),
            Some(_) => Err((Refusal::ViewOnly, None)),
        }
    }

    /// Whose a token is. All of it is compared, whoever it is.
    fn identify(&self, shown: &[u8]) -> Option<(Caller, Role)> {
        // The name of a scheme has no case (RFC 9110, 11.1).
        let (scheme, token) = shown.split_at_checked(BEARER.len())?;
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return None;
        }
        if self.key.as_ref().is_some_and(|key| key.is_shown_by(token)) {
            return Some((Caller::Owner, Role::Operate));
        }
        let tokens = self.tokens.now();
        tokens.find(token).map(|token| (Caller::Token(token.name.clone()), token.role))
    }

    /// Whether a browser made the request for a page of another site.
    fn is_cross_site(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if text(SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return true;
        }
        let Some(origin) = text(header::ORIGIN) else { return false };
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_none_or(|authority| text(header::HOST) != Some(authority))
    }

    /// Whether a request names the server by a name that is ours. Addresses always are: nobody can
    /// let them mean something else.
    fn knows_host(&self, parts: &Parts) -> bool {
        // HTTP/1.0 need not name any; browsers do not speak it.
        let Some(host) = parts.headers.get(header::HOST) else { return true };
        let Ok(host) = host.to_str() else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_name = |known: &str| name.eq_ignore_ascii_case(known);
        bare.parse::<IpAddr>().is_ok()
            || is_name("localhost")
            || self.host_names.iter().any(|known| is_name(known))
    }

    fn note(
        &self,
        parts: &Parts,
        peer: IpAddr,
        refusal: Refusal,
        token: Option<&str>,
        now: Instant,
    ) {
        let mut seen = self.seen();
        *seen.refused.entry(refusal.code()).or_default() += 1;
        if refusal == Refusal::WrongToken && !is_local(peer) && seen.bans.count_failure(peer, now) {
            auth::banned(peer, self.ban.as_secs());
        }
        if let Some(not_told) = seen.throttle.admit(now) {
            let (method, path) = (parts.method.as_str(), parts.uri.path());
            auth::request_refused(peer, token, method, path, refusal.code(), not_told);
        }
    }

    fn answer(&self, refusal: Refusal, parts: &Parts) -> ApiError {
        let (status, message, help) = match refusal {
            Refusal::Banned => (
                StatusCode::TOO_MANY_REQUESTS,
                "this address has shown too many wrong tokens".to_owned(),
                format!("wait {} s", self.ban.as_secs()),
            ),
            Refusal::CrossSite => (
                StatusCode::FORBIDDEN,
                "a page of another site may not change anything here".to_owned(),
                "use the page that weir serves, or a program that is not a browser".to_owned(),
            ),
            Refusal::NoToken => {
                (StatusCode::UNAUTHORIZED, "a token is needed".to_owned(), TOKENS.to_owned())
            }
            Refusal::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "`{}` is not a name of this server",
                    parts.headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or("?")
                ),
                "use its address, or put the name into host_names under [admin]".to_owned(),
            ),
            Refusal::ViewOnly => (
                StatusCode::FORBIDDEN,
                "this token may look but not change anything".to_owned(),
                "`weir token create NAME --role operate` makes one that may".to_owned(),
            ),
            Refusal::WrongToken => {
                (StatusCode::UNAUTHORIZED, "the token is not known".to_owned(), TOKENS.to_owned())
            }
        };
        ApiError::new(status, refusal.code(), message, help)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    /// How the audit log names it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Unknown => "none",
            Self::Owner => "admin.key",
            Self::Token(name) => name,
        }
    }
}

/// Whether somebody is on this machine.
pub(super) fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a request with this method changes nothing.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

const BEARER: &[u8] = b"bearer ";
const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");
const TOKENS: &str = "send `Authorization: Bearer TOKEN`; `weir token create NAME --role view` makes \
                      a token, and who can read admin.key in the data directory needs none for the \
                      commands of weir";

#[cfg(test)]
mod tests;
