//! Tokens for the admin server: one `name:role:sha256:digest` in each line.
//!
//! A token is 256 random bits that `weir token` draws, so a plain digest is enough: what nobody can
//! guess need not be slow to try. The digest alone is kept; the token is shown once.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use weir_config::{Diagnostic, nearest};

use super::line::{self, Line, code};

/// What somebody may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Role {
    /// See everything.
    View,
    /// Change things too.
    Operate,
}

impl Role {
    /// Their names, the lesser first.
    pub(crate) const NAMES: [&'static str; 2] = ["view", "operate"];

    /// The role of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::View, Self::Operate].into_iter().find(|role| role.name() == name)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Who has shown a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ApiToken {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    digest: [u8; DIGEST_BYTES],
}

/// The tokens of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiTokens(Vec<ApiToken>);

impl ApiTokens {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let text = line::read(path, "file of tokens").map_err(|problem| vec![*problem])?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the text of a file; all that is wrong with it is told at once.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, Vec<Diagnostic>> {
        let (mut tokens, mut problems) = (Self::default(), Vec::new());
        for line in line::lines(text) {
            match token(&line) {
                Err((problem, part)) => problems.push(problem.at(name, text, line.span_of(part))),
                Ok(token) if tokens.0.iter().any(|known| known.name == token.name) => {
                    let message = format!("the token `{}` has a line already", token.name);
                    let problem = Diagnostic::error(code::TWICE, message);
                    problems.push(problem.at(name, text, line.span()));
                }
                Ok(_) if tokens.0.len() == TOKENS_MAX => {
                    let message = format!("there are more than {TOKENS_MAX} tokens");
                    let problem = Diagnostic::error(code::LINE, message);
                    problems.push(problem.at(name, text, line.span()));
                    break;
                }
                Ok(token) => tokens.0.push(token),
            }
        }
        if problems.is_empty() { Ok(tokens) } else { Err(problems) }
    }

    /// Who has this token; takes as long whoever it is.
    pub(crate) fn find(&self, shown: &[u8]) -> Option<&ApiToken> {
        let digest: [u8; DIGEST_BYTES] = Sha256::digest(shown).into();
        let is_it = |token: &ApiToken| bool::from(token.digest.ct_eq(&digest));
        self.0.iter().fold(None, |found, token| if is_it(token) { Some(token) } else { found })
    }

    /// All of them, in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ApiToken> {
        self.0.iter()
    }
}

/// The tokens that hold now.
#[derive(Debug, Default)]
pub(crate) struct LiveApiTokens(RwLock<Arc<ApiTokens>>);

impl LiveApiTokens {
    /// These hold at first.
    pub(crate) fn new(tokens: Arc<ApiTokens>) -> Self {
        Self(RwLock::new(tokens))
    }

    /// Those that hold.
    pub(crate) fn now(&self) -> Arc<ApiTokens> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others hold from now on.
    pub(crate) fn replace(&self, tokens: Arc<ApiTokens>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }
}

/// A new token, and its line in a file.
pub(crate) fn make(name: &str, role: Role) -> io::Result<(String, String)> {
    let mut random = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token = format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&random));
    let digest = Sha256::digest(token.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((token, format!("{name}:{}:{ALGORITHM}:{hex}\n", role.name())))
}

/// The text of a file with a new line for a name, or without its line; whether there was one.
pub(crate) fn edit(text: &str, name: &str, line: Option<String>) -> (String, bool) {
    line::edit(text, name, line)
}

/// Why a name cannot stand in a file of tokens; none when it can.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        Some("the name of a token cannot be empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("the name of a token cannot be longer than 64 characters")
    } else if !name.chars().all(is_plain) {
        Some("the name of a token has letters, digits, `-`, `_` and `.`")
    } else {
        None
    }
}

