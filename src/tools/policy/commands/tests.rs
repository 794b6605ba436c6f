//! Rules over whole lines.

use super::super::*;
use crate::tools::command::tests::Folder;

fn rule(tool: &str, pattern: &str) -> Rule {
    Rule { tool: tool.into(), pattern: (!pattern.is_empty()).then(|| pattern.to_owned()) }
}

fn rules(allow: &[&str], ask: &[&str], deny: &[&str]) -> Permissions {
    let list = |patterns: &[&str]| patterns.iter().map(|pattern| rule("run_command", pattern)).collect();
    Permissions { allow: list(allow), ask: list(ask), deny: list(deny) }
}

fn at(permissions: &Permissions, level: Level, trusted: bool, line: &str) -> Assessment {
    let folder = Folder::new();
    let policy = Policy { permissions, programs: &folder.programs, level: &|| level, trusted };
    policy.assess("run_command", &Effect::default(), Some(Command { line, cwd: &folder.cwd() }))
}

fn verdict(permissions: &Permissions, line: &str) -> Verdict {
    at(permissions, Level::Full, true, line).verdict
}

#[test]
fn a_command_that_no_rule_covers_is_asked_also_if_it_only_reads() {
    let none = Permissions::default();
    let found = at(&none, Level::Full, true, "ls | wc -l");
    assert_eq!((found.verdict, found.rule.as_deref()), (Verdict::Ask, None));
    assert_eq!(found.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["ls", "wc -l"]);
    assert!(found.lasting.is_some(), "it may be allowed always");
    assert!(at(&none, Level::Full, true, "cargo check").lasting.is_none());
    assert!(at(&none, Level::Full, true, "ls; cargo check").lasting.is_none());
    let odd = at(&none, Level::Full, true, "ls $(rm x)");
    assert_eq!((odd.verdict, odd.lasting.is_none()), (Verdict::Ask, true));
    assert!(odd.reason.contains("expansion"), "{odd:?}");
    assert!(odd.parts.iter().any(|part| part.text == "rm x"), "{odd:?}");
}

#[test]
fn deny_goes_before_ask_before_allow_and_the_strictest_part_decides() {
    let permissions = rules(&["", "true"], &["cat"], &["rm"]);
    assert_eq!(verdict(&permissions, "true"), Verdict::Allow);
    assert_eq!(verdict(&permissions, "true; true"), Verdict::Allow);
    assert_eq!(verdict(&permissions, "true; cat a.txt"), Verdict::Ask);
    assert_eq!(verdict(&permissions, "true; cat a.txt; timeout 5 rm x"), Verdict::Deny);
    assert_eq!(verdict(&permissions, "echo $(rm x)"), Verdict::Deny);
    let found = at(&permissions, Level::Full, true, "ls && rm x");
    assert_eq!(found.rule.as_deref(), Some("run_command(rm)"));
    assert_eq!(found.parts.iter().map(|part| part.verdict).collect::<Vec<_>>(), [Verdict::Allow, Verdict::Deny]);
    assert_eq!(verdict(&rules(&["true"], &[""], &[]), "true"), Verdict::Ask);
    assert_eq!(verdict(&rules(&["true"], &[], &[""]), "true"), Verdict::Deny);
}

#[test]
fn every_part_must_be_allowed_and_only_of_a_simple_line() {
    let permissions = rules(&["ls", "sort -n"], &[], &[]);
    for line in ["ls", "ls -la", "ls | sort -n", "ls && sort -n a.txt 2>/dev/null"] {
        assert_eq!(verdict(&permissions, line), Verdict::Allow, "{line}");
    }
    for line in [
        "lsx",
        "ls | sort",
        "ls; touch x",
        "./ls",
        "/bin/ls",
        "ls > x",
        "ls *",
        "ls $x",
        "A=b ls",
        "ls &",
        "ls\nls",
        "env ls",
    ] {
        assert_eq!(verdict(&permissions, line), Verdict::Ask, "{line}");
    }
    assert_eq!(verdict(&rules(&["./x.sh"], &[], &[]), "./x.sh a"), Verdict::Allow);
    assert_eq!(verdict(&rules(&[""], &[], &[]), "./x.sh a"), Verdict::Ask, "no rule says which program that is");
    assert_eq!(verdict(&rules(&["frobnicate"], &[], &[]), "frobnicate"), Verdict::Ask, "there is no such program");
}

#[test]
fn without_the_whole_sandbox_a_rule_allows_only_what_reads() {
    let permissions = rules(&["ls", "touch"], &[], &[]);
    for level in [Level::None, Level::Partial] {
        assert_eq!(at(&permissions, level, true, "ls sub").verdict, Verdict::Allow);
        assert_eq!(at(&permissions, level, true, "touch x").verdict, Verdict::Ask);
        assert_eq!(at(&permissions, level, true, "ls /etc").verdict, Verdict::Ask);
    }
    assert_eq!(at(&permissions, Level::Full, true, "touch x").verdict, Verdict::Allow);
    assert_eq!(at(&Permissions::default(), Level::Full, true, "touch x").verdict, Verdict::Ask);
}

#[test]
fn a_file_that_a_rule_hides_is_never_shown_by_a_rule() {
    let mut permissions = rules(&["cat"], &[], &[]);
    assert_eq!(verdict(&permissions, "cat hidden/x"), Verdict::Allow);
    permissions.deny.push(rule("read_file", "hidden/**"));
    for line in ["cat hidden/x", "cat ./hidden/x", "cat --x=hidden/x", "cat a.txt; cat sub/../hidden/x"] {
        assert_ne!(verdict(&permissions, line), Verdict::Allow, "{line}");
    }
    assert_eq!(verdict(&permissions, "cat a.txt"), Verdict::Allow);
}

#[test]
fn a_workspace_that_is_not_trusted_runs_nothing_and_neither_does_a_line_too_long_to_be_shown() {
    let permissions = rules(&["ls"], &[], &[]);
    assert_eq!(at(&permissions, Level::Full, false, "ls").verdict, Verdict::Deny);
    assert_eq!(verdict(&permissions, &format!("ls {}", "x".repeat(5000))), Verdict::Deny);
}

#[test]
fn a_yes_for_good_is_for_the_same_words_in_the_same_folder() {
    let none = Permissions::default();
    let folder = Folder::new();
    let policy = Policy { permissions: &none, programs: &folder.programs, level: &|| Level::Full, trusted: true };
    let what = |line: &str, cwd: &str| {
        let cwd = folder.roots.resolve(cwd).unwrap();
        policy.assess("run_command", &Effect::default(), Some(Command { line, cwd: &cwd })).lasting.unwrap()
    };
    assert_eq!(what("ls  -l", "."), what("ls '-l'", "."));
    let same = what("ls -l", "sub");
    assert_eq!(what("ls -l", "inner"), same, "one folder by two names");
    for other in [what("ls -l", "."), what("ls -la", "sub"), what("ls; ls -l", "sub"), what("ls -l 2>&1", "sub")] {
        assert_ne!(other, same);
    }
    assert_ne!(what("echo 'a b'", "."), what("echo a b", "."));
}
