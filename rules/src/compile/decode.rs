//! What a decoder means for the expressions of a rule.

use crate::expression::{KnownField, Type};
use crate::payload::{Decode, METRIC_FIELDS};

/// The fields of a payload, if the decoder says which there are.
pub(super) fn known_fields(decode: &Decode) -> Option<Vec<KnownField>> {
    let any = |name: &str| KnownField { name: name.to_owned(), kind: Type::Any };
    match decode {
        Decode::Bytes(fields) => {
            let fields = fields.iter().map(|field| {
                let kind = if field.is_bool() { Type::Bool } else { Type::Number };
                KnownField { kind, ..any(&field.name) }
            });
            Some(fields.collect())
        }
        Decode::Csv(form) => {
            let columns = form.columns.as_ref()?;
            Some(columns.iter().map(|name| any(name)).collect())
        }
        Decode::Sparkplug => Some(METRIC_FIELDS.map(any).into()),
        _ => None,
    }
}