/// The token of a line, or what is wrong with which part of it.
fn token<'a>(line: &Line<'a>) -> Result<ApiToken, (Box<Diagnostic>, &'a str)> {
    let mut parts = line.text.splitn(4, ':').map(str::trim);
    let (Some(name), Some(role), Some(algorithm), Some(hex)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let problem = Diagnostic::error(code::LINE, "the line has not four parts");
        let problem = problem.label("must be name:role:sha256:digest").help(MAKE_ONE);
        return Err((Box::new(problem), line.text));
    };
    if let Some(reason) = name_problem(name) {
        return Err((Box::new(Diagnostic::error(code::LINE, reason).help(MAKE_ONE)), name));
    }
    let Some(known) = Role::parse(role) else {
        let problem = Diagnostic::error(code::ROLE, format!("there is no role `{role}`"));
        let help = match nearest(role, Role::NAMES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "there are `view`, which sees everything, and `operate`".to_owned(),
        };
        return Err((Box::new(problem.help(help)), role));
    };
    let digest = (algorithm == ALGORITHM).then(|| from_hex(hex)).flatten();
    let Some(digest) = digest else {
        let message = format!("what stands behind `{name}` is not the hash of a token");
        let problem = Diagnostic::error(code::HASH, message);
        let problem = problem.label("must be sha256 and 64 hex digits").help(MAKE_ONE);
        return Err((Box::new(problem), algorithm));
    };
    Ok(ApiToken { name: name.into(), role: known, digest })
}

fn from_hex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

const ALGORITHM: &str = "sha256";
/// So that a token is known for what it is wherever it turns up.
const PREFIX: &str = "weir_";
const TOKEN_BYTES: usize = 32;
const DIGEST_BYTES: usize = 32;
const NAME_BYTES_MAX: usize = 64;
/// Each is compared with what is shown.
const TOKENS_MAX: usize = 256;
const MAKE_ONE: &str = "`weir token create NAME --role view` makes a token and its line";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_made_is_found_and_no_other() {
        let (ann, first) = make("ann", Role::Operate).unwrap();
        let (bob, second) = make("bob", Role::View).unwrap();
        let tokens = ApiTokens::parse(&format!("# who\n{first}{second}"), "tokens").unwrap();
        let found = |shown: &str| tokens.find(shown.as_bytes()).map(|it| (&*it.name, it.role));
        assert_eq!(found(&ann), Some(("ann", Role::Operate)));
        assert_eq!(found(&bob), Some(("bob", Role::View)));
        assert_eq!(found(""), None);
        assert_eq!(found(&ann[..ann.len() - 1]), None);
        assert!(ann.starts_with("weir_") && ann.len() == 5 + 43, "{ann}");
    }

    #[test]
    fn every_wrong_line_is_told_with_its_place_and_no_hash() {
        let hash = "0".repeat(64);
        let text = format!(
            "ann:view:sha256:{hash}\nann:view:sha256:{hash}\nbob:veiw:sha256:{hash}\n\
             c d:view:sha256:{hash}\nx:view:md5:{hash}\ny:view:sha256:12\nz:view\n"
        );
        let problems = ApiTokens::parse(&text, "tokens").unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            ("tokens:2:1", "has a line already"),
            ("tokens:3:5", "did you mean `view`"),
            ("tokens:4:1", "letters, digits"),
            ("tokens:5:8", "64 hex digits"),
            ("tokens:6:8", "64 hex digits"),
            ("tokens:7:1", "name:role:sha256:digest"),
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for (said, (place, words)) in said.iter().zip(expected) {
            assert!(said.contains(place) && said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_file_has_so_many_tokens_and_no_more() {
        let line = |number| format!("t{number}:view:sha256:{}\n", "a".repeat(64));
        let text: String = (0..TOKENS_MAX).map(line).collect();
        assert_eq!(ApiTokens::parse(&text, "tokens").unwrap().iter().count(), TOKENS_MAX);
        assert_eq!(ApiTokens::parse(&(text + &line(TOKENS_MAX)), "tokens").unwrap_err().len(), 1);
    }
}
