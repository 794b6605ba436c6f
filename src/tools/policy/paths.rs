//! Calls of tools that take paths.

use super::super::command::show::visible;
use super::super::pattern::PathFilter;
use super::super::tool::{Effect, Scope};
use super::{Assessment, Part, Verdict, rules_of};
use crate::config::{Permissions, Rule};
use crate::paths::{WsPath, beneath};
use crate::workspace::protected::{self, Protection};

/// A path of a call: as it was asked for, and what that leads to.
struct Named {
    path: WsPath,
    real: Option<WsPath>,
    writes: bool,
    /// A place for a file: its text is not shown, because there is none.
    place: bool,
}

impl Named {
    fn each(&self) -> impl Iterator<Item = &WsPath> {
        std::iter::once(&self.path).chain(&self.real)
    }

    /// Whether its text may hold secrets and would be shown, or moved to a name that does not say so.
    fn is_secret(&self) -> bool {
        !self.place && self.each().any(protected::is_secret)
    }
}

/// Judges a call by the paths of its effect.
pub(super) fn assess(permissions: &Permissions, tool: &str, effect: &Effect) -> Assessment {
    let named = named(tool, effect);
    let mut whole = covered(permissions, tool, &named);
    whole.parts = named
        .iter()
        .map(|one| {
            let judged = covered(permissions, tool, std::slice::from_ref(one));
            Part { text: visible(&one.path.to_string()), verdict: judged.verdict, reason: judged.reason }
        })
        .collect();
    whole
}

fn named(tool: &str, effect: &Effect) -> Vec<Named> {
    let reads = effect.reads.iter().map(|scope| (scope, false));
    let all = reads.chain(effect.writes.iter().map(|scope| (scope, true)));
    let mut named: Vec<Named> = Vec::new();
    for (scope, writes) in all {
        let (Scope::File(path) | Scope::Tree(path)) = scope else { continue };
        // A tool writes what it makes, and moves the first to the second.
        let new = writes && (tool == "create_file" || named.iter().any(|one| one.writes));
        let place = new && !beneath::exists(path).unwrap_or(true);
        named.push(Named { path: path.clone(), real: beneath::real(path).ok(), writes, place });
    }
    named
}

/// What the rules and the names say of all of `named` together.
fn covered(permissions: &Permissions, tool: &str, named: &[Named]) -> Assessment {
    let judged = |verdict, rule: Option<String>, reason: String, key: String| Assessment {
        verdict,
        rule,
        reason,
        parts: Vec::new(),
        at_delivery: false,
        key,
        lasting: None,
    };
    let first = |rules: &[Rule]| rules_of(rules, tool).find(|rule| covers(rule, named)).map(ToString::to_string);
    // A yes to these files means no others.
    let these = || {
        let paths: Vec<_> = named.iter().map(|one| one.path.absolute()).collect();
        format!("{tool} {paths:?}")
    };
    if let Some(rule) = first(&permissions.deny) {
        return judged(Verdict::Deny, Some(rule), "your rule forbids it".to_owned(), these());
    }
    let forbidden = named.iter().filter(|one| one.writes).flat_map(Named::each).map(protected::classify).max();
    if let Some(Protection::Deny(reason)) = forbidden {
        return judged(Verdict::Deny, None, reason.to_owned(), these());
    }
    let allows = || rules_of(&permissions.allow, tool).filter(|rule| grants(rule, named));
    // Only a rule that names files means these.
    let meant = allows().find(|rule| rule.pattern.is_some());
    let allowed = meant.or_else(|| allows().next());
    let secret = match meant {
        Some(_) => None,
        None => named.iter().find(|one| one.is_secret()),
    };
    let secret =
        secret.map(|one| format!("{} may hold secrets, and the model would see it", visible(&one.path.to_string())));
    match (first(&permissions.ask), secret) {
        (rule, Some(reason)) => return judged(Verdict::Ask, rule, reason, these()),
        // A yes to what the rule asks means all that it asks.
        (Some(rule), None) => {
            let key = format!("rule {rule}");
            return judged(Verdict::Ask, Some(rule), "your rule asks for this".to_owned(), key);
        }
        (None, None) => {}
    }
    let rule = allowed.map(ToString::to_string);
    if let Some(Protection::Ask(reason)) = forbidden {
        let reason = format!("{reason}; you are asked before the change is delivered");
        return Assessment { at_delivery: true, ..judged(Verdict::Ask, rule, reason, these()) };
    }
    let reason = match rule {
        Some(_) => "your rule allows it",
        None if named.iter().any(|one| one.writes) => "it only stages a change",
        None => "it only reads",
    };
    judged(Verdict::Allow, rule, reason.to_owned(), these())
}

/// Whether a rule covers a call that names these paths. A pattern that cannot be understood covers everything: the
/// lists it stands in only tighten.
fn covers(rule: &Rule, named: &[Named]) -> bool {
    let Some(pattern) = &rule.pattern else { return true };
    match PathFilter::path(pattern) {
        Ok(filter) => named.iter().flat_map(Named::each).any(|path| filter.accepts(path.rel())),
        Err(_) => true,
    }
}

