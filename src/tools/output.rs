//! What a tool gives back to the model, always within a cap.
//!
//! An [`Output`] can only be made here, so no tool can flood the model's window: long lines are cut, the whole is cut
//! at a line, and what is missing is said together with the way to get it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::paths::WsPath;
use crate::workspace::Look;

/// Most characters of one remark of a tool about its own result.
const MAX_NOTE: usize = 600;

/// Bounds of one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Most bytes of a whole result, notes not counted.
    pub bytes: usize,
    /// Most characters of one line.
    pub line_chars: usize,
}

impl Default for OutputLimits {
    fn default() -> Self {
        // About 8,000 tokens: one result in a hundred windows' worth, and two screens of a model's attention.
        Self { bytes: 32 << 10, line_chars: 2_000 }
    }
}

/// A finished result.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    text: Arc<str>,
    cut: bool,
    hurried: bool,
    excerpt: Option<Arc<Excerpt>>,
    made_from: Option<Look>,
}

/// Which lines of which file a result shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The file, links resolved.
    pub path: WsPath,
    /// Its lines, from 0.
    pub lines: Range<usize>,
    /// The lines it has.
    pub total: usize,
    /// The lines that were asked for at most.
    pub limit: u64,
    /// Bytes of the result that are these lines, with their numbers.
    pub bytes: usize,
    /// Names the text that they are of.
    pub look: Look,
}

impl Output {
    /// A text that was a result before, as it stands.
    pub fn again(text: Arc<str>) -> Self {
        Self { text, cut: false, hurried: false, excerpt: None, made_from: None }
    }

    /// What the model reads.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether it might have come out otherwise with more time, so that it is not to be remembered.
    pub fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// The same, not to be remembered.
    pub(super) fn hurry(self) -> Self {
        Self { hurried: true, ..self }
    }

    /// Which lines of a file it shows, if it does.
    pub fn excerpt(&self) -> Option<&Excerpt> {
        self.excerpt.as_deref()
    }

    /// The text that it was made from, if it was one.
    pub(super) fn look(&self) -> Option<Look> {
        self.made_from
    }

    /// The same, known as made from this one text.
    pub(super) fn made_from(self, look: Look) -> Self {
        Self { made_from: Some(look), ..self }
    }

    /// The same, known as lines of a file.
    pub(super) fn showing(self, excerpt: Excerpt) -> Self {
        Self { made_from: Some(excerpt.look), excerpt: Some(Arc::new(excerpt)), ..self }
    }

    /// Whether something is missing; the text then says what and how to get it.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} bytes{})", self.text.len(), if self.cut { ", cut" } else { "" })
    }
}

/// Caps a text that is there already. `rest` says how to get what was cut.
pub fn cap(text: &str, limits: OutputLimits, rest: &str) -> Output {
    let mut report = Report::new(limits);
    let mut lines = text.lines();
    let mut missing = 0;
    for line in lines.by_ref() {
        if !report.line(line) {
            missing = 1 + line.len();
            break;
        }
    }
    missing += lines.map(|line| 1 + line.len()).sum::<usize>();
    if missing > 0 {
        report.cut(format_args!("[{missing} more bytes are not shown. {rest}]"));
    }
    report.finish()
}

/// A result in the making, line by line. A tool stops producing once a line finds no room.
#[derive(Debug)]
pub struct Report {
    text: String,
    notes: String,
    limits: OutputLimits,
    full: bool,
    cut: bool,
    hurried: bool,
}

impl Report {
    /// An empty result.
    pub fn new(limits: OutputLimits) -> Self {
        Self { text: pooled(), notes: String::new(), limits, full: false, cut: false, hurried: false }
    }

    /// What is missing is missing for want of time: another time there may be more.
    pub fn hurried(&mut self) {
        self.hurried = true;
    }

    /// Bytes of lines so far.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Adds a line, cut if it is long; `false` if there is no room left, now or before, and nothing was added.
    pub fn line(&mut self, line: &str) -> bool {
        self.prefixed("", line)
    }

    /// As [`Report::line`], with a prefix (a line number) that is never cut.
    pub fn prefixed(&mut self, prefix: &str, line: &str) -> bool {
        let (shown, hidden) = cut_line(line, self.limits.line_chars);
        // Room for the sentence about the cut, so that the sum is right before the sentence is made.
        let extra = if hidden > 0 { 40 } else { 0 };
        let needed = prefix.len() + shown.len() + extra + 1;
        if self.full || self.text.len() + needed > self.limits.bytes {
            self.full = true;
            return false;
        }
        self.text.push_str(prefix);
        self.text.push_str(shown);
        if hidden > 0 {
            self.cut = true;
            self.text.push_str(&format!("… [{hidden} more characters]"));
        }
        self.text.push('\n');
        true
    }

    /// Whether a line has found no room.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Bytes that lines may still take.
    pub fn room(&self) -> usize {
        if self.full { 0 } else { self.limits.bytes.saturating_sub(self.text.len()) }
    }

