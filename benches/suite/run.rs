//! What the server adds to a run: from the last byte of a call's arguments to the tool's start, and from the stream's
//! end to the applyEdit request, both as the editor sees them over stdio.

use std::process::Command;

use serde_json::json;

use super::child::Server;
use super::model::Model;
use super::report::{Figure, Report, ms, source_text};

const RUNS: usize = 25;

pub fn measure(report: &mut Report) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    std::fs::create_dir(&root).expect("a folder");
    let mut text = source_text(64 << 10);
    text.insert_str(0, "let answer = 41;\n");
    std::fs::write(root.join("a.rs"), &text).expect("a file");
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n",
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
    let uri = format!("{root_uri}/a.rs");
    server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {
        "uri": uri, "languageId": "rust", "version": 1, "text": text}}}));

    let (mut tool, mut apply) = (Vec::new(), Vec::new());
    for n in 0..RUNS {
        let id = 10 + n as i64;
        server.send(&json!({"jsonrpc": "2.0", "id": id, "method": "workspace/executeCommand", "params": {
            "command": "ropeway.run", "arguments": [{"action": "task", "uri": uri, "prompt": "change it"}]}}));
        server.answer(id);
        model.accept();
        model.event(json!({"role": "assistant", "content": "Reading."}), None);
        let sent = model.call(0, "read_file", &json!({"path": "a.rs", "limit": 5}));
        // A later index closes the call before it.
        let sent = sent.max(model.call(1, "list_dir", &json!({})));
        let (_, at) = server.wait(|message| message["params"]["kind"] == "toolStarted");
        tool.push(ms(at.saturating_duration_since(sent)));
        model.event(json!({}), Some("tool_calls"));
        model.end();
        model.accept();
        let (from, to) = (41 + n, 42 + n);
        let edit = json!({"path": "a.rs", "old_string": format!("let answer = {from};"),
            "new_string": format!("let answer = {to};")});
        model.call(0, "edit_file", &edit);
        model.event(json!({}), Some("tool_calls"));
        model.end();
        model.accept();
        model.event(json!({"content": "Done."}), None);
        model.event(json!({}), Some("stop"));
        let ended = model.end();
        let (request, at) = server.wait(|message| message["method"] == "workspace/applyEdit");
        apply.push(ms(at.saturating_duration_since(ended)));
        let change = &request["params"]["edit"]["documentChanges"][0];
        let changes: Vec<_> = change["edits"]
            .as_array()
            .expect("edits")
            .iter()
            .rev()
            .map(|edit| json!({"range": edit["range"], "text": edit["newText"]}))
            .collect();
        server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
            "textDocument": {"uri": uri, "version": n + 2}, "contentChanges": changes}}));
        server.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": {"applied": true}}));
        let (finished, _) = server.wait(|message| message["params"]["kind"] == "finished");
        assert_eq!(finished["params"]["status"], "applied", "{finished}");
    }
    report.alone("last byte of arguments → tool starts", "ms", Figure::of(tool), "≤ 1 ms");
    report.alone("end of stream → applyEdit request", "ms", Figure::of(apply), "≤ 2 ms");
}
