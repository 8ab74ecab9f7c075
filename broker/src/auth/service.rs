//! A service of somebody else that is asked who may connect and what they may do: `[auth.http]`.
//!
//! One question for each CONNECT. The answer lists what the client may do, so that nothing has to
//! be asked on the way of a message; it holds for a while, and then is asked for again. What is
//! not an answer lets nobody in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64ct::{Base64, Encoding};
use hyper::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use weir_config::Diagnostic;
use weir_core::{AuthenticationRequest, Identity, Occasion, Rule, Validity};
use weir_mqtt::Version;

use super::acl_file;
use super::credential::credential_of;
use super::forgetful::Forgetful;
use super::http::{HttpClient, ServiceAddress};

/// Where the service is and how long its answers hold.
#[derive(Clone, Debug)]
pub(crate) struct ServiceSources {
    pub(crate) addresses: Vec<ServiceAddress>,
    pub(crate) ca_file: Option<PathBuf>,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// How long an answer holds.
    pub(crate) ttl: Duration,
    /// How long open connections go on while there is no new one.
    pub(crate) grace: Duration,
    /// Answers that are remembered.
    pub(crate) answers_max: usize,
    /// Counts on when the sources are read again.
    pub(crate) figures: Arc<ServiceFigures>,
}

/// What has been asked so far.
#[derive(Debug, Default)]
pub(crate) struct ServiceFigures {
    /// Questions that were put.
    pub(crate) requests: AtomicU64,
    /// Questions that had no answer.
    pub(crate) failures: AtomicU64,
    /// Questions that had an answer already.
    pub(crate) remembered: AtomicU64,
    /// The last question had no answer.
    failing: AtomicBool,
}

/// The service, to be asked.
#[derive(Debug)]
pub(crate) struct Service {
    client: HttpClient,
    sources: ServiceSources,
    answers: Mutex<Forgetful<[u8; 32], Answer>>,
    places: Semaphore,
}

/// What the service says about a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It is let in, as this.
    Allowed { username: Option<Arc<str>>, rules: Option<Arc<[Rule]>> },
    /// It is not.
    Refused,
}

impl ServiceSources {
    /// Reads the certificates that are believed.
    pub(crate) fn read(&self) -> Result<Service, Vec<Diagnostic>> {
        let ca_file = self.ca_file.as_deref();
        let client = HttpClient::new(self.addresses.clone(), ca_file, self.timeout);
        Ok(Service {
            client: client.map_err(|problem| vec![*problem])?,
            answers: Mutex::new(Forgetful::new(self.answers_max)),
            places: Semaphore::new(REQUESTS_MAX),
            sources: self.clone(),
        })
    }
}

impl Service {
    /// Who a client is: none inside when it is refused, none at all when there is no answer.
    pub(crate) async fn identify(
        &self,
        request: &AuthenticationRequest,
        address: Option<IpAddr>,
    ) -> Option<Option<Identity>> {
        let question = question(request, address);
        // What holds is asked for again when it is over, so an old answer is of no use.
        let name = (request.occasion == Occasion::Connect)
            .then(|| <[u8; 32]>::from(Sha256::digest(question.as_bytes())));
        if let Some((at, answer)) = name.and_then(|name| self.remembered(&name)) {
            self.sources.figures.remembered.fetch_add(1, Ordering::Relaxed);
            return Some(self.identity(request, answer, at.elapsed()));
        }
        let at = Instant::now();
        let answer = self.ask(question).await?;
        if let Some(name) = name {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.put(name, at, answer.clone());
        }
        Some(self.identity(request, answer, at.elapsed()))
    }

    fn remembered(&self, name: &[u8; 32]) -> Option<(Instant, Answer)> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = answers.get(name)?;
        (at.elapsed() < self.sources.ttl).then(|| (at, answer.clone()))
    }

    async fn ask(&self, question: String) -> Option<Answer> {
        let figures = &self.sources.figures;
        figures.requests.fetch_add(1, Ordering::Relaxed);
        let asked = timeout(self.sources.timeout, async {
            // Never closed.
            let _place = self.places.acquire().await.ok();
            self.client.post(question.into()).await
        });
        let answer = match asked.await {
            Ok(Ok((status, body))) => parse(status, &body)
                .ok_or_else(|| format!("what it says with status {status} is not understood")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("too many questions wait for it".to_owned()),
        };
        match &answer {
            Ok(_) => {
                if figures.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the service of [auth.http] answers again");
                }
            }
            Err(error) => {
                figures.failures.fetch_add(1, Ordering::Relaxed);
                if !figures.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error,
                        "the service of [auth.http] does not answer: clients that it should know are refused"
                    );
                }
            }
        }
        answer.ok()
    }

    fn identity(
        &self,
        request: &AuthenticationRequest,
        answer: Answer,
        age: Duration,
    ) -> Option<Identity> {
        let Answer::Allowed { username, rules } = answer else { return None };
        let username = username.or_else(|| request.username.as_deref().map(Arc::from));
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let renew_at = since_epoch + self.sources.ttl.saturating_sub(age);
        // It has to be asked first.
        let ends_at = renew_at + self.sources.timeout + self.sources.grace;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Some(Identity {
            credential: credential_of(&["service", username.as_deref().unwrap_or_default()]),
            username,
            rules,
            validity: Validity::Renewable { renew_at_ms: ms(renew_at), ends_at_ms: ms(ends_at) },
        })
    }
}

