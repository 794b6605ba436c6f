//! What looking things up before a run is worth: the tool calls that a model need not make to see what a place means.
//!
//! The places are functions of three dependencies' sources, taken at equal steps, not picked. What a place needs is found
//! without Ropeway's outlines: every `name(` in it whose `fn name` stands just once in the sources, with the first lines
//! of that function. The scripted model asks for what it does not see, one grep with context for each, in one response;
//! a real one would often read the file after that, so the count is a lower bound.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::child::Server;
use super::model::Model;
use super::replay::{is_visible, pieces, tree};
use super::report::{Figure, Report, ms};

/// Places.
const PLACES: usize = 24;
/// Lines of a definition that have to be seen.
const SEEN: usize = 3;

/// A function to start at.
struct Place {
    path: String,
    line: usize,
    /// Lines that each definition needed begins with, by the function's name.
    needs: BTreeMap<String, Vec<String>>,
}

#[derive(Default)]
struct Sum {
    calls: Vec<f64>,
    requests: usize,
    bytes: usize,
    waits: Vec<f64>,
}

pub fn measure(report: &mut Report) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mirror = tree(&home.path().join("work"));
    let places = places(&mirror);
    let needed: usize = places.iter().map(|place| place.needs.len()).sum();
    let (with, without) = (play(&places, &mirror, 2_000), play(&places, &mirror, 0));
    let total = |sum: &Sum| sum.calls.iter().sum::<f64>();
    report.note(format!(
        "start: {} places that need {needed} definitions: {} tool calls and {} requests with a lookup, {} and {} without; \
         {} k and {} k bytes of prompts sent",
        places.len(),
        total(&with),
        with.requests,
        total(&without),
        without.requests,
        with.bytes / 1000,
        without.bytes / 1000,
    ));
    let mean = |sum: &Sum| Figure::of([total(sum) / places.len() as f64]);
    report.beside("tool calls to see what a place means, mean", "calls", mean(&with), ("without", mean(&without)), "");
    report.beside(
        "from the order to the first request",
        "ms",
        Figure::of(with.waits),
        ("without", Figure::of(without.waits)),
        "≤ +40 ms",
    );
}

fn play(places: &[Place], mirror: &BTreeMap<String, String>, tokens: u32) -> Sum {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    tree(&root);
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [models.\"bench/m\"]\ncontext_window = 1000000\n[context]\nstart_tokens = {tokens}\n\
         [llm]\nrequests_per_second = 10000.0\nburst = 10000\n",
        model.base_url()
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    let root_uri = format!("file://{}", root.display());
    server.initialize(json!({
        "rootUri": root_uri,
        "capabilities": {"workspace": {"applyEdit": true, "workspaceEdit": {"documentChanges": true}}},
        "initializationOptions": {"events": true},
    }));
    let mut sum = Sum::default();
    for (nth, place) in places.iter().enumerate() {
        let uri = format!("{root_uri}/{}", place.path);
        let document = json!({"uri": uri, "languageId": "rust", "version": 1, "text": mirror[&place.path]});
        server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}));
        let at = json!({"line": place.line, "character": 0});
        let begun = std::time::Instant::now();
        server.send(&json!({"jsonrpc": "2.0", "id": nth + 10, "method": "workspace/executeCommand", "params": {
            "command": "ropeway.run",
            "arguments": [{"action": "explain", "uri": uri, "range": {"start": at, "end": at}}]}}));
        let mut request = model.accept();
        sum.waits.push(ms(begun.elapsed()));
        let mut calls = 0;
        for round in 0.. {
            sum.requests += 1;
            sum.bytes += request["messages"].to_string().len();
            let unseen = if round == 0 { unseen(&request, place) } else { Vec::new() };
            for (index, name) in unseen.iter().enumerate() {
                let pattern = json!({"pattern": format!("fn {name}"), "literal": true, "context": 12});
                model.call(index, "grep", &pattern);
            }
            calls += unseen.len();
            if unseen.is_empty() {
                model.event(json!({"content": "Explained."}), Some("stop"));
                model.end();
                break;
            }
            model.event(json!({}), Some("tool_calls"));
            model.end();
            request = model.accept();
        }
        sum.calls.push(calls as f64);
        server.wait(|message| message["params"]["kind"] == "finished");
        server.send(
            &json!({"jsonrpc": "2.0", "method": "textDocument/didClose", "params": {"textDocument": {"uri": uri}}}),
        );
    }
    sum
}

/// The functions whose definition is not in the prompt.
fn unseen<'a>(request: &Value, place: &'a Place) -> Vec<&'a str> {
    let pieces = pieces(request);
    let seen = |lines: &[String]| lines.iter().all(|line| is_visible(&pieces, line));
    place.needs.iter().filter(|(_, lines)| !seen(lines)).map(|(name, _)| name.as_str()).collect()
}

fn places(mirror: &BTreeMap<String, String>) -> Vec<Place> {
    let mut defined: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    let mut functions: Vec<(&str, usize)> = Vec::new();
    for (path, text) in mirror {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function(line) else { continue };
            let first = lines[at..].iter().take(SEEN).map(|line| line.trim().to_owned()).collect();
            defined.entry(name).or_default().push(first);
            functions.push((path, at));
        }
    }
    let needs = |path: &str, at: usize| -> BTreeMap<String, Vec<String>> {
        let lines: Vec<&str> = mirror[path].lines().collect();
        let indent = |line: &str| line.len() - line.trim_start().len();
        let end = (at + 1..lines.len())
            .find(|end| lines[*end].trim_start().starts_with('}') && indent(lines[*end]) == indent(lines[at]));
        let body = lines[at + 1..end.unwrap_or(at + 1)].join("\n");
        let called = body.match_indices('(').map(|(end, _)| {
            let start = body[..end].rfind(|ch: char| !ch.is_alphanumeric() && ch != '_').map_or(0, |at| at + 1);
            body[start..end].to_owned()
        });
        called
            .filter_map(|name| match defined.get(name.as_str()).map(Vec::as_slice) {
                Some([only]) => Some((name, only.clone())),
                _ => None,
            })
            .collect()
    };
    let all: Vec<Place> = functions
        .iter()
        .map(|(path, at)| Place { path: (*path).to_owned(), line: at + 1, needs: needs(path, *at) })
        .filter(|place| !place.needs.is_empty())
        .collect();
    let step = (all.len() / PLACES).max(1);
    all.into_iter().step_by(step).take(PLACES).collect()
}

/// The name of a function that is declared on a line.
fn function(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let at = code.find("fn ").filter(|at| *at == 0 || code[..*at].ends_with(' '))?;
    if code.starts_with("//") {
        return None;
    }
    let rest = &code[at + 3..];
    let end = rest.find(|ch: char| !ch.is_alphanumeric() && ch != '_')?;
    Some(&rest[..end]).filter(|name| !name.is_empty())
}
