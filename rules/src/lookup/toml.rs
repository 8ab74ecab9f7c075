//! TOML files: a table for each row, its name is the key.

use toml::de::{DeTable, DeValue};

use super::{LookupTable, PROBLEMS_MAX, TableProblem, text_cell};
use crate::boxed::{self, Kept};
use crate::limits::{ENTRIES_MAX, KEY_BYTES_MAX};
use crate::value::Value;

/// Reads a file; a value that a row does not have is null.
pub(crate) fn read_toml(text: &str) -> Result<LookupTable, Vec<TableProblem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: toml::de::Error| {
            let message = format!("not TOML: {}", error.message());
            TableProblem::new(message, error.span().unwrap_or(0..0), "here")
        };
        return Err(errors.into_iter().take(PROBLEMS_MAX).map(problem).collect());
    }
    let mut rows: Vec<_> = document.get_ref().iter().collect();
    rows.sort_by_key(|(name, _)| name.span().start);
    let (mut table, mut problems) = (LookupTable::default(), Vec::new());
    for (_, row) in &rows {
        let Some(row) = row.get_ref().as_table() else { continue };
        let mut names: Vec<_> = row.keys().collect();
        names.sort_by_key(|name| name.span().start);
        for name in names {
            if table.columns.iter().any(|known| *known == *name.get_ref()) {
                continue;
            }
            if table.columns.len() >= ENTRIES_MAX {
                let message = format!("more than {ENTRIES_MAX} different values");
                return Err(vec![TableProblem::new(message, name.span(), "one too many")]);
            }
            table.columns.push(name.get_ref().to_string());
        }
    }
    for (name, row) in rows {
        let Some(found) = row.get_ref().as_table() else {
            let label = "expected a table for each row: [NAME]";
            problems.push(TableProblem::new("this is not a row", name.span(), label));
            continue;
        };
        if name.get_ref().is_empty() || name.get_ref().len() > KEY_BYTES_MAX {
            let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes");
            problems.push(TableProblem::new(message, name.span(), "the key of this row"));
            continue;
        }
        match cells(&table.columns, found) {
            Ok(cells) => {
                let is_new = table.add(name.get_ref(), cells);
                debug_assert!(is_new, "names of tables are unique in TOML");
            }
            Err(wrong) => problems.push(wrong),
        }
    }
    problems.truncate(PROBLEMS_MAX);
    if !problems.is_empty() {
        return Err(problems);
    }
    table.add_numbers();
    Ok(table)
}

fn cells(columns: &[String], row: &DeTable<'_>) -> Result<Vec<Kept>, TableProblem> {
    let mut cells = vec![(boxed::NULL, None); columns.len()];
    for (name, value) in row {
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let cell = match value.get_ref() {
            DeValue::Boolean(yes) => Some((boxed::bits(Value::Bool(*yes)), None)),
            DeValue::Datetime(stamp) => Some(text_cell(&stamp.to_string())),
            DeValue::Float(float) => {
                number(float.as_str()).map(|number| (boxed::bits(Value::Number(number)), None))
            }
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|number| (boxed::bits(Value::Number(number as f64)), None)),
            DeValue::String(text) => Some(text_cell(text)),
            DeValue::Array(_) | DeValue::Table(_) => None,
        };
        let Some(cell) = cell else {
            let message = format!("`{}` is not one value", name.get_ref());
            return Err(TableProblem::new(message, value.span(), "a number, text, true or false"));
        };
        let at = columns.iter().position(|known| *known == *name.get_ref());
        if let Some(place) = at.and_then(|at| cells.get_mut(at)) {
            *place = cell;
        }
    }
    Ok(cells)
}
