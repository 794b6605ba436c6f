//! `ropeway init`: a configuration file that explains itself.
//!
//! It is made from the schema, which is made from the code that reads configurations: a key cannot be missing or have
//! another default here. All keys but `model` are commented out, so that profiles and the defaults of later versions keep
//! their say. A line that begins `#key` is a setting, one that begins `# ` an explanation. Keys are never asked for.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value as Json;

use super::args::InitArgs;
use super::{DONE, USAGE, complain};
use crate::config::{EnvSnapshot, ProviderKind, schema};

/// The tables in the order of the documentation; one that is missing here comes last.
const ORDER: [&str; 10] =
    ["agent", "edits", "context", "tools", "llm", "permissions", "recording", "monitor", "models", "actions"];
/// How often a question is asked again.
const PATIENCE: u32 = 3;
/// Columns of an explanation.
const WIDTH: usize = 118;

/// Writes the file, or prints it; code 2 where nobody can be asked and nothing was said.
pub(super) fn init(args: &InitArgs, env: &EnvSnapshot) -> anyhow::Result<u8> {
    let path = env.user_file();
    if !args.print {
        let Some(path) = &path else {
            bail!("there is no place for a configuration file; set HOME or ROPEWAY_CONFIG, or use --print");
        };
        // Also a link that leads nowhere is somebody's.
        if path.is_symlink() || path.exists() {
            bail!(
                "{} is there already and stays as it is; `ropeway init --print` shows what would have been written",
                path.display()
            );
        }
    }
    let kind = match (args.provider, can_be_asked()) {
        (Some(kind), _) => kind,
        (None, true) => ask(env, &mut io::stdin().lock(), &mut io::stderr().lock())?,
        (None, false) => {
            let names: Vec<_> = kinds().map(ProviderKind::name).collect();
            complain(&format!("say which provider with --provider: {}", names.join(", ")));
            return Ok(USAGE);
        }
    };
    let text = text(kind);
    match path.filter(|_| !args.print) {
        None => io::stdout().lock().write_all(text.as_bytes())?,
        Some(path) => {
            create(&path, &text)?;
            let mut out = io::stdout().lock();
            writeln!(out, "{} is written", path.display())?;
            writeln!(out, "{}", next_step(kind, env))?;
        }
    }
    Ok(DONE)
}

/// The kinds of providers that this build can talk to.
pub(super) fn kinds() -> impl Iterator<Item = ProviderKind> {
    [ProviderKind::Anthropic, ProviderKind::OpenAi, ProviderKind::Google, ProviderKind::Ollama]
        .into_iter()
        .filter(|kind| kind.supported())
}

/// A person sits at both ends.
fn can_be_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn has_key(kind: ProviderKind, env: &EnvSnapshot) -> bool {
    kind.api_key_env().is_some_and(|variable| env.os(variable).is_some())
}

fn ask(env: &EnvSnapshot, input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<ProviderKind> {
    let kinds: Vec<_> = kinds().collect();
    let Some(first) = kinds.iter().find(|kind| has_key(**kind, env)).or(kinds.first()).copied() else {
        bail!("this build was made without any provider");
    };
    writeln!(out, "Which provider?")?;
    for (nth, kind) in kinds.iter().enumerate() {
        let key = match kind.api_key_env() {
            Some(variable) if has_key(*kind, env) => format!("{variable} is set"),
            Some(variable) => format!("{variable} is not set yet"),
            None => "on your own machine, needs no key".to_owned(),
        };
        writeln!(out, "  {}) {:<10} {key}", nth + 1, kind.name())?;
    }
    for _ in 0..PATIENCE {
        write!(out, "Number or name [{}]: ", first.name())?;
        out.flush()?;
        let mut line = String::new();
        // Whoever types more than this means something else.
        if io::Read::take(&mut *input, 200).read_line(&mut line)? == 0 {
            bail!("nobody answered; say which provider with --provider");
        }
        let answer = line.trim();
        let by_number = answer.parse::<usize>().ok().and_then(|number| kinds.get(number.checked_sub(1)?));
        match by_number.or(kinds.iter().find(|kind| kind.name().eq_ignore_ascii_case(answer))) {
            Some(kind) => return Ok(*kind),
            None if answer.is_empty() => return Ok(first),
            None => writeln!(out, "That is none of them.")?,
        }
    }
    bail!("nothing was written; say which provider with --provider")
}

fn next_step(kind: ProviderKind, env: &EnvSnapshot) -> String {
    match kind.api_key_env() {
        Some(variable) if !has_key(kind, env) => {
            format!("next: put your key into {variable}, start the editor from there, and run `ropeway doctor`")
        }
        Some(_) => "next: `ropeway doctor` says whether all is well".to_owned(),
        None => "next: set `model` to one that `ollama list` shows, and run `ropeway doctor`".to_owned(),
    }
}

/// Makes the file for its owner alone. It never goes over one that is there, also if that came a moment ago.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).with_context(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(failed)?;
    if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
        // Half a file would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        return Err(error).with_context(failed);
    }
    Ok(())
}

