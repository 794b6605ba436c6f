//! Reading all layers of one state of the world: files, settings, environment, command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::env::{self, EnvSnapshot};
use super::file;
use super::layer::UserLayer;
use super::node::{Node, Value};
use super::place::{Layer, Origin, Problem, Severity, Source};
use super::project::ProjectLayer;
use super::read::Reader;

/// Choices that go over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--model`, or the model chosen in the session.
    pub model: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The user's file; absent: as the environment says ([`EnvSnapshot::user_file`]).
    pub user_file: Option<PathBuf>,
    /// The `ropeway.toml` of each workspace root, which need not exist.
    pub project_files: Vec<PathBuf>,
    /// `initializationOptions.settings`.
    pub init_settings: Option<Json>,
    /// The answer to `workspace/configuration`, section `ropeway`.
    pub client_settings: Option<Json>,
    /// `initializationOptions.trusted`; `Some(false)`: the folder is not trusted.
    pub trusted: Option<bool>,
    /// The environment.
    pub env: EnvSnapshot,
    /// The command line.
    pub overrides: Overrides,
}

impl Sources {
    /// The user's file, which need not exist.
    pub fn user_file(&self) -> Option<PathBuf> {
        self.user_file.clone().or_else(|| self.env.user_file())
    }

    /// Sets the project files from the workspace roots.
    pub fn set_roots<P: AsRef<Path>>(&mut self, roots: impl IntoIterator<Item = P>) {
        self.project_files = roots.into_iter().map(|root| root.as_ref().join("ropeway.toml")).collect();
    }

    /// Every file that has a say.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.user_file().into_iter().chain(self.project_files.iter().cloned())
    }
}

/// One layer as read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read<T> {
    pub(super) layer: T,
    pub(super) problems: Vec<Problem>,
    /// The file is there but could not be read at all: nobody knows what it wants.
    pub(super) unreadable: bool,
    /// It was read at all, as opposed to never looked at.
    pub(super) ever: bool,
}

impl<T> Read<T> {
    pub(super) fn good(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity < Severity::Error)
    }
}

/// All layers, each with its problems.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) user: Arc<Read<UserLayer>>,
    pub(super) projects: Vec<(PathBuf, Arc<Read<ProjectLayer>>)>,
    pub(super) init: Arc<Read<UserLayer>>,
    pub(super) client: Arc<Read<UserLayer>>,
    /// Environment, then command line; one entry for each setting.
    pub(super) single: Vec<Arc<Read<UserLayer>>>,
}

impl Layers {
    /// The user's own layers, weakest first.
    pub(super) fn users(&self) -> impl DoubleEndedIterator<Item = &Arc<Read<UserLayer>>> {
        [&self.user, &self.init, &self.client].into_iter().chain(&self.single)
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        let projects = self.projects.iter().flat_map(|(_, read)| &read.problems);
        self.users().flat_map(|read| &read.problems).chain(projects)
    }
}

/// Reads every source. Takes as long as the disk: call it off the reactor where files may be slow.
pub(super) fn read(sources: &Sources) -> Layers {
    let user = sources.user_file().map(|path| {
        // A file that the user named himself must be there.
        let required = sources.user_file.is_some() || sources.env.names_user_file();
        read_file(Layer::User, &path, required, UserLayer::read)
    });
    let projects = sources.project_files.iter().map(|path| {
        let read = read_file(Layer::Project, path, false, ProjectLayer::read);
        (path.clone(), Arc::new(read))
    });
    let options =
        [("--model", "model", &sources.overrides.model), ("--profile", "profile", &sources.overrides.profile)];
    let options = options.into_iter().filter_map(|(name, key, value)| {
        Some((Layer::CommandLine, name, Node::at_key(key, Value::String(value.clone()?))))
    });
    let single = env::nodes(&sources.env)
        .map(|(name, node)| (Layer::Environment, name, node))
        .chain(options)
        .map(|(layer, name, node)| Arc::new(read_node(&Source::without_text(layer, Some(name)), &node)));
    Layers {
        user: Arc::new(user.unwrap_or_default()),
        projects: projects.collect(),
        init: Arc::new(read_json(Layer::ClientInit, sources.init_settings.as_ref())),
        client: Arc::new(read_json(Layer::ClientSettings, sources.client_settings.as_ref())),
        single: single.collect(),
    }
}

fn read_file<T: Default>(
    layer: Layer,
    path: &Path,
    required: bool,
    read: impl FnOnce(&mut Reader<'_>, &Node) -> T,
) -> Read<T> {
    let path: Arc<Path> = path.into();
    let unreadable = |problems| Read { layer: T::default(), problems, unreadable: true, ever: true };
    let text = match file::read(layer, &path) {
        Ok(Some(text)) => text,
        Ok(None) if required => {
            let origin = Origin { layer, file: Some(path), name: None, line: 0, column: 0 };
            let message = "there is no such file; create it, or unset ROPEWAY_CONFIG".to_owned();
            return unreadable(vec![Problem::whole(Severity::Error, origin, "", message)]);
        }
        Ok(None) => return Read { ever: true, ..Read::default() },
        Err(problem) => return unreadable(vec![*problem]),
    };
    let source = Source::of_text(layer, Some(path), &text);
    match Node::of_toml(&source, &text) {
        Ok(node) => {
            let mut reader = Reader::new(&source);
            let layer = read(&mut reader, &node);
            Read { layer, problems: reader.finish(), unreadable: false, ever: true }
        }
        Err(mut problems) => {
            problems.truncate(20);
            unreadable(problems)
        }
    }
}

fn read_json(layer: Layer, settings: Option<&Json>) -> Read<UserLayer> {
    // Some clients send the section inside an object with its name.
    let settings = match settings {
        None | Some(Json::Null) => return Read { ever: true, ..Read::default() },
        Some(Json::Object(map)) if map.len() == 1 => map.get("ropeway").or(settings),
        settings => settings,
    };
    let Some(settings) = settings else { return Read::default() };
    read_node(&Source::without_text(layer, None), &Node::of_json(settings))
}

fn read_node(source: &Source<'_>, node: &Node) -> Read<UserLayer> {
    let mut reader = Reader::new(source);
    let layer = UserLayer::read(&mut reader, node);
    Read { layer, problems: reader.finish(), unreadable: false, ever: true }
}
