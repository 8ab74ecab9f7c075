//! The `weir.toml` that is being made.

use std::fmt;

/// A file of tables. Keys without a table must come first.
#[derive(Debug, Default)]
pub(crate) struct Document {
    tables: Vec<Table>,
}

/// A part of the file.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: String,
    entries: Vec<(String, String)>,
}

impl Document {
    /// Adds a table behind all others.
    pub(crate) fn push(&mut self, table: Table) {
        self.tables.push(table);
    }
}

impl Table {
    pub(crate) fn new(header: &str) -> Self {
        Self { header: header.to_owned(), entries: Vec::new() }
    }

    /// The value of a key, as it is written.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|(known, _)| known == key)?;
        Some(&entry.1)
    }

    /// Sets what another table sets.
    pub(crate) fn extend(&mut self, other: Self) {
        other.entries.into_iter().for_each(|(key, value)| self.set(&key, value));
    }

    /// The same as a value of a key.
    pub(crate) fn inline(&self) -> String {
        let pairs: Vec<String> = self.entries.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
    }

    /// Sets a key to what is TOML already; the last value holds, as in mosquitto.
    pub(crate) fn set(&mut self, key: &str, value: impl fmt::Display) {
        let value = value.to_string();
        match self.entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// Sets a key to a text.
    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        self.set(key, quoted(text));
    }

    /// Sets a key to a list of texts.
    pub(crate) fn set_list<'a>(&mut self, key: &str, texts: impl IntoIterator<Item = &'a str>) {
        let texts: Vec<String> = texts.into_iter().map(quoted).collect();
        self.set(key, format!("[{}]", texts.join(", ")));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in self.tables.iter().filter(|table| !table.entries.is_empty()) {
            if !table.header.is_empty() {
                writeln!(f, "\n{}", table.header)?;
            }
            for (key, value) in &table.entries {
                writeln!(f, "{key} = {value}")?;
            }
        }
        Ok(())
    }
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
