//! Hashes of passwords, in the forms that mosquitto writes: `$6$` (salted SHA-512), `$7$`
//! (PBKDF2 with SHA-512) and `$argon2id$` (a PHC string), which is also what Weir writes; and
//! the keys of SCRAM, `$scram-sha-256$`, which mosquitto does not know.
//!
//! A hash that was read can be computed: what it would cost is bounded when it is read.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read};

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64, Base64Unpadded, Encoding};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::scram;

/// The hash of one password.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct PasswordHash {
    scheme: Scheme,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scheme {
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    Pbkdf2 {
        iterations: u32,
    },
    /// The hash is StoredKey and ServerKey, one behind the other.
    Scram {
        iterations: u32,
    },
    Sha512,
}

/// Why a text is not a hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HashError {
    /// Another kind of Argon2, or an old version of it.
    #[error("only argon2id of version 19 is known")]
    Argon2Kind,
    /// It would take more memory or time than an attacker shall be able to ask for.
    #[error("the hash is too expensive: {0}")]
    Expensive(&'static str),
    /// Parts are missing, too many or not base64.
    #[error("the hash is not complete")]
    Malformed,
    /// There is no hash at all.
    #[error("the password stands there as plain text")]
    PlainText,
    /// A hash that nobody knows.
    #[error("the kind of hash is not known")]
    UnknownKind,
    /// Clients may refuse to work with it.
    #[error("SCRAM needs at least 4096 iterations")]
    Weak,
}

impl PasswordHash {
    /// Hashes a password with argon2id and a new salt.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new(password: &[u8]) -> io::Result<Self> {
        let mut salt = vec![0; SALT_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut salt)?;
        let scheme = Scheme::Argon2id { memory_kib: MEMORY_KIB, passes: PASSES, lanes: 1 };
        let hash = scheme.compute(password, &salt, HASH_BYTES);
        Ok(Self { scheme, salt, hash })
    }

    /// The keys with which a client can show by SCRAM-SHA-256 that it knows a password.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new_scram(password: &[u8], iterations: u32) -> io::Result<Self> {
        let mut salt = vec![0; SALT_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut salt)?;
        let scheme = Scheme::Scram { iterations };
        let hash = scheme.compute(password, &salt, 2 * scram::KEY_BYTES);
        Ok(Self { scheme, salt, hash })
    }

    /// Salt, iterations and keys, if they are of SCRAM.
    pub(crate) fn scram(&self) -> Option<(&[u8], u32, scram::Keys<'_>)> {
        let Scheme::Scram { iterations } = self.scheme else { return None };
        let (stored, server) = self.hash.split_at_checked(scram::KEY_BYTES)?;
        Some((&self.salt, iterations, scram::Keys { stored, server }))
    }

    /// Reads what stands behind the name in a password file.
    pub(crate) fn parse(text: &str) -> Result<Self, HashError> {
        let mut parts = text.strip_prefix('$').ok_or(HashError::PlainText)?.split('$');
        let kind = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        if let ("scram-sha-256", [iterations, salt, stored, server]) = (kind, parts.as_slice()) {
            return scram_keys(iterations, salt, [stored, server]);
        }
        let (scheme, [salt, hash]) = match (kind, parts.as_slice()) {
            ("6", [salt, hash]) => (Scheme::Sha512, [salt, hash]),
            ("7", [iterations, salt, hash]) => (pbkdf2_scheme(iterations)?, [salt, hash]),
            ("argon2id", [version, costs, salt, hash]) => {
                (argon2_scheme(version, costs)?, [salt, hash])
            }
            ("argon2i" | "argon2d" | "argon2id", _) => return Err(HashError::Argon2Kind),
            ("6" | "7" | "scram-sha-256", _) => return Err(HashError::Malformed),
            _ => return Err(HashError::UnknownKind),
        };
        let (salt, hash) = (scheme.decode(salt)?, scheme.decode(hash)?);
        let (salt_bytes, hash_bytes) = scheme.lengths();
        if !salt_bytes.contains(&salt.len()) || !hash_bytes.contains(&hash.len()) {
            return Err(HashError::Malformed);
        }
        Ok(Self { scheme, salt, hash })
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        let computed = self.scheme.compute(password, &self.salt, self.hash.len());
        computed.ct_eq(&self.hash).into()
    }
}

