//! A project's folder: its configuration from `tidegate.yaml`, its definitions from every other YAML file.

mod identity;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tidegate_catalog::yaml::{self, Document, Loaded, Problem, SourceText};

use crate::{
    cli::Global,
    config::{self, Config, ConfigError, Layer, Layers, LayersError},
};

pub use identity::Identity;

/// The root file's name.
pub(crate) const ROOT_FILE: &str = "tidegate.yaml";

/// An opened project.
#[derive(Clone, Debug)]
pub struct Project {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// Where each value of it came from.
    pub layers: Layers,
    /// The `--state` that it was opened with.
    state: Option<PathBuf>,
}

/// Why a project cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no `tidegate.yaml`.
    #[error(
        "{folder}: there is no tidegate.yaml here; `tidegate init` writes a project, --project names another folder"
    )]
    NoProject {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is no text, or a definition, is wrong.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    /// The configuration is.
    #[error("{}", lines(.0))]
    Config(Vec<ConfigProblem>),
}

/// Something wrong in the configuration, by where it was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    /// In `tidegate.yaml`.
    #[error("{0}")]
    File(Problem),
    /// In a variable.
    #[error("{0}")]
    Variable(LayersError),
    /// In a value that a variable gave.
    #[error("environment variable {name}: {error}")]
    VariableValue {
        /// The variable.
        name: String,
        /// What is wrong.
        error: ConfigError,
    },
    /// In a value that a flag gave.
    #[error("{0}")]
    Value(ConfigError),
}

/// Checks the merged values; each problem is told where its value was written.
fn checked(layers: &Layers, document: &Document, root: &Path) -> Result<Config, Vec<ConfigProblem>> {
    let raw = layers.raw().map_err(|error| vec![ConfigProblem::Variable(error)])?;
    let placed = |error: ConfigError| match layers.layer(error.path) {
        Some(Layer::File) => ConfigProblem::File(document.problem(error.path, error.problem)),
        Some(Layer::Env) => {
            let name = format!("TIDEGATE__{}", error.path.replace('.', "__").to_uppercase());
            ConfigProblem::VariableValue { name, error }
        }
        _ => ConfigProblem::Value(error),
    };
    raw.validate(root).map_err(|errors| errors.into_iter().map(placed).collect())
}

fn lines<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Project {
    /// Reads the configuration of the project that the flags name.
    /// # Errors
    /// [`ProjectError`] with every problem of one layer.
    pub fn open(
        global: &Global,
        flags: &[(&str, Value)],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ProjectError> {
        let root = &global.project;
        let file = root.join(ROOT_FILE);
        if !file.is_file() {
            return Err(ProjectError::NoProject { folder: root.clone() });
        }
        let text = read_text(&file).map_err(|found| match found {
            Unreadable::Io(source) => ProjectError::File { path: file.clone(), source },
            Unreadable::NotUtf8 => ProjectError::Problems(vec![Problem::not_utf8(ROOT_FILE)]),
        })?;
        let read = Document::read(ROOT_FILE, &text, &config::schema());
        let mut layers = Layers::new(read.as_ref().map_or_else(|_| Value::Null, Document::value));
        // all problems of all layers at once
        let variables = layers.add_env(environment).err().unwrap_or_default();
        let problems = variables.into_iter().map(ConfigProblem::Variable).collect::<Vec<_>>();
        for (key, value) in flags {
            layers.add_flag(key, value.clone());
        }
        let checked = match read {
            Err(found) => Err(found.into_iter().map(ConfigProblem::File).chain(problems).collect()),
            Ok(document) => match checked(&layers, &document, root) {
                Ok(config) if problems.is_empty() => Ok(config),
                Ok(_) => Err(problems),
                Err(found) => Err(found.into_iter().chain(problems).collect()),
            },
        };
        let mut config = checked.map_err(ProjectError::Config)?;
        if let Some(state) = &global.state {
            config.state.clone_from(state);
        }
        Ok(Self { config: Arc::new(config), layers, state: global.state.clone() })
    }

    /// The flags that reach this project and its state again.
    pub fn flags(&self) -> String {
        let root = self.config.root.display();
        match &self.state {
            Some(state) => format!("-C {root} --state {}", state.display()),
            None => format!("-C {root}"),
        }
    }

    /// What this project is to another process.
    pub fn identity(&self) -> Identity {
        Identity::of(&self.config.root, &self.layers)
    }

    /// Reads every definition.
    /// # Errors
    /// [`ProjectError::Problems`] with all of them.
    pub fn definitions(&self) -> Result<Loaded, ProjectError> {
        let (mut texts, mut problems) = (Vec::new(), Vec::new());
        for path in definition_files(&self.config.root)? {
            let name = path.strip_prefix(&self.config.root).unwrap_or(&path).to_string_lossy().into_owned();
            match read_text(&path) {
                Ok(text) => texts.push(SourceText { path: name, text }),
                Err(Unreadable::NotUtf8) => problems.push(Problem::not_utf8(&name)),
                Err(Unreadable::Io(source)) => return Err(ProjectError::File { path, source }),
            }
        }
        match yaml::load(&self.config.project, &texts) {
            Ok(loaded) if problems.is_empty() => Ok(loaded),
            Ok(_) => Err(ProjectError::Problems(problems)),
            Err(more) => {
                problems.extend(more);
                Err(ProjectError::Problems(problems))
            }
        }
    }
}

enum Unreadable {
    Io(std::io::Error),
    NotUtf8,
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let bytes = std::fs::read(path).map_err(Unreadable::Io)?;
    String::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)
}

