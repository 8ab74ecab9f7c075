//! Values from outside the file: `--set section.key=value` and `WEIR_SECTION__KEY=value`. A value
//! is TOML where it can be and text otherwise, so that neither needs quotes within quotes.

use std::path::PathBuf;

use weir_config::{Assignment, Problems, Refusal, Source, Tree, did_you_mean};

use super::{code, declared};

/// Values that go before those of the file; `set` goes before `environment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Variables of the environment; those that do not start with `WEIR_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Texts of the form `section.key=value`.
    pub set: Vec<String>,
}

const PREFIX: &str = "WEIR_";

/// Read by the logging, not by the configuration.
const LOG_VARIABLE: &str = "WEIR_LOG";

impl Overrides {
    /// The overrides of this process: its environment and the given assignments.
    pub fn of_process(set: Vec<String>) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { environment: environment.collect(), set }
    }

    /// Lays all of them over the tree.
    pub(crate) fn lay(&self, tree: &mut Tree, sources: &mut Vec<Source>, problems: &mut Problems) {
        let mut variables: Vec<_> = self.environment.iter().filter(|(n, _)| is_ours(n)).collect();
        variables.sort();
        for (name, value) in variables {
            let number = push(sources, "environment", format!("{name}={value}"));
            let source = &sources[number];
            lay_variable(tree, number, source, name, value, problems);
        }
        for text in &self.set {
            let number = push(sources, "--set", text.clone());
            lay_set(tree, number, &sources[number], text, problems);
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && name != LOG_VARIABLE
}

fn push(sources: &mut Vec<Source>, name: &str, text: String) -> usize {
    sources.push(Source { name: PathBuf::from(name), text, folder: PathBuf::new() });
    sources.len() - 1
}

fn lay_variable(
    tree: &mut Tree,
    number: usize,
    source: &Source,
    name: &str,
    value: &str,
    problems: &mut Problems,
) {
    let mut path = Vec::new();
    let mut start = PREFIX.len();
    for part in name[PREFIX.len()..].split("__") {
        path.push((part.to_ascii_lowercase(), start..start + part.len()));
        start += part.len() + "__".len();
    }
    // A container host sets variables such as WEIR_PORT for a service of this name, so that an
    // unknown one without a section is not for certain a mistake of the operator.
    if let [(key, span)] = path.as_slice()
        && !declared::TOP.keys.iter().any(|known| known.name == key)
    {
        let known = declared::TOP.keys.iter().map(|key| key.name);
        let message = format!("`{name}` is not used");
        let refusal = Refusal::new(code::UNKNOWN, span.clone(), message, "no such key");
        return problems.warn(number, refusal.help(did_you_mean(key, known)));
    }
    let assignment = Assignment { path, value, value_start: name.len() + 1 };
    tree.assign(number, source, assignment, problems);
}

fn lay_set(tree: &mut Tree, number: usize, source: &Source, text: &str, problems: &mut Problems) {
    let Some((left, value)) = text.split_once('=') else {
        let refusal =
            Refusal::new(code::VALUE, 0..text.len(), "`--set` needs a value", "no `=` in it");
        return problems.refuse(number, refusal.help("for example --set log.level=debug"));
    };
    let mut path = Vec::new();
    let mut start = 0;
    for part in left.split('.') {
        let blank = part.len() - part.trim_start().len();
        let span = start + blank..start + blank + part.trim().len();
        path.push((part.trim().to_owned(), span));
        start += part.len() + 1;
    }
    let assignment = Assignment { path, value, value_start: left.len() + 1 };
    tree.assign(number, source, assignment, problems);
}
