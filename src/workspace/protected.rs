//! Names that no run may write, and names that it may write only after the user was asked.
//!
//! Git runs what stands in `.git`, so it is denied. The rest of the table runs later and elsewhere: in the editor, in
//! another agent, in CI, in a shell, in a build. Names are compared folded, on every platform, because a file system
//! may take `.GIT`, `.git.` or `.git::$INDEX_ALLOCATION` for `.git` and the user may check out there tomorrow.

use crate::paths::WsPath;

/// Whether a file may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protection {
    /// Yes.
    #[default]
    None,
    /// Only after the user was asked; the reason is for the question.
    Ask(&'static str),
    /// Never; the reason is for the model.
    Deny(&'static str),
}

const EDITOR: &str = "an editor or its plugins run what stands there";
const AGENT: &str = "it configures an agent";
const INSTRUCTIONS: &str = "agents take it as instructions";
const CI: &str = "it runs on the build servers";
const SHELL: &str = "a shell runs it";
const BUILD: &str = "the build runs it";
const HOOK: &str = "git runs it, or obeys it";
const SECRET: &str = "it may hold secrets";

/// Folders: everything below asks.
const FOLDERS: &[(&str, &str)] = &[
    (".vscode", EDITOR),
    (".idea", EDITOR),
    (".zed", EDITOR),
    (".helix", EDITOR),
    (".fleet", EDITOR),
    (".nvim", EDITOR),
    (".cursor", AGENT),
    (".claude", AGENT),
    (".codex", AGENT),
    (".gemini", AGENT),
    (".continue", AGENT),
    (".ropeway", AGENT),
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
const FILES: &[(&str, &str)] = &[
    (".nvim.lua", EDITOR),
    (".nvimrc", EDITOR),
    (".vimrc", EDITOR),
    (".exrc", EDITOR),
    (".lazy.lua", EDITOR),
    (".dir-locals.el", EDITOR),
    (".editorconfig", EDITOR),
    (".mcp.json", AGENT),
    ("mcp.json", AGENT),
    ("ropeway.toml", AGENT),
    (".aider.conf.yml", AGENT),
    ("agents.md", INSTRUCTIONS),
    ("claude.md", INSTRUCTIONS),
    ("gemini.md", INSTRUCTIONS),
    (".cursorrules", INSTRUCTIONS),
    (".windsurfrules", INSTRUCTIONS),
    (".clinerules", INSTRUCTIONS),
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
    ("justfile", BUILD),
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

/// Folders within a folder.
const NESTED: &[(&str, &str, &str)] = &[
    (".github", "workflows", CI),
    (".github", "actions", CI),
    (".cargo", "config", BUILD),
    (".cargo", "config.toml", BUILD),
];

/// Whether a run may write the file at `path`. Give it the path without links, and the path as it was asked for: the
/// stricter answer counts.
pub fn classify(path: &WsPath) -> Protection {
    let parts: Vec<String> = path.parts().map(fold).collect();
    let mut found = Protection::None;
    let mut ask = |reason| found = found.max(Protection::Ask(reason));
    for (index, part) in parts.iter().enumerate() {
        // `git~1` is what old Windows file systems also call `.git`.
        if part == ".git" || part == "git~1" {
            return Protection::Deny("git's own files decide what git runs; they are never edited");
        }
        if let Some((_, reason)) = FOLDERS.iter().find(|(name, _)| name == part) {
            ask(reason);
        }
        let next = parts.get(index + 1);
        if let Some((.., reason)) =
            NESTED.iter().find(|(outer, inner, _)| outer == part && next.is_some_and(|next| next == inner))
        {
            ask(reason);
        }
    }
    let Some(name) = parts.last() else { return found };
    if let Some((_, reason)) = FILES.iter().find(|(file, _)| file == name) {
        ask(reason);
    }
    if is_secret_name(name) {
        ask(SECRET);
    }
    if name.ends_with(".code-workspace") {
        ask(EDITOR);
    }
    found
}

/// Whether a file of this name may hold secrets, so that reading it asks, too. Give it the path without links, and the
/// path as it was asked for.
pub fn is_secret(path: &WsPath) -> bool {
    is_secret_rel(path.rel())
}

/// The same of a path below a root. A search asks it of every file it comes upon, so a plain name costs no allocation.
pub fn is_secret_rel(rel: &str) -> bool {
    let (folders, name) = rel.rsplit_once('/').unwrap_or(("", rel));
    let hidden = folders.starts_with('.') || folders.contains("/.");
    if (hidden || !folders.is_ascii())
        && folders.split('/').any(|part| {
            let part = fold(part);
            FOLDERS.iter().any(|(folder, reason)| *folder == part && *reason == SECRET)
        })
    {
        return true;
    }
    if is_plain(name) {
        return false;
    }
    let name = fold(name);
    is_secret_name(&name) || FILES.iter().any(|(file, reason)| *file == name && *reason == SECRET)
}

/// Whether a name is certainly none of those that may hold secrets, nor another spelling of one.
fn is_plain(name: &str) -> bool {
    const ENDS: [&str; 5] = ["pem", "key", "p12", "pfx", "keystore"];
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    *first != b'.'
        && !bytes.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"id_"))
        && !matches!(last, b'.' | b' ')
        && name.is_ascii()
        && !bytes.contains(&b':')
        && !ENDS.iter().any(|secret| secret.eq_ignore_ascii_case(end))
}

fn is_secret_name(name: &str) -> bool {
    let example = [".example", ".sample", ".template"].iter().any(|end| name.ends_with(end));
    (name == ".env" || name.starts_with(".env.")) && !example
        || [".pem", ".key", ".p12", ".pfx", ".keystore"].iter().any(|end| name.ends_with(end))
        || (name.starts_with("id_") && !name.contains('.'))
}

/// A part of a path as the most forgiving file system takes it: without case, without characters that are not seen,
/// without a stream's name, without trailing dots and spaces.
fn fold(part: &str) -> String {
    let seen = part.chars().filter(|ch| !is_ignored(*ch)).flat_map(char::to_lowercase);
    let folded: String = seen.map(|ch| if ch == '\u{17f}' { 's' } else { ch }).collect();
    let name = match folded.split_once(':') {
        Some((name, _)) if !name.is_empty() => name,
        _ => &folded,
    };
    match name.trim_end_matches(['.', ' ']) {
        "" => name.to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// Characters that HFS+ leaves out when it compares names.
fn is_ignored(ch: char) -> bool {
    matches!(ch, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
        || matches!(ch, '\u{200b}' | '\u{2060}'..='\u{2064}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_hold_secrets_are_known_in_every_spelling() {
        for rel in [
            ".env",
            "a/.env",
            ".env.local",
            ".ENV",
            "a/.env.",
            "a/.env::$DATA",
            "x.pem",
            "x.PEM",
            "a/x.key ",
            "id_rsa",
            "a/ID_ED25519",
            ".netrc",
            ".npmrc",
            ".ssh/known",
            "a/.aws/b/c",
            "a/.SSH/x",
            ".e\u{200b}nv",
            "x.p\u{200d}em",
        ] {
            assert!(is_secret_rel(rel), "{rel:?}");
        }
        for rel in [
            "",
            "a",
            "a.rs",
            "src/env",
            ".env.example",
            "x.pem.rs",
            "id_map.rs",
            "index.ts",
            "key",
            "pem",
            "é.rs",
            ".github/x",
            "a.key/b.rs",
            ".envrc",
        ] {
            assert!(!is_secret_rel(rel), "{rel:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_quick_answer_agrees_with_the_whole_one(name in "(\\.|i|x|id_|a)?[a-zA-Z.:é \u{200b}]{0,6}(\\.(pem|KEY|env|key ))?") {
            let folded = fold(&name);
            let whole = is_secret_name(&folded)
                || FILES.iter().any(|(file, reason)| *file == folded && *reason == SECRET);
            proptest::prop_assert_eq!(is_secret_rel(&name), whole);
        }
    }
}