/// As it stands in a password file.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Argon2id { memory_kib, passes, lanes } => {
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}")?;
            }
            Scheme::Pbkdf2 { iterations } => write!(f, "$7${iterations}")?,
            Scheme::Scram { iterations } => {
                let (stored, server) = self.hash.split_at(scram::KEY_BYTES);
                let [salt, stored, server] =
                    [&self.salt, stored, server].map(Base64::encode_string);
                return write!(f, "$scram-sha-256${iterations}${salt}${stored}${server}");
            }
            Scheme::Sha512 => f.write_str("$6")?,
        }
        for part in [&self.salt, &self.hash] {
            f.write_char('$')?;
            f.write_str(&self.scheme.encode(part))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Scheme {
    fn compute(self, password: &[u8], salt: &[u8], bytes: usize) -> Vec<u8> {
        let mut hash = vec![0; bytes];
        match self {
            Self::Argon2id { memory_kib, passes, lanes } => {
                Params::new(memory_kib, passes, lanes, Some(bytes))
                    .and_then(|params| {
                        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                            .hash_password_into(password, salt, &mut hash)
                    })
                    .expect("costs and lengths are in range since the hash was read");
            }
            Self::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut hash);
            }
            Self::Scram { iterations } => {
                hash.copy_from_slice(&scram::derive_keys(password, salt, iterations));
            }
            Self::Sha512 => {
                let digest = Sha512::new().chain_update(password).chain_update(salt).finalize();
                hash.copy_from_slice(&digest);
            }
        }
        hash
    }

    /// PHC strings have no padding, mosquitto's own forms have.
    fn decode(self, text: &str) -> Result<Vec<u8>, HashError> {
        let decoded = match self {
            Self::Argon2id { .. } => Base64Unpadded::decode_vec(text),
            Self::Pbkdf2 { .. } | Self::Scram { .. } | Self::Sha512 => Base64::decode_vec(text),
        };
        decoded.map_err(|_| HashError::Malformed)
    }

    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Argon2id { .. } => Base64Unpadded::encode_string(bytes),
            Self::Pbkdf2 { .. } | Self::Scram { .. } | Self::Sha512 => Base64::encode_string(bytes),
        }
    }

    /// The lengths that salt and hash may have.
    fn lengths(self) -> (std::ops::RangeInclusive<usize>, std::ops::RangeInclusive<usize>) {
        match self {
            Self::Argon2id { .. } => (8..=64, 16..=64),
            Self::Pbkdf2 { .. } | Self::Sha512 => (1..=1024, 64..=64),
            // What an answer to a client holds, and both keys.
            Self::Scram { .. } => (8..=64, 2 * scram::KEY_BYTES..=2 * scram::KEY_BYTES),
        }
    }
}

fn scram_keys(iterations: &str, salt: &str, keys: [&str; 2]) -> Result<PasswordHash, HashError> {
    let iterations = iterations.parse().map_err(|_| HashError::Malformed)?;
    let scheme = match iterations {
        0..SCRAM_ITERATIONS_MIN => return Err(HashError::Weak),
        SCRAM_ITERATIONS_MIN..=ITERATIONS_MAX => Scheme::Scram { iterations },
        _ => return Err(HashError::Expensive("more than 2,000,000 iterations")),
    };
    let salt = scheme.decode(salt)?;
    let [stored, server] = keys;
    let (stored, server) = (scheme.decode(stored)?, scheme.decode(server)?);
    let is_whole = stored.len() == scram::KEY_BYTES && server.len() == scram::KEY_BYTES;
    if !is_whole || !scheme.lengths().0.contains(&salt.len()) {
        return Err(HashError::Malformed);
    }
    Ok(PasswordHash { scheme, salt, hash: [stored, server].concat() })
}

fn pbkdf2_scheme(iterations: &str) -> Result<Scheme, HashError> {
    let iterations = iterations.parse().map_err(|_| HashError::Malformed)?;
    match iterations {
        0 => Err(HashError::Malformed),
        1..=ITERATIONS_MAX => Ok(Scheme::Pbkdf2 { iterations }),
        _ => Err(HashError::Expensive("more than 2,000,000 iterations")),
    }
}

fn argon2_scheme(version: &str, costs: &str) -> Result<Scheme, HashError> {
    if version != "v=19" {
        return Err(HashError::Argon2Kind);
    }
    let mut parts = costs.split(',');
    let mut cost = |name: &str| {
        let value = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
        value.parse::<u32>().ok()
    };
    let (Some(memory_kib), Some(passes), Some(lanes)) = (cost("m"), cost("t"), cost("p")) else {
        return Err(HashError::Malformed);
    };
    if parts.next().is_some() || passes == 0 || lanes == 0 || memory_kib / 8 < lanes {
        return Err(HashError::Malformed);
    }
    if memory_kib > MEMORY_KIB_MAX {
        return Err(HashError::Expensive("more than 256 MiB of memory"));
    }
    if passes > PASSES_MAX || lanes > LANES_MAX {
        return Err(HashError::Expensive("more than 64 passes or 16 lanes"));
    }
    Ok(Scheme::Argon2id { memory_kib, passes, lanes })
}

