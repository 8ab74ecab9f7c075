//! `weir store verify`: whether a store is what was written.

use serde_json::json;

use super::{Answer, Any, CliError, failure, say, size};
use crate::cli::say_json;
use crate::store::{examine, kept};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 = whole, 1 = damaged, 2 = it could not be checked.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Any,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let path = arguments.store.file()?;
    let found = examine(&path).map_err(|error| failure(&path, error))?;
    let name = path.display();
    let answer = if found.is_whole() { Answer::Yes } else { Answer::No };
    if arguments.json {
        let rows: u64 = found.tables.iter().map(|table| table.rows).sum();
        let put_aside = path.parent().map(kept).unwrap_or_default();
        return say_json(&json!({
            "ok": found.is_whole(), "file": path, "rows": rows, "bytes": found.file_bytes,
            "problems": found.problems, "put_aside": put_aside,
        }))
        .map(|()| answer);
    }
    for problem in &found.problems {
        say(&format!("problem: {problem}\n"))?;
    }
    if found.is_whole() {
        let rows: u64 = found.tables.iter().map(|table| table.rows).sum();
        let size = size(found.file_bytes);
        say(&format!("{name}: whole ({rows} rows, {size}; every page and every row was read)\n"))?;
    } else {
        say(&format!("{name}: damaged\n"))?;
        say(
            "help: `weir run` puts it aside and starts with what can be read, unless on_damage = \
             \"refuse\"\n      in [store]; or put a copy of `weir store backup` in its place\n",
        )?;
    }
    for kept in path.parent().map(kept).unwrap_or_default() {
        say(&format!(
            "note: {} was damaged and put aside; a report lies beside it\n",
            kept.display()
        ))?;
    }
    Ok(answer)
}
