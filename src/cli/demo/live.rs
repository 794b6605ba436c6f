//! The run as it is shown while it goes on: the story's lines, the moving chart, the user's typing.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::player::Played;
use super::timeline::{Timeline, milliseconds};
use super::{REAL_PAUSE, Show, finale, sample, script};
use crate::cli::terminal::Ink;
use crate::paths::file_path;

impl Show {
    /// What the played model did.
    pub(super) fn played(&mut self, played: Played) -> Result<()> {
        let now = self.now();
        match played {
            Played::Asked => self.timeline.asked(now),
            Played::Spoke => self.timeline.spoke(now),
            Played::Call { id, label } => {
                self.timeline.call(now, &id, &label);
                if id == script::TYPING_STARTS {
                    self.typist.begin(Instant::now());
                }
            }
            Played::Written { id } => self.timeline.written(now, &id),
            Played::Done => self.timeline.done(now),
        }
        Ok(())
    }

    /// An event of the run.
    pub(super) fn event(&mut self, event: &Value) -> Result<()> {
        let now = self.now();
        let real = self.model.is_some();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["kind"].as_str().unwrap_or_default() {
            "started" if real => {
                self.timeline.asked(now);
                // A real model may answer at once or call no tool at all; the user types whatever it does.
                let pause = if self.human { REAL_PAUSE } else { Duration::ZERO };
                self.typist.begin(Instant::now() + pause);
            }
            "text" => {
                if std::mem::take(&mut self.fresh) {
                    self.said.clear();
                }
                self.said.push_str(&text("delta"));
                if real {
                    self.timeline.spoke(now);
                }
            }
            "toolStarted" => {
                if !std::mem::replace(&mut self.fresh, true) && !self.said.is_empty() {
                    let said = self.said.clone();
                    self.tell("model", &said)?;
                }
                if real {
                    self.timeline.spoke(now);
                }
                self.timeline.started(now, &text("callId"), &text("summary"));
            }
            "toolFinished" => {
                let ms = event["ms"].as_f64().unwrap_or_default();
                self.timeline.ended(now, &text("callId"), ms, event["error"].is_string());
                let refused = event["error"].as_str().map_or(String::new(), |why| format!(", refused: {why}"));
                self.tell("tool", &format!("{} ({}{refused})", text("summary"), milliseconds(ms)))?;
                if real && self.timeline.idle() {
                    self.timeline.asked(now);
                }
            }
            "staged" if file_path(&text("uri")) == Some(self.path(sample::TYPED_IN)) => self.typist.staged(),
            "retry" => self.tell("model", &format!("is asked again: {}", text("why")))?,
            "finished" => {
                let said = event["answer"].as_str().unwrap_or_default().to_owned();
                self.tell("model", &said)?;
                // What is not staged by now never will be: the user types on.
                self.typist.staged();
                self.outcome = Some(event.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Presses the next key, if it is time.
    pub(super) fn type_on(&mut self) -> Result<()> {
        while let Some(key) = self.typist.key(Instant::now()) {
            let path = self.path(sample::TYPED_IN);
            let before =
                format!("{}{}", sample::TYPED_AFTER, self.typist.typed().strip_suffix(&key).unwrap_or_default());
            let text = self.editor.text(&path).unwrap_or_default();
            let at =
                text.find(&before).ok_or_else(|| anyhow!("what was typed before is gone from {}", sample::TYPED_IN))?;
            if self.typist.count() == 1 {
                self.tell("you", &format!("type in {}: {}", sample::TYPED_IN, sample::TYPED))?;
            }
            self.editor.type_at(&path, at + before.len(), &key)?;
            let now = self.now();
            self.timeline.typed(now);
        }
        if self.typist.finished() {
            self.typed = None;
        }
        Ok(())
    }

    /// A line of the story, where no chart moves.
    pub(super) fn tell(&mut self, who: &str, what: &str) -> Result<()> {
        if self.screen.live() || what.trim().is_empty() {
            return Ok(());
        }
        let what = self.screen.style().clean(what.trim()).replace('\n', " ");
        let line = format!(" {:>7.3} s  {who:<7} {what}", self.now());
        Ok(self.screen.line(&line)?)
    }

    pub(super) fn draw(&mut self) -> Result<()> {
        self.drawn = Instant::now();
        if !self.screen.live() {
            return Ok(());
        }
        let style = self.screen.style();
        let mut lines = self.timeline.draw(self.now(), style);
        lines.extend(Timeline::legend(style));
        lines.push(String::new());
        lines.extend(finale::speech(style, &self.said));
        lines.push(String::new());
        lines.extend(self.typing());
        Ok(self.screen.block(&lines)?)
    }

    /// The place in the buffer where the user types.
    fn typing(&self) -> Vec<String> {
        if self.typist.due().is_none() && !self.typist.finished() {
            return Vec::new();
        }
        let style = self.screen.style();
        let text = self.editor.text(&self.path(sample::TYPED_IN)).unwrap_or_default();
        let Some(line) = text.lines().position(|line| line == sample::TYPED_AFTER) else { return Vec::new() };
        let typed = self.typist.typed();
        let typed = typed.trim_start_matches('\n');
        let cursor = if self.typist.finished() { "" } else { "▏" };
        let gutter = |name: &str, line: usize| {
            let (name, line) = (format!("{name:<15}"), format!("{line:>3} │ "));
            format!(" {}{}", style.paint(Ink::Place, &name), style.paint(Ink::Dim, &line))
        };
        let (typed, cursor) = (style.paint(Ink::You, typed), style.paint(Ink::You, cursor));
        let you = style.paint(Ink::Dim, "← you, meanwhile");
        vec![
            gutter(sample::TYPED_IN, line + 1) + sample::TYPED_AFTER,
            gutter("", line + 2) + &format!("{typed}{cursor}   {you}"),
        ]
    }
}
