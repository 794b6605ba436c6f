//! A recorded run as readable text: what was asked, said, called, changed and typed, in the order in which it happened.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use super::super::DONE;
use super::super::terminal::{Ink, Style, visible};
use super::when::{date, dollars, span};
use super::{line, list, told};
use crate::agent::restore::said;
use crate::text::{Text, diff};
use crate::trajectory::read::{Item, RunHead, Store};
use crate::trajectory::record::{
    Delivery, EditRecord, Event, FileOp, ProposedFile, Purpose, Record, Response, TextId, ToolFinished, ToolStarted,
};

/// Columns of a line that something else may follow.
const WIDTH: usize = 110;
/// Lines of a failure that are shown.
const FAILURE: usize = 6;
/// Bytes of one file's diff.
const DIFF: usize = 256 << 10;
/// Lines of arguments that are shown.
const ARGUMENTS: usize = 160;

/// Prints a run.
pub(super) fn show(store: &Store, head: &RunHead) -> Result<u8> {
    let out = io::BufWriter::new(io::stdout().lock());
    let mut page =
        Page { out, style: Style::stdout(), began: None, texts: HashMap::new(), seen: HashMap::new(), typing: None };
    page.head(head)?;
    for item in store.run(head)? {
        match item {
            Item::Record(record) => page.record(*record)?,
            Item::Damage(damage) => {
                let text = format!("[damaged: {}]", told(&damage));
                page.plain(Ink::Bad, &text)?;
            }
        }
    }
    page.typed()?;
    if head.status.is_none() {
        page.plain(Ink::Bad, if head.live { "It still goes on." } else { "It was cut off here." })?;
    }
    page.out.flush()?;
    Ok(DONE)
}

struct Page<W> {
    out: W,
    style: Style,
    /// When the run began, on the session's clock.
    began: Option<u64>,
    texts: HashMap<TextId, Arc<str>>,
    /// The user's text of each file, as far as it is known.
    seen: HashMap<String, Text>,
    /// What was typed last, which goes on until something else is told.
    typing: Option<Typing>,
}

/// Keys pressed in one file, one after the other.
struct Typing {
    path: String,
    place: String,
    from: u64,
    to: u64,
    changes: u64,
}

impl<W: Write> Page<W> {
    fn head(&mut self, head: &RunHead) -> io::Result<()> {
        let title = line(&head.title, WIDTH);
        writeln!(self.out, "{}  {title}", self.style.paint(Ink::Bold, &line(&head.run, 64)))?;
        let took = head.ended_unix_us.map(|end| format!(", {}", span(end.saturating_sub(head.started_unix_us))));
        let mut rows = vec![
            ("when", format!("{} UTC{}", date(head.started_unix_us), took.unwrap_or_default())),
            ("action", line(&head.action, WIDTH)),
            ("model", line(&head.model, WIDTH)),
            ("status", line(list::status(head), WIDTH)),
        ];
        rows.extend(head.thread.as_ref().map(|thread| ("thread", line(thread.as_str(), WIDTH))));
        let tokens = |key: &str| head.usage.get(key).and_then(Value::as_u64).unwrap_or_default();
        if head.usage.is_object() {
            let cost = list::cost(head).map(|cost| format!(", {}", dollars(cost))).unwrap_or_default();
            let (input, cached, output) = (tokens("inputTokens"), tokens("cachedTokens"), tokens("outputTokens"));
            rows.push(("tokens", format!("{input} in ({cached} from the cache), {output} out{cost}")));
        }
        if let Some(problem) = &head.problem {
            rows.push(("problem", line(problem, WIDTH)));
        }
        for (name, value) in rows {
            writeln!(self.out, "  {} {value}", self.style.paint(Ink::Dim, &format!("{name:7}")))?;
        }
        Ok(())
    }

    /// Something that happened at a time.
    fn at(&mut self, record: u64, ink: Ink, what: &str) -> io::Result<()> {
        self.typed()?;
        self.line_at(record, ink, what)
    }

