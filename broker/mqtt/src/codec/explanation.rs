//! The two properties with which an answer explains itself.
//!
//! Responsible for the property block of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK,
//! which all have a reason string and user properties and nothing else.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError};
use crate::property::{Properties, Property, put_property};
use crate::user_properties::UserProperties;
use crate::writer::put_with_length;

/// Reads the block: the reason string and the user properties.
pub(crate) fn decode(block: &[u8]) -> Result<(Option<&str>, UserProperties<'_>), DecodeError> {
    let mut reason_string = None;
    let mut user_properties = UserProperties::default();
    let mut properties = Properties::new(block);
    while let Some(property) = properties.next()? {
        match property {
            Property::ReasonString(text) => reason_string = Some(text),
            Property::User(..) => user_properties = UserProperties::from_checked(block),
            other => return Err(other.not_allowed()),
        }
    }
    Ok((reason_string, user_properties))
}

/// Appends the block with its length.
pub(crate) fn encode(
    reason_string: Option<&str>,
    user_properties: &UserProperties<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    put_with_length(out, |out| {
        put_property(reason_string.map(Property::ReasonString), out)?;
        user_properties.encode(out)
    })
}
