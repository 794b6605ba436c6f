//! `ropeway tokens`: how many tokens files are, for one model.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::TokensArgs;
use super::{DONE, FAILED, complain, sources};
use crate::config::{ConfigStore, EnvSnapshot};
use crate::llm::count::{self, Tokenizer};
use crate::tokens::counter::Counter;

/// Bytes of one file that are counted, at most: more fits no window.
const LARGEST: u64 = 256 << 20;

#[derive(Serialize)]
struct Line {
    file: String,
    tokens: u64,
    bytes: usize,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    encoding: &'static str,
    /// `published`, or `estimate` where the model's own vocabulary is not public.
    basis: &'static str,
    files: &'a [Line],
    tokens: u64,
}

/// Counts; code 1 if a file could not be.
pub(super) fn tokens(args: &TokensArgs, env: EnvSnapshot) -> anyhow::Result<u8> {
    let configured = || ConfigStore::new(sources(env)).current().model.as_ref().map(ToString::to_string);
    let model = args.model.clone().or_else(configured);
    let tokenizer = count::tokenizer(model.as_deref().unwrap_or_default());
    let counter = Counter::new(0);
    let standard = [PathBuf::from("-")];
    let files = if args.files.is_empty() { &standard[..] } else { &args.files };
    let mut code = DONE;
    let mut lines = Vec::with_capacity(files.len());
    // One after another: a list of files may be larger than memory.
    for path in files {
        match read(path) {
            Ok(text) => {
                let tokens = counter.count_blocking(tokenizer.encoding, &[&text])[0];
                lines.push(Line { file: path.display().to_string(), tokens, bytes: text.len() });
            }
            Err(error) => {
                complain(&format!("{}: {error}", path.display()));
                code = FAILED;
            }
        }
    }
    let mut out = io::stdout().lock();
    if args.json {
        let report = Report {
            model: model.as_deref(),
            encoding: tokenizer.encoding.name(),
            basis: basis(tokenizer),
            files: &lines,
            tokens: lines.iter().map(|line| line.tokens).sum(),
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print(&mut out, &lines)?;
        if !tokenizer.published {
            let whose = model.as_deref().unwrap_or("a model that is not named");
            let name = tokenizer.encoding.name();
            complain(&format!("an estimate: the tokenizer of {whose} is not public, counted with {name}"));
        }
    }
    Ok(code)
}

fn basis(tokenizer: Tokenizer) -> &'static str {
    if tokenizer.published { "published" } else { "estimate" }
}

fn print(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let total: u64 = lines.iter().map(|line| line.tokens).sum();
    let width = total.to_string().len();
    for line in lines {
        writeln!(out, "{:>width$}  {}", line.tokens, super::terminal::visible(&line.file))?;
    }
    if lines.len() > 1 {
        writeln!(out, "{total:>width$}  total")?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a subcommand reads the files its user names; the server never does")]
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("larger than {} MB, which fits no window", LARGEST >> 20)));
    }
    // What is not UTF-8 is sent with replacement characters, and counted so.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
