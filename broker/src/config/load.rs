//! Loading: the file, the environment and the command line in, a [`Config`] or every problem out.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use weir_rules::{Diagnostic, Plan, Severity};

use super::{
    Config, Overrides,
    changes::changes,
    check::check,
    problem::{Problems, Source},
    rule_files,
    tree::{Tree, lay_file},
};

/// A configuration that can be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The rules, compiled.
    pub plan: Plan,
    /// What works but should be looked at.
    pub warnings: Vec<Diagnostic>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    File {
        /// Its name as it was given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something in the file, the rules or the overrides is wrong.
    #[error("the configuration cannot be used")]
    Invalid {
        /// Every error, then every warning.
        problems: Vec<Diagnostic>,
    },
}

/// What a configuration was read from, to read it again.
#[derive(Clone, Debug)]
pub struct ConfigFiles {
    file: Option<PathBuf>,
    overrides: Overrides,
    /// What they said.
    tree: Arc<Tree>,
}

impl ConfigFiles {
    /// Reads it again.
    ///
    /// # Errors
    /// See [`load`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(self.file.as_deref(), &self.overrides)
    }

    /// The keys that say something else there, without `rules` and upstreams: `limits.max_qos`, for example.
    pub(crate) fn changes(&self, there: &Self) -> Vec<String> {
        changes(&self.tree, &there.tree)
    }
}

/// Loads a configuration. Without a file Weir listens on this machine only and keeps its data in
/// [`state_dir`].
///
/// # Errors
/// Every problem of the file, the rule files and the overrides at once.
///
/// ```
/// use weir_broker::config::{Overrides, load};
///
/// let set = vec!["limits.max_inflight_messages=50".to_owned()];
/// let loaded = load(None, &Overrides { set, ..Overrides::default() }).unwrap();
/// assert_eq!(loaded.config.limits.max_inflight_messages, 50);
/// ```
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let mut sources = Vec::new();
    if let Some(path) = file {
        sources.push(read_source(path)?);
    }
    let mut problems = Problems::default();
    let mut tree = Tree::new();
    for (number, source) in sources.iter().enumerate() {
        lay_file(&mut tree, number, source, &mut problems);
    }
    overrides.lay(&mut tree, &mut sources, &mut problems);
    let rules = rule_files::read(&tree, &mut problems);
    let state_dir = file.is_none().then(state_dir);
    let mut config = check(&tree, rules, state_dir, &mut problems);
    let file = file.map(Path::to_owned);
    let tree = Arc::new(tree);
    config.files = Some(ConfigFiles { file, overrides: overrides.clone(), tree });
    finish(config, problems.into_diagnostics(&sources))
}

/// Where data goes when no configuration says so: the directory that systemd gives, the state
/// directory of the user, or `weir-data` in the current directory.
pub fn state_dir() -> PathBuf {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("STATE_DIRECTORY")
        .or_else(|| Some(from("XDG_STATE_HOME")?.join("weir")))
        .or_else(|| Some(from("HOME")?.join(".local/state/weir")))
        .unwrap_or_else(|| PathBuf::from("weir-data"))
}

fn read_source(path: &Path) -> Result<Source, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Source { name: path.to_owned(), text, folder })
}

fn finish(config: Config, mut found: Vec<Diagnostic>) -> Result<Loaded, ConfigError> {
    found.extend(config.auth.sources().read().err().unwrap_or_default());
    let compiled = rule_files::compile(&config.rules, &config.upstreams);
    let is_error = |problem: &Diagnostic| problem.severity() == Severity::Error;
    match compiled {
        Ok(plan) if !found.iter().any(is_error) => {
            let warnings = found.into_iter().chain(plan.warnings().iter().cloned()).collect();
            Ok(Loaded { config, plan, warnings })
        }
        compiled => {
            let mut problems = found;
            problems.extend(compiled.err().unwrap_or_default());
            problems.sort_by_key(|problem| !is_error(problem));
            Err(ConfigError::Invalid { problems })
        }
    }
}