/// The text that is sent.
fn question(request: &AuthenticationRequest, address: Option<IpAddr>) -> String {
    let mut question = json!({
        "action": match request.occasion {
            Occasion::Renewal => "renew",
            Occasion::Connect | Occasion::Reauthentication => "connect",
        },
        "client_id": request.client_id,
        "username": request.username,
        "address": address.map(|address| address.to_canonical().to_string()),
        "protocol": match request.version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        },
    });
    match request.password.as_deref().map(|bytes| (bytes, str::from_utf8(bytes))) {
        None => {}
        Some((_, Ok(text))) => question["password"] = text.into(),
        Some((bytes, Err(_))) => question["password_base64"] = Base64::encode_string(bytes).into(),
    }
    question.to_string()
}

/// None when it is not understood: then nobody is let in.
fn parse(status: StatusCode, body: &[u8]) -> Option<Answer> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Some(Answer::Refused),
        StatusCode::OK => {}
        _ => return None,
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    if !body.get("allow")?.as_bool()? {
        return Some(Answer::Refused);
    }
    let username = match body.get("username") {
        None | Some(Value::Null) => None,
        Some(name) => {
            let name = name.as_str().filter(|name| !name.is_empty())?;
            let is_clean = !name.chars().any(char::is_control);
            Some(is_clean.then(|| Arc::from(name))?)
        }
    };
    let rules = match body.get("acl") {
        None | Some(Value::Null) => None,
        Some(lines) => {
            let lines = lines.as_array().filter(|lines| lines.len() <= RULES_MAX)?;
            let rules = lines.iter().map(|line| acl_file::topic_rule(line.as_str()?));
            Some(rules.collect::<Option<Arc<[Rule]>>>()?)
        }
    };
    Some(Answer::Allowed { username, rules })
}

/// Questions that are put at a time.
const REQUESTS_MAX: usize = 16;
/// Rules in one answer.
const RULES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use weir_core::Access;
    use weir_mqtt::TopicFilter;

    use super::*;

    fn request(password: &[u8]) -> AuthenticationRequest {
        AuthenticationRequest {
            occasion: Occasion::Connect,
            version: Version::V311,
            client_id: "c".into(),
            username: Some("ann".into()),
            password: Some(password.into()),
            exchange: None,
        }
    }

    #[test]
    fn a_question_says_all_that_is_known() {
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let address = "::ffff:192.0.2.1".parse().ok();
        let asked = read(question(&request(b"p\"w"), address));
        let expected = json!({
            "action": "connect", "client_id": "c", "username": "ann", "password": "p\"w",
            "address": "192.0.2.1", "protocol": "3.1.1",
        });
        assert_eq!(asked, expected);
        let asked = read(question(&request(&[0xff]), None));
        assert_eq!((&asked["password_base64"], &asked["address"]), (&json!("/w=="), &Value::Null));
        let again =
            AuthenticationRequest { occasion: Occasion::Renewal, password: None, ..request(b"") };
        let asked = read(question(&again, None));
        assert_eq!(asked["action"], "renew");
        assert!(asked.get("password").is_none());
    }

    #[test]
    fn only_what_is_understood_is_an_answer() {
        let ok = |body: &str| parse(StatusCode::OK, body.as_bytes());
        let allowed = |name: Option<&str>, rules: Option<Vec<Rule>>| {
            Some(Answer::Allowed { username: name.map(Arc::from), rules: rules.map(Arc::from) })
        };
        let read = Rule::topic(Access::Read, TopicFilter::parse("a/#").unwrap());
        assert_eq!(ok(r#"{"allow":true}"#), allowed(None, None));
        assert_eq!(ok(r#"{"allow":true,"more":1,"username":null}"#), allowed(None, None));
        assert_eq!(
            ok(r#"{"allow":true,"username":"b","acl":["read a/#"]}"#),
            allowed(Some("b"), Some(vec![read]))
        );
        assert_eq!(ok(r#"{"allow":true,"acl":[]}"#), allowed(None, Some(vec![])));
        assert_eq!(ok(r#"{"allow":false,"acl":7}"#), Some(Answer::Refused));
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert_eq!(parse(status, b""), Some(Answer::Refused));
        }
        for body in [
            "",
            "true",
            "{}",
            "[]",
            r#"{"allow":1}"#,
            r#"{"allow":"true"}"#,
            r#"{"allow":true,"username":""}"#,
            r#"{"allow":true,"username":"a\n"}"#,
            r#"{"allow":true,"username":5}"#,
            r#"{"allow":true,"acl":"read #"}"#,
            r#"{"allow":true,"acl":["reed #"]}"#,
            r#"{"allow":true,"acl":["read a/#/b"]}"#,
            r#"{"allow":true,"acl":[7]}"#,
        ] {
            assert_eq!(ok(body), None, "{body}");
        }
        for status in [StatusCode::NO_CONTENT, StatusCode::FOUND, StatusCode::NOT_FOUND] {
            assert_eq!(parse(status, br#"{"allow":true}"#), None, "{status}");
        }
    }
}
