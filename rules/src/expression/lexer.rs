//! Characters to tokens.

use std::ops::Range;

use super::Problem;
use crate::code;

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    End,
    Name(String),
    Number(f64),
    /// An operator or a bracket.
    Symbol(&'static str),
    Text(String),
}

/// All tokens of a text, the last of them [`Kind::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Problem> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            out.push(Token { kind: Kind::End, span: at..at });
            return Ok(out);
        };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = if first.is_ascii_digit() {
            number(rest, at)?
        } else if first == '_' || first.is_alphabetic() {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric());
            let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            (Kind::Name(name.to_owned()), name.len())
        } else if first == '"' || first == '\'' {
            text(rest, first, at)?
        } else {
            symbol(rest, first, at)?
        };
        out.push(Token { kind, span: at..at + length });
        at += length;
    }
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), Problem> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit() || **byte == b'_').count()
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let word = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    let written = rest.get(..end).unwrap_or_default().replace('_', "");
    if word > end {
        let message = "this is neither a number nor a name";
        return Err(Problem::new(
            code::SYNTAX,
            message,
            at..at + word,
            "a name starts with a letter",
        )
        .help("fields whose name is unusual are written payload[\"name\"]"));
    }
    match written.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Kind::Number(number), end)),
        _ => Err(Problem::new(code::SYNTAX, "number out of range", at..at + end, "too large")),
    }
}

fn text(rest: &str, quote: char, at: usize) -> Result<(Kind, usize), Problem> {
    let mut out = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((offset, character)) = characters.next() {
        if character == quote {
            return Ok((Kind::Text(out), offset + 1));
        }
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some((_, 'n')) => out.push('\n'),
            Some((_, 't')) => out.push('\t'),
            Some((_, escaped @ ('\\' | '\'' | '"'))) => out.push(escaped),
            Some((end, other)) => {
                let span = at + offset..at + end + other.len_utf8();
                return Err(Problem::new(code::SYNTAX, "unknown escape", span, "not an escape")
                    .help("a text knows \\n \\t \\\\ \\' and \\\""));
            }
            None => break,
        }
    }
    let label = "it starts here";
    Err(Problem::new(code::SYNTAX, "the text does not end", at..at + 1, label)
        .help(format!("close it with {quote}")))
}

fn symbol(rest: &str, first: char, at: usize) -> Result<(Kind, usize), Problem> {
    if let Some(found) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Kind::Symbol(found), found.len()));
    }
    let span = at..at + first.len_utf8();
    let problem =
        Problem::new(code::SYNTAX, format!("unexpected `{first}`"), span, "not an operator");
    Err(match first {
        '=' => problem.help("equal is written =="),
        '&' => problem.help("and is written &&"),
        '|' => problem.help("or is written ||"),
        '^' => problem.help("a power is written pow(x, y)"),
        _ => problem,
    })
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "&&", "||", "??", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":",
    "(", ")", "[", "]", ",", ".",
];
