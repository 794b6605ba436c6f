//! Code actions that the user, or a project, adds to the menu.

use serde::Serialize;

use super::keys::{TOOL_NAMES, nearest_word};
use super::model::{ModelRef, model_ref};
use super::node::Node;
use super::place::{Layer, Origin, Severity};
use super::read::{Reader, Table, Unknown, shown};
use super::values::{boolean, strings, text, texts};

/// The ids of the built-in actions, which nobody may take.
const BUILT_IN: &[&str] =
    &["fix", "fix-file", "edit", "implement", "refactor", "simplify", "document", "test", "explain", "review", "task"];

/// Actions of one layer.
const MAX_ACTIONS: usize = 64;
/// Bytes of a prompt.
const MAX_PROMPT: usize = 16 * 1024;

/// What stands for something else in a prompt, in braces: the selection with its surroundings, the file's name, the
/// diagnostics at the place, the language, and what the user says when asked. `{{` and `}}` are braces.
pub const PLACEHOLDERS: &[&str] = &["selection", "file", "diagnostics", "language", "prompt"];

/// One action of `[[actions]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserAction {
    /// Lower-case letters, digits and `-`; unique.
    pub id: String,
    /// What the menu shows.
    pub title: String,
    /// What the model is asked, with [`PLACEHOLDERS`].
    pub prompt: String,
    /// The code action kind, e.g. `refactor.rewrite`.
    pub kind: Option<String>,
    /// The language ids it is offered in; empty: all.
    pub languages: Vec<String>,
    /// Whether it may edit; else it only answers.
    pub edits: bool,
    /// The only tools it may use; absent: all that it could use otherwise.
    pub tools: Option<Vec<String>>,
    /// The model it is meant for.
    pub model: Option<ModelRef>,
    /// It comes from the project's file: its text is a stranger's.
    #[serde(skip)]
    pub from_project: bool,
    /// Where it is defined.
    #[serde(skip)]
    pub origin: Origin,
}

/// The actions of one layer; a second one of the same id is reported and left out.
pub(super) fn read_all(table: &mut Table<'_, '_, '_>) -> Vec<UserAction> {
    let mut ids: Vec<String> = Vec::new();
    table.list("actions", MAX_ACTIONS, |node, table| {
        let action = read(node, table)?;
        if ids.contains(&action.id) {
            let message = format!("the action `{}` is defined twice; give each its own id", action.id);
            table.reader.error("actions[].id", &node.span, message);
            return None;
        }
        ids.push(action.id.clone());
        Some(action)
    })
}

fn read(node: &Node, table: &mut Table<'_, '_, '_>) -> Option<UserAction> {
    let id = table.take("id", id);
    let title = table.take("title", title);
    let prompt = table.take("prompt", prompt);
    let kind = table.take("kind", kind);
    let languages = table.take("languages", strings(64, 64));
    let edits = table.take("edits", boolean);
    let tools = table.take("tools", tools);
    let model = table.take("model", model_ref);
    for key in ["id", "title", "prompt"] {
        if table.get(key).is_none() {
            table.reader.error("actions[]", &node.span, format!("an action needs `{key}`"));
        }
    }
    Some(UserAction {
        id: id?.value,
        title: title?.value,
        prompt: prompt?.value,
        kind: kind.map(|at| at.value),
        languages: languages.map(|at| at.value).unwrap_or_default(),
        edits: edits.is_none_or(|at| at.value),
        tools: tools.map(|at| at.value),
        model: model.map(|at| at.value),
        from_project: table.reader.layer() == Layer::Project,
        origin: table.reader.origin(node),
    })
}

fn id(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    let id = text(64)(reader, key, node)?;
    if BUILT_IN.contains(&id.as_str()) {
        reader.error(key, &node.span, format!("`{id}` is a built-in action; choose another id"));
        return None;
    }
    let plain = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if plain && id.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some(id);
    }
    reader.wrong(key, node, "lower-case letters, digits and `-`, beginning with a letter");
    None
}

fn title(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    let title = text(200)(reader, key, node)?;
    // A menu shows one line; a control character in it could fake another entry.
    if title.trim().is_empty() || title.chars().any(char::is_control) {
        reader.wrong(key, node, "one line of text");
        return None;
    }
    Some(title)
}

fn prompt(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    let prompt = text(MAX_PROMPT)(reader, key, node)?;
    if prompt.trim().is_empty() {
        reader.wrong(key, node, "a text that says what to do");
        return None;
    }
    let mut known = true;
    for name in placeholders(&prompt).filter(|name| !PLACEHOLDERS.contains(name)) {
        known = false;
        let braced = |name: &str| format!("{{{name}}}");
        let near = nearest_word(name, PLACEHOLDERS.iter().copied()).map(braced);
        let (word, all) = (braced(name), PLACEHOLDERS.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>());
        let unknown = Unknown {
            message: format!("nothing is put in for `{word}`"),
            word: &word,
            near: near.as_deref(),
            others: format!("there are {}, and `{{{word}}}` is the text itself", all.join(", ")),
        };
        reader.unknown_word(Severity::Error, key, node, &unknown);
    }
    known.then_some(prompt)
}

/// The names in single braces. Braces around anything else than a word are text.
fn placeholders(prompt: &str) -> impl Iterator<Item = &str> {
    let mut rest = prompt;
    std::iter::from_fn(move || {
        loop {
            let open = rest.find('{')?;
            rest = &rest[open + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                rest = after;
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            if (1..=40).contains(&end) && rest[end..].starts_with('}') {
                let name = &rest[..end];
                rest = &rest[end + 1..];
                return Some(name);
            }
        }
    })
}

fn tools(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Vec<String>> {
    let mut named = Vec::new();
    for (tool, place) in texts(64, 128)(reader, key, node)? {
        if TOOL_NAMES.contains(&tool.as_str()) {
            named.push(tool);
            continue;
        }
        reader.unknown_word(Severity::Error, key, place, &Unknown::name("tool", &tool, TOOL_NAMES));
    }
    Some(named)
}

fn kind(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    let kind = text(128)(reader, key, node)?;
    let well_formed = kind.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()));
    if !well_formed {
        reader.wrong(key, node, "a code action kind, such as \"refactor.rewrite\"");
        return None;
    }
    // Editors run these on save, and no save may call a model.
    if ["source.fixAll", "source.organizeImports"].iter().any(|on_save| kind.starts_with(on_save)) {
        let message = format!("editors run `{}` on save; choose another kind, such as \"source\"", shown(&kind));
        reader.error(key, &node.span, message);
        return None;
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_in_single_braces_are_place_holders() {
        let names = |prompt| placeholders(prompt).collect::<Vec<_>>();
        assert_eq!(names("a {selection} {x_y} {file"), ["selection", "x_y"]);
        assert_eq!(names("{{file}} {} { a } {\"a\": 1} {A} {}}"), [""; 0]);
        assert_eq!(names("{{{file}}}"), ["file"]);
        assert_eq!(names("{a{b}c}"), ["b"]);
    }
}