/// What OWASP names for argon2id, with the share of memory that a small board can spare.
const MEMORY_KIB: u32 = 12 * 1024;
const PASSES: u32 = 3;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What RFC 7677 asks for at least; clients may refuse less.
pub(crate) const SCRAM_ITERATIONS_MIN: u32 = 4096;
pub(crate) const ITERATIONS_MAX: u32 = 2_000_000;
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::vectors::{ARGON2ID, PBKDF2, SHA512};

    #[test]
    fn hashes_of_mosquitto_hold_for_their_passwords_only() {
        for (password, text) in [SHA512, PBKDF2, ARGON2ID].concat() {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.verify(password.as_bytes()), "{text}");
            assert!(!hash.verify(b"wrong") && !hash.verify(format!("{password} ").as_bytes()));
            assert_eq!(hash.to_string(), text);
        }
    }

    #[test]
    fn a_new_hash_is_argon2id_with_a_salt_of_its_own() {
        let (first, second) = (PasswordHash::new(b"x").unwrap(), PasswordHash::new(b"x").unwrap());
        assert_ne!(first, second);
        let text = first.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{text}");
        let again = PasswordHash::parse(&text).unwrap();
        assert!(again.verify(b"x") && !again.verify(b"y") && !again.verify(b""));
    }

    #[test]
    fn keys_of_scram_hold_for_their_password_and_come_back_as_they_were() {
        let made = PasswordHash::new_scram(b"pencil", 4096).unwrap();
        let text = made.to_string();
        assert!(text.starts_with("$scram-sha-256$4096$"), "{text}");
        assert!(!format!("{made:?}").contains(&text[24..]), "{made:?}");
        let again = PasswordHash::parse(&text).unwrap();
        assert_eq!(again, made);
        assert!(again.verify(b"pencil") && !again.verify(b"pencils"));
        assert!(again.scram().is_some());
        assert_ne!(made, PasswordHash::new_scram(b"pencil", 4096).unwrap());
        // As the example of RFC 7677 has it, with the keys that another program has derived.
        let known = "$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==\
                     $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=\
                     $wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert!(PasswordHash::parse(known).unwrap().verify(b"pencil"));
    }

    #[test]
    fn what_is_no_hash_is_refused_with_its_reason() {
        let salt_and_hash = "c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA";
        let argon2 = |head: &str| format!("$argon2{head}${salt_and_hash}");
        for (text, reason) in [
            ("", HashError::PlainText),
            ("secret", HashError::PlainText),
            ("a$6$b", HashError::PlainText),
            ("$5$c2FsdA==$c2FsdA==", HashError::UnknownKind),
            ("$2b$12$abcdef", HashError::UnknownKind),
            ("$6$c2FsdA==", HashError::Malformed),
            ("$6$c2FsdA==$c2FsdA==", HashError::Malformed),
            ("$6$$c2FsdA==", HashError::Malformed),
            ("$6$!$!", HashError::Malformed),
            ("$7$0$c2FsdA==$c2FsdA==", HashError::Malformed),
            ("$scram-sha-256$4096$c2FsdHNhbHQ=$c2FsdA==", HashError::Malformed),
            ("$scram-sha-256$4096$c2FsdHNhbHQ=$c2FsdA==$c2FsdA==", HashError::Malformed),
            ("$scram-sha-256$4095$c2FsdHNhbHQ=$c2FsdA==$c2FsdA==", HashError::Weak),
            ("$scram-sha-1$4096$c2FsdHNhbHQ=$c2FsdA==$c2FsdA==", HashError::UnknownKind),
            ("$7$many$c2FsdA==$c2FsdA==", HashError::Malformed),
            ("$argon2id$v=19$m=64,t=1,p=1", HashError::Argon2Kind),
            (&argon2("i$v=19$m=64,t=1,p=1"), HashError::Argon2Kind),
            (&argon2("id$v=16$m=64,t=1,p=1"), HashError::Argon2Kind),
            (&argon2("id$v=19$m=64,t=0,p=1"), HashError::Malformed),
            (&argon2("id$v=19$m=7,t=1,p=1"), HashError::Malformed),
            (&argon2("id$v=19$t=1,m=64,p=1"), HashError::Malformed),
            (&argon2("id$v=19$m=64,t=1,p=1,data=x"), HashError::Malformed),
        ] {
            assert_eq!(PasswordHash::parse(text), Err(reason), "{text}");
        }
        for text in [
            "$7$2000001$c2FsdA==$c2FsdA==".to_owned(),
            argon2("id$v=19$m=262145,t=1,p=1"),
            argon2("id$v=19$m=4096,t=65,p=1"),
            argon2("id$v=19$m=4096,t=1,p=17"),
        ] {
            assert!(matches!(PasswordHash::parse(&text), Err(HashError::Expensive(_))), "{text}");
        }
        let smallest = argon2("id$v=19$m=8,t=1,p=1");
        assert!(!PasswordHash::parse(&smallest).unwrap().verify(b"x"));
    }

    #[test]
    fn a_hash_does_not_show_in_debug_output() {
        let text = format!("{:?}", PasswordHash::parse(SHA512[0].1).unwrap());
        assert_eq!(text, "PasswordHash { scheme: Sha512, .. }");
    }
}
