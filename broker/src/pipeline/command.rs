//! What an operator can ask of a rule while it runs. What it changes takes effect between two
//! messages and is durable before it is answered.

use weir_config::nearest;
use weir_rules::RuleStatus;

use super::Pipeline;

/// What is asked of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RuleCommand {
    /// Tell what it does and how it is.
    Explain,
    /// Let it take no messages until it is resumed.
    Pause,
    /// Let it forget all that it knows.
    Reset,
    /// Let it go on.
    Resume,
}

/// No rule that runs has this name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no rule `{name}` runs here; {hint}")]
pub struct UnknownRule {
    /// The name.
    pub name: String,
    /// A name that is like it, or all names.
    pub hint: String,
}

impl RuleCommand {
    /// All commands.
    pub const ALL: [Self; 4] = [Self::Explain, Self::Pause, Self::Reset, Self::Resume];

    /// Its name on the command line and in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Explain => "explain",
            Self::Pause => "pause",
            Self::Reset => "reset",
            Self::Resume => "resume",
        }
    }
}

impl UnknownRule {
    pub(super) fn new(name: &str, rules: &[RuleStatus]) -> Self {
        let names = || rules.iter().map(|rule| &*rule.name);
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if rules.is_empty() => "there are none".to_owned(),
            None => format!("rules: {}", names().collect::<Vec<_>>().join(", ")),
        };
        Self { name: name.to_owned(), hint }
    }
}

impl Pipeline {
    /// Does something to a rule; says what came of it. It is durable with the next turn.
    ///
    /// # Errors
    /// When there is no such rule.
    pub fn command(&mut self, rule: &str, command: RuleCommand) -> Result<String, UnknownRule> {
        let done = match command {
            RuleCommand::Explain => self.engine.explain(rule).map(|text| (false, text)),
            RuleCommand::Pause => self.engine.set_paused(rule, true).map(|is_news| match is_news {
                true => (true, format!("rule `{rule}` is paused")),
                false => (false, format!("rule `{rule}` was paused already")),
            }),
            RuleCommand::Resume => {
                self.engine.set_paused(rule, false).map(|is_news| match is_news {
                    true => (true, format!("rule `{rule}` goes on")),
                    false => (false, format!("rule `{rule}` was not paused")),
                })
            }
            RuleCommand::Reset => self.engine.reset(rule).map(|groups| {
                let groups =
                    if groups == 1 { "1 group".to_owned() } else { format!("{groups} groups") };
                (true, format!("rule `{rule}` begins anew; {groups} forgotten"))
            }),
        };
        let Some((is_news, text)) = done else {
            return Err(UnknownRule::new(rule, &self.engine.status()));
        };
        self.is_durable |= is_news;
        if is_news {
            tracing::info!(rule, command = command.word(), "a rule was told what to do");
        }
        Ok(text)
    }
}
