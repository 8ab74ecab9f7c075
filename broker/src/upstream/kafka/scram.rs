//! The client's half of SCRAM (RFC 5802), with SHA-256 or SHA-512, without channel binding.
//!
//! Not only the server learns whether this side knows the password: its last word shows whether it
//! knows it itself. Draws no random numbers.

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// The hash that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// An exchange that has begun.
pub(super) struct Exchange {
    hash: Hash,
    password: String,
    nonce: String,
    /// The first word, without what stands there about channel binding.
    bare: String,
}

/// The second word of this side, and what the server has to answer.
pub(super) struct Proof {
    pub(super) word: String,
    expected: Vec<u8>,
}

/// Why an exchange comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("its challenge cannot be read")]
    Challenge,
    #[error("it asks for {0} iterations, more than {ITERATIONS_MAX}")]
    Iterations(u32),
    #[error("it does not know the password itself")]
    Server,
}

impl Exchange {
    /// Begins one. `nonce` is never used twice.
    pub(super) fn new(hash: Hash, username: &str, password: String, nonce: String) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        Self { hash, password, nonce, bare }
    }

    /// The first word.
    pub(super) fn first(&self) -> String {
        format!("{GS2_HEADER}{}", self.bare)
    }

    /// The answer to the challenge of the server.
    pub(super) fn prove(&self, challenge: &[u8]) -> Result<Proof, ScramError> {
        let challenge = str::from_utf8(challenge).map_err(|_| ScramError::Challenge)?;
        let (nonce, salt, iterations) = parse(challenge).ok_or(ScramError::Challenge)?;
        // One that is not longer than ours could be an old one.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Challenge);
        }
        if iterations > ITERATIONS_MAX {
            return Err(ScramError::Iterations(iterations));
        }
        let header = Base64::encode_string(GS2_HEADER.as_bytes());
        let without_proof = format!("c={header},r={nonce}");
        let all = format!("{},{challenge},{without_proof}", self.bare);
        let salted = self.hash.salted(self.password.as_bytes(), &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let signature = self.hash.hmac(&self.hash.digest(&client_key), all.as_bytes());
        let proof: Vec<u8> =
            client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        Ok(Proof {
            word: format!("{without_proof},p={}", Base64::encode_string(&proof)),
            expected: self.hash.hmac(&server_key, all.as_bytes()),
        })
    }
}

impl Proof {
    /// Looks at the last word of the server.
    pub(super) fn verify(&self, word: &[u8]) -> Result<(), ScramError> {
        let word = str::from_utf8(word).map_err(|_| ScramError::Server)?;
        let signature = word.strip_prefix("v=").and_then(|rest| rest.split(',').next());
        let signature = signature.and_then(|text| Base64::decode_vec(text).ok());
        let is_right = signature.is_some_and(|found| bool::from(found.ct_eq(&self.expected)));
        if is_right { Ok(()) } else { Err(ScramError::Server) }
    }
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_KEY);
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_KEY);
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut salted = vec![0; 32];
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
                salted
            }
            Self::Sha512 => {
                let mut salted = vec![0; 64];
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted);
                salted
            }
        }
    }
}

fn parse(challenge: &str) -> Option<(&str, Vec<u8>, u32)> {
    let mut parts = challenge.split(',');
    let nonce = parts.next()?.strip_prefix("r=")?;
    let salt = Base64::decode_vec(parts.next()?.strip_prefix("s=")?).ok()?;
    let iterations = parts.next()?.strip_prefix("i=")?.parse().ok().filter(|count| *count > 0)?;
    Some((nonce, salt, iterations))
}

/// No channel binding, and for nobody else.
const GS2_HEADER: &str = "n,,";
/// What Kafka itself allows is 16,384; other servers of its protocol take some more.
const ITERATIONS_MAX: u32 = 100_000;
const ANY_KEY: &str = "a key may have any length";

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let exchange = Exchange::new(Hash::Sha256, "user", "pencil".to_owned(), nonce);
        assert_eq!(exchange.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = exchange.prove(challenge.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof.word, expected);
        assert_eq!(proof.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        for wrong in ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "e=other-error", ""] {
            assert_eq!(proof.verify(wrong.as_bytes()), Err(ScramError::Server), "{wrong}");
        }
    }

    fn proof(challenge: &str) -> Result<Proof, ScramError> {
        let exchange = Exchange::new(Hash::Sha512, "a,b=c", "pw".to_owned(), "abc".to_owned());
        assert_eq!(exchange.first(), "n,,n=a=2Cb=3Dc,r=abc");
        exchange.prove(challenge.as_bytes())
    }

    #[test]
    fn a_challenge_that_is_no_answer_to_the_first_word_is_refused() {
        assert!(proof("r=abcd,s=AA==,i=4096").is_ok());
        for wrong in ["r=abc,s=AA==,i=4096", "r=xyz1,s=AA==,i=4096", "r=abcd,s=?,i=1", "r=abcd", ""]
        {
            assert_eq!(proof(wrong).err(), Some(ScramError::Challenge), "{wrong}");
        }
        let expensive = proof("r=abcd,s=AA==,i=4000000000").err();
        assert_eq!(expensive, Some(ScramError::Iterations(4_000_000_000)));
        assert_eq!(proof("r=abcd,s=AA==,i=0").err(), Some(ScramError::Challenge));
    }
}
