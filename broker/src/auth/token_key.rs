//! The key that tokens are checked with, and the check of a signature.
//!
//! A key has one algorithm, so that no token can choose another one for it: `RS256` for RSA,
//! `ES256` for P-256, `EdDSA` for Ed25519, `HS256` for a shared secret. Only public numbers are
//! computed with, so RSA needs no protection against measuring its time.

use base64ct::{Base64, Encoding};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256};

/// A key and its algorithm.
#[derive(Clone)]
pub(crate) enum TokenKey {
    Ecdsa(Box<p256::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    Rsa(Box<RsaKey>),
    Secret(Box<[u8]>),
}

/// An RSA public key.
#[derive(Clone)]
pub(crate) struct RsaKey {
    modulus: BoxedMontyParams,
    /// Length of the modulus and of each signature.
    bytes: usize,
    exponent: BoxedUint,
}

/// Why a file holds no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyError {
    /// It is not the text form of a public key.
    #[error("it is not a public key in PEM form (`-----BEGIN PUBLIC KEY-----`)")]
    NotPem,
    /// A key of an algorithm that is not known, or damaged.
    #[error("it is not an RSA, P-256 or Ed25519 key")]
    NotKnown,
    /// An RSA key that is too short to be safe, or so long that checking takes too long.
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaLength,
    /// A secret that can be guessed.
    #[error("a secret must have at least 32 bytes")]
    ShortSecret,
}

impl TokenKey {
    /// Reads a public key in PEM form.
    pub(crate) fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
        let body = body.and_then(|body| body.strip_suffix("-----END PUBLIC KEY-----"));
        let body: String = body.ok_or(KeyError::NotPem)?.split_whitespace().collect();
        let der = Base64::decode_vec(&body).map_err(|_| KeyError::NotPem)?;
        if let Some(point) = der.strip_prefix(P256_HEAD) {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            return key.map(|key| Self::Ecdsa(Box::new(key))).map_err(|_| KeyError::NotKnown);
        }
        if let Some(bytes) = der.strip_prefix(ED25519_HEAD) {
            let bytes = bytes.try_into().map_err(|_| KeyError::NotKnown)?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(bytes);
            return key.map(|key| Self::Ed25519(Box::new(key))).map_err(|_| KeyError::NotKnown);
        }
        RsaKey::from_der(&der).map(|key| Self::Rsa(Box::new(key)))
    }

    /// Takes a secret that the one who signs has too.
    pub(crate) fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret);
        }
        Ok(Self::Secret(secret.into()))
    }

    /// The algorithm, as the head of a token names it.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ecdsa(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
            Self::Secret(_) => "HS256",
        }
    }

    /// Whether the signature of `message` is right.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ecdsa(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Rsa(key) => key.verify(message, signature),
            Self::Secret(secret) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(secret).expect("a secret may have any length");
                mac.update(message);
                mac.verify_slice(signature).is_ok()
            }
        }
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TokenKey").field(&self.algorithm()).finish()
    }
}

impl RsaKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280) with an RSAPublicKey (RFC 8017).
    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let parts = || {
            let (info, []) = element(der, SEQUENCE)? else { return None };
            let (bits, []) = element(info.strip_prefix(RSA_ALGORITHM)?, BIT_STRING)? else {
                return None;
            };
            let (key, []) = element(bits.strip_prefix(&[0])?, SEQUENCE)? else { return None };
            let (modulus, rest) = element(key, INTEGER)?;
            let (exponent, []) = element(rest, INTEGER)? else { return None };
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            Some((modulus, exponent))
        };
        let (modulus, exponent) = parts().ok_or(KeyError::NotKnown)?;
        if !(RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&modulus.len()) {
            return Err(KeyError::RsaLength);
        }
        // Longer exponents exist nowhere and would take long; an even one or 1 is no key.
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
        if exponent.len() > 4 || !is_odd(exponent) || exponent == [1] {
            return Err(KeyError::NotKnown);
        }
        let odd = Odd::new(BoxedUint::from_be_slice_vartime(modulus)).into_option();
        Ok(Self {
            modulus: BoxedMontyParams::new_vartime(odd.ok_or(KeyError::NotKnown)?),
            bytes: modulus.len(),
            exponent: BoxedUint::from_be_slice_vartime(exponent),
        })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2.2): what was signed is made anew and compared
    /// whole, so that there is nothing to parse.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let modulus = self.modulus.modulus();
        let bits = modulus.bits_precision();
        let Ok(number) = BoxedUint::from_be_slice(signature, bits) else { return false };
        if signature.len() != self.bytes || number >= **modulus {
            return false;
        }
        let power = BoxedMontyForm::new(number, &self.modulus).pow(&self.exponent).retrieve();
        let signed = power.to_be_bytes();
        let digest = Sha256::digest(message);
        let padding = self.bytes - 3 - SHA256_HEAD.len() - digest.len();
        let mut expected = vec![0, 1];
        expected.resize(2 + padding, 0xff);
        expected.push(0);
        expected.extend_from_slice(SHA256_HEAD);
        expected.extend_from_slice(&digest);
        let (above, signed) = signed.split_at(signed.len() - self.bytes);
        above.iter().all(|byte| *byte == 0) && *signed == *expected
    }
}

/// The content of a DER element of one kind, and what follows it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    if found != kind {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => {
            let (&[length], rest) = rest.split_first_chunk()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// What stands before the point of a P-256 key that is not compressed.
const P256_HEAD: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\
                           \xce\x3d\x03\x01\x07\x03\x42\x00";
/// What stands before the bytes of an Ed25519 key.
const ED25519_HEAD: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The name of RSA.
const RSA_ALGORITHM: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// What stands before a SHA-256 digest that is signed.
const SHA256_HEAD: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

const RSA_BYTES_MIN: usize = 256;
const RSA_BYTES_MAX: usize = 1024;
const SECRET_BYTES_MIN: usize = 32;
