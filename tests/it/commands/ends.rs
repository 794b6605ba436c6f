//! How commands end: by themselves, at their limit, cancelled, with the server; and that nothing is left of them.

use std::sync::Arc;
use std::time::Duration;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots};
use ropeway::syntax::Parses;
use ropeway::tools::grep::Together;
use ropeway::tools::kept::Lists;
use ropeway::tools::sandbox::{Commands, Level, Wanted};
use ropeway::tools::{Cancel, Diagnostics, Results, ToolContext, ToolLimits};
use ropeway::workspace::Workspace;
use serde_json::json;

use super::{Place, command, outside, processes, sandbox, wait_until_gone};
use crate::support::model::Turn;

/// A line that starts what does not want to end: deaf to the word, out of the group, out of the family.
fn stubborn(marker: &str) -> String {
    format!(
        "trap '' TERM HUP INT; sleep 1{marker} & setsid sleep 2{marker} & (setsid sh -c 'trap \"\" TERM; sleep 3{marker}' &) ; \
         sh -c 'trap \"\" TERM; (sleep 4{marker} &)'; echo up; while :; do sleep 5{marker}; done"
    )
}

/// A number of seconds that no other process of this machine sleeps.
fn marker(test: u32) -> String {
    format!("000.{test}{}", std::process::id())
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_it_started_and_keeps_what_it_printed() {
    let mut place = Place::new(&[("a.txt", "one\n")]);
    let marker = marker(1);
    let line = format!("echo two > a.txt; {}", stubborn(&marker));
    let (results, outcome) = place.run(vec![("run_command", json!({"command": line, "timeout_ms": 700}))]);
    assert!(results[0].starts_with("up\n[stopped after 0.7 s, its limit"), "{results:?}");
    assert_eq!(processes(&marker), Vec::<String>::new(), "nothing is left when the model is answered");
    assert_eq!(outcome["status"], "applied", "what it had written by then is an edit: {outcome}");
}

#[test]
fn a_cancelled_command_is_ended_with_all_it_started_and_leaves_no_edit() {
    let mut place = Place::new(&[("a.txt", "one\n")]);
    let marker = marker(2);
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    place.bench.model.script([Turn::calls([command(&format!("echo two > a.txt; {}", stubborn(&marker)))])]);
    let run = place.bench.task("work");
    assert_eq!(place.bench.event(&run, "toolOutput")["delta"], "up\n");
    assert!(processes(&marker).len() >= 5, "{:?}", processes(&marker));
    place.bench.editor.command("ropeway.cancel", json!({"runId": run}));
    assert_eq!(place.bench.finished(&run)["status"], "cancelled");
    wait_until_gone(&marker);
    assert_eq!(place.text("a.txt"), "one\n");
}

#[test]
fn commands_end_with_the_server() {
    let mut place = Place::new(&[]);
    let marker = marker(3);
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    place.bench.model.script([Turn::calls([command(&stubborn(&marker))])]);
    let run = place.bench.task("work");
    place.bench.event(&run, "toolOutput");
    place.bench.editor.vanish();
    wait_until_gone(&marker);
}

#[test]
fn what_a_command_leaves_behind_is_ended_with_it_and_holds_nobody_up() {
    let mut place = Place::new(&[]);
    let marker = marker(4);
    let result = place.command(&format!("setsid sleep 1{marker} & sleep 2{marker} & echo done"));
    assert!(result.starts_with("done\n[exit code 0 "), "{result}");
    assert_eq!(processes(&marker), Vec::<String>::new());
}

#[test]
fn output_of_every_kind_becomes_a_result_that_can_be_read() {
    let mut place = Place::new(&[]);
    let lines = [
        "yes 'a long line of output' | head -n 2000000; echo the end",
        "head -c 3000 /dev/zero",
        "printf 'no newline'",
        "printf '\\033[31mred\\033[0m\\n'; echo wrong >&2; exit 3",
        "cat; echo nothing to read",
        "kill -9 $$",
        "true",
    ];
    let (results, _) = place.commands(&lines);
    let [long, binary, open, red, input, killed, silent] = &results[..] else { panic!("{results:?}") };
    assert!(
        long.starts_with("a long line of output\n") && long.contains("\nthe end\n[exit code 0 "),
        "{}",
        &long[long.len() - 400..]
    );
    assert!(long.contains(" bytes are left out here") && long.len() < 34 << 10, "{}", long.len());
    assert!(binary.starts_with("[3000 bytes of output that is no text]"), "{binary}");
    assert!(open.starts_with("no newline\n[exit code 0"), "{open}");
    assert!(red.starts_with("red\nwrong\n[exit code 3"), "{red}");
    assert!(input.starts_with("nothing to read\n"), "{input}");
    assert!(killed.starts_with("[ended by signal 9"), "{killed}");
    assert!(silent.starts_with("[exit code 0"), "{silent}");
}

#[test]
fn those_who_watch_see_what_a_command_prints_while_it_runs() {
    let mut place = Place::new(&[]);
    let gate = outside();
    let line = format!("printf 'one\\ntw'; until test -e {}/go; do sleep 0.02; done; echo o", gate.path().display());
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    place.bench.model.script([Turn::calls([command(&line)]), Turn::text("Done.")]);
    let run = place.bench.task("work");
    let started = place.bench.event(&run, "toolStarted");
    let first = place.bench.event(&run, "toolOutput");
    assert_eq!((&first["delta"], &first["callId"]), (&json!("one\n"), &started["callId"]), "half a line waits");
    std::fs::write(gate.path().join("go"), "").unwrap();
    assert_eq!(place.bench.event(&run, "toolOutput")["delta"], "two\n");
    place.bench.finished(&run);
    assert!(place.results()[0].starts_with("one\ntwo\n["), "{:?}", place.results());
}

/// Descriptors and ended children that nobody has asked about, of this process.
fn held() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let ours = format!(") Z {} ", std::process::id());
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    (descriptors, stats.filter(|stat| stat.contains(&ours)).count())
}

