//! What the user's rules say of a call: deny before ask before allow, whatever the order.
//!
//! A rule's pattern is a glob over the path below its root. A call is judged by every path it names, as asked for and
//! without links, so that a second name of a file is no way around a rule. What a search or a listing walks over is
//! judged file by file: see [`denied`].

use super::pattern::PathFilter;
use super::tool::{Effect, Scope};
use crate::config::{Permissions, Rule};
use crate::paths::{WsPath, beneath};

/// What is to happen with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Allow,
    /// The user decides; the rule that says so.
    Ask(String),
    /// It must not run; the rule that says so.
    Deny(String),
}

/// Judges a call of `tool` that touches what `effect` says. What no rule covers is allowed: tools here read and stage.
pub fn verdict(permissions: &Permissions, tool: &str, effect: &Effect) -> Verdict {
    let mut paths: Vec<String> = Vec::new();
    for scope in effect.reads.iter().chain(&effect.writes) {
        if let Scope::File(path) | Scope::Tree(path) = scope {
            paths.push(path.rel().to_owned());
            paths.extend(beneath::real(path).ok().map(|real: WsPath| real.rel().to_owned()));
        }
    }
    let first =
        |rules: &[Rule]| rules.iter().find(|rule| rule.tool == tool && covers(rule, &paths)).map(ToString::to_string);
    if let Some(rule) = first(&permissions.deny) {
        return Verdict::Deny(rule);
    }
    first(&permissions.ask).map_or(Verdict::Allow, Verdict::Ask)
}

/// Whether a rule covers a call that names these paths. A pattern that cannot be understood covers everything: the
/// lists it stands in only tighten.
fn covers(rule: &Rule, paths: &[String]) -> bool {
    let Some(pattern) = &rule.pattern else { return true };
    match PathFilter::path(pattern) {
        Ok(filter) => paths.iter().any(|path| filter.accepts(path)),
        Err(_) => true,
    }
}

/// The files whose text no tool may show: what `read_file` is denied, a search must not find either.
pub fn denied(permissions: &Permissions) -> Vec<PathFilter> {
    let rules = permissions.deny.iter().filter(|rule| rule.tool == "read_file" || rule.tool == "grep");
    rules.filter_map(|rule| PathFilter::path(rule.pattern.as_deref().unwrap_or("**")).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{Root, Roots};

    fn rule(tool: &str, pattern: Option<&str>) -> Rule {
        Rule { tool: tool.into(), pattern: pattern.map(str::to_owned) }
    }

    fn judged(permissions: &Permissions, tool: &str, path: &str) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
        verdict(permissions, tool, &Effect::reads(Scope::File(roots.resolve(path).unwrap())))
    }

    #[test]
    fn deny_goes_before_ask_and_a_rule_is_for_its_tool_only() {
        let permissions = Permissions {
            allow: vec![rule("read_file", None)],
            ask: vec![rule("read_file", Some("**/*.env")), rule("grep", None)],
            deny: vec![rule("read_file", Some("secret/**")), rule("read_file", Some("**/.env"))],
        };
        assert_eq!(judged(&permissions, "read_file", "src/a.rs"), Verdict::Allow);
        assert_eq!(judged(&permissions, "read_file", "a/b.env"), Verdict::Ask("read_file(**/*.env)".into()));
        assert_eq!(judged(&permissions, "read_file", "secret/a.env"), Verdict::Deny("read_file(secret/**)".into()));
        assert_eq!(judged(&permissions, "read_file", ".env"), Verdict::Deny("read_file(**/.env)".into()));
        assert_eq!(judged(&permissions, "edit_file", "secret/a"), Verdict::Allow);
        assert_eq!(judged(&permissions, "grep", "x"), Verdict::Ask("grep".into()));
    }

    #[cfg(unix)]
    #[test]
    fn another_name_of_a_file_is_no_way_around_a_rule() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("secret")).unwrap();
        std::os::unix::fs::symlink("secret", folder.path().join("open")).unwrap();
        let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
        let effect = Effect::reads(Scope::File(roots.resolve("open/key").unwrap()));
        let permissions = Permissions { deny: vec![rule("read_file", Some("secret/**"))], ..Permissions::default() };
        assert!(matches!(verdict(&permissions, "read_file", &effect), Verdict::Deny(_)));
    }

    #[test]
    fn a_pattern_that_cannot_be_understood_denies() {
        let permissions = Permissions { deny: vec![rule("read_file", Some("[z-a"))], ..Permissions::default() };
        assert!(matches!(judged(&permissions, "read_file", "a"), Verdict::Deny(_)));
    }
}
