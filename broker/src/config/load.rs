//! Loading: the file, the environment and the command line in, a [`Config`] or every problem out.

use std::{
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use weir_config::{Diagnostic, Place, Places, Problems, Severity, Source, Tree};
use weir_rules::Plan;

use super::{
    Config, Overrides, bridge,
    changes::{KeyChange, changes},
    check::check,
    declared::{DECLARED, TOP},
    named_files::{NamedFile, named_files},
    rule_files,
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
    places: Arc<Places>,
}

impl ConfigFiles {
    /// Reads it again.
    ///
    /// # Errors
    /// See [`load`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(self.file.as_deref(), &self.overrides)
    }

    /// Where it stands.
    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The files that it names, and whether there is a secret in it.
    pub(crate) fn named_files(&self) -> (Vec<NamedFile>, bool) {
        named_files(&self.tree)
    }

    /// The keys that say something else `there` than at the start, which this is, or than in what
    /// was read last.
    pub(crate) fn changes(&self, last: &Self, there: &Self) -> Vec<KeyChange> {
        changes(&self.tree, &last.tree, &there.tree)
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
        let read = Source::read(path);
        sources.push(read.map_err(|source| ConfigError::File { path: path.to_owned(), source })?);
    }
    let mut problems = Problems::default();
    let mut tree = Tree::new(&DECLARED);
    for (number, source) in sources.iter().enumerate() {
        tree.lay(number, source, &mut problems);
    }
    overrides.lay(&mut tree, &mut sources, &mut problems);
    tree.check_required(&mut problems);
    let rules = rule_files::read(&tree, &mut problems);
    let state_dir = file.is_none().then(state_dir);
    let mut config = check(&tree, rules, state_dir, &mut problems);
    let mut of_bridge = Vec::new();
    config.bridge = bridge::read(tree.table(&TOP), &mut problems, &mut of_bridge);
    let places = Arc::new(Places::of(&tree, &sources, usize::from(file.is_some())));
    let (file, tree) = (file.map(Path::to_owned), Arc::new(tree));
    config.files = Some(ConfigFiles { file, overrides: overrides.clone(), tree, places });
    let mut found = problems.into_diagnostics(&sources);
    found.append(&mut of_bridge);
    finish(config, found)
}

/// A rule is known by `rule.NAME`.
fn add_rules(places: &mut Places, plan: &Plan) {
    for rule in plan.rules() {
        let place = Place { file: rule.path.clone(), line: Some(rule.line) };
        places.insert(format!("rule.{}", rule.name), place);
    }
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

fn finish(mut config: Config, mut found: Vec<Diagnostic>) -> Result<Loaded, ConfigError> {
    found.extend(config.sources().read().err().unwrap_or_default());
    let compiled = rule_files::compile(&config.rules, &config.upstreams);
    let is_error = |problem: &Diagnostic| problem.severity() == Severity::Error;
    match compiled {
        Ok(plan) if !found.iter().any(is_error) => {
            if let Some(files) = &mut config.files {
                add_rules(Arc::make_mut(&mut files.places), &plan);
            }
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
