//! What each way of making a conversation smaller saves, on agent sessions that are played again: `benches/sessions`.
//!
//! A session is a list of steps over the sources of three dependencies, as the lock file pins them. The model's side is
//! scripted, but not blind: before it edits it looks whether the line is anywhere in its prompt, and asks for it again
//! if it is not. So a pass that takes away what is needed pays for it here. The edits at the end have to be the same.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use ropeway::agent::context::Pass;
use ropeway::cli::bench::prepare;
use ropeway::tokens::Encoding;
use ropeway::tokens::counter::Counter;
use serde_json::{Value, json};

use super::child::Server;
use super::model::Model;
use super::report::{Figure, Report};

const SESSIONS: [(&str, &str); 6] = [
    ("mend", include_str!("../sessions/mend.txt")),
    ("rename", include_str!("../sessions/rename.txt")),
    ("document", include_str!("../sessions/document.txt")),
    ("explore", include_str!("../sessions/explore.txt")),
    ("loop", include_str!("../sessions/loop.txt")),
    ("migrate", include_str!("../sessions/migrate.txt")),
];

/// The folders of the workspace, each with the sources of the crate it is named after.
const CRATES: [&str; 3] = ["ropey", "globset", "ignore"];

/// Which version of each crate that is: what a session says of lines holds for one.
const LOCK: &str = include_str!("../../Cargo.lock");

/// A provider's price of a token from its cache over that of a new one.
const CACHED_PRICE: f64 = 0.1;

#[derive(Clone)]
struct Call {
    tool: &'static str,
    arguments: Value,
    /// The file and the line that an edit needs to see.
    needs: Option<(String, String)>,
}

/// What a session came to.
#[derive(Default)]
struct Sum {
    sent: u64,
    cached: u64,
    requests: usize,
    asked_again: usize,
    edits: String,
    /// Milliseconds that the server took to prepare a request: the median by its own readout, and the slowest.
    prepared: (f64, f64),
}

impl Sum {
    /// Tokens as they are paid for.
    fn paid(&self) -> f64 {
        (self.sent - self.cached) as f64 + self.cached as f64 * CACHED_PRICE
    }
}

pub fn measure(report: &mut Report) {
    let names = Pass::ALL.map(Pass::name);
    let mut variants: Vec<(String, Vec<&str>)> = vec![("none".into(), names.to_vec())];
    for only in names {
        variants.push((format!("only {only}"), names.into_iter().filter(|name| *name != only).collect()));
    }
    // What is left of the saving where nothing may ever go for its age alone.
    variants.push(("all but trim".into(), vec![Pass::Trim.name()]));
    variants.push(("all".into(), Vec::new()));

    let mut sums: BTreeMap<(usize, &str), Sum> = BTreeMap::new();
    for (variant, (_, disabled)) in variants.iter().enumerate() {
        for (session, text) in SESSIONS {
            sums.insert((variant, session), play(&steps(text), disabled));
        }
    }
    let all = variants.len() - 1;
    let ratio = |variant: usize, of: &dyn Fn(&Sum) -> f64| {
        Figure::of(SESSIONS.map(|(session, _)| of(&sums[&(variant, session)]) / of(&sums[&(0, session)])))
    };
    for (variant, (name, _)) in variants.iter().enumerate().skip(1) {
        let goal = if variant == all { "≤ 0.60" } else { "" };
        report.alone(&format!("tokens sent, {name} / none"), "×", ratio(variant, &|sum| sum.sent as f64), goal);
    }
    report.alone("tokens paid for (cache at a tenth), all / none", "×", ratio(all, &Sum::paid), "");
    let together = |variant: usize, of: &dyn Fn(&Sum) -> f64| {
        SESSIONS.iter().map(|(session, _)| of(&sums[&(variant, *session)])).sum::<f64>()
    };
    for (what, of, goal) in [
        ("sent", (&|sum: &Sum| sum.sent as f64) as &dyn Fn(&Sum) -> f64, "≤ 0.60"),
        ("paid for (cache at a tenth)", &Sum::paid, ""),
    ] {
        let ratio = Figure::of([together(all, of) / together(0, of)]);
        report.alone(&format!("tokens {what}, six sessions together, all / none"), "×", ratio, goal);
    }
    let again = SESSIONS.map(|(session, _)| sums[&(all, session)].asked_again);
    report.note(format!("replays: asked again with all passes, by session: {again:?}"));
    for (session, _) in SESSIONS {
        let (none, all) = (&sums[&(0, session)], &sums[&(all, session)]);
        for variant in 1..variants.len() {
            assert_eq!(none.edits, sums[&(variant, session)].edits, "{session}: the edits differ");
        }
        report.note(format!(
            "replays: {session}: {} requests and {} k tokens with none, {} and {} k with all ({:.2} ×; {:.2} × the price)",
            none.requests,
            none.sent / 1000,
            all.requests,
            all.sent / 1000,
            all.sent as f64 / none.sent as f64,
            all.paid() / none.paid(),
        ));
    }
    let times = SESSIONS.map(|(session, _)| sums[&(all, session)].prepared);
    report.alone(
        "a request prepared in the replays, p50 by session",
        "ms",
        Figure::of(times.map(|time| time.0)),
        "≤ 2 ms",
    );
    report.note(format!("replays: slowest request prepared, by session, ms: {:?}", times.map(|time| time.1)));
    let mut prepared = prepare::request();
    let figure = prepared.figure(300).expect("a small conversation");
    report.alone(&prepared.name, prepared.unit, figure, "≤ 2 ms");
}