    /// What was typed up to here.
    fn typed(&mut self) -> io::Result<()> {
        let Some(Typing { path, place, from, to, changes }) = self.typing.take() else { return Ok(()) };
        let much = match changes {
            1 => String::new(),
            _ => format!(", {changes} changes in {}", span(to.saturating_sub(from))),
        };
        self.line_at(from, Ink::You, &format!("you typed in {}{place}{much}", line(&path, WIDTH)))
    }

    fn line_at(&mut self, record: u64, ink: Ink, what: &str) -> io::Result<()> {
        let since = record.saturating_sub(self.began.unwrap_or(record));
        let time = format!("{:>10}", format!("{:.3} s", since as f64 / 1e6));
        let (time, what) = (self.style.paint(Ink::Dim, &time), self.style.paint(ink, what));
        writeln!(self.out, "{time}  {what}")
    }

    fn plain(&mut self, ink: Ink, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.style.paint(ink, text))
    }

    /// Text of others, set in.
    fn quote(&mut self, ink: Ink, text: &str) -> io::Result<()> {
        for shown in visible(text.trim_end()).lines() {
            writeln!(self.out, "            {}", self.style.paint(ink, shown))?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> io::Result<()> {
        let at = record.at;
        match record.event {
            Event::Text(text) => {
                if let Some(content) = text.text {
                    self.texts.insert(text.hash, content);
                }
            }
            Event::Started(started) => {
                self.began = Some(at);
                writeln!(self.out)?;
                self.at(at, Ink::You, "You")?;
                let words = if started.prompt.trim().is_empty() { &started.title } else { &started.prompt };
                self.quote(Ink::Plain, words)?;
                for problem in started.diagnostics.iter().take(20) {
                    let message = problem.get("message").and_then(Value::as_str).unwrap_or_default();
                    self.quote(Ink::Place, &line(message, WIDTH))?;
                }
            }
            Event::File(file) => {
                if let Some(text) = file.text.and_then(|id| self.texts.get(&id)) {
                    self.seen.insert(file.path, Text::from(&**text));
                }
            }
            Event::Opened(opened) => {
                self.at(at, Ink::You, &format!("you opened {}", line(&opened.path, WIDTH)))?;
                if let Some(text) = self.texts.get(&opened.text) {
                    self.seen.insert(opened.path, Text::from(&**text));
                }
            }
            Event::Closed(place) => self.at(at, Ink::You, &format!("you closed {}", line(&place.path, WIDTH)))?,
            Event::Saved(place) => self.at(at, Ink::You, &format!("you saved {}", line(&place.path, WIDTH)))?,
            Event::Typed(typed) => {
                let place = self.type_in(&typed.path, &typed.edits);
                match &mut self.typing {
                    _ if typed.landed => {
                        let path = line(&typed.path, WIDTH);
                        self.at(at, Ink::Good, &format!("the editor applied the edits of {path}"))?;
                    }
                    Some(typing) if typing.path == typed.path => {
                        typing.changes += 1;
                        typing.to = at;
                    }
                    _ => {
                        self.typed()?;
                        self.typing = Some(Typing { path: typed.path, place, from: at, to: at, changes: 1 });
                    }
                }
            }
            Event::Response(response) => self.response(at, &response)?,
            Event::ToolStarted(tool) => self.tool_started(at, &tool)?,
            Event::ToolFinished(tool) => self.tool_finished(at, &tool)?,
            Event::Staged(staged) => self.staged(at, &staged.path, staged.op, staged.from.as_deref(), &staged.edits)?,
            Event::Proposal(proposal) => {
                self.at(at, Ink::Bold, "What it wants, all in all")?;
                for file in &proposal.files {
                    self.proposed(file)?;
                }
            }
            Event::Delivery(delivery) => self.delivery(at, &delivery)?,
            Event::Approval(asked) => match &asked.answer {
                None => self.at(at, Ink::You, &format!("asked: {}", line(&asked.message, 400)))?,
                Some(answer) => self.at(at, Ink::You, &format!("answered: {}", line(answer, WIDTH)))?,
            },
            Event::Retry(retry) => {
                let wait = span(retry.wait_us);
                let why = line(&retry.why, 400);
                self.at(at, Ink::Bad, &format!("attempt {} failed: {why}; again in {wait}", retry.attempt))?;
            }
            Event::Compacted(sizes) => {
                let (before, after) = (sizes.before, sizes.after);
                let text = format!(
                    "made room: {} messages and {} tokens became {} and {}",
                    before.messages, before.tokens, after.messages, after.tokens
                );
                self.at(at, Ink::Place, &text)?;
            }
            Event::PrefixBroken(why) => {
                self.at(at, Ink::Dim, &format!("the cached beginning is lost: {}", line(&why.why, 400)))?;
            }
            Event::Broken(why) => self.at(at, Ink::Bad, &format!("broke down: {}", line(&why.why, 400)))?,
            Event::Finished(finished) => self.outcome(at, &finished.outcome)?,
            Event::Gap(gap) => {
                let text = format!("[{} records are missing here: {}]", gap.lost, line(&gap.why, 400));
                self.plain(Ink::Bad, &text)?;
            }
            Event::Dropped(dropped) => {
                let text = format!("[a `{}` of {} bytes was not kept]", line(&dropped.of, 40), dropped.bytes);
                self.plain(Ink::Dim, &text)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows what was typed; says where, if that is known.
    fn type_in(&mut self, path: &str, edits: &[EditRecord]) -> String {
        let Some(text) = self.seen.get_mut(path) else { return String::new() };
        let mut place = String::new();
        for (number, edit) in edits.iter().enumerate() {
            if number == 0 && edit.start <= text.len() {
                place = format!(":{}", text.line_at(edit.start) + 1);
            }
            match said::edited(text, std::slice::from_ref(edit)) {
                Some(after) => *text = after,
                None => {
                    self.seen.remove(path);
                    break;
                }
            }
        }
        place
    }

    fn response(&mut self, at: u64, response: &Response) -> io::Result<()> {
        let step = match response.purpose {
            Purpose::Turn => format!("model, step {}", response.step),
            Purpose::Summary => "model, a summary to make room".to_owned(),
        };
        let mut facts = vec![span(response.timing.total_us)];
        facts.extend(response.timing.first_token_us.map(|us| format!("first token after {}", span(us))));
        if let Some(usage) = response.usage {
            let (input, cached, output) = (usage.input_tokens, usage.cached_tokens, usage.output_tokens);
            facts.push(format!("{input} in ({cached} from the cache), {output} out"));
        }
        facts.extend(response.cost_usd.map(dollars));
        self.at(at, Ink::Model, &format!("{step}: {}", facts.join("; ")))?;
        if let Some(turn) = &response.turn {
            self.quote(Ink::Plain, &turn.text)?;
        }
        if let Some(error) = &response.error {
            self.quote(Ink::Bad, &format!("failed ({}): {}", error.kind, error.message))?;
        }
        if response.abandoned {
            self.quote(Ink::Dim, "nobody waited for its end")?;
        }
        Ok(())
    }

    fn tool_started(&mut self, at: u64, tool: &ToolStarted) -> io::Result<()> {
        let beside = if tool.beside > 1 { format!(", {} at a time", tool.beside) } else { String::new() };
        let waited = if tool.waited_us >= 1_000 { format!(", waited {}", span(tool.waited_us)) } else { String::new() };
        self.at(at, Ink::Place, &format!("→ {}{waited}{beside}", line(&tool.summary, WIDTH)))?;
        self.quote(Ink::Dim, &line(&format!("{} {}", tool.tool, tool.arguments), ARGUMENTS))
    }

    fn tool_finished(&mut self, at: u64, tool: &ToolFinished) -> io::Result<()> {
        let took = match (tool.ran_us, tool.cached) {
            (_, true) => "remembered".to_owned(),
            (Some(ran), false) => span(ran),
            (None, false) => "did not run".to_owned(),
        };
        let ink = if tool.is_error { Ink::Bad } else { Ink::Good };
        self.at(at, ink, &format!("← {} ({took}, {} bytes)", line(&tool.summary, WIDTH), tool.result.len()))?;
        if tool.is_error {
            let first: Vec<&str> = tool.result.lines().take(FAILURE).collect();
            self.quote(Ink::Bad, &first.join("\n"))?;
        }
        Ok(())
    }

    fn staged(&mut self, at: u64, path: &str, op: FileOp, from: Option<&str>, edits: &[EditRecord]) -> io::Result<()> {
        let shown = line(path, WIDTH);
        let what = match op {
            FileOp::Edited if edits.len() == 1 => format!("staged a change of {shown}"),
            FileOp::Edited => format!("staged changes of {shown} in {} places", edits.len()),
            FileOp::Created => format!("staged a new file, {shown}"),
            FileOp::Deleted => format!("staged the removal of {shown}"),
            FileOp::Renamed => format!("staged another name for {}: {shown}", line(from.unwrap_or_default(), WIDTH)),
        };
        self.at(at, Ink::Plain, &what)
    }

    fn proposed(&mut self, file: &ProposedFile) -> io::Result<()> {
        let text = |id: &TextId| self.texts.get(id).map(|text| Text::from(&**text));
        let path = line(&file.path, 400);
        let (Some(before), Some(after)) = (text(&file.before), text(&file.after)) else {
            return self.quote(Ink::Dim, &format!("{path}: its text was not kept"));
        };
        let (before, after) = match file.op {
            FileOp::Created => (None, Some(&after)),
            FileOp::Deleted => (Some(&before), None),
            FileOp::Edited | FileOp::Renamed => (Some(&before), Some(&after)),
        };
        let patch = diff::unified_file(before, after, &path, 3, DIFF);
        let patch = self.style.diff(&visible(&patch));
        for line in patch.lines() {
            writeln!(self.out, "            {line}")?;
        }
        Ok(())
    }

    fn delivery(&mut self, at: u64, delivery: &Delivery) -> io::Result<()> {
        let what = if delivery.what == "undo" { "took back" } else { "sent to the editor" };
        let paths = line(&delivery.paths.join(", "), WIDTH);
        let why = delivery.why.as_deref().map(|why| format!(" ({})", line(why, 400))).unwrap_or_default();
        let ink = if delivery.fate == "landed" { Ink::Good } else { Ink::Bad };
        let (fate, took) = (line(&delivery.fate, 40), span(delivery.took_us));
        self.at(at, ink, &format!("{what}: {paths}: {fate}{why}, after {took}"))
    }

    fn outcome(&mut self, at: u64, outcome: &Value) -> io::Result<()> {
        let word = |key: &str| outcome.get(key).and_then(Value::as_str).unwrap_or_default();
        let status = word("status");
        let ink = if matches!(status, "failed" | "conflict" | "unknown") { Ink::Bad } else { Ink::Good };
        self.at(at, ink, &format!("ended: {}", line(status, 40)))?;
        if let Some(message) = outcome.pointer("/error/message").and_then(Value::as_str) {
            self.quote(Ink::Bad, message)?;
        }
        self.quote(Ink::Plain, word("answer"))?;
        let files = outcome.get("files").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for file in files.iter().take(1_000) {
            let uri = file.get("uri").and_then(Value::as_str).unwrap_or_default();
            let edits = file.get("edits").and_then(Value::as_u64).unwrap_or_default();
            let left_out = file.get("conflicts").and_then(Value::as_array).map_or(0, Vec::len);
            let clash = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
            let edits = if edits == 1 { "1 edit".to_owned() } else { format!("{edits} edits") };
            self.quote(Ink::Dim, &format!("{}: {edits}{clash}", line(uri, 400)))?;
        }
        Ok(())
    }
}
