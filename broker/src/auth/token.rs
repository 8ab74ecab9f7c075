//! Tokens in the place of a password: JSON Web Tokens (RFC 7519), signed by somebody else.
//!
//! A token is a password that tells whose it is. It must have an end, and nothing in it chooses
//! how it is checked. Time is an argument.

use std::path::PathBuf;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value};
use weir_config::Diagnostic;
use weir_core::{Credential, Identity, Rule, Validity};

use super::acl_file;
use super::credential::credential_of;
use super::line::{self, code};
use super::token_key::TokenKey;

/// Where the key of tokens stands and what is read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSources {
    pub(crate) key: KeySource,
    pub(crate) claims: Claims,
}

/// Which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file with a public key.
    Public(PathBuf),
    /// A file with a secret.
    Secret(PathBuf),
}

/// What is read from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Names the user.
    pub(crate) username: String,
    /// Lists what the user may do; without it the ACL file alone says so.
    pub(crate) acl: Option<String>,
    /// Who must have made it.
    pub(crate) issuer: Option<String>,
    /// Whom it must be for.
    pub(crate) audience: Option<String>,
}

/// Checks tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    key: TokenKey,
    /// By what everybody is revoked who has a token.
    credential: Credential,
    claims: Claims,
}

impl TokenSources {
    /// Reads the key.
    pub(crate) fn read(&self) -> Result<Tokens, Vec<Diagnostic>> {
        let (KeySource::Public(path) | KeySource::Secret(path)) = &self.key;
        let text = line::read(path, "key of tokens").map_err(|problem| vec![*problem])?;
        let key = match &self.key {
            KeySource::Public(_) => TokenKey::from_pem(&text),
            KeySource::Secret(_) => TokenKey::from_secret(text.trim_end().as_bytes()),
        };
        let key = key.map_err(|reason| {
            let message = format!("`{}` holds no key for tokens: {reason}", path.display());
            vec![Diagnostic::error(code::KEY, message)]
        })?;
        let credential = credential_of(&["token", text.trim()]);
        Ok(Tokens { key, credential, claims: self.claims.clone() })
    }
}

impl Tokens {
    /// Whether a password has the form of a token.
    pub(crate) fn are_like(password: &[u8]) -> bool {
        // The Base64 form of `{"`.
        password.starts_with(b"eyJ") && password.iter().filter(|byte| **byte == b'.').count() == 2
    }

    /// Whose token this is; none when it does not hold.
    pub(crate) fn identify(&self, token: &[u8], unix_s: u64) -> Option<Identity> {
        let token = std::str::from_utf8(token).ok().filter(|t| t.len() <= TOKEN_BYTES_MAX)?;
        let (message, signature) = token.rsplit_once('.')?;
        let (head, body) = message.split_once('.')?;
        let head = object(head)?;
        let algorithm = head.get("alg").and_then(Value::as_str);
        // What is `crit` must be understood (RFC 7515, 4.1.11), and nothing of it is.
        if algorithm != Some(self.key.algorithm()) || head.contains_key("crit") {
            return None;
        }
        let signature = Base64UrlUnpadded::decode_vec(signature).ok()?;
        if !self.key.verify(message.as_bytes(), &signature) {
            return None;
        }
        let body = object(body)?;
        (self.holds(&body, unix_s)?).then(|| self.identity(&body))?
    }

    /// Another one for another key.
    pub(crate) fn credential(&self) -> Credential {
        self.credential
    }

    fn holds(&self, body: &Map<String, Value>, unix_s: u64) -> Option<bool> {
        let time = |name| body.get(name).map(Value::as_f64);
        let now = unix_s as f64;
        let begins = time("nbf").unwrap_or(Some(0.0))?;
        let ends = time("exp")??;
        let is = |name: &str, wanted: &Option<String>| {
            let Some(wanted) = wanted else { return true };
            match body.get(name) {
                Some(Value::Array(several)) => several.iter().any(|one| one == wanted.as_str()),
                Some(one) => one == wanted.as_str(),
                None => false,
            }
        };
        Some(
            now < ends + LEEWAY_S
                && now >= begins - LEEWAY_S
                && is("iss", &self.claims.issuer)
                && is("aud", &self.claims.audience),
        )
    }