fn play(steps: &[Vec<Call>], disabled: &[&str]) -> Sum {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    let mut mirror = tree(&root);
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [models.\"bench/m\"]\ncontext_window = 2000000\nmax_output_tokens = 8000\n\
         price = {{ input = 1.0, cached_input = {CACHED_PRICE}, output = 5.0 }}\n\
         [agent]\nmax_steps = 10000\nprefetch = false\n[context]\ndisabled = {disabled:?}\n[llm]\nrequests_per_second = 10000.0\nburst = 10000\n",
        model.base_url()
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    server.initialize(json!({
        "rootUri": format!("file://{}", root.display()),
        "capabilities": {"workspace": {"applyEdit": true, "workspaceEdit": {"documentChanges": true}}},
    }));
    server.send(&json!({"jsonrpc": "2.0", "id": 10, "method": "workspace/executeCommand", "params": {
        "command": "ropeway.run", "arguments": [{"action": "task", "prompt": "do what the session says"}]}}));
    server.answer(10);

    let counter = Counter::on(10_000, NonZero::<usize>::MIN);
    let mut sum = Sum::default();
    let mut before: Vec<(String, u64)> = Vec::new();
    let mut left = steps.iter();
    let mut next = left.next();
    loop {
        let request = model.accept();
        sum.requests += 1;
        let mut now = pieces(&request);
        let counts = counter.count_blocking(Encoding::O200k, &now.iter().map(|piece| &piece.0).collect::<Vec<_>>());
        now.iter_mut().zip(counts).for_each(|(piece, count)| piece.1 = count);
        let tokens: u64 = now.iter().map(|piece| piece.1).sum();
        let same = now.iter().zip(&before).take_while(|(now, before)| now.0 == before.0).map(|(now, _)| now.1);
        let cached: u64 = same.sum();
        sum.sent += tokens;
        sum.cached += cached;
        before = now;

        let Some(step) = next else {
            model.event(json!({"content": "Done."}), Some("stop"));
            model.end_with(tokens, cached);
            break;
        };
        let unseen = step.iter().filter_map(|call| call.needs.as_ref()).find(|(_, line)| !is_visible(&before, line));
        let again = unseen.map(|(path, line)| {
            let at = mirror[path].lines().position(|have| have == line).expect("the session edits what is there");
            Call {
                tool: "read_file",
                arguments: json!({"path": path, "offset": at.saturating_sub(30).max(1), "limit": 80}),
                needs: None,
            }
        });
        match again {
            Some(read) => {
                sum.asked_again += 1;
                model.call(0, read.tool, &read.arguments);
            }
            None => {
                for (index, call) in step.iter().enumerate() {
                    model.call(index, call.tool, &call.arguments);
                    if let Some((path, line)) = &call.needs {
                        let made = call.arguments["new_string"].as_str().expect("an edit");
                        let text = mirror.get_mut(path).expect("a file of the tree");
                        *text = text.replacen(line, made, 1);
                    }
                }
                next = left.next();
            }
        }
        model.event(json!({}), Some("tool_calls"));
        model.end_with(tokens, cached);
    }
    let edited = steps.iter().flatten().any(|call| call.needs.is_some());
    if edited {
        let (request, _) = server.wait(|message| message["method"] == "workspace/applyEdit");
        sum.edits = request["params"]["edit"].to_string().replace(&root.display().to_string(), "");
    }
    sum.prepared = prepared(&mut server);
    sum
}

/// What the server says of the requests that it has prepared, in milliseconds: the median and the slowest.
fn prepared(server: &mut Server) -> (f64, f64) {
    server.send(&json!({"jsonrpc": "2.0", "id": 11, "method": "workspace/executeCommand",
        "params": {"command": "ropeway.stats", "arguments": [{}]}}));
    let (stats, _) = server.answer(11);
    let of = |what: &str| stats["result"]["operations"]["prepare"][what].as_f64().expect("requests were prepared");
    (of("p50"), of("max"))
}

/// The texts of a request, in order; their tokens are counted later.
pub fn pieces(request: &Value) -> Vec<(String, u64)> {
    let messages = request["messages"].as_array().into_iter().flatten();
    std::iter::once((request["tools"].to_string(), 0)).chain(messages.map(|message| (message.to_string(), 0))).collect()
}

/// Whether a line stands in what the model was sent, as a tool shows it.
pub fn is_visible(pieces: &[(String, u64)], line: &str) -> bool {
    let spelt = json!(line).to_string();
    let spelt = &spelt[1..spelt.len() - 1];
    pieces.iter().skip(1).any(|(text, _)| text.contains(spelt))
}

/// The sources of the crates, copied; gives their texts by path.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let registry = super::search::sources();
    let mut mirror = BTreeMap::new();
    for name in CRATES {
        let source = find(&registry, name).expect("the dependency's sources, which every build fetches");
        copy(&source.join("src"), &root.join(name), name, &mut mirror);
    }
    mirror
}