/// The file for a user of this provider.
fn text(kind: ProviderKind) -> String {
    let schema = schema();
    let mut page = Page::default();
    page.words(
        "Ropeway's configuration. Each key stands here with its default and what it means; take the # away to set it. \
         `ropeway config check` says what is wrong with this file, `ropeway config show` what is in force. The key of a \
         provider never belongs here: it is read from an environment variable.",
    );
    page.blank();
    let model = kind.default_model();
    page.meaning(&schema["properties"]["model"], None);
    match model {
        Some(model) => page.line(&format!("model = \"{}/{model}\"", kind.name())),
        None => page.line(&format!("#model = \"{}/NAME\"", kind.name())),
    }
    page.blank();
    let profile = &schema["properties"]["profile"];
    page.meaning(profile, None);
    page.line(&format!("#profile = {}", toml(&profile["default"])));
    page.blank();
    provider(&mut page, kind, &schema["properties"]["providers"]);
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let known = ["model", "profile", "providers"];
    let mut names: Vec<&String> = properties.keys().filter(|name| !known.contains(&name.as_str())).collect();
    names.sort_by_key(|name| ORDER.iter().position(|other| other == name).unwrap_or(ORDER.len()));
    for name in names {
        let section = &properties[name];
        page.words(described(section));
        let named = &section["additionalProperties"];
        if section["items"]["properties"].is_object() {
            page.line(&format!("#[[{name}]]"));
            // What the schema has as defaults would make a dull example.
            page.table("", &section["items"], &|key| {
                EXAMPLES.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
            });
        } else if named["properties"].is_object() {
            let of = format!("{}/{}", kind.name(), model.unwrap_or("NAME"));
            page.line(&format!("#[{name}.{}]", Json::from(of)));
            page.table("", named, &|_| None);
        } else {
            page.line(&format!("[{name}]"));
            page.table("", section, &|_| None);
        }
        page.blank();
    }
    page.text
}

/// Values that somebody could want, for keys without a default.
const EXAMPLES: [(&str, &str); 16] = [
    ("max_cost_usd", "1.0"),
    ("max_tokens", "2000000"),
    ("temperature", "0.0"),
    ("context_window", "200000"),
    ("max_output_tokens", "32000"),
    ("price.input", "2.0"),
    ("price.cached_input", "0.1"),
    ("price.cache_write", "2.5"),
    ("price.output", "10.0"),
    ("id", "\"explain-sql\""),
    ("title", "\"Explain this SQL\""),
    ("prompt", "\"Explain {selection} to somebody new to SQL.\""),
    ("languages", "[\"sql\"]"),
    ("edits", "false"),
    ("tools", "[\"read_file\", \"grep\"]"),
    ("model", "\"anthropic/claude-sonnet-5-5\""),
];

fn provider(page: &mut Page, kind: ProviderKind, providers: &Json) {
    page.words(described(providers));
    page.line(&format!("[providers.{}]", kind.name()));
    let own = [
        ("kind", Json::from(kind.name())),
        ("base_url", Json::from(kind.base_url())),
        ("api_key_env", Json::from(kind.api_key_env().unwrap_or_default())),
        ("timeouts.idle_ms", Json::from(u64::try_from(kind.idle().as_millis()).unwrap_or(u64::MAX))),
    ];
    page.table("", &providers["additionalProperties"], &|key| {
        own.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string())
    });
    page.blank();
    page.words("A server of your own, or any other that imitates OpenAI:");
    page.line("#[providers.local]");
    page.line("#kind = \"openai\"");
    page.line("#base_url = \"http://127.0.0.1:8080/v1\"");
    page.line("#api_key_env = \"\"");
    page.blank();
}

fn described(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The text of the file as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.line("");
    }

    /// An explanation, in lines of a bearable width.
    fn words(&mut self, words: &str) {
        let mut line = "#".to_owned();
        for word in words.split_whitespace() {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                "#".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        if line.len() > 1 {
            self.line(&line);
        }
    }

    /// What a key means and takes.
    fn meaning(&mut self, schema: &Json, more: Option<&str>) {
        let mut words = described(schema).to_owned();
        for note in [takes(schema), more.map(str::to_owned)].into_iter().flatten() {
            let _ = write!(words, " ({note})");
        }
        self.words(&words);
    }

    /// Every key of a table with its default, commented out. `own` gives the defaults that the schema has not; keys of
    /// tables in it are dotted.
    fn table(&mut self, above: &str, table: &Json, own: &dyn Fn(&str) -> Option<String>) {
        for (name, schema) in table["properties"].as_object().into_iter().flatten() {
            let key = format!("{above}{name}");
            if schema["properties"].is_object() {
                self.table(&format!("{key}."), schema, own);
                continue;
            }
            let default = own(&key).or_else(|| schema.get("default").map(toml));
            self.meaning(schema, default.is_none().then_some("not set"));
            let example =
                || EXAMPLES.iter().find(|(name, _)| *name == key).map_or("\"\"", |(_, value)| value).to_owned();
            self.line(&format!("#{key} = {}", default.unwrap_or_else(example)));
        }
    }
}

/// What a key takes, as far as its explanation cannot know it.
fn takes(schema: &Json) -> Option<String> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        _ => None,
    }
}

/// A JSON value in TOML's spelling.
fn toml(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Json::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        plain => plain.to_string(),
    }
}
