//! Who this box is at a broker: SASL, over SaslHandshake (version 1) and SaslAuthenticate (0).

use std::fs::File;
use std::io::{self, Read as _};

use base64ct::{Base64Unpadded, Encoding as _};

use super::answer::{ILLEGAL_SASL_STATE, UNSUPPORTED_SASL_MECHANISM};
use super::connection::Connection;
use super::scram::{Exchange, Hash};
use super::wire::{Malformed, Reader, Writer};
use crate::config::KafkaSasl;
use crate::upstream::error::{LinkError, one_line};

/// A name, a password, and how they are told.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) sasl: KafkaSasl,
    pub(super) username: String,
    pub(super) password: String,
}

impl Login {
    /// Logs in on a connection on which nothing else has happened.
    pub(super) async fn log_in(&self, connection: &mut Connection) -> Result<(), LinkError> {
        self.choose(connection).await?;
        match self.sasl {
            KafkaSasl::Plain => {
                let word = format!("\0{}\0{}", self.username, self.password);
                authenticate(connection, word.as_bytes()).await.map(drop)
            }
            KafkaSasl::ScramSha256 => self.scram(connection, Hash::Sha256).await,
            KafkaSasl::ScramSha512 => self.scram(connection, Hash::Sha512).await,
        }
    }

    /// Says which mechanism is meant.
    async fn choose(&self, connection: &mut Connection) -> Result<(), LinkError> {
        let mechanism = self.sasl.mechanism();
        let mut request = Writer::default();
        request.text(mechanism);
        let answer = connection.request(HANDSHAKE, 1, &request.into_bytes()).await?;
        let read = |reader: &mut Reader<'_>| Ok((reader.i16()?, reader.list(Reader::text)?));
        match answer.read(read)? {
            (0, _) => Ok(()),
            (UNSUPPORTED_SASL_MECHANISM, others) => {
                let others = one_line(&others.join(", "));
                let reason = format!("it does not take {mechanism}, but {others}");
                Err(LinkError::Refused { reason, help: HELP_MECHANISM })
            }
            (ILLEGAL_SASL_STATE, _) => {
                let reason = "nobody logs in at this port".to_owned();
                Err(LinkError::Refused { reason, help: HELP_NO_LOGIN })
            }
            (code, _) => {
                let reason = format!("error {code} to the handshake of SASL");
                Err(LinkError::Refused { reason, help: HELP_CREDENTIALS })
            }
        }
    }

    async fn scram(&self, connection: &mut Connection, hash: Hash) -> Result<(), LinkError> {
        let refused = |reason: String| LinkError::Refused { reason, help: HELP_CREDENTIALS };
        let nonce = nonce().map_err(|error| refused(format!("no random numbers: {error}")))?;
        let exchange = Exchange::new(hash, &self.username, self.password.clone(), nonce);
        let challenge = authenticate(connection, exchange.first().as_bytes()).await?;
        let proof = exchange.prove(&challenge).map_err(|error| refused(error.to_string()))?;
        let answer = authenticate(connection, proof.word.as_bytes()).await?;
        proof.verify(&answer).map_err(|error| refused(error.to_string()))
    }
}

/// Says one word of a mechanism; the answer to it.
async fn authenticate(connection: &mut Connection, word: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut request = Writer::default();
    request.bytes(word);
    let answer = connection.request(AUTHENTICATE, 0, &request.into_bytes()).await?;
    let read = |reader: &mut Reader<'_>| -> Result<_, Malformed> {
        Ok((reader.i16()?, reader.optional_text()?, reader.bytes()?.to_vec()))
    };
    match answer.read(read)? {
        (0, _, word) => Ok(word),
        (code, text, _) => {
            let text = text.map(|text| one_line(&text)).filter(|text| !text.is_empty());
            let reason = text.unwrap_or_else(|| format!("the login is wrong (error {code})"));
            Err(LinkError::Refused { reason, help: HELP_CREDENTIALS })
        }
    }
}

fn nonce() -> io::Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Base64Unpadded::encode_string(&bytes))
}

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;

const HELP_CREDENTIALS: &str =
    "check `username` and `password_file` of this upstream, and `sasl` in its `kafka`";
const HELP_MECHANISM: &str = "set `sasl` in `kafka` of this upstream to one that it takes";
const HELP_NO_LOGIN: &str = "check the port of `address`, or take `username` and `sasl` out";
