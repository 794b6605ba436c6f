//! What is simple, what is found, and what only reads: each pitfall that we know of.

use super::*;
use crate::paths::{Root, Roots, WsPath};
use crate::tools::pattern::PathFilter;

mod harmless;
mod random;

fn argv(line: &str) -> Vec<Vec<String>> {
    let simple = Line::read(line).simple.unwrap_or_else(|why| panic!("{line:?}: {why}"));
    simple.parts.into_iter().map(|part| part.argv).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_simple_line_is_read_word_by_word() {
    assert_eq!(argv("ls"), [words(&["ls"])]);
    assert_eq!(argv("  cargo   check --all "), [words(&["cargo", "check", "--all"])]);
    assert_eq!(
        argv("a 'b c' \"d e\" --x='y z' && b || c; d | e"),
        [words(&["a", "b c", "d e", "--x=y z"]), words(&["b"]), words(&["c"]), words(&["d"]), words(&["e"])]
    );
    assert_eq!(argv(r#"grep "fn main\(" 'a$b`c\' "" "é""#), [words(&["grep", r"fn main\(", r"a$b`c\", "", "é"])]);
    let line = Line::read("ls -l 2>/dev/null | head -5 2>&1 >/dev/null").simple.unwrap();
    assert_eq!(line.parts[0].redirects, ["2>/dev/null"]);
    assert_eq!(line.parts[1].redirects, ["2>&1", ">/dev/null"]);
    assert_eq!(argv("./x a=b 1 -- -1 2>&1"), [words(&["./x", "a=b", "1", "--", "-1"])]);
    assert!(Line::read("ls").simple.unwrap().single().is_some());
    assert!(Line::read("ls 2>&1").simple.unwrap().single().is_none());
}

/// What no rule may ever allow, because shells do more with it, or not all the same.
const NOT_SIMPLE: &[&str] = &[
    "",
    " ",
    "ls\ntouch x",
    "ls \\\n-l",
    "ls\r",
    "ls\t-l",
    "ls \u{a0}x",
    "ls \u{2003}x",
    "ls \0",
    "\\touch x",
    "to''uch x",
    "'touch' x",
    "\"touch\" x",
    "{touch,X}",
    "touch {a,b}",
    "$'touch' x",
    "echo $'a'",
    "echo $\"a\"",
    "echo \"$x\"",
    "echo ${x@P}",
    "echo $(touch x)",
    "echo `touch x`",
    "echo \"`touch x`\"",
    "echo \"$(touch x)\"",
    "ls(){ touch x; }",
    "function ls { touch x; }",
    "PATH=. ls",
    "BASH_ENV=x ls",
    "A+=x ls",
    "x=y",
    "a[1]=x ls",
    "ls > x",
    "ls >x",
    "ls >> x",
    "ls >| x",
    "ls &> /dev/null",
    "ls >& x",
    "ls < x",
    "ls <> x",
    "ls 2> x",
    "ls >/dev/nullx",
    "ls >/dev/null/x",
    "ls >/dev/tcp/h/1",
    ">/dev/null",
    "ls >/dev/null -l",
    "cat << EOF\nx\nEOF",
    "cat <<< x",
    "cat <(ls)",
    "ls *",
    "ls ?",
    "ls [a]",
    "ls ~",
    "ls ~root",
    "ls a~",
    "ls &",
    "ls & touch x",
    "ls |& cat",
    "ls |",
    "| ls",
    "ls &&",
    "ls ;",
    "ls ;; ls",
    "ls ;",
    "! ls",
    "ls !",
    "echo \"a!b\"",
    "(ls)",
    "( ls",
    "{ ls; }",
    "if true; then ls; fi",
    "for x in a; do ls; done",
    "while ls",
    "time ls",
    "coproc ls",
    "[ -f x ]",
    "[[ -f x ]]",
    "((1))",
    "ls # x",
    "ls#x $(x)",
    "ls 'a",
    "ls \"a",
    "ls a'b",
    "ls \"a\\\"b\"",
    "ls \"a\\\\\"",
    "ls \"a\\\nb\"",
    "ls \"\\$x\"",
    "a^b",
    "ls ^x",
    ". x",
    "- x",
    "%1",
    "=ls",
    "ls 'a\u{202e}b'",
    "ls 'a\u{200b}b'",
    "ls \u{e9}",
    "\u{ff0d}ls",
    "l\u{455}",
    "ls 'a\x1b[2Kb'",
];

#[test]
fn what_shells_make_more_of_is_not_simple() {
    for line in NOT_SIMPLE {
        assert!(Line::read(line).simple.is_err(), "{line:?}");
    }
    let long = format!("echo {}", "a ".repeat(300));
    assert_eq!(Line::read(&long).simple, Err("it has too many words"));
    let many = vec!["ls"; 17].join(" ; ");
    assert_eq!(Line::read(&many).simple, Err("it has too many commands"));
    assert_eq!(argv(&vec!["ls"; 16].join("|")).len(), 16);
    assert!(Line::read(&format!("echo {}", "x".repeat(MAX_LINE))).simple.is_err());
    for deep in ["$(", "{ ", "(", "if ", "\"$(", "`", "<(", "a|", "a&&", "[[ ", "${x:-"] {
        assert!(Line::read(&deep.repeat(MAX_LINE / deep.len())).simple.is_err(), "{deep}");
    }
}

#[test]
fn characters_beyond_the_grammars_tables_do_no_harm() {
    for line in ["{\u{31860}", "{\u{e9}", "{\u{10ffff}1..2}", "echo {1..\u{31860}", "ls é{\u{fffd}}", "<<\u{31860}\nx"]
    {
        assert!(Line::read(line).simple.is_err(), "{line:?}");
    }
    assert!(caught("échø; rm ü", "rm ü") && caught("echo 語 && (rm x)", "rm"));
    assert_eq!(argv("cat 'é 語' \"ü\""), [words(&["cat", "é 語", "ü"])]);
}

/// Whether a rule that forbids these words catches the line.
fn caught(line: &str, pattern: &str) -> bool {
    Line::read(line).found.iter().any(|words| rules::tightens(pattern, words))
}

#[test]
fn a_rule_that_forbids_finds_the_command_wherever_it_stands() {
    for line in [
        "rm x",
        "/bin/rm x",
        "./rm x",
        "RM x",
        "rm.exe x",
        "'rm' x",
        "r''m x",
        "\\rm x",
        "r\\m x",
        "$'r\\x6d' x",
        "ls && rm x",
        "ls; rm x",
        "ls | rm x",
        "ls\nrm x",
        "ls & rm x",
        "(rm x)",
        "{ rm x; }",
        "if true; then rm x; fi",
        "for a in b; do rm x; done",
        "echo $(rm x)",
        "echo \"$(rm x)\"",
        "echo `rm x`",
        "cat <(rm x)",
        "f() { rm x; }",
        "A=b rm x",
        "rm x > y",
        "! rm x",
        "env rm x",
        "env -i A=b rm x",
        "env -u A -C d rm x",
        "env -S 'rm x'",
        "env '-Srm x'",
        "nice rm x",
        "nice -n 5 rm x",
        "nice -n5 rm x",
        "nohup rm x",
        "timeout 5 rm x",
        "timeout -s KILL 5s rm x",
        "timeout --signal KILL 5 rm x",
        "timeout --signal=KILL -k 1 5 rm x",
        "time rm x",
        "stdbuf -oL rm x",
        "stdbuf -o L rm x",
        "ls | xargs rm",
        "ls | xargs -n 1 -I{} rm {}",
        "ls | xargs -0 rm",
        "sudo rm x",
        "sudo -u root rm x",
        "sudo -- rm x",
        "doas -u x rm x",
        "sh -c 'rm x'",
        "bash -lc 'rm x'",
        "bash -e -c 'ls; rm x'",
        "bash -c -- 'rm x'",
        "sh -c \"sh -c 'rm x'\"",
        "sudo env A=b timeout 5 sh -c 'nice rm x'",
        "eval rm x",
        "eval 'rm' \"x\"",
        "exec rm x",
        "exec -a y rm x",
        "command rm x",
        "builtin rm x",
        "busybox rm x",
        "find . -name a -exec rm {} +",
        "find . '-exec' rm {} \\;",
        "find . -execdir rm {} \\;",
        "fd -x rm",
        "watch 'rm x'",
        "watch -n 1 rm x",
        "flock /tmp/l -c 'rm x'",
        "flock /tmp/l rm x",
        "strace -o f rm x",
        "trap 'rm x' EXIT",
        "alias ll='rm x'",
        "su -c 'rm x'",
        "sh << EOF\nrm x\nEOF",
        "sh <<< 'rm x'",
        "echo rm x | sh",
        "echo 'rm x' | bash",
        "npx rm x",
        "uv run rm x",
        "ls && ( rm x",
        "rm x 'unclosed",
        "foo ${ ; rm x",
    ] {
        assert!(caught(line, "rm"), "{line:?}: {:?}", Line::read(line).found);
    }
    for line in ["git push", "git -C . push", "git --no-pager push", "git -c a=b push origin", "git $x push"] {
        assert!(caught(line, "git push"), "{line:?}");
    }
    assert!(caught("rm -rf x", "rm *") && caught("rm x", "/bin/rm") && caught("curl x | sh", "curl | sh"));
    for line in
        ["ls", "echo rm x", "cat rm", "git rm x", "grep 'rm x' f", "echo 'a; rm x'", "rmdir x", "timeout 5 grep rm f"]
    {
        assert!(!caught(line, "rm"), "{line:?}: {:?}", Line::read(line).found);
    }
    assert!(!caught("git log push", "git push") && !caught("git commit -m push", "git push x"));
}

#[test]
fn a_rule_that_allows_is_matched_word_by_word() {
    let allows = |pattern: &str, line: &str| rules::allows(pattern, &argv(line)[0]);
    assert!(allows("cargo check", "cargo check") && allows("cargo check", "cargo check --all"));
    assert!(allows("cargo check *", "cargo check -q") && !allows("'a b' c", "./x"));
    assert!(!allows("cargo check", "cargo checkx") && !allows("cargo check", "cargo"));
    assert!(!allows("cargo", "./cargo check") && !allows("cargo", "/usr/bin/cargo check"));
    assert!(!allows("cargo check", "cargo -Z x check") && !allows("", "ls") && !allows("ls; rm", "ls"));
    assert!(allows("./x.sh", "./x.sh a"));
}

/// A folder with a file of each kind.
pub(crate) struct Folder {
    pub dir: tempfile::TempDir,
    pub roots: Roots,
    pub programs: Programs,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.txt", "b.txt", "sub/c.txt", ".env", "key.pem", ".git/config", "hidden/x", "-n", "bin/ls"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::OpenOptions::new().create(true).write(true).truncate(true).open(&path).unwrap();
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt, symlink};
            std::fs::set_permissions(dir.path().join("bin/ls"), PermissionsExt::from_mode(0o755)).unwrap();
            symlink("/etc", dir.path().join("out")).unwrap();
            symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
            symlink("key.pem", dir.path().join("notes")).unwrap();
            symlink("sub", dir.path().join("inner")).unwrap();
        }
        let roots = Roots::new(vec![Root::open("root", dir.path()).unwrap()]);
        Self { dir, roots, programs: Programs::new(Some("/usr/local/bin:/usr/bin:/bin".as_ref())) }
    }

    pub(crate) fn cwd(&self) -> WsPath {
        self.roots.tops().remove(0)
    }

    /// Whether a line only reads.
    fn check(&self, line: &str) -> Result<(), String> {
        self.check_in(line, &self.cwd())
    }

    fn check_in(&self, line: &str, cwd: &WsPath) -> Result<(), String> {
        let simple = Line::read(line).simple.map_err(str::to_owned)?;
        let denied = [PathFilter::path("hidden/**").unwrap()];
        let place = Place { cwd, denied: &denied };
        simple.parts.iter().try_for_each(|part| readonly::check(part, &place, &self.programs))
    }
}

#[test]
fn what_is_shown_of_a_command_hides_nothing() {
    let shown = |line: &str| show::line(&Line::read(line).simple.unwrap());
    assert_eq!(shown("ls   -l;cat  'a b' \"it's\" ''|wc 2>&1&&x"), "ls -l; cat 'a b' \"it's\" '' | wc 2>&1 && x");
    assert_eq!(show::visible("a\u{202e}b\x1b[2Jc\nd\te\u{200b}"), "a\\u{202e}b\\u{1b}[2Jc ⏎ d\\te\\u{200b}");
    assert_eq!(show::visible(&format!("ls{}; rm", " ".repeat(500))), "ls ␠×500 ; rm");
    assert_eq!(show::visible("a  b é 語 😀"), "a  b é 語 😀");
}
