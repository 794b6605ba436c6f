//! What the client can do, resolved once into plain values, and what we say that we can do.
//!
//! Everything is read from the raw `initialize` message, never from the protocol's typed structs: real clients send
//! parts that these refuse (Neovim 0.9.1 sends `callHierarchy` as a list), and one strange value must not cost the
//! session. What is missing or strange counts as not offered.

use serde_json::Value;
use tower_lsp::gen_lsp_types as lsp;

use super::commands;
use crate::agent::action::KINDS;
use crate::host::HostAbilities;
use crate::text::Encoding;

/// Most folders a client may bring.
const MAX_FOLDERS: usize = 64;
/// Longest name of a client or folder that is kept, in characters.
const MAX_NAME: usize = 200;

/// A workspace folder as the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its URI, as spelt.
    pub uri: String,
    /// Its name; empty if the client gave none.
    pub name: String,
}

/// What the client can do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// What columns are counted in.
    pub encoding: Encoding,
    /// `workspace/applyEdit` is answered.
    pub apply_edit: bool,
    /// Edits go as `documentChanges`, with versions. Also for Neovim, which applies them without saying so.
    pub document_changes: bool,
    /// Files can be created by an edit.
    pub create: bool,
    /// Files can be renamed by an edit.
    pub rename: bool,
    /// Files can be deleted by an edit.
    pub delete: bool,
    /// Text edits of one request are applied all or not at all.
    pub transactional: bool,
    /// Edits can carry annotations, by which the user is asked first.
    pub change_annotations: bool,
    /// Code actions may be literals, not only commands.
    pub action_literals: bool,
    /// Code actions may carry data.
    pub action_data: bool,
    /// Which properties of a code action the client resolves later.
    pub action_resolve: Vec<String>,
    /// Code actions may be marked as preferred.
    pub action_preferred: bool,
    /// The server may show progress.
    pub progress: bool,
    /// `window/showDocument` is answered.
    pub show_document: bool,
    /// `workspace/configuration` is answered.
    pub configuration: bool,
    /// The server may ask to be told when settings change.
    pub settings_registered: bool,
    /// File watchers can be registered.
    pub watched_files: bool,
    /// `ropeway/status` is wanted.
    pub status: bool,
    /// `ropeway/event` is wanted.
    pub events: bool,
    /// What the client says about trust in the workspace; `None` if it says nothing.
    pub trusted: Option<bool>,
    /// Settings that came along (`initializationOptions.settings`).
    pub settings: Option<Value>,
    /// Name of the client; empty if it has none.
    pub client_name: String,
    /// Version of the client; empty if it gives none.
    pub client_version: String,
    /// The process that started us, if it says so.
    pub process_id: Option<i32>,
    /// The folders of the workspace; from `rootUri` or `rootPath` where the client knows no folders.
    pub folders: Vec<Folder>,
}

