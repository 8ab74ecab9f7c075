//! Why a payload cannot be decoded.

/// What is wrong with a payload, or with one of its rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A row with another number of cells than there are columns.
    #[error("{found} cells, but {wanted} columns")]
    Cells { found: usize, wanted: usize },
    #[error("payload is not JSON: {0}")]
    Json(String),
    /// A binary payload.
    #[error("payload is not {format}: {reason} at byte {at}")]
    Malformed { format: &'static str, reason: &'static str, at: usize },
    /// A row of a text.
    #[error("{reason} at character {column}")]
    Row { reason: &'static str, column: usize },
    /// A payload that ends before a value does.
    #[error("payload has {found} bytes, but `{field}` ({format}) needs {wanted}")]
    Short { field: String, format: String, found: usize, wanted: usize },
    #[error("payload is not UTF-8")]
    Utf8,
    /// A payload that should be one value.
    #[error("payload is not {0}")]
    Value(&'static str),
}