#[test]
fn a_thousand_commands_leave_no_process_and_no_descriptor() {
    const AT_ONCE: usize = 4;
    let (folder, home) = (tempfile::tempdir().unwrap(), outside());
    let sandbox = sandbox(home.path(), Level::Full);
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![Root::open("ws", folder.path()).unwrap()]));
    let before = held();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let work = (0..AT_ONCE).map(|_| {
        let run = RunId::unused();
        workspace.begin(run.clone());
        let context = ToolContext {
            workspace: workspace.clone(),
            run,
            limits: ToolLimits::default(),
            diagnostics: Arc::new(Diagnostics::new()),
            parses: Arc::new(Parses::new()),
            denied: Arc::from([]),
            commands: None,
            lists: Lists::default(),
            together: Together::default(),
            results: Results::default(),
            on_staged: Arc::new(|_| {}),
        };
        let commands = Commands::new(sandbox.clone(), true);
        let cwd = workspace.roots().resolve(".").unwrap();
        runtime.spawn(async move {
            for n in 0..1000 / AT_ONCE {
                let line = if n % 10 == 0 { "sleep 1000 & setsid sleep 1000 & echo x > file" } else { "exec true" };
                let wanted = Wanted { line: line.to_owned(), cwd: cwd.clone(), limit: Duration::from_secs(20) };
                let result = commands.run(&context, &wanted, &Cancel::new(), &|_| {}).await;
                assert!(result.unwrap().text().starts_with("[exit code 0"));
            }
        })
    });
    for task in work.collect::<Vec<_>>() {
        runtime.block_on(task).unwrap();
    }
    drop(runtime);
    let after = held();
    // Other tests come and go in this process; a thousand of anything would stand out.
    assert!(after.0 < before.0 + 300 && after.1 < before.1 + 100, "{before:?} {after:?}");
    let home = home.path().to_str().unwrap();
    let environments = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = environments.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
    assert!(!environments.map(|text| String::from_utf8_lossy(&text).into_owned()).any(|text| text.contains(home)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and no file");
    let scratch = std::path::Path::new(home).join(".local/state/ropeway/commands");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "nor what it wrote");
}