/// Whether a rule that allows covers all of these paths. One that cannot be understood covers nothing.
fn grants(rule: &Rule, named: &[Named]) -> bool {
    let Some(pattern) = &rule.pattern else { return true };
    let Ok(filter) = PathFilter::path(pattern) else { return false };
    !named.is_empty() && named.iter().all(|one| one.real.is_some() && one.each().all(|path| filter.accepts(path.rel())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{Root, Roots};

    fn rule(tool: &str, pattern: Option<&str>) -> Rule {
        Rule { tool: tool.into(), pattern: pattern.map(str::to_owned) }
    }

    fn place(files: &[&str]) -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::OpenOptions::new().create(true).write(true).truncate(true).open(path).unwrap();
        }
        let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
        (folder, roots)
    }

    fn judged(permissions: &Permissions, tool: &str, path: &str) -> (Verdict, Option<String>) {
        let (_folder, roots) = place(&[]);
        let found = assess(permissions, tool, &Effect::reads(Scope::File(roots.resolve(path).unwrap())));
        assert_eq!(found.parts.len(), 1);
        (found.verdict, found.rule)
    }

    #[test]
    fn deny_goes_before_ask_and_a_rule_is_for_its_tool_only() {
        let permissions = Permissions {
            allow: vec![rule("read_file", None)],
            ask: vec![rule("read_file", Some("**/*.env")), rule("grep", None)],
            deny: vec![rule("read_file", Some("secret/**")), rule("read_file", Some("**/.env"))],
        };
        let of = |tool, path| judged(&permissions, tool, path);
        assert_eq!(of("read_file", "src/a.rs"), (Verdict::Allow, Some("read_file".into())));
        assert_eq!(of("read_file", "a/b.env"), (Verdict::Ask, Some("read_file(**/*.env)".into())));
        assert_eq!(of("read_file", "secret/a.env"), (Verdict::Deny, Some("read_file(secret/**)".into())));
        assert_eq!(of("read_file", ".env"), (Verdict::Deny, Some("read_file(**/.env)".into())));
        assert_eq!(of("edit_file", "secret/a"), (Verdict::Allow, None));
        assert_eq!(of("grep", "x"), (Verdict::Ask, Some("grep".into())));
    }

    #[cfg(unix)]
    #[test]
    fn another_name_of_a_file_is_no_way_around_a_rule() {
        let (folder, roots) = place(&["secret/key", "deploy.pem"]);
        std::os::unix::fs::symlink("secret", folder.path().join("open")).unwrap();
        std::os::unix::fs::symlink("deploy.pem", folder.path().join("notes.txt")).unwrap();
        let effect = |path: &str| Effect::reads(Scope::File(roots.resolve(path).unwrap()));
        let permissions = Permissions { deny: vec![rule("read_file", Some("secret/**"))], ..Permissions::default() };
        assert_eq!(assess(&permissions, "read_file", &effect("open/key")).verdict, Verdict::Deny);
        assert_eq!(assess(&permissions, "read_file", &effect("notes.txt")).verdict, Verdict::Ask);
    }

    #[test]
    fn a_pattern_that_cannot_be_understood_denies_and_never_allows() {
        let permissions = Permissions { deny: vec![rule("read_file", Some("[z-a"))], ..Permissions::default() };
        assert_eq!(judged(&permissions, "read_file", "a").0, Verdict::Deny);
        let permissions = Permissions { allow: vec![rule("read_file", Some("[z-a"))], ..Permissions::default() };
        assert_eq!(judged(&permissions, "read_file", ".env").0, Verdict::Ask);
    }

    #[test]
    fn naming_a_file_that_may_hold_secrets_asks_unless_a_rule_means_it() {
        let mut permissions = Permissions { allow: vec![rule("read_file", None)], ..Permissions::default() };
        assert_eq!(judged(&permissions, "read_file", ".env"), (Verdict::Ask, None));
        assert_eq!(judged(&permissions, "outline", "keys/id_rsa"), (Verdict::Ask, None));
        permissions.allow.push(rule("read_file", Some("**/.env")));
        assert_eq!(judged(&permissions, "read_file", ".env").0, Verdict::Allow);
    }

    #[test]
    fn a_tool_that_would_show_or_move_a_secret_asks_and_a_protected_file_is_asked_at_its_delivery() {
        let (_folder, roots) = place(&[".env", "package.json"]);
        let writes = |path: &str| Effect::writes(Scope::File(roots.resolve(path).unwrap()));
        let of = |tool: &str, path: &str| assess(&Permissions::default(), tool, &writes(path));
        assert!(of("edit_file", ".env").verdict == Verdict::Ask && !of("edit_file", ".env").at_delivery);
        let new = of("create_file", "sub/.env");
        assert!(new.verdict == Verdict::Ask && new.at_delivery, "there is nothing to be shown yet");
        let build = of("edit_file", "package.json");
        assert!(build.verdict == Verdict::Ask && build.at_delivery, "{build:?}");
        assert_eq!(of("create_file", ".git/hooks/x").verdict, Verdict::Deny);
        assert_eq!(of("edit_file", "src/a.rs").verdict, Verdict::Allow);
    }
}