impl Capabilities {
    /// Reads the parameters of `initialize`, whatever they are.
    pub fn resolve(params: &Value) -> Self {
        let at = |path: &str| params.pointer(path);
        let yes = |path: &str| at(path).and_then(Value::as_bool) == Some(true);
        let object = |path: &str| at(path).is_some_and(Value::is_object);
        let name = |path: &str| at(path).and_then(Value::as_str).map(cut).unwrap_or_default();
        let list = |path: &str| -> Vec<String> {
            let items = at(path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let client_name = name("/clientInfo/name");
        let operations = list("/capabilities/workspace/workspaceEdit/resourceOperations");
        let operation = |name: &str| operations.iter().any(|operation| operation == name);
        let options = "/initializationOptions";
        Self {
            encoding: encoding(&list("/capabilities/general/positionEncodings")),
            apply_edit: yes("/capabilities/workspace/applyEdit"),
            document_changes: yes("/capabilities/workspace/workspaceEdit/documentChanges")
                || !operations.is_empty()
                || client_name.eq_ignore_ascii_case("neovim"),
            create: operation("create"),
            rename: operation("rename"),
            delete: operation("delete"),
            transactional: matches!(
                at("/capabilities/workspace/workspaceEdit/failureHandling").and_then(Value::as_str),
                Some("transactional" | "textOnlyTransactional")
            ),
            change_annotations: object("/capabilities/workspace/workspaceEdit/changeAnnotationSupport"),
            action_literals: object("/capabilities/textDocument/codeAction/codeActionLiteralSupport"),
            action_data: yes("/capabilities/textDocument/codeAction/dataSupport"),
            action_resolve: list("/capabilities/textDocument/codeAction/resolveSupport/properties"),
            action_preferred: yes("/capabilities/textDocument/codeAction/isPreferredSupport"),
            progress: yes("/capabilities/window/workDoneProgress"),
            show_document: yes("/capabilities/window/showDocument/support"),
            configuration: yes("/capabilities/workspace/configuration"),
            settings_registered: yes("/capabilities/workspace/didChangeConfiguration/dynamicRegistration"),
            watched_files: yes("/capabilities/workspace/didChangeWatchedFiles/dynamicRegistration"),
            status: yes(&format!("{options}/status")),
            events: yes(&format!("{options}/events")),
            trusted: at(&format!("{options}/trusted")).and_then(Value::as_bool),
            settings: at(&format!("{options}/settings")).filter(|settings| settings.is_object()).cloned(),
            client_version: name("/clientInfo/version"),
            process_id: at("/processId")
                .and_then(Value::as_i64)
                .and_then(|id| i32::try_from(id).ok())
                .filter(|id| *id > 1),
            folders: first_folders(params),
            client_name,
        }
    }

    /// The part of this that changes what the agent does.
    pub fn abilities(&self) -> HostAbilities {
        HostAbilities {
            apply_edit: self.apply_edit,
            transactional: self.transactional,
            create: self.document_changes && self.create,
            delete: self.document_changes && self.delete,
            rename: self.document_changes && self.rename,
            confirm: self.document_changes && self.change_annotations,
            events: self.events,
        }
    }

    /// Our answer to `initialize`.
    pub fn answer(&self, version: &str) -> lsp::InitializeResult {
        // A user's own actions are rewrites unless they say otherwise.
        let kinds = KINDS.iter().chain(&["refactor.rewrite"]);
        let kinds: Vec<_> = kinds.map(|kind| lsp::CodeActionKind::from((*kind).to_owned())).collect();
        lsp::InitializeResult {
            server_info: Some(lsp::ServerInfo { name: "ropeway".into(), version: Some(version.to_owned()) }),
            capabilities: lsp::ServerCapabilities {
                position_encoding: Some(match self.encoding {
                    Encoding::Utf8 => lsp::PositionEncodingKind::UTF8,
                    Encoding::Utf16 => lsp::PositionEncodingKind::UTF16,
                    Encoding::Utf32 => lsp::PositionEncodingKind::UTF32,
                }),
                text_document_sync: Some(lsp::TextDocumentSync::Options(lsp::TextDocumentSyncOptions {
                    open_close: Some(true),
                    change: Some(lsp::TextDocumentSyncKind::Incremental),
                    save: Some(lsp::Save::SaveOptions(lsp::SaveOptions { include_text: Some(false) })),
                    ..Default::default()
                })),
                code_action_provider: Some(lsp::CodeActionProvider::CodeActionOptions(lsp::CodeActionOptions {
                    code_action_kinds: Some(kinds),
                    ..Default::default()
                })),
                execute_command_provider: Some(lsp::ExecuteCommandOptions {
                    commands: commands::ALL.map(str::to_owned).to_vec(),
                    ..Default::default()
                }),
                workspace: Some(lsp::WorkspaceOptions {
                    workspace_folders: Some(lsp::WorkspaceFoldersServerCapabilities {
                        supported: Some(true),
                        change_notifications: Some(true.into()),
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            },
        }
    }
}

/// UTF-8 if it is offered, since our text is; else what is offered, UTF-16 being what every client knows.
fn encoding(offered: &[String]) -> Encoding {
    let offers = |name: &str| offered.iter().any(|offer| offer == name);
    if offers("utf-8") {
        Encoding::Utf8
    } else if offers("utf-32") && !offers("utf-16") {
        Encoding::Utf32
    } else {
        Encoding::Utf16
    }
}

fn first_folders(params: &Value) -> Vec<Folder> {
    let named = folders(params.get("workspaceFolders"));
    if !named.is_empty() {
        return named;
    }
    let text = |key: &str| params.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let uri = text("rootUri").map(str::to_owned).or_else(|| {
        let path = std::path::Path::new(text("rootPath")?);
        path.is_absolute().then(|| crate::paths::file_uri(path))
    });
    uri.into_iter().map(|uri| Folder { uri, name: String::new() }).collect()
}

/// The folders in a list of `WorkspaceFolder`; what is none is left out.
pub fn folders(list: Option<&Value>) -> Vec<Folder> {
    let list = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |folder: &Value, key: &str| folder.get(key).and_then(Value::as_str).map(str::to_owned);
    list.iter()
        .filter_map(|folder| {
            let uri = text(folder, "uri").filter(|uri| !uri.is_empty())?;
            Some(Folder { uri, name: text(folder, "name").map(|name| cut(&name)).unwrap_or_default() })
        })
        .take(MAX_FOLDERS)
        .collect()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn utf_8_is_preferred_and_utf_16_is_the_default() {
        let chosen = |offers: Value| {
            Capabilities::resolve(&json!({"capabilities": {"general": {"positionEncodings": offers}}})).encoding
        };
        assert_eq!(chosen(json!(["utf-32", "utf-16", "utf-8"])), Encoding::Utf8);
        assert_eq!(chosen(json!(["utf-32", "utf-16"])), Encoding::Utf16);
        assert_eq!(chosen(json!(["utf-32"])), Encoding::Utf32);
        assert_eq!(chosen(json!(["utf-7", 5])), Encoding::Utf16);
        assert_eq!(chosen(json!("utf-8")), Encoding::Utf16);
        assert_eq!(Capabilities::resolve(&Value::Null).encoding, Encoding::Utf16);
    }

    #[test]
    fn folders_come_from_whatever_the_client_knows() {
        let folders = |params: Value| {
            let resolved = Capabilities::resolve(&params).folders;
            resolved.into_iter().map(|folder| folder.uri).collect::<Vec<_>>()
        };
        let both =
            json!({"workspaceFolders": [{"uri": "file:///a", "name": "a"}, {"name": "x"}, 7], "rootUri": "file:///b"});
        assert_eq!(folders(both), ["file:///a"]);
        assert_eq!(folders(json!({"workspaceFolders": null, "rootUri": "file:///b", "rootPath": "/c"})), ["file:///b"]);
        assert_eq!(folders(json!({"rootUri": null, "rootPath": "/c"})), ["file:///c"]);
        assert!(folders(json!({"rootUri": "", "rootPath": "relative"})).is_empty());
        assert!(folders(json!([])).is_empty());
    }

    #[test]
    fn strange_values_count_as_not_offered() {
        let strange = json!({
            "processId": -1,
            "clientInfo": [],
            "capabilities": {"workspace": {"applyEdit": "yes", "workspaceEdit": [], "configuration": 1}, "window": 7},
            "initializationOptions": {"status": "true", "trusted": null, "settings": []},
        });
        assert_eq!(Capabilities::resolve(&strange), Capabilities::default());
    }
}
