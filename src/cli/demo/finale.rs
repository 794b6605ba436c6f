//! The end of the demo: what changed, what that proves, what it took, what to do next.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::timeline::{Timeline, milliseconds};
use super::{ANSWER, Show, sample};
use crate::cli::terminal::{Ink, Style};
use crate::paths::file_path;
use crate::text::{Text, diff};

/// Bytes of the whole diff at most; a real model may have rewritten everything.
const DIFF_MAX: usize = 16 << 10;
/// Columns of what the model says.
const SPEECH: usize = 76;
/// Lines of it that are shown; there is room for a sentence or two.
const SPEECH_LINES: usize = 2;

/// The end of what the model says, in as many lines as are kept free for it.
pub(super) fn speech(style: Style, said: &str) -> Vec<String> {
    let said = style.clean(said.trim());
    let mut lines: Vec<String> = wrap(&said, SPEECH - 4);
    let skip = lines.len().saturating_sub(SPEECH_LINES);
    lines.drain(..skip);
    lines.resize(SPEECH_LINES, String::new());
    let first = if said.is_empty() { "" } else { "❯ " };
    let line = |(index, line): (usize, String)| format!(" {:<2}{}", if index == 0 { first } else { "" }, line);
    lines.into_iter().enumerate().map(line).map(|line| style.paint(Ink::Model, line.trim_end()).into_owned()).collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

impl Show {
    /// Shows the result and checks it. An error if it is not what it should be.
    pub(super) fn finale(&mut self) -> Result<()> {
        let style = self.screen.style();
        let stats =
            self.editor.request("workspace/executeCommand", json!({"command": "ropeway.stats", "arguments": [{}]}))?;
        let stats = self.answer(stats, ANSWER)?;
        let outcome = self.outcome.take().unwrap_or_default();
        if self.screen.live() {
            // The chart stays, what the model says goes up into it; where it was typed shows in the diff.
            let mut lines = self.timeline.draw(self.now(), style);
            lines.extend(Timeline::legend(style));
            lines.push(String::new());
            lines.extend(speech(style, &self.said));
            self.screen.block(&lines)?;
            self.screen.keep()?;
        } else {
            self.screen.line("")?;
            for line in self.timeline.draw(self.now(), style).into_iter().chain(Timeline::legend(style)) {
                self.screen.line(&line)?;
            }
        }
        self.succeeded(&outcome)?;
        self.beat(1_200)?;
        self.screen.line("")?;
        let changed = self.show_changes(style)?;
        self.beat(900)?;
        self.screen.line("")?;
        let checks = self.checks(changed);
        for (holds, what) in &checks {
            let sign = if *holds { style.paint(Ink::Good, "✓") } else { style.paint(Ink::Bad, "✗") };
            self.screen.line(&format!(" {sign} {what}"))?;
        }
        self.screen.line("")?;
        for line in self.readout(&outcome, &stats) {
            let (name, value) = line.split_at(13);
            self.screen.line(&format!(" {}{value}", style.paint(Ink::Dim, name)))?;
        }
        let report = self.leave_report()?;
        self.editor.close()?;
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            bail!("this does not hold: {what}");
        }
        self.screen.line("")?;
        if let Some(file) = &report {
            let file = style.clean(file);
            self.screen.line(&format!(" {}{file}: open it in a browser", style.paint(Ink::Bold, "Report       ")))?;
        }
        for line in [
            "Next         your editor: the README says how; Neovim is in editors/nvim",
            "             your model:  `ropeway doctor`, then `ropeway demo --model P/M`",
            "             your code:   `ropeway run \"…\"` prints a diff and writes nothing",
            "             this run:    `ropeway demo --report FILE` leaves it as a page",
        ]
        .iter()
        .take(if report.is_some() { 3 } else { 4 })
        {
            let (name, value) = line.split_at(13);
            self.screen.line(&format!(" {}{value}", style.paint(Ink::Bold, name)))?;
        }
        self.screen.line("")?;
        Ok(())
    }

    /// Has the server write the report of the run, and leaves it where the user wants it; says where.
    fn leave_report(&mut self) -> Result<Option<String>> {
        let Some(file) = self.report.clone() else { return Ok(None) };
        let asked = json!({"command": "ropeway.report", "arguments": [{}]});
        let asked = self.editor.request("workspace/executeCommand", asked)?;
        let answer = self.answer(asked, ANSWER).context("there is no report")?;
        let made = answer["path"].as_str().unwrap_or_default();
        std::fs::copy(made, &file).with_context(|| format!("the report cannot be written to {}", file.display()))?;
        Ok(Some(file.display().to_string()))
    }

    /// Whether the run came to a good end.
    fn succeeded(&self, outcome: &Value) -> Result<()> {
        let status = outcome["status"].as_str().unwrap_or("unknown");
        let played = self.model.is_none();
        if status == "applied" || (!played && matches!(status, "conflict" | "answered" | "unchanged")) {
            return Ok(());
        }
        let error = &outcome["error"];
        let why = error["message"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        let hint = error["hint"].as_str().filter(|hint| !hint.is_empty()).map(|hint| format!("; {hint}"));
        bail!("the run ended as `{status}`{why}{}", hint.unwrap_or_default())
    }

    /// Shows the diff of all buffers and returns how many differ from the sample.
    fn show_changes(&mut self, style: Style) -> Result<usize> {
        let typed = format!("+        {}", sample::TYPED);
        let root = self.scratch.path().join("till");
        let mut shown = String::new();
        let mut changed = 0;
        for (uri, buffer) in self.editor.buffers() {
            let Some(path) = file_path(uri) else { continue };
            let Ok(name) = path.strip_prefix(&root) else { continue };
            let name = name.to_string_lossy().replace('\\', "/");
            let before = sample::file(&name).map_or("", |file| file.before);
            if before == buffer.text {
                continue;
            }
            changed += 1;
            let left = DIFF_MAX.saturating_sub(shown.len());
            shown.push_str(&diff::unified(&Text::from(before), &Text::from(buffer.text.as_str()), &name, 1, left));
        }
        for (number, line) in shown.lines().filter(|line| !line.starts_with("--- ")).enumerate() {
            if number > 0 && line.starts_with("+++ ") {
                self.screen.line("")?;
            }
            let line = match line.strip_prefix("+++ ") {
                Some(name) => style.paint(Ink::Bold, name.strip_prefix("b/").unwrap_or(name)).into_owned(),
                None if line == typed => {
                    let you = style.paint(Ink::Dim, "← what you typed");
                    format!("{}   {you}", style.paint(Ink::You, line))
                }
                None => style.diff(line),
            };
            self.screen.line(&format!(" {line}"))?;
        }
        Ok(changed)
    }

    /// What can be proven from this side.
    fn checks(&self, changed: usize) -> Vec<(bool, String)> {
        let typed_in = self.editor.text(&self.path(sample::TYPED_IN)).unwrap_or_default();
        let line = format!("        {}", sample::TYPED);
        let kept = self.typist.finished() && typed_in.lines().any(|have| have == line);
        let keys = self.typist.count();
        let mut checks = vec![(
            kept,
            format!("{keys} keys pressed in {} during the run, all of them in the text", sample::TYPED_IN),
        )];
        if self.model.is_none() {
            let expected = sample::FILES.iter().all(|file| {
                let now = self.editor.text(&self.path(file.path)).unwrap_or(file.before);
                now == file.after
            });
            let what = format!("{changed} files mended, each character as it should be: no cent is lost any more");
            checks.push((expected, what));
        }
        let untouched = sample::FILES
            .iter()
            .all(|file| self.scratch.read(&format!("till/{}", file.path)).is_ok_and(|text| text == file.before));
        let what = "every edit came through the editor: the files on disk wait for you to save".to_owned();
        checks.push((untouched, what));
        checks
    }

    /// The numbers, each line with a name of 13 columns.
    fn readout(&self, outcome: &Value, stats: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        let number = |value: &Value| value.as_f64();
        if let Some(ms) = number(&stats["latencyMs"]["firstToken"]["p50"]) {
            let calls = outcome["steps"].as_u64().unwrap_or_default();
            lines.push(format!("first token  {} after the request, median of {calls}", milliseconds(ms)));
        }
        let timing = &outcome["timing"];
        if let (Some(tools), Some(overlap)) = (number(&timing["toolMs"]), number(&timing["overlapMs"])) {
            let (early, all) = self.timeline.ahead();
            let (tools, overlap) = (milliseconds(tools), milliseconds(overlap));
            lines.push(format!("tools        {all} calls, {tools} of work, {overlap} of it overlapped"));
            if early > 0 {
                lines.push(format!("             {early} of them done while the model still spoke"));
            }
        }
        let usage = &outcome["usage"];
        let count = |name: &str| grouped(usage[name].as_u64().unwrap_or_default());
        let whose = if self.model.is_none() { " (the played model counts)" } else { "" };
        lines.push(format!(
            "tokens       {} in, {} of them cached; {} out{whose}",
            count("inputTokens"),
            count("cachedTokens"),
            count("outputTokens"),
        ));
        if let Some(cost) = number(&usage["costUsd"]) {
            lines.push(format!("cost         {cost:.4} US dollars"));
        }
        if let Some(bytes) = number(&stats["rssBytes"]).filter(|bytes| *bytes > 0.0) {
            lines.push(format!("server       {:.1} MB of memory (process {})", bytes / 1e6, self.editor.server_id()));
        }
        lines
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_kept_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn speech_takes_the_same_room_whatever_is_said() {
        for said in ["", "short", &"long words ".repeat(60), &"x".repeat(500), "a\x1b[2Jb"] {
            let lines = speech(Style::plain(), said);
            assert_eq!(lines.len(), SPEECH_LINES);
            assert!(lines.iter().all(|line| line.chars().count() < 80));
        }
        assert!(speech(Style::plain(), &"word ".repeat(60)).concat().contains("❯ word"));
    }
}
