//! The broker's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! An exchange is four words: the client's first, the challenge, the proof, and the broker's own
//! proof. Everything that the last two are computed from stands in the first two, so nothing is
//! remembered in between. Nothing here draws a random number or looks at a user: that is for
//! whoever calls it.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The name of the method.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";
/// Length of each key, bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// What a client says first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'a> {
    /// What the client says about channel binding, and comes back in its proof.
    header: &'a str,
    /// All behind that.
    bare: &'a str,
    nonce: &'a str,
    /// The user it says it is.
    pub(crate) username: String,
}

/// What is kept of a password.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) stored: &'a [u8],
    pub(crate) server: &'a [u8],
}

impl<'a> ClientFirst<'a> {
    /// Reads the word; none when it is not one of this method, wants channel binding or wants to
    /// act for somebody else.
    pub(crate) fn parse(word: &'a [u8]) -> Option<Self> {
        let word = str::from_utf8(word).ok()?;
        // `y` says that the client could bind, but thinks that the broker cannot: so it is.
        let rest = word.strip_prefix("n,").or_else(|| word.strip_prefix("y,"))?;
        let (other, bare) = rest.split_once(',')?;
        let header = &word[..word.len() - bare.len()];
        let mut parts = bare.split(',');
        let username = name(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let is_same = other.is_empty() || name(other.strip_prefix("a=")?)? == username;
        (is_same && parts.all(is_extension)).then_some(Self { header, bare, nonce, username })
    }

    /// The challenge. `nonce` is never used twice.
    pub(crate) fn challenge(&self, nonce: &str, salt: &[u8], iterations: u32) -> String {
        format!("r={}{nonce},s={},i={iterations}", self.nonce, Base64::encode_string(salt))
    }

    /// Checks the proof; the answer is the broker's own one, or none when the client does not
    /// know the password.
    pub(crate) fn verify(&self, challenge: &[u8], proof: &[u8], keys: Keys<'_>) -> Option<String> {
        let (challenge, word) = (str::from_utf8(challenge).ok()?, str::from_utf8(proof).ok()?);
        let (without_proof, proof) = word.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let header = Base64::decode_vec(parts.next()?.strip_prefix("c=")?).ok()?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let is_ours = challenge.strip_prefix("r=")?.split(',').next() == Some(nonce);
        if header != self.header.as_bytes() || !is_ours || !parts.all(is_extension) {
            return None;
        }
        let proof: [u8; KEY_BYTES] = Base64::decode_vec(proof).ok()?.try_into().ok()?;
        let all = format!("{},{challenge},{without_proof}", self.bare);
        let signature = hmac(keys.stored, all.as_bytes());
        let mut client_key = [0; KEY_BYTES];
        for (key, (proof, signature)) in client_key.iter_mut().zip(proof.iter().zip(signature)) {
            *key = proof ^ signature;
        }
        let known: bool = Sha256::digest(client_key).as_slice().ct_eq(keys.stored).into();
        known.then(|| format!("v={}", Base64::encode_string(&hmac(keys.server, all.as_bytes()))))
    }
}

/// StoredKey and ServerKey of a password, one behind the other. The password must be one that
/// SASLprep leaves as it is: see [`password_problem`].
pub(crate) fn derive_keys(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 2 * KEY_BYTES] {
    let mut salted = [0; KEY_BYTES];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
    let mut keys = [0; 2 * KEY_BYTES];
    keys[..KEY_BYTES].copy_from_slice(&Sha256::digest(hmac(&salted, b"Client Key")));
    keys[KEY_BYTES..].copy_from_slice(&hmac(&salted, b"Server Key"));
    keys
}

/// Why clients could disagree about how a password is written; none when they cannot. RFC 5802
/// has it prepared by the rules of RFC 4013, of which many clients know nothing: they change
/// nothing in these characters.
pub(crate) fn password_problem(password: &[u8]) -> Option<&'static str> {
    let is_plain = password.iter().all(|byte| matches!(byte, b' '..=b'~'));
    (!is_plain).then_some("with SCRAM it can only have the characters of ASCII that are printed")
}

