//! `weir explain drops`: what a running broker has dropped, by its admin server.

use serde_json::Value;

use crate::cli::{Answer, CliError, running::Running, say, status::push_grid};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What a rule has sent, and the messages that made it: `weir rules replay RULE --made \
                  ID`.\n\n\
                  Exit code: 0 = ok, 2 = no answer."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: Running,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let response = arguments.broker.server()?.get("/api/v1/drops")?;
    let (drops, text): (Value, String) = response.ok()?.json()?;
    let drops = drops["drops"].as_array().map_or(&[][..], Vec::as_slice);
    match arguments.json {
        true => say(&format!("{text}\n"))?,
        false if drops.is_empty() => say("nothing was dropped\n")?,
        false => say(&to_text(drops))?,
    }
    Ok(Answer::Yes)
}

fn to_text(drops: &[Value]) -> String {
    let head = ["part", "name", "reason", "count", "decided by", "at"].map(str::to_owned);
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |drop: &Value| {
        ["part", "name", "reason", "count", "decided_by", "at"].map(|key| text(&drop[key])).into()
    };
    let mut out = String::new();
    push_grid(
        &mut out,
        &std::iter::once(head.into()).chain(drops.iter().map(row)).collect::<Vec<_>>(),
    );
    out.trim_start().to_owned()
}
