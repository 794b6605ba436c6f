//! From proposals to the protocol's `WorkspaceEdit`, in the shape that every client applies alike.
//!
//! Clients differ where the specification leaves room, so the shape is narrow: `documentChanges` with a version always
//! present (`null` for a file that is not open), one entry a document, ranges that are sorted, disjoint and do not
//! touch, `\n` as the only line end. Text is never inserted behind the last line end or into an empty document:
//! Neovim puts a blank line there that nobody asked for.

use serde_json::{Map, Value, json};

use super::capabilities::Capabilities;
use crate::host::{FileChange, Proposal};
use crate::text::{Edit, EditSet, Encoding, Position, Range, Text};

/// The name of the one annotation, by which the client is told to ask the user first.
const ANNOTATION: &str = "ropeway";

/// The parameters of `workspace/applyEdit` for a proposal.
pub fn apply_edit_params(proposal: &Proposal, client: &Capabilities) -> Value {
    json!({ "label": proposal.label, "edit": workspace_edit(proposal, client) })
}

/// The `WorkspaceEdit` of a proposal.
pub fn workspace_edit(proposal: &Proposal, client: &Capabilities) -> Value {
    if !client.document_changes {
        return plain(proposal, client.encoding);
    }
    let annotated = proposal.confirm && client.change_annotations;
    let mut changes = Vec::new();
    for change in &proposal.changes {
        match change {
            FileChange::Edit { uri, version, base, edits } => {
                changes.push(document_edit(
                    uri,
                    version.map(|version| version.0),
                    text_edits(base, edits, client.encoding),
                ));
            }
            FileChange::Create { uri, text } => {
                changes.push(json!({"kind": "create", "uri": uri}));
                if !text.is_empty() {
                    let edit = json!({"range": empty_document(), "newText": unix(&text.to_string())});
                    changes.push(document_edit(uri, None, vec![edit]));
                }
            }
            FileChange::Delete { uri } => changes.push(json!({"kind": "delete", "uri": uri})),
            FileChange::Rename { from, to } => {
                changes.push(json!({"kind": "rename", "oldUri": from, "newUri": to}));
            }
        }
    }
    let mut edit = Map::new();
    if annotated {
        changes.iter_mut().for_each(annotate);
        let annotation = json!({"label": proposal.label, "needsConfirmation": true});
        edit.insert("changeAnnotations".into(), json!({ ANNOTATION: annotation }));
    }
    edit.insert("documentChanges".into(), Value::Array(changes));
    Value::Object(edit)
}

/// For a client that knows neither versions nor resource operations: text edits alone.
fn plain(proposal: &Proposal, encoding: Encoding) -> Value {
    let mut changes = Map::new();
    for change in &proposal.changes {
        if let FileChange::Edit { uri, base, edits, .. } = change {
            changes.insert(uri.to_string(), Value::Array(text_edits(base, edits, encoding)));
        }
    }
    json!({ "changes": changes })
}

fn document_edit(uri: &str, version: Option<i32>, edits: Vec<Value>) -> Value {
    json!({"textDocument": {"uri": uri, "version": version}, "edits": edits})
}

/// Marks an operation, or each edit of a document, as one to ask about.
fn annotate(change: &mut Value) {
    let mark = |value: &mut Value| value["annotationId"] = ANNOTATION.into();
    match change.get_mut("edits").and_then(Value::as_array_mut) {
        Some(edits) => edits.iter_mut().for_each(mark),
        None => mark(change),
    }
}

/// The text edits of one document.
pub fn text_edits(base: &Text, edits: &EditSet, encoding: Encoding) -> Vec<Value> {
    let mut merged: Vec<Edit> = Vec::new();
    for edit in edits.edits() {
        match merged.last_mut() {
            Some(last) if last.range.end == edit.range.start => {
                last.range.end = edit.range.end;
                last.text.push_str(&edit.text);
            }
            _ => merged.push(edit.clone()),
        }
    }
    merged
        .into_iter()
        .map(|edit| {
            if base.is_empty() {
                return json!({"range": empty_document(), "newText": unix(&edit.text)});
            }
            let (range, text) = before_last_line_end(base, edit);
            let range = Range { start: base.position(range.start, encoding), end: base.position(range.end, encoding) };
            json!({"range": range, "newText": text})
        })
        .collect()
}

/// Lines appended behind the last line end go before it instead: the text is the same, but no client sees a position
/// on the line after the last.
fn before_last_line_end(base: &Text, edit: Edit) -> (std::ops::Range<usize>, String) {
    let text = unix(&edit.text);
    let last = base.lines().saturating_sub(1);
    let appends = edit.range.is_empty() && edit.range.start == base.len() && base.line_start(last) == base.len();
    match text.strip_suffix('\n') {
        Some(lines) if appends && last > 0 => {
            let end = base.line_range(last - 1).end;
            (end..end, format!("\n{lines}"))
        }
        _ => (edit.range, text),
    }
}

/// A range that holds an empty document, as every client sees one: Neovim has one empty line there.
fn empty_document() -> Range {
    Range { start: Position::default(), end: Position { line: 1, character: 0 } }
}