    fn identity(&self, body: &Map<String, Value>) -> Option<Identity> {
        let username = body.get(&self.claims.username)?.as_str()?;
        if username.is_empty() || username.chars().any(char::is_control) {
            return None;
        }
        let rules = match &self.claims.acl {
            None => None,
            Some(name) => Some(rules(body.get(name))?),
        };
        let ends = body.get("exp")?.as_f64()? + LEEWAY_S;
        Some(Identity {
            username: Some(username.into()),
            rules,
            credential: self.credential,
            // A number that is too large becomes the largest.
            validity: Validity::Until((ends * 1000.0) as u64),
        })
    }
}

/// Each text is what stands behind `topic` in an ACL file. Without the claim nothing is allowed;
/// with one that is not understood the token does not hold.
fn rules(claim: Option<&Value>) -> Option<Arc<[Rule]>> {
    let Some(claim) = claim else { return Some(Arc::default()) };
    let lines = claim.as_array().filter(|lines| lines.len() <= RULES_MAX)?;
    lines.iter().map(|line| acl_file::topic_rule(line.as_str()?)).collect()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).ok()?).ok()
}

/// What two clocks may differ by.
const LEEWAY_S: f64 = 60.0;
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Rules in one token.
const RULES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::json;
    use weir_core::Access;
    use weir_mqtt::TopicFilter;

    use super::*;
    use crate::auth::token_key::KeyError;
    use crate::auth::token_vectors::*;

    const SECRET: &str = "a secret of thirty-two bytes, at least";
    const WHILE_VALID: u64 = 1_750_000_000;

    fn claims() -> Claims {
        Claims { username: "sub".into(), acl: None, issuer: None, audience: None }
    }

    fn tokens(key: TokenKey) -> Tokens {
        Tokens { key, credential: Credential(1), claims: claims() }
    }

    fn with_secret() -> Tokens {
        tokens(TokenKey::from_secret(SECRET.as_bytes()).unwrap())
    }

    fn all() -> [(Tokens, &'static str); 4] {
        [
            (tokens(TokenKey::from_pem(KEY_RSA).unwrap()), TOKEN_RS256),
            (tokens(TokenKey::from_pem(KEY_EC).unwrap()), TOKEN_ES256),
            (tokens(TokenKey::from_pem(KEY_ED).unwrap()), TOKEN_EDDSA),
            (with_secret(), TOKEN_HS256),
        ]
    }

    fn signed(head: &Value, body: &Value) -> String {
        let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
        let message = format!("{}.{}", part(head), part(body));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        let signature = Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes());
        format!("{message}.{signature}")
    }

    fn name_of(tokens: &Tokens, body: &Value) -> Option<String> {
        let token = signed(&json!({"alg": "HS256"}), body);
        let identity = tokens.identify(token.as_bytes(), WHILE_VALID)?;
        identity.username.map(|name| name.to_string())
    }

    #[test]
    fn tokens_of_openssl_hold_for_their_key_and_their_time() {
        for (tokens, token) in all() {
            let token = token.as_bytes();
            assert!(Tokens::are_like(token));
            let ann = tokens.identify(token, WHILE_VALID).expect("it holds");
            assert_eq!((ann.username.as_deref(), ann.rules), (Some("ann"), None));
            assert!(tokens.identify(token, 1_699_999_939).is_none(), "not yet");
            assert!(tokens.identify(token, 1_699_999_940).is_some());
            assert!(tokens.identify(token, 1_800_000_059).is_some());
            assert!(tokens.identify(token, 1_800_000_060).is_none(), "not any more");
        }
    }

    #[test]
    fn no_key_takes_the_token_of_another_or_one_that_was_changed() {
        let everybody = all();
        for (index, (tokens, token)) in everybody.iter().enumerate() {
            for (other, (_, foreign)) in everybody.iter().enumerate() {
                let identity = tokens.identify(foreign.as_bytes(), WHILE_VALID);
                assert_eq!(identity.is_some(), index == other);
            }
            for at in (0..token.len() - 1).step_by(61) {
                let mut changed = token.as_bytes().to_vec();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert!(tokens.identify(&changed, WHILE_VALID).is_none(), "{index} at {at}");
            }
            assert!(tokens.identify(&token.as_bytes()[..token.len() - 4], WHILE_VALID).is_none());
        }
    }

    #[test]
    fn a_token_does_not_choose_how_it_is_checked() {
        let body = json!({"sub": "ann", "exp": 1_800_000_000});
        let identify = |tokens: &Tokens, head| {
            tokens.identify(signed(&head, &body).as_bytes(), WHILE_VALID).is_some()
        };
        assert!(identify(&with_secret(), json!({"alg": "HS256"})));
        for head in [
            json!({"alg": "none"}),
            json!({"alg": "HS512"}),
            json!({"alg": "hs256"}),
            json!({}),
            json!({"alg": "HS256", "crit": ["b64"]}),
        ] {
            assert!(!identify(&with_secret(), head.clone()), "{head}");
        }
        // The text of a public key as the secret.
        let public = tokens(TokenKey::from_pem(KEY_RSA).unwrap());
        assert!(!identify(&public, json!({"alg": "HS256"})));
    }

    #[test]
    fn a_token_needs_a_user_and_an_end() {
        let exp = 1_800_000_000;
        let tokens = with_secret();
        assert_eq!(name_of(&tokens, &json!({"sub": "a", "exp": exp})).as_deref(), Some("a"));
        for body in [
            json!({"sub": "a"}),
            json!({"sub": "a", "exp": "1800000000"}),
            json!({"sub": "a", "exp": null}),
            json!({"sub": "a", "exp": exp, "nbf": "soon"}),
            json!({"exp": exp}),
            json!({"sub": 1, "exp": exp}),
            json!({"sub": "", "exp": exp}),
            json!({"sub": "a\n", "exp": exp}),
            json!([]),
        ] {
            assert_eq!(name_of(&tokens, &body), None, "{body}");
        }
    }

    #[test]
    fn issuer_and_audience_hold_when_they_are_asked_for() {
        let claims =
            Claims { issuer: Some("ca".into()), audience: Some("weir".into()), ..claims() };
        let tokens = Tokens { claims, ..with_secret() };
        let body = |iss: Value, aud: Value| json!({"sub": "a", "exp": 2e9, "iss": iss, "aud": aud});
        assert!(name_of(&tokens, &body(json!("ca"), json!("weir"))).is_some());
        assert!(name_of(&tokens, &body(json!("ca"), json!(["x", "weir"]))).is_some());
        for (iss, aud) in
            [("cb", json!("weir")), ("ca", json!("x")), ("ca", json!([])), ("", json!(1))]
        {
            assert!(name_of(&tokens, &body(json!(iss), aud.clone())).is_none(), "{iss} {aud}");
        }
        assert!(name_of(&tokens, &json!({"sub": "a", "exp": 2e9})).is_none());
    }

    #[test]
    fn a_claim_can_list_what_the_user_may_do() {
        let claims = Claims { acl: Some("acl".into()), ..claims() };
        let tokens = Tokens { claims, ..with_secret() };
        let rules = tokens.identify(TOKEN_HS256.as_bytes(), WHILE_VALID).unwrap().rules.unwrap();
        let rule = |access, filter| Rule::topic(access, TopicFilter::parse(filter).unwrap());
        assert_eq!(*rules, [rule(Access::Read, "sensors/#"), rule(Access::Write, "out/ann")]);
        let rules_of = |acl: Value| {
            let token =
                signed(&json!({"alg": "HS256"}), &json!({"sub": "a", "exp": 2e9, "acl": acl}));
            tokens.identify(token.as_bytes(), WHILE_VALID)?.rules
        };
        assert_eq!(rules_of(json!(["#"])).unwrap()[0], rule(Access::ReadWrite, "#"));
        for wrong in [json!("read #"), json!(["reed a"]), json!([1]), json!(["a/#/b"]), json!([""])]
        {
            assert!(rules_of(wrong.clone()).is_none(), "{wrong}");
        }
        let token = signed(&json!({"alg": "HS256"}), &json!({"sub": "a", "exp": 2e9}));
        let nothing = tokens.identify(token.as_bytes(), WHILE_VALID).unwrap();
        assert_eq!(nothing.rules.as_deref(), Some(&[][..]), "nothing is allowed");
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let refused = |text: &str| TokenKey::from_pem(text).unwrap_err();
        assert_eq!(refused(""), KeyError::NotPem);
        assert_eq!(refused(&KEY_RSA.replace("PUBLIC", "PRIVATE")), KeyError::NotPem);
        assert_eq!(refused(&KEY_RSA.replace('M', "!")), KeyError::NotPem);
        let pem = |bytes: &[u8]| {
            let body = Base64UrlUnpadded::encode_string(bytes);
            format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
        };
        assert_eq!(refused(&pem(&[0x30, 1, 2])), KeyError::NotKnown);
        assert_eq!(TokenKey::from_secret(&[1; 31]).unwrap_err(), KeyError::ShortSecret);
        for (tokens, _) in all() {
            let text = format!("{:?}", tokens.key);
            assert_eq!(text, format!("TokenKey(\"{}\")", tokens.key.algorithm()));
        }
    }
}