/// Every `.yaml` and `.yml` below `root` but the root file, in name order; hidden folders are passed over.
fn definition_files(root: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| ProjectError::File { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml"))
                && path != root.join(ROOT_FILE)
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn open(root: &Path) -> Result<Project, ProjectError> {
        let global = Global { project: root.to_owned(), state: None, as_of: None, output: Format::Table };
        Project::open(&global, &[], [])
    }

    #[test]
    fn a_folder_without_a_project_says_how_to_make_one() {
        let root = tempfile::tempdir().unwrap();
        assert!(open(root.path()).unwrap_err().to_string().contains("tidegate init"));
    }

    #[test]
    fn every_file_of_the_folder_is_read_and_one_that_is_no_text_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("tidegate.yaml"), "project: p\n").unwrap();
        std::fs::create_dir_all(root.path().join("views/.hidden")).unwrap();
        std::fs::write(root.path().join("views/e.yml"), "kind: Entity\nname: e\njoin_keys: [{name: k, type: int64}]\n")
            .unwrap();
        std::fs::write(root.path().join("views/.hidden/x.yaml"), "not: read\n").unwrap();
        let project = open(root.path()).unwrap();
        assert_eq!(project.definitions().unwrap().definitions.entities.len(), 1);
        std::fs::write(root.path().join("latin.yaml"), [b'k', 0xe9]).unwrap();
        let words = project.definitions().unwrap_err().to_string();
        assert_eq!(words, "latin.yaml:1: the file is not UTF-8 text; save it as UTF-8");
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("tidegate.yaml"), "project: p\ngateway: {listen: somewhere}\n").unwrap();
        let words = open(root.path()).unwrap_err().to_string();
        assert_eq!(
            words,
            "tidegate.yaml:2: gateway.listen: \"somewhere\" is not an address; write it like 127.0.0.1:6566"
        );
    }

    #[test]
    fn everything_wrong_in_the_configuration_is_said_at_once_with_its_place() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("tidegate.yaml");
        let global = Global { project: root.path().to_owned(), state: None, as_of: None, output: Format::Table };
        let words = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let error = Project::open(&global, &[], variables).unwrap_err().to_string();
            error.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        std::fs::write(&file, "project: p\nstore:\n  password: 123456\ngatway: {}\nlog: {level: 5}\n").unwrap();
        assert_eq!(
            words(&[("TIDEGATE__STORE__TIMEOUT_M", "5")]),
            [
                "tidegate.yaml:3: store.password: must be a text, is a number; put it in quotes if it is meant as text",
                "tidegate.yaml:4: gatway: there is no such field; did you mean \"gateway\"?",
                "tidegate.yaml:5: log.level: must be a text, is the number 5; put it in quotes if it is meant as text",
                "environment variable TIDEGATE__STORE__TIMEOUT_M: there is no configuration key \"store.timeout_m\"; `tidegate config schema` lists them",
            ]
        );
        std::fs::write(&file, "project: p\nstore:\n  timeout_ms: 0\nmaterializer:\n  batch_rows: 0\n").unwrap();
        assert_eq!(
            words(&[("TIDEGATE__LOG__LEVEL", "loud")]),
            [
                "tidegate.yaml:3: store.timeout_ms: is 0; it must be at least 1",
                "tidegate.yaml:5: materializer.batch_rows: is 0; it must be at least 1",
                "environment variable TIDEGATE__LOG__LEVEL: log.level: \"loud\" is no level (off, error, warn, info, debug, trace); write it like info or info,tidegate_store=debug",
            ]
        );
    }
}