/// The sources of a dependency in the version that the lock file pins.
fn find(registry: &Path, name: &str) -> Option<PathBuf> {
    let entry = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    let folder = format!("{name}-{}", entry.split_once('"')?.0);
    let indexes = std::fs::read_dir(registry).into_iter().flatten().flatten();
    indexes.map(|index| index.path().join(&folder)).find(|path| path.is_dir())
}

fn copy(from: &Path, to: &Path, name: &str, mirror: &mut BTreeMap<String, String>) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let (path, to, name) = (entry.path(), to.join(&file), format!("{name}/{file}"));
        if path.is_dir() {
            copy(&path, &to, &name, mirror);
        } else {
            let text = std::fs::read_to_string(&path).expect("a source");
            std::fs::write(&to, &text).expect("a file");
            mirror.insert(name, text);
        }
    }
}

/// A session's steps: one a line, its calls between semicolons.
fn steps(text: &str) -> Vec<Vec<Call>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(" ; ").map(call).collect()).collect()
}

fn call(text: &str) -> Call {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let of = |tool, arguments| Call { tool, arguments, needs: None };
    match word {
        "list" => of("list_dir", json!({"path": rest})),
        "glob" => of("glob", json!({"pattern": rest})),
        "outline" => of("outline", json!({"path": rest})),
        "diagnostics" => of("diagnostics", json!({})),
        "grep" => match rest.split_once(" | ") {
            Some((pattern, path)) => of("grep", json!({"pattern": pattern, "literal": true, "path": path})),
            None => of("grep", json!({"pattern": rest, "literal": true})),
        },
        "read" => match rest.split(' ').collect::<Vec<_>>()[..] {
            [path, offset, limit] => {
                let number = |text: &str| text.parse::<u64>().expect("a number");
                of("read_file", json!({"path": path, "offset": number(offset), "limit": number(limit)}))
            }
            _ => of("read_file", json!({"path": rest})),
        },
        "edit" => {
            let (path, parts) = rest.split_once(" ⟦").expect("a path");
            let (old, new) = parts.trim_end_matches('⟧').split_once("⟧⟦").expect("two texts");
            Call {
                tool: "edit_file",
                arguments: json!({"path": path, "old_string": old, "new_string": new.replace('⏎', "\n")}),
                needs: Some((path.to_owned(), old.to_owned())),
            }
        }
        other => panic!("a session says `{other}`"),
    }
}
