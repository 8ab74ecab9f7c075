//! `weir rules explain`: what a rule does, of files or of a running broker.

use std::path::PathBuf;

use serde_json::json;
use weir_config::nearest;
use weir_rules::compile;

use super::super::{Answer, CliError, say, say_json};
use super::{control, read};
use crate::RuleCommand;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without FILE the running broker is asked, which also says what the rule has at \
                  the moment. Exit code: 0 = ok, 1 = no such rule, 2 = no answer, or the files \
                  have errors."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: control::OneRule,
    /// Rule files; `shares` compares with the rules in all of them
    #[arg(value_name = "FILE", conflicts_with_all = ["admin", "config", "data_dir"])]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    if arguments.files.is_empty() {
        return control::command(&arguments.broker, RuleCommand::Explain);
    }
    let plan = compile(&read(&arguments.files)?).map_err(CliError::Rules)?;
    let rule = arguments.broker.rule.as_str();
    match plan.explain(rule) {
        Some(text) if arguments.broker.json => {
            say_json(&json!({ "ok": true, "rule": rule, "text": text })).map(|()| Answer::Yes)
        }
        Some(text) => say(&text).map(|()| Answer::Yes),
        None => {
            let near = nearest(rule, plan.rules().map(|known| known.name.as_str()));
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            eprintln!("no rule `{rule}` in these files{hint}");
            Ok(Answer::No)
        }
    }
}
