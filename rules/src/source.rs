//! A file of rules as it came from the disk, with the tables that it names.

/// A file of rules: where it is, for messages, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The path shown in diagnostics.
    pub path: String,
    /// The whole content.
    pub text: String,
    /// The tables of its `lookup`s, as far as they were read.
    pub tables: Vec<TableFile>,
}

/// A table that rules look values up in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// As the rules name it.
    pub name: String,
    /// The path shown in diagnostics.
    pub path: String,
    /// The whole content, or why there is none.
    pub content: Result<String, String>,
}

impl Source {
    /// A source from its path and content. Tables that its rules name are to be added.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), tables: Vec::new() }
    }

    /// The names of the tables that its rules look values up in, without duplicates; whoever has
    /// the files adds them to `tables`.
    ///
    /// ```
    /// use weir_rules::Source;
    ///
    /// let text = "[rule.r.lookup.meter]\nfile = \"meters.csv\"\nkey = \"tag\"\n";
    /// assert_eq!(Source::new("r.toml", text).table_names(), ["meters.csv"]);
    /// ```
    pub fn table_names(&self) -> Vec<String> {
        // What is wrong with the file is told when it is compiled.
        let Ok(file) = toml::from_str::<toml::Table>(&self.text) else { return Vec::new() };
        let rules = file.get("rule").and_then(toml::Value::as_table);
        let lookups = rules.into_iter().flat_map(|rules| rules.values());
        let lookups = lookups.filter_map(|rule| rule.get("lookup")?.as_table());
        let files = lookups.flat_map(|lookups| lookups.values());
        let mut names: Vec<String> = Vec::new();
        for name in files.filter_map(|lookup| lookup.get("file")?.as_str()) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// What a table can have at most, in bytes.
pub const TABLE_BYTES_MAX: usize = 16 << 20;