    /// Adds a remark at the end; it needs no room. Remarks are the tool's own words and must be short.
    pub fn note(&mut self, note: fmt::Arguments<'_>) {
        let note = note.to_string();
        self.notes.push_str(cut_line(&note, MAX_NOTE).0);
        self.notes.push('\n');
    }

    /// As [`Report::note`], for what is missing and how to get it.
    pub fn cut(&mut self, note: fmt::Arguments<'_>) {
        self.cut = true;
        self.note(note);
    }

    /// The result, without a line end at its end.
    pub fn finish(mut self) -> Output {
        let mut text = std::mem::take(&mut self.text);
        text.push_str(&self.notes);
        let shown = text.strip_suffix('\n').unwrap_or(&text);
        let (text_of, cut) = (Arc::from(shown), self.cut || self.full);
        give_back(text);
        Output { text: text_of, cut, hurried: self.hurried, excerpt: None, made_from: None }
    }
}

/// Buffers kept for the next result. A result is copied out of its buffer at its exact size anyway, and a buffer that
/// has grown to that size need not grow again.
static POOL: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Buffers kept: as many as calls run at a time on a large machine.
const POOLED: usize = 32;

/// Largest buffer kept, in bytes: the cap of a result with its notes.
const MAX_POOLED: usize = 64 << 10;

/// A buffer of the pool, or a new one where there is none, or where to ask for it would mean to wait.
fn pooled() -> String {
    POOL.try_lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default()
}

fn give_back(mut buffer: String) {
    if (1..=MAX_POOLED).contains(&buffer.capacity())
        && let Ok(mut pool) = POOL.try_lock()
        && pool.len() < POOLED
    {
        buffer.clear();
        pool.push(buffer);
    }
}

/// The first `chars` characters of a line and how many more there are.
fn cut_line(line: &str, chars: usize) -> (&str, usize) {
    if line.len() <= chars {
        return (line, 0);
    }
    match line.char_indices().nth(chars) {
        Some((end, _)) => (&line[..end], line[end..].chars().count()),
        None => (line, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: OutputLimits = OutputLimits { bytes: 100, line_chars: 10 };

    #[test]
    fn a_short_text_passes_as_it_is() {
        let output = cap("one\ntwo", SMALL, "ask again");
        assert_eq!((&**output.text(), output.is_cut()), ("one\ntwo", false));
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_says_so() {
        let output = cap("ääääääääääää\nb", SMALL, "");
        assert_eq!((&**output.text(), output.is_cut()), ("ääääääääää… [2 more characters]\nb", true));
    }

    #[test]
    fn a_long_text_is_cut_at_a_line_and_says_how_to_get_the_rest() {
        let text = "12345678\n".repeat(20);
        let output = cap(&text, SMALL, "Ask with offset.");
        assert!(output.is_cut());
        assert_eq!(output.text().lines().filter(|line| *line == "12345678").count(), 11);
        assert!(output.text().ends_with("[81 more bytes are not shown. Ask with offset.]"));
    }

    #[test]
    fn nothing_is_added_after_the_first_line_without_room() {
        let mut report = Report::new(OutputLimits { bytes: 12, line_chars: 100 });
        assert!(report.line("12345678"));
        assert!(!report.line("12345678"));
        assert!(!report.line("x"));
        report.note(format_args!("and a note"));
        assert_eq!(&**report.finish().text(), "12345678\nand a note");
    }

    #[test]
    fn a_gigabyte_of_one_line_costs_no_gigabyte_of_result() {
        let output = cap(&"x".repeat(8 << 20), OutputLimits::default(), "");
        assert!(output.text().len() < 2_100);
        assert!(output.text().ends_with("… [8386608 more characters]"));
    }

    #[test]
    fn a_buffer_of_an_earlier_result_leaves_no_trace_and_the_pool_stays_small() {
        let fresh: Vec<_> = (0..3).map(|n| cap(&"x\n".repeat(n * 100), SMALL, "rest")).collect();
        let held: Vec<_> = (0..2 * POOLED).map(|_| Report::new(SMALL)).collect();
        // With the pool emptied by others the result is the same.
        let again: Vec<_> = (0..3).map(|n| cap(&"x\n".repeat(n * 100), SMALL, "rest")).collect();
        assert_eq!(fresh, again);
        for mut report in held {
            report.line("y");
            report.finish();
        }
        give_back(String::with_capacity(MAX_POOLED + 1));
        let pool = POOL.lock().unwrap();
        assert!(pool.len() <= POOLED);
        assert!(pool.iter().all(|buffer| buffer.is_empty() && buffer.capacity() <= MAX_POOLED));
    }

    #[test]
    fn results_never_pass_the_cap_by_more_than_their_notes() {
        for line in [0, 1, 7, 10, 11, 500] {
            let text = format!("{}\n", "y".repeat(line)).repeat(300);
            let output = cap(&text, SMALL, "rest");
            assert!(output.text().len() <= SMALL.bytes + 60, "{line}: {}", output.text().len());
        }
    }
}
