//! A value as it stands in a text, on its way to being read, and the sentences about what is wrong
//! with it.

use toml::Spanned;
use toml::de::DeValue;

use super::{Context, Key, Kind};
use crate::problem::{Refusal, without_user};

/// A value as it stands in a text, for a [`Notation`](crate::Notation) that reads it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub(crate) key: &'a Key,
    /// That of the key, or of the elements of its list.
    pub(crate) kind: &'a Kind,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    pub(crate) context: Context<'a>,
}

impl<'a> Given<'a> {
    /// The value as a text that is not empty.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> Result<&'a str, Refusal> {
        let Some(text) = self.value.get_ref().as_str() else {
            return Err(self.wrong_type("text in quotes"));
        };
        let limit = self.context.limits.text_bytes;
        match text.len() {
            0 => {
                let refusal = self.refuse("an empty text", "text in quotes");
                Err(refusal.help("leave the key out instead"))
            }
            length if length > limit => {
                let wanted = format!("1 to {limit} bytes of text");
                Err(self.refuse(&format!("{length} bytes long"), &wanted))
            }
            _ => Ok(text),
        }
    }

    /// The value as a whole number of a range.
    ///
    /// # Errors
    /// It is none, or out of the range.
    pub fn whole(&self, min: i64, max: i64) -> Result<i64, Refusal> {
        let number = integer(self.value).ok_or_else(|| self.wrong_type("a whole number"))?;
        match (min..=max).contains(&number) {
            true => Ok(number),
            false => Err(self.out_of_range(&number.to_string())),
        }
    }

    /// Whether it is a number without a fraction.
    pub fn is_whole(&self) -> bool {
        self.value.get_ref().as_integer().is_some()
    }

    /// Says that the key cannot be `found`, and what it must be.
    pub fn refuse(&self, found: &str, wanted: &str) -> Refusal {
        let message = format!("`{}` cannot be {found}", self.key.name);
        self.wrong(message, format!("must be {wanted}"))
    }

    /// Says that the key cannot be this text, and what it must be by its declaration.
    pub fn refuse_text(&self, text: &str) -> Refusal {
        self.refuse(&format!("`{}`", without_user(text)), &self.kind.range())
    }

    /// Says that a value of this type cannot stand there.
    pub fn wrong_type(&self, wanted: &str) -> Refusal {
        let found = match self.value.get_ref() {
            DeValue::String(text) if !matches!(self.kind, Kind::Secret) => {
                format!("`{}`", without_user(text))
            }
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Integer(_) => "a number".to_owned(),
            other => format!("a {}", other.type_str()),
        };
        self.refuse(&found, wanted)
    }

    /// Says what is wrong with the value in other words.
    pub fn wrong(&self, message: impl Into<String>, label: impl Into<String>) -> Refusal {
        Refusal::new(self.context.codes.value, self.value.span(), message, label)
    }

    /// Says that the key cannot be `found`, and in which range it must be.
    pub(crate) fn out_of_range(&self, found: &str) -> Refusal {
        let message = format!("`{}` cannot be {found}", self.key.name);
        let label = format!("must be {}", self.kind.range());
        Refusal::new(self.context.codes.range, self.value.span(), message, label)
    }
}

/// A whole number in any of the bases of TOML.
pub(crate) fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
