//! What no run may write, and what it may write only after the user was asked.
//!
//! Git runs what its own files say, so they are denied, and so is what configures Ropeway. The rest of the table runs
//! later and elsewhere: in the editor, in another agent, in CI, in a shell, in a build.
//!
//! `names` and `fold` know a path by its spelling, on every platform, because a file system may take `.GIT`, `.git.`
//! or `.git::$INDEX_ALLOCATION` for `.git` and the user may check out there tomorrow. `places` knows it by what stands
//! there: a git directory that `.git` points to, the user's own configuration, each by whatever name leads to it.

mod fold;
mod names;
mod places;

use self::fold::{fold, is_alias, is_alias_of, parts};
use self::names::{FILES, FOLDERS, NESTED, SECRET};
use super::Workspace;
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

const GIT: &str = "git's own files decide what git runs; they are never edited";
const OWN: &str = "Ropeway's own configuration and state are never edited by a run; the user does that";

/// Endings of names of files with secrets.
const KEYS: [&str; 5] = [".pem", ".key", ".p12", ".pfx", ".keystore"];

/// What the name of a file says of writing it; looks at nothing. Give it the path without links, and the path as it
/// was asked for: the stricter answer counts.
pub fn classify(path: &WsPath) -> Protection {
    let parts: Vec<String> = parts(path.rel()).map(fold).collect();
    let mut found = Protection::None;
    let mut ask = |reason| found = found.max(Protection::Ask(reason));
    for (index, part) in parts.iter().enumerate() {
        if is(part, ".git") {
            return Protection::Deny(GIT);
        }
        if is(part, ".ropeway") || is(part, "ropeway.toml") {
            return Protection::Deny(OWN);
        }
        if let Some((_, reason)) = FOLDERS.iter().find(|(name, _)| is(part, name)) {
            ask(reason);
        }
        let next = parts.get(index + 1);
        if let Some((.., reason)) =
            NESTED.iter().find(|(outer, inner, _)| is(part, outer) && next.is_some_and(|next| is(next, inner)))
        {
            ask(reason);
        }
    }
    let Some(name) = parts.last() else { return found };
    if let Some((_, reason)) = FILES.iter().find(|(file, _)| is(name, file)) {
        ask(reason);
    }
    if is_secret_name(name) {
        ask(SECRET);
    }
    if name.ends_with(".code-workspace") || (is_alias(name) && name.ends_with(".cod")) {
        ask(names::EDITOR);
    }
    found
}

impl Workspace {
    /// Whether a run may write the file at `path`, by its name and by what stands there. Asks the disk.
    pub fn protection(&self, path: &WsPath) -> Protection {
        match classify(path) {
            deny @ Protection::Deny(_) => deny,
            by_name => by_name.max(places::judge(&self.disk, &self.kept_off(), path)),
        }
    }
}

/// Whether a folded name is this one, or one that Windows may have given it besides.
fn is(part: &str, name: &str) -> bool {
    part == name || is_alias_of(part, name)
}

/// Whether a file of this name may hold secrets, so that reading it asks, too. Give it the path without links, and the
/// path as it was asked for.
pub fn is_secret(path: &WsPath) -> bool {
    is_secret_rel(path.rel())
}

/// The same of a path below a root. A search asks it of every file it comes upon, so a plain name costs no allocation.
pub fn is_secret_rel(rel: &str) -> bool {
    let (folders, name) = rel.rsplit_once(['/', '\\']).unwrap_or(("", rel));
    let hidden = folders.starts_with('.') || folders.contains("/.") || folders.contains(['~', '\\']);
    if (hidden || !folders.is_ascii())
        && parts(folders).any(|part| {
            let part = fold(part);
            FOLDERS.iter().any(|(folder, reason)| *reason == SECRET && is(&part, folder))
        })
    {
        return true;
    }
    if is_plain(name) {
        return false;
    }
    let name = fold(name);
    is_secret_name(&name) || FILES.iter().any(|(file, reason)| *reason == SECRET && is(&name, file))
}

/// Whether a name is certainly none of those that may hold secrets, nor another spelling of one.
fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    *first != b'.'
        && !bytes.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"id_"))
        && !matches!(last, b'.' | b' ')
        && name.is_ascii()
        && !bytes.iter().any(|byte| matches!(byte, b':' | b'~'))
        && !KEYS.iter().any(|secret| secret[1..].eq_ignore_ascii_case(end))
}

fn is_secret_name(name: &str) -> bool {
    let example = [".example", ".sample", ".template"].iter().any(|end| name.ends_with(end));
    let env = is(name, ".env") || name.starts_with(".env.") || (is_alias(name) && name.starts_with("env~"));
    env && !example || KEYS.iter().any(|end| name.ends_with(end)) || (name.starts_with("id_") && !name.contains('.'))
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
            "ENV~1",
            "ENV~1.LOC",
            "a/SSH~1/x",
            "a\\.env",
            ".\u{df}h/x",
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
                || FILES.iter().any(|(file, reason)| *reason == SECRET && is(&folded, file));
            proptest::prop_assert_eq!(is_secret_rel(&name), whole);
        }
    }
}
