//! Other editors, set up by the very lines of `editors/README.md`, against the real server.
//!
//! A Neovim is the terminal in which they run; `tests/editors` plays the user and the test plays the model.
//! `tests/editors/install` gets the editors; without them these tests fail and say so.
#![expect(clippy::disallowed_methods, reason = "a test lays out its own files")]

use serde_json::json;

use crate::support::lua::{Lua, editors, neovim};
use crate::support::model::{Model, Turn};

const TOTAL: &str = "def total(items):\n    # ropeway: use the builtin sum\n    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";

/// What the model replaces.
const OLD: &str = "    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";

/// Open, pick what the comment asks for, see the edit, undo, leave.
fn main_job(editor: &str) {
    let place = editors().join(editor);
    assert!(
        place.join("stamp").exists(),
        "{editor} is missing: install it with `tests/editors/install {}` (or run `tests/run`, which does)",
        editors().display()
    );
    let model = Model::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    std::fs::write(dir.path().join("total.py"), TOTAL).unwrap();
    let script = format!("editors/{editor}.lua");
    let arguments = [place.to_str().unwrap(), dir.path().to_str().unwrap()];
    let mut user = Lua::start(&neovim("nvim-new"), &script, &arguments, Some(&model));
    user.gate("asked");
    let (request, reply) = user.asks(&model);
    let prompt = request.body.to_string();
    assert!(prompt.contains("use the builtin sum"), "the comment is the instruction: {prompt}");
    model.script([Turn::text("Done.")]);
    let edit = json!({"path": "total.py", "old_string": OLD, "new_string": "    return sum(items)\n"});
    reply.play(&Turn::calls([("edit_file", edit)]), &request);
    user.pass("asked");
    user.done();
}

#[test]
fn helix_does_the_main_job() {
    main_job("helix");
}

#[test]
fn emacs_does_the_main_job() {
    main_job("emacs");
}

#[test]
fn kakoune_does_the_main_job() {
    main_job("kakoune");
}
