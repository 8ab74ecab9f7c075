//! `weir store compact`: a file that is as short as what it holds.

use serde_json::json;

use super::{Answer, CliError, Place, failure, say, size};
use crate::cli::say_json;
use crate::store::{compact, examine};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The broker must not run. Pages move within the file, in transactions: a power \
                  cut at any moment leaves a whole store."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let path = arguments.place.file()?;
    let found = examine(&path).map_err(|error| failure(&path, error))?;
    if let Some(problem) = found.problems.first() {
        return Err(CliError::StoreDamaged { path, problem: problem.clone() });
    }
    let data_dir = arguments.place.data_dir()?;
    let compacted = compact(&data_dir).map_err(|error| failure(&path, error))?;
    if arguments.json {
        let (before, after) = (compacted.before, compacted.after);
        let answer = json!({ "file": path, "bytes_before": before, "bytes_after": after });
        return say_json(&answer).map(|()| Answer::Yes);
    }
    let (before, after) = (size(compacted.before), size(compacted.after));
    say(&format!("{}: {before} before, {after} now\n", path.display()))?;
    Ok(Answer::Yes)
}