/// A code of a message that only somebody with the key can make.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// A user name as it was before `,` and `=` were written in another way.
fn name(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next()?);
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(character);
        name.push_str(rest);
    }
    let is_one = !name.is_empty() && !name.chars().any(char::is_control);
    is_one.then_some(name)
}

/// Something that may follow and that this method does not know. What must be understood stands
/// in front, as `m=`.
fn is_extension(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b'=', ..] if letter.is_ascii_alphabetic() && *letter != b'm')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3: user `user`, password `pencil`.
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys() -> [u8; 64] {
        derive_keys(b"pencil", &Base64::decode_vec(SALT).unwrap(), 4096)
    }

    fn verify(first: &[u8], challenge: &str, proof: &str, keys: &[u8; 64]) -> Option<String> {
        let (stored, server) = keys.split_at(KEY_BYTES);
        let first = ClientFirst::parse(first).unwrap();
        first.verify(challenge.as_bytes(), proof.as_bytes(), Keys { stored, server })
    }

    #[test]
    fn the_exchange_of_rfc_7677_is_had_word_by_word() {
        let first = ClientFirst::parse(FIRST).unwrap();
        assert_eq!(first.username, "user");
        let salt = Base64::decode_vec(SALT).unwrap();
        assert_eq!(first.challenge(NONCE, &salt, 4096), CHALLENGE);
        assert_eq!(verify(FIRST, CHALLENGE, PROOF, &keys()).as_deref(), Some(LAST));
    }

    #[test]
    fn a_proof_that_is_changed_anywhere_is_refused() {
        let keys = keys();
        for index in 0..PROOF.len() {
            let mut changed = PROOF.as_bytes().to_vec();
            changed[index] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert_eq!(verify(FIRST, CHALLENGE, &changed, &keys), None, "{changed}");
            assert_eq!(verify(FIRST, CHALLENGE, &PROOF[..index], &keys), None, "{index}");
        }
        let mut other = keys;
        other[0] ^= 1;
        assert_eq!(verify(FIRST, CHALLENGE, PROOF, &other), None);
        let other_first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqo";
        assert_eq!(verify(other_first, CHALLENGE, PROOF, &keys), None);
        // Channel binding that the first word did not speak of.
        let bound = PROOF.replace("c=biws", "c=cD10bHMtdW5pcXVlLCw=");
        assert_eq!(verify(FIRST, CHALLENGE, &bound, &keys), None);
        let mandatory = PROOF.replace(",p=", ",m=x,p=");
        assert_eq!(verify(FIRST, CHALLENGE, &mandatory, &keys), None);
    }

    #[test]
    fn a_first_word_is_read_in_all_its_forms() {
        let username = |word: &str| ClientFirst::parse(word.as_bytes()).map(|first| first.username);
        for (word, name) in [
            ("n,,n=user,r=abc", "user"),
            ("y,,n=user,r=abc", "user"),
            ("n,a=user,n=user,r=abc", "user"),
            ("n,,n=a=2Cb=3Dc,r=abc", "a,b=c"),
            ("n,,n=Jörg,r=abc,x=more", "Jörg"),
        ] {
            assert_eq!(username(word).as_deref(), Some(name), "{word}");
        }
        for word in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,n=user,r=",
            "n,,n=,r=abc",
            "n,,r=abc,n=user",
            "n,,n=us=er,r=abc",
            "n,,n=user=2c,r=abc",
            "n,,n=us\ter,r=abc",
            "n,,n=user,r=a bc",
            "n,,n=user,r=äbc",
            "n,,m=x,n=user,r=abc",
            "n,,n=user,r=abc,m=x",
            "n,,n=user,r=abc,",
            "n,a=other,n=user,r=abc",
            "n,b,n=user,r=abc",
            "p=tls-unique,,n=user,r=abc",
            "x,,n=user,r=abc",
        ] {
            assert_eq!(username(word), None, "{word}");
        }
        assert_eq!(ClientFirst::parse(b"n,,n=us\xffer,r=abc"), None);
    }

    #[test]
    fn passwords_that_clients_could_write_in_two_ways_are_named() {
        assert_eq!(password_problem(b"pen cil~!"), None);
        for odd in ["pencil\t", "p\u{e9}ncil", "\u{7f}"] {
            assert!(password_problem(odd.as_bytes()).is_some(), "{odd:?}");
        }
    }
}
