//! An operator, an account with JetStream and users of it, as nsc makes them.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use nkeys::KeyPair;
use serde_json::{Value, json};

pub(crate) struct Account {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

impl Account {
    pub(crate) fn new() -> Self {
        let (account, system) = (KeyPair::new_account(), KeyPair::new_account());
        Self { operator: KeyPair::new_operator(), account, system }
    }

    /// What a server that trusts the operator is told.
    pub(crate) fn lines(&self) -> String {
        let claims = json!({ "type": "account", "version": 2, "limits": {
            "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1,
            "exports": -1, "wildcards": true, "mem_storage": -1, "disk_storage": -1,
            "streams": -1, "consumer": -1 } });
        let system = json!({ "type": "account", "version": 2 });
        let trusted = json!({ "type": "operator", "version": 2 });
        format!(
            "operator: {}\nsystem_account: {3}\nresolver: MEMORY\n\
             resolver_preload: {{ {1}: {2}, {3}: {4} }}",
            jwt(&self.operator, &self.operator, &trusted),
            self.account.public_key(),
            jwt(&self.operator, &self.account, &claims),
            self.system.public_key(),
            jwt(&self.operator, &self.system, &system),
        )
    }

    /// The credentials file of a new user, whose payloads are so long at most; -1 = as long as the
    /// server takes.
    pub(crate) fn credentials(&self, payload: i64) -> String {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1,
            "payload": payload, "pub": {}, "sub": {} });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&self.account, &user, &claims),
            user.seed().expect("it has one")
        )
    }
}

/// A token of NATS with these claims for `subject`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let whole = json!({ "iat": 1, "jti": "1", "iss": issuer.public_key(),
        "sub": subject.public_key(), "name": "plant", "nats": claims });
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&whole));
    let signature = issuer.sign(signed.as_bytes()).expect("it has the seed");
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
}
