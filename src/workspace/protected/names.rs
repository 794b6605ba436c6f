//! The names that ask. Lower case, ASCII; what they are compared with is folded first.

pub(super) const EDITOR: &str = "an editor or its plugins run what stands there";
const AGENT: &str = "it configures an agent";
const INSTRUCTIONS: &str = "agents take it as instructions";
const CI: &str = "it runs on the build servers";
const SHELL: &str = "a shell runs it";
const BUILD: &str = "the build runs it";
pub(super) const HOOK: &str = "git runs it, or obeys it";
const BARE: &str = "git takes a folder with such a file for a repository, and runs what its configuration says";
pub(super) const SECRET: &str = "it may hold secrets";

/// Folders: everything below asks.
pub(super) const FOLDERS: &[(&str, &str)] = &[
    (".vscode", EDITOR),
    (".idea", EDITOR),
    (".zed", EDITOR),
    (".helix", EDITOR),
    (".fleet", EDITOR),
    (".nvim", EDITOR),
    (".cursor", AGENT),
    (".windsurf", AGENT),
    (".roo", AGENT),
    (".kiro", AGENT),
    (".claude", AGENT),
    (".codex", AGENT),
    (".gemini", AGENT),
    (".continue", AGENT),
    (".circleci", CI),
    (".buildkite", CI),
    (".husky", HOOK),
    (".githooks", HOOK),
    (".devcontainer", EDITOR),
    (".ssh", SECRET),
    (".gnupg", SECRET),
    (".aws", SECRET),
    (".kube", SECRET),
    (".direnv", SHELL),
];

/// Files, wherever they stand.
pub(super) const FILES: &[(&str, &str)] = &[
    (".nvim.lua", EDITOR),
    (".nvimrc", EDITOR),
    (".vimrc", EDITOR),
    (".exrc", EDITOR),
    (".lazy.lua", EDITOR),
    (".dir-locals.el", EDITOR),
    (".editorconfig", EDITOR),
    (".mcp.json", AGENT),
    ("mcp.json", AGENT),
    (".aider.conf.yml", AGENT),
    ("agents.md", INSTRUCTIONS),
    ("claude.md", INSTRUCTIONS),
    ("gemini.md", INSTRUCTIONS),
    (".cursorrules", INSTRUCTIONS),
    (".windsurfrules", INSTRUCTIONS),
    (".clinerules", INSTRUCTIONS),
    (".roorules", INSTRUCTIONS),
    ("copilot-instructions.md", INSTRUCTIONS),
    (".gitlab-ci.yml", CI),
    (".travis.yml", CI),
    ("azure-pipelines.yml", CI),
    ("jenkinsfile", CI),
    (".envrc", SHELL),
    (".bashrc", SHELL),
    (".bash_profile", SHELL),
    (".zshrc", SHELL),
    (".zshenv", SHELL),
    (".zprofile", SHELL),
    (".bash_login", SHELL),
    (".profile", SHELL),
    ("build.rs", BUILD),
    ("rust-toolchain", BUILD),
    ("rust-toolchain.toml", BUILD),
    (".yarnrc", BUILD),
    (".yarnrc.yml", BUILD),
    (".pnpmfile.cjs", BUILD),
    ("package.json", BUILD),
    ("makefile", BUILD),
    ("gnumakefile", BUILD),
    ("makefile.am", BUILD),
    ("justfile", BUILD),
    (".justfile", BUILD),
    (".bazelrc", BUILD),
    ("gradle.properties", BUILD),
    ("gradlew", BUILD),
    ("gradlew.bat", BUILD),
    ("build.gradle", BUILD),
    ("build.gradle.kts", BUILD),
    ("settings.gradle", BUILD),
    ("settings.gradle.kts", BUILD),
    ("setup.py", BUILD),
    ("conftest.py", BUILD),
    (".pre-commit-config.yaml", HOOK),
    ("head", BARE),
    ("lefthook.yml", HOOK),
    (".gitattributes", HOOK),
    (".gitmodules", HOOK),
    (".gitconfig", HOOK),
    (".netrc", SECRET),
    (".npmrc", SECRET),
    (".pypirc", SECRET),
    (".pgpass", SECRET),
    (".git-credentials", SECRET),
];

/// A file or folder in a folder.
pub(super) const NESTED: &[(&str, &str, &str)] = &[
    (".github", "workflows", CI),
    (".github", "actions", CI),
    (".cargo", "config", BUILD),
    (".cargo", "config.toml", BUILD),
];
