//! `weir reload`: lets a running broker read its files again.

use super::{Answer, CliError, running::Running, say};
use crate::admin::RELOAD_PATH;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything is checked first: if a file is wrong, nothing changes. Then each \
                  key that says something else is told with both values, and what needs a restart \
                  is marked with `!`.\n\n\
                  Exit code: 0 = done, 1 = a file is wrong, 2 = no answer."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: Running,
    /// Only tell what would change
    #[arg(long)]
    dry_run: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let query = if arguments.dry_run { "?dry_run=true" } else { "" };
    let response = arguments.broker.server()?.post(&format!("{RELOAD_PATH}{query}"), "")?;
    let answer = match response.code() {
        Some(200) => Answer::Yes,
        Some(422) => Answer::No,
        _ => return Err(response.unexpected()),
    };
    if arguments.json {
        return say(&format!("{}\n", response.text()?)).map(|()| answer);
    }
    let text = response.message()?;
    match answer {
        Answer::Yes => say(&format!("{text}\n"))?,
        Answer::No => eprintln!("{text}"),
    }
    Ok(answer)
}
