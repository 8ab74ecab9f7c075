//! `lookup`: the tables that rules name, read once each, and the names of their columns.

use std::sync::Arc;

use weir_config::Diagnostic;

use super::names::{Names, Part, check_word};
use crate::code;
use crate::expression::{Name, Type};
use crate::hash::StableHash;
use crate::lookup::{Lookup, LookupTable, TableProblem, read_csv, read_toml};
use crate::source::{TABLE_BYTES_MAX, TableFile};
use crate::spec::{LookupSpec, Report, RuleSpec};

/// Tables that were read, by the file of rules, their name and the column of the key. One that is
/// wrong is told once.
#[derive(Default)]
pub(super) struct Tables {
    known: Vec<Known>,
}

struct Known {
    /// Position of the file of rules.
    file: usize,
    name: String,
    column: Option<String>,
    /// None if it is wrong.
    table: Option<Arc<LookupTable>>,
}

/// Checks and compiles all lookups of a rule.
pub(super) fn compile_lookups(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    tables: &mut Tables,
    report: &mut Report<'_>,
) -> Vec<Lookup> {
    let mut lookups = Vec::new();
    for one in &spec.lookups {
        check_word(&one.name, &one.name_place, report);
        names.check_taken((&one.name, &one.name_place), report);
        let key = names.compile(&one.key, Type::Any, Part::Message, report);
        let Some(table) = tables.get(one, report) else { continue };
        let slot = names.local();
        for (position, column) in table.columns.iter().enumerate() {
            let slot = if position == 0 { slot } else { names.local() };
            let text = format!("{}.{column}", one.name);
            let name = Name { text, slot, kind: Type::Any, after_key: false, role: "column" };
            names.message.push(name);
        }
        lookups.extend(key.map(|key| Lookup {
            file: one.file.value.clone(),
            key,
            miss: one.miss,
            slot,
            table,
        }));
    }
    lookups
}

/// Adds all that the lookups say; what stands in the tables may change.
pub(super) fn lookups_hash(mut hash: StableHash, lookups: &[LookupSpec]) -> StableHash {
    for one in lookups {
        let column = one.column.as_ref().map_or("", |column| &column.value);
        hash = hash.text("lookup").text(&one.name).text(&one.file.value);
        hash = hash.text(one.key.value.trim()).text(column).text(&format!("{:?}", one.miss));
    }
    hash
}

impl Tables {
    fn get(&mut self, one: &LookupSpec, report: &mut Report<'_>) -> Option<Arc<LookupTable>> {
        let file = one.file.place.file;
        let column = one.column.as_ref().map(|column| column.value.clone());
        let known = self.known.iter().find(|known| {
            known.file == file && known.name == one.file.value && known.column == column
        });
        if let Some(known) = known {
            return known.table.clone();
        }
        let table = read(one, report).map(Arc::new);
        let name = one.file.value.clone();
        self.known.push(Known { file, name, column, table: table.clone() });
        table
    }
}

fn read(one: &LookupSpec, report: &mut Report<'_>) -> Option<LookupTable> {
    let source = report.sources.get(one.file.place.file)?;
    let found = source.tables.iter().find(|table| table.name == one.file.value);
    let content = found.map_or(Err("it was not given"), |table| match &table.content {
        Ok(content) if content.len() > TABLE_BYTES_MAX => Err("it has more than 16 MiB"),
        Ok(content) => Ok(content),
        Err(reason) => Err(reason.as_str()),
    });
    let content = match content {
        Ok(content) => content,
        Err(reason) => {
            let message = format!("cannot read the table `{}`", one.file.value);
            let help = "relative names start at the directory of the rule file";
            let (place, reason) = (one.file.place.clone(), reason.to_owned());
            report.error_with_help(code::LOOKUP, message, &place, reason, help);
            return None;
        }
    };
    let is_toml = one.file.value.to_ascii_lowercase().ends_with(".toml");
    if let (true, Some(column)) = (is_toml, &one.column) {
        let message = "a TOML table has no column of keys: the name of a row is its key";
        report.error(code::LOOKUP, message, &column.place, "leave it out");
        return None;
    }
    let column = one.column.as_ref().map(|column| column.value.as_str());
    match if is_toml { read_toml(content) } else { read_csv(content, column) } {
        Ok(table) => Some(table),
        Err(problems) => {
            let table = found?.clone();
            report.diagnostics.extend(problems.into_iter().map(|one| told(one, &table, content)));
            None
        }
    }
}

fn told(problem: TableProblem, table: &TableFile, content: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(code::LOOKUP, problem.message);
    diagnostic.at(&table.path, content, problem.span).label(problem.label)
}
