//! A file of rules as it came from the disk.

/// A file of rules: where it is, for messages, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path shown in diagnostics.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl Source {
    /// A source from its path and content.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}
