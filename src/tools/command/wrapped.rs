//! What a command would start besides itself: behind `sudo`, in `sh -c`, by `find -exec`.
//!
//! For rules that tighten. So this finds too much rather than too little where it cannot tell an option's value from
//! the command behind it, and what it does not know is asked like anything else that no rule allows.

use std::collections::BTreeSet;

use super::tree::{self, Tree, Words};

/// Most texts that are read as lines of their own.
const MAX_TEXTS: usize = 24;
/// Most commands kept.
const MAX_FOUND: usize = 400;

/// A program that starts the command behind its own options.
struct Wrapper {
    name: &'static str,
    /// Short options with a value.
    values: &'static str,
    /// Long options with a value of their own word.
    longs: &'static [&'static str],
    /// Words between its options and the command.
    skip: usize,
}

const fn plain(name: &'static str) -> Wrapper {
    Wrapper { name, values: "", longs: &[], skip: 0 }
}

const fn with(name: &'static str, values: &'static str, skip: usize) -> Wrapper {
    Wrapper { name, values, longs: &[], skip }
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper { name: "env", values: "uCS", longs: &["--unset", "--chdir", "--split-string"], skip: 0 },
    Wrapper { name: "nice", values: "n", longs: &["--adjustment"], skip: 0 },
    Wrapper { name: "timeout", values: "sk", longs: &["--signal", "--kill-after"], skip: 1 },
    Wrapper { name: "stdbuf", values: "ioe", longs: &["--input", "--output", "--error"], skip: 0 },
    Wrapper {
        name: "xargs",
        values: "InPdELsaiJR",
        longs: &["--max-args", "--max-procs", "--delimiter", "--arg-file", "--max-lines", "--max-chars", "--replace"],
        skip: 0,
    },
    Wrapper {
        name: "sudo",
        values: "ughpCDRTUrtc",
        longs: &["--user", "--group", "--host", "--prompt", "--chdir", "--chroot", "--command-timeout", "--other-user"],
        skip: 0,
    },
    Wrapper { name: "time", values: "fo", longs: &["--format", "--output"], skip: 0 },
    Wrapper { name: "ionice", values: "cnpPu", longs: &["--class", "--classdata"], skip: 0 },
    Wrapper { name: "flock", values: "wEc", longs: &["--timeout", "--wait", "--conflict-exit-code"], skip: 1 },
    with("doas", "uC", 0),
    with("chrt", "TPDp", 1),
    with("taskset", "", 1),
    with("chroot", "", 1),
    with("setpriv", "", 0),
    with("unshare", "SGRw", 0),
    with("nsenter", "tSGRW", 0),
    with("runuser", "ugG", 0),
    with("strace", "eopPaOsSbuEIX", 0),
    with("ltrace", "eopasunlFDw", 0),
    with("watch", "nq", 0),
    with("parallel", "jnNaISLE", 0),
    with("exec", "a", 0),
    with("entr", "", 0),
    plain("command"),
    plain("builtin"),
    plain("nohup"),
    plain("setsid"),
    plain("busybox"),
    plain("toybox"),
    plain("pkexec"),
    plain("fakeroot"),
    plain("unbuffer"),
    plain("winpty"),
    plain("rlwrap"),
    plain("catchsegv"),
    plain("prlimit"),
    plain("systemd-run"),
    plain("dbus-run-session"),
    plain("xvfb-run"),
    plain("npx"),
    plain("bunx"),
    plain("uvx"),
    plain("!"),
];

const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "yash", "csh", "tcsh"];

/// Programs whose second word may say that the rest is a command.
const RUNNERS: &[&str] = &[
    "npm", "pnpm", "yarn", "bun", "uv", "poetry", "pipenv", "pdm", "hatch", "bundle", "rye", "mise", "direnv", "rustup",
];

/// A program's own name, in the one spelling that rules are compared in.
pub(super) fn base_name(program: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    match name.strip_suffix(".exe") {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => name,
    }
}

/// All commands that a line may start, the written ones first.
pub(super) fn all(tree: Tree, line: &str) -> Vec<Words> {
    let mut search = Search { found: Vec::new(), texts: Vec::new(), read: 0 };
    search.line(tree, line);
    while let Some(text) = search.texts.pop() {
        search.read += 1;
        if search.read > MAX_TEXTS || text.len() > super::MAX_LINE {
            break;
        }
        search.line(tree::read(&text), &text);
    }
    search.found
}

struct Search {
    found: Vec<Words>,
    /// Texts that are still to be read.
    texts: Vec<String>,
    read: usize,
}

impl Search {
    fn line(&mut self, tree: Tree, line: &str) {
        let from = self.found.len();
        self.add(tree.commands);
        if tree.broken {
            self.add(pieces(line));
        }
        let mut at = from;
        while at < self.found.len() {
            let words = self.found[at].clone();
            self.unwrap(&words);
            at += 1;
        }
        let shell = |words: &Words| name(words).is_some_and(|name| SHELLS.contains(&&*name));
        if self.found[from..].iter().any(shell) {
            // It may read what others write.
            self.texts.extend(tree.texts);
            let speakers = self.found[from..]
                .iter()
                .filter(|words| name(words).is_some_and(|name| matches!(&*name, "echo" | "printf" | "cat")));
            self.texts.extend(speakers.map(|words| joined(&words[1..])));
        }
    }

