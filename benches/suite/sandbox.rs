//! Commands in the sandbox beside the same program started plainly, and what a run's first and second command cost on a
//! large workspace.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ropeway::config::EnvSnapshot;
use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots};
use ropeway::tools::cache::Results;
use ropeway::tools::grep::Together;
use ropeway::tools::kept::Lists;
use ropeway::tools::sandbox::{Commands, Level, Sandbox, Wanted};
use ropeway::tools::{Cancel, Diagnostics, ToolContext, ToolLimits};
use ropeway::workspace::Workspace;
use tokio::runtime::Runtime;

use super::report::{Figure, Report, ms};

const ROUNDS: usize = 25;

/// Each copy takes a second or so.
const COPIES: usize = 3;

/// Files of the large workspace.
const FILES: usize = 20_000;

pub fn measure(report: &mut Report) {
    // Not in a folder that commands do not see.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (small, large) = (home.path().join("small"), home.path().join("large"));
    std::fs::create_dir(&small).expect("a folder");
    std::fs::create_dir(home.path().join(".cargo")).expect("a folder");
    fill(&large);
    let path = std::env::var("PATH").unwrap_or_default();
    let env = EnvSnapshot::from_iter([("PATH", &*path), ("HOME", home.path().to_str().expect("a plain name"))]);
    let helper = Path::new(env!("CARGO_BIN_EXE_ropeway"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let (mut probe, mut sandbox) = (Vec::new(), Sandbox::with(&env, helper, Level::Full));
    for _ in 0..ROUNDS {
        sandbox = Sandbox::with(&env, helper, Level::Full);
        probe.push(timed(|| sandbox.support().level));
    }
    let support = sandbox.support().clone();
    if support.level != Level::Full || !support.overlay {
        report.note(format!("commands were not measured: this machine gives {support:?}"));
        return;
    }
    let mut plain = Vec::new();
    for _ in 0..ROUNDS {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        plain.push(timed(|| command.status().expect("it runs")));
    }
    let plain = ("plain spawn", Figure::of(plain));
    report.beside("sandbox: what the machine gives, once a process", "ms", Figure::of(probe), plain, "");

    let here = Place { runtime: &runtime, sandbox: &sandbox, context: context(&small) };
    let commands = here.commands(true);
    here.run(&commands, "/bin/true");
    // In turn, so that a busy machine slows all three alike.
    let (mut program, mut shell) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        program.push(here.run(&commands, "/bin/true"));
        shell.push(here.run(&commands, "/bin/true 2>&1"));
    }
    drop(commands);
    report.beside("sandbox: /bin/true", "ms", Figure::of(program), plain, "");
    report.beside("sandbox: /bin/true by bash", "ms", Figure::of(shell), plain, "");
    let gone = (0..3).map(|_| here.cancel(&here.commands(true)));
    report.alone("sandbox: from a cancel to the end of what is deaf to it", "ms", Figure::of(gone), "≤ 2,500");

    let here = Place { context: context(&large), ..here };
    for (what, overlay, rounds) in [("overlay", true, ROUNDS), ("copy", false, COPIES)] {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let commands = here.commands(overlay);
            first.push(here.run(&commands, "/bin/true"));
            second.push(here.run(&commands, "/bin/true"));
        }
        report.beside(&format!("sandbox: first of a run, {what} of {FILES} files"), "ms", Figure::of(first), plain, "");
        report.beside(&format!("sandbox: second of a run, {what}"), "ms", Figure::of(second), plain, "");
    }
    let rules = ["**/*.pem".to_owned()];
    let rules = rules.iter().map(|rule| ropeway::tools::pattern::PathFilter::path(rule).expect("a glob")).collect();
    let ruled = Place { context: ToolContext { denied: rules, ..here.context.clone() }, ..here };
    let commands = ruled.commands(true);
    ruled.run(&commands, "/bin/true");
    let hiding: Vec<f64> = (0..ROUNDS).map(|_| ruled.run(&commands, "/bin/true")).collect();
    report.beside("sandbox: second of a run, a rule hides files", "ms", Figure::of(hiding), plain, "");
}

/// Where commands are run.
struct Place<'a> {
    runtime: &'a Runtime,
    sandbox: &'a Arc<Sandbox>,
    context: ToolContext,
}

impl Place<'_> {
    fn commands(&self, overlay: bool) -> Arc<Commands> {
        Commands::new(self.sandbox.clone(), overlay)
    }

    /// Milliseconds that a command takes, as the tool runs it.
    fn run(&self, commands: &Commands, line: &str) -> f64 {
        let cwd = self.context.workspace.roots().resolve(".").expect("the root itself");
        let wanted = Wanted { line: line.to_owned(), cwd, limit: Duration::from_secs(60) };
        let cancel = Cancel::new();
        let mut text = String::new();
        let took = timed(|| {
            let run = commands.run(&self.context, &wanted, &cancel, &|_| {});
            text = self.runtime.block_on(run).expect("it runs").text().to_string();
        });
        assert!(text.starts_with("[exit code 0"), "{text}");
        took
    }

    /// Milliseconds from the word to the end of the last process.
    fn cancel(&self, commands: &Commands) -> f64 {
        let cwd = self.context.workspace.roots().resolve(".").expect("the root itself");
        let wanted = Wanted { line: DEAF.to_owned(), cwd, limit: Duration::from_secs(60) };
        let (cancel, word) = (Cancel::new(), OnceLock::new());
        let heard = |_: &str| {
            word.get_or_init(|| {
                cancel.cancel();
                std::time::Instant::now()
            });
        };
        let ended = self.runtime.block_on(commands.run(&self.context, &wanted, &cancel, &heard));
        assert!(ended.is_err(), "it was cancelled");
        ms(word.get().expect("it was up").elapsed())
    }
}

/// Starts processes that do not heed a signal, one of them in a session of its own, and waits.
const DEAF: &str =
    "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep 60' & sleep 61 & echo up; while :; do sleep 62; done";

fn context(root: &Path) -> ToolContext {
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![Root::open("bench", root).expect("a folder")]));
    ToolContext {
        workspace,
        run: RunId::unused(),
        limits: ToolLimits::default(),
        diagnostics: Arc::new(Diagnostics::new()),
        denied: Arc::from([]),
        commands: None,
        results: Results::default(),
        lists: Lists::default(),
        together: Together::default(),
        parses: Arc::default(),
        on_staged: Arc::new(|_| {}),
    }
}

fn fill(root: &Path) {
    for number in 0..FILES {
        let folder = root.join(format!("d{}/e{}", number % 40, number % 1000));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("f{number}.rs")), format!("fn f{number}() {{}}\n")).expect("a file");
    }
}

fn timed<R>(work: impl FnOnce() -> R) -> f64 {
    let begun = std::time::Instant::now();
    work();
    ms(begun.elapsed())
}
