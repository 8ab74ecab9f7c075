//! `weir store export`: what a store holds, for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{ValueEnum, builder::PossibleValue};

use super::{Answer, Any, CliError, failure};
use crate::store::{ExportError, ExportTable, export};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "One JSON object a line; docs/store.md describes the fields. For example:\n  \
                  weir store export --table retained | jq -r '.topic, (.payload | @base64d)'\n\n\
                  Exit code: 0 = all of it, 1 = the store is damaged and lines are missing, \
                  2 = none of it."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Any,
    /// Only this table; can be given several times
    #[arg(long, value_name = "TABLE")]
    table: Vec<ExportTable>,
    /// File for the lines, in the place of the standard output; it must not be there
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let path = arguments.store.file()?;
    let tables = match &arguments.table[..] {
        [] => &ExportTable::ALL[..],
        tables => tables,
    };
    let written = match &arguments.output {
        Some(output) => {
            let wrong = |source| CliError::Write { path: output.clone(), source };
            let file = File::create_new(output).map_err(wrong)?;
            let mut lines = BufWriter::new(file);
            let found = export(&path, tables, &mut lines);
            match lines.into_inner().map_err(io::IntoInnerError::into_error) {
                Ok(file) => file.sync_all().map_err(wrong)?,
                Err(error) => return Err(wrong(error)),
            }
            found
        }
        None => {
            let mut lines = BufWriter::new(io::stdout().lock());
            let found = export(&path, tables, &mut lines);
            lines.flush().map_err(CliError::Output)?;
            found
        }
    };
    match written {
        Ok(found) => {
            found.problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
            Ok(if found.is_whole() { Answer::Yes } else { Answer::No })
        }
        Err(ExportError::Store(error)) => Err(failure(&path, error)),
        Err(ExportError::Output(error)) => Err(CliError::Output(error)),
    }
}

impl ValueEnum for ExportTable {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