    fn add(&mut self, commands: Vec<Words>) {
        let room = MAX_FOUND.saturating_sub(self.found.len());
        self.found.extend(commands.into_iter().filter(|words| !words.is_empty()).take(room));
    }

    /// Adds what a command would start.
    fn unwrap(&mut self, words: &Words) {
        let Some(name) = name(words) else { return };
        let known = |at: usize| words.get(at).and_then(Option::as_deref).unwrap_or_default();
        if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.name == name) {
            let starts = starts(words, wrapper);
            self.add(starts.iter().map(|at| words[*at..].to_vec()).collect());
            if matches!(&*name, "watch" | "env" | "flock" | "parallel" | "entr") {
                // These give a text to a shell, or split it themselves.
                self.texts.extend(words[1..].iter().flatten().filter(|word| word.contains(' ')).cloned());
                self.texts.extend(starts.iter().map(|at| joined(&words[*at..])));
                let attached = words[1..]
                    .iter()
                    .flatten()
                    .filter_map(|word| word.strip_prefix("-S").or_else(|| word.strip_prefix("--split-string=")));
                self.texts.extend(attached.map(str::to_owned));
            }
            return;
        }
        match &*name {
            shell if SHELLS.contains(&shell) => {
                let text = words[1..].iter().flatten().any(|word| {
                    word.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains('c'))
                        || word == "--command"
                });
                let operands = words[1..].iter().flatten().filter(|word| !word.starts_with(['-', '+']));
                match text {
                    true => self.texts.extend(operands.cloned()),
                    false => self.add(vec![operands.cloned().map(Some).collect()]),
                }
            }
            "eval" => self.texts.push(joined(&words[1..])),
            "su" | "script" | "trap" => self.texts.extend(words[1..].iter().flatten().cloned()),
            "alias" => {
                let values = words[1..].iter().flatten().filter_map(|word| word.split_once('='));
                self.texts.extend(values.map(|(_, value)| value.to_owned()));
            }
            "source" | "." => self.add(vec![words[1..].to_vec()]),
            "find" => {
                let exec = |at: &usize| matches!(known(*at), "-exec" | "-execdir" | "-ok" | "-okdir");
                let commands = (1..words.len()).filter(exec).map(|at| {
                    words[at + 1..].iter().take_while(|word| word.as_deref() != Some(";")).cloned().collect()
                });
                self.add(commands.collect());
            }
            "fd" | "fdfind" => {
                let exec = |at: &usize| matches!(known(*at), "-x" | "-X" | "--exec" | "--exec-batch");
                self.add((1..words.len()).filter(exec).map(|at| words[at + 1..].to_vec()).collect());
            }
            runner if RUNNERS.contains(&runner) => {
                let runs = |at: &usize| matches!(known(*at), "run" | "exec" | "x" | "dlx");
                let starts = (1..words.len().min(6)).filter(runs).map(|at| {
                    words[at + 1..].iter().skip_while(|word| word.as_deref().is_some_and(|word| word.starts_with('-')))
                });
                let commands = starts.map(|rest| rest.cloned().collect()).collect();
                self.add(commands);
            }
            _ => {}
        }
    }
}

fn name(words: &Words) -> Option<String> {
    words.first()?.as_deref().map(base_name)
}

/// Words as one text; what only the shell knows becomes a word of its own.
fn joined(words: &[Option<String>]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.as_deref().unwrap_or("_")).collect();
    words.join(" ")
}

/// Where the command behind a wrapper's options may begin.
fn starts(words: &Words, wrapper: &Wrapper) -> BTreeSet<usize> {
    let mut starts = BTreeSet::new();
    let mut open = vec![1];
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        if at >= words.len() || !seen.insert(at) {
            continue;
        }
        let Some(word) = &words[at] else {
            open.push(at + 1);
            continue;
        };
        let option = word.strip_prefix('-').filter(|rest| !rest.is_empty());
        match option {
            Some("-") => drop(starts.insert(at + 1 + wrapper.skip)),
            Some(long) if long.starts_with('-') => {
                open.push(at + 1);
                if !word.contains('=') && (wrapper.longs.contains(&word.as_str()) || wrapper.longs.is_empty()) {
                    open.push(at + 2);
                }
            }
            Some(flags) => {
                let value = flags.find(|flag| wrapper.values.contains(flag));
                let attached = value.is_some_and(|value| value + 1 < flags.len());
                if value.is_none() || attached {
                    open.push(at + 1);
                }
                if value.is_some() && !attached {
                    open.push(at + 2);
                }
            }
            None if wrapper.name == "env" && word.contains('=') => open.push(at + 1),
            None => drop(starts.insert(at + wrapper.skip)),
        }
    }
    starts.retain(|at| *at < words.len());
    starts
}

/// The commands of a line that the grammar cannot read: cut wherever one could begin, quotes and backslashes ignored.
fn pieces(line: &str) -> Vec<Words> {
    let cut = |ch: char| matches!(ch, ';' | '|' | '&' | '(' | ')' | '`' | '{' | '}' | '\n');
    let clean = |word: &str| word.replace(['\'', '"', '\\', '$'], "");
    let leads = |word: &str| {
        word.is_empty()
            || word.contains('=')
            || matches!(word, "!" | "if" | "then" | "else" | "elif" | "do" | "while" | "until" | "time")
    };
    line.split(cut)
        .map(|piece| piece.split_whitespace().map(clean).skip_while(|word| leads(word)).map(Some).collect())
        .collect()
}
