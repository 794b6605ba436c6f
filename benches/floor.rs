//! The floor: the least that a stdio language server can do (frames, typed JSON, a rope edit), on one thread and
//! without any of our code. The suite runs it beside `ropeway` and reports ratios.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, Read, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    text_document: Opened,
}

#[derive(Deserialize)]
struct Opened {
    uri: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    #[serde(borrow)]
    text_document: Named<'a>,
    #[serde(borrow)]
    content_changes: Vec<Edit<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    uri: &'a str,
}

#[derive(Deserialize)]
struct Edit<'a> {
    range: Option<Range>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
    character: usize,
}

fn index(rope: &ropey::Rope, position: &Position) -> usize {
    let (mut left, mut index) = (position.character, rope.line_to_char(position.line));
    for ch in rope.line(position.line).chars() {
        if left < ch.len_utf16() {
            break;
        }
        left -= ch.len_utf16();
        index += 1;
    }
    index
}

fn main() {
    // Cargo starts every bench target; this one serves only when the suite starts it.
    if std::env::args().nth(1).as_deref() != Some("--serve") {
        return;
    }
    serve().unwrap_or_default();
}

fn serve() -> Option<()> {
    let mut input = std::io::BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut output = std::io::stdout().lock();
    let mut documents: HashMap<String, ropey::Rope> = HashMap::new();
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("Content-Length:") {
                length = value.trim().parse().ok()?;
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body).ok()?;
        let message: Message = serde_json::from_slice(&body).ok()?;
        match message.method.unwrap_or_default() {
            "textDocument/didOpen" => {
                let open: Open = serde_json::from_str(message.params?.get()).ok()?;
                documents.insert(open.text_document.uri, ropey::Rope::from_str(&open.text_document.text));
                body = Vec::new();
            }
            "textDocument/didChange" => {
                let change: Change = serde_json::from_str(message.params?.get()).ok()?;
                let rope = documents.get_mut(change.text_document.uri)?;
                for edit in &change.content_changes {
                    let range = edit.range.as_ref()?;
                    let (start, end) = (index(rope, &range.start), index(rope, &range.end));
                    if start < end {
                        rope.remove(start..end);
                    }
                    rope.insert(start, &edit.text);
                }
            }
            "exit" => return Some(()),
            "initialize" => reply(&mut output, message.id, "{\"capabilities\":{\"textDocumentSync\":2}}")?,
            _ => {
                if message.id.is_some() {
                    reply(&mut output, message.id, "null")?;
                }
            }
        }
    }
}

fn reply(output: &mut impl Write, id: Option<&RawValue>, result: &str) -> Option<()> {
    let id = id.map_or("null", RawValue::get);
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    output.flush().ok()
}