/// The text with `\n` alone as line end; clients put in the document's own.
fn unix(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::DocVersion;

    fn client() -> Capabilities {
        Capabilities { document_changes: true, create: true, rename: true, delete: true, ..Capabilities::default() }
    }

    fn edits(base: &str, edits: &[(std::ops::Range<usize>, &str)]) -> Vec<String> {
        let edits = edits.iter().map(|(range, text)| Edit { range: range.clone(), text: (*text).into() }).collect();
        let edits = EditSet::new(base.len(), edits).unwrap();
        let shown = |edit: &Value| {
            let number = |path: &str| edit.pointer(path).unwrap().as_u64().unwrap();
            let at = |end: &str| {
                format!("{}:{}", number(&format!("/range/{end}/line")), number(&format!("/range/{end}/character")))
            };
            format!("{}-{} {:?}", at("start"), at("end"), edit["newText"].as_str().unwrap())
        };
        text_edits(&Text::from(base), &edits, Encoding::Utf16).iter().map(shown).collect()
    }

    fn edit_of(uri: &str, version: Option<i32>) -> FileChange {
        let base = Text::from("a\nb\n");
        let edits = EditSet::replace(base.len(), 2..4, "B\n").unwrap();
        FileChange::Edit { uri: Arc::from(uri), version: version.map(DocVersion), base, edits }
    }

    fn proposal(changes: Vec<FileChange>, confirm: bool) -> Proposal {
        Proposal { label: "Fix".into(), changes, confirm }
    }

    #[test]
    fn a_version_is_always_there_and_null_for_a_file_that_is_not_open() {
        let edit = workspace_edit(&proposal(vec![edit_of("u:a", Some(7)), edit_of("u:b", None)], false), &client());
        let range = json!({"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}});
        let edits = json!([{"range": range, "newText": "B\n"}]);
        assert_eq!(
            edit,
            json!({"documentChanges": [
                {"textDocument": {"uri": "u:a", "version": 7}, "edits": edits},
                {"textDocument": {"uri": "u:b", "version": null}, "edits": edits},
            ]})
        );
    }

    #[test]
    fn a_new_file_is_created_and_its_one_empty_line_replaced() {
        let change = FileChange::Create { uri: Arc::from("u:n"), text: Text::from("x\r\ny\n") };
        let empty = FileChange::Create { uri: Arc::from("u:e"), text: Text::from("") };
        let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}});
        assert_eq!(
            workspace_edit(&proposal(vec![change, empty], true), &client()),
            json!({"documentChanges": [
                {"kind": "create", "uri": "u:n"},
                {"textDocument": {"uri": "u:n", "version": null}, "edits": [{"range": range, "newText": "x\ny\n"}]},
                {"kind": "create", "uri": "u:e"},
            ]})
        );
    }

    #[test]
    fn a_client_that_can_ask_is_told_to() {
        let changes = vec![edit_of("u:a", Some(1)), FileChange::Delete { uri: Arc::from("u:d") }];
        let asking = Capabilities { change_annotations: true, ..client() };
        let edit = workspace_edit(&proposal(changes, true), &asking);
        assert_eq!(edit["changeAnnotations"], json!({"ropeway": {"label": "Fix", "needsConfirmation": true}}));
        assert_eq!(edit["documentChanges"][0]["edits"][0]["annotationId"], "ropeway");
        assert_eq!(edit["documentChanges"][1]["annotationId"], "ropeway");
    }

    #[test]
    fn a_client_without_document_changes_gets_text_edits_alone() {
        let changes = vec![edit_of("u:a", Some(1)), FileChange::Rename { from: Arc::from("f"), to: Arc::from("t") }];
        let edit = workspace_edit(&proposal(changes, false), &Capabilities::default());
        assert_eq!(edit["changes"]["u:a"].as_array().unwrap().len(), 1);
        assert_eq!(edit["changes"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn hunks_that_touch_become_one() {
        assert_eq!(
            edits("a\nb\nc\n", &[(0..2, "A\n"), (2..2, "x\n"), (4..6, "")]),
            [r#"0:0-1:0 "A\nx\n""#, r#"2:0-3:0 """#]
        );
    }

    #[test]
    fn nothing_is_inserted_behind_the_last_line_end_or_into_an_empty_document() {
        assert_eq!(edits("n1\nn2\n", &[(6..6, "n3\n")]), [r#"1:2-1:2 "\nn3""#]);
        assert_eq!(edits("n1\r\nn2\r\n", &[(8..8, "n3\r\nn4\r\n")]), [r#"1:2-1:2 "\nn3\nn4""#]);
        assert_eq!(edits("n1\nn2", &[(5..5, "\nn3")]), [r#"1:2-1:2 "\nn3""#]);
        assert_eq!(edits("\n", &[(1..1, "a\n")]), [r#"0:0-0:0 "\na""#]);
        assert_eq!(edits("", &[(0..0, "a\nb\n")]), [r#"0:0-1:0 "a\nb\n""#]);
    }
}
