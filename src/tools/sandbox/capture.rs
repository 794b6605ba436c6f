//! What a command prints: its beginning and its end are kept, the rest is counted, and a terminal's tricks are undone.

use std::collections::VecDeque;

use crate::tools::output::OutputLimits;

/// Bytes of the beginning, and of the end, that are kept.
pub const KEPT: usize = 1 << 20;

/// Stand in for a tab and a carriage return while escapes are taken out, which would take these out, too.
const TAB: char = '\u{f0009}';
const RETURN: char = '\u{f000d}';

/// Output as it comes.
#[derive(Debug, Default)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    /// Takes more of it.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = KEPT - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        bytes = &rest[rest.len().saturating_sub(KEPT)..];
        let over = (self.tail.len() + bytes.len()).saturating_sub(KEPT);
        self.tail.drain(..over);
        self.tail.extend(bytes);
    }

    /// Bytes that were printed, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What people would read: the lines of the beginning, how many bytes are missing, the lines of the end.
    pub fn finish(mut self, limits: OutputLimits) -> Printed {
        let missing = self.total - self.head.len() as u64 - self.tail.len() as u64;
        if memchr::memchr(0, &self.head).is_some() {
            let text = format!("[{} bytes of output that is no text]\n", self.total);
            return Printed { text, cut: self.total > 0 };
        }
        if missing == 0 {
            self.head.extend(self.tail.drain(..));
        }
        let head = readable(&self.head);
        let tail = readable(self.tail.make_contiguous());
        fit(&head, &tail, missing, limits)
    }
}

/// Output as the model reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Printed {
    /// The lines, each ended.
    pub text: String,
    /// Whether something is missing.
    pub cut: bool,
}

/// Without escapes, and with what a progress display wrote over itself gone.
pub fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let kept: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|ch| match ch {
            '\t' => TAB,
            '\r' => RETURN,
            other => other,
        })
        .collect();
    let plain = strip_ansi_escapes::strip_str(kept);
    let mut readable = String::with_capacity(plain.len());
    for (index, line) in plain.split('\n').enumerate() {
        if index > 0 {
            readable.push('\n');
        }
        let last = line.trim_end_matches(RETURN).rsplit(RETURN).next().unwrap_or_default();
        readable.extend(last.chars().map(|ch| if ch == TAB { '\t' } else { ch }));
    }
    readable
}

/// Cuts the middle out where the whole is too long: errors stand at the beginning or at the end.
fn fit(head: &str, tail: &str, missing: u64, limits: OutputLimits) -> Printed {
    let whole = head.len() + tail.len();
    let lines = |text: &str| -> Vec<String> {
        let each = text.split_inclusive('\n').map(|line| cut_line(line.trim_end_matches('\n'), limits.line_chars));
        each.collect()
    };
    let (mut first, mut last) = (lines(head), lines(tail));
    if missing == 0 && whole <= limits.bytes {
        let cut = first.iter().chain(&last).any(|line| line.ends_with(" more characters]"));
        let mut text = first.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        return Printed { text, cut };
    }
    if last.is_empty() {
        // All is in the head: its second half is the end.
        let (mut size, mut at) = (0, first.len());
        while at > 0 && size + first[at - 1].len() < limits.bytes / 2 {
            at -= 1;
            size += first[at].len() + 1;
        }
        last = first.split_off(at);
    } else {
        // The first line of the kept end is the rest of a longer one.
        last.remove(0);
    }
    let mut text = String::new();
    let mut shown = 0;
    for line in &first {
        if text.len() + line.len() + 1 > limits.bytes / 2 {
            break;
        }
        text.push_str(line);
        text.push('\n');
        shown += 1;
    }
    let (mut size, mut from) = (0, last.len());
    while from > 0 && size + last[from - 1].len() < limits.bytes / 2 {
        from -= 1;
        size += last[from].len() + 1;
    }
    let dropped: usize = first[shown..].iter().chain(&last[..from]).map(|line| line.len() + 1).sum();
    if missing + dropped as u64 == 0 {
        last.drain(..from);
    } else {
        let gone = missing + dropped as u64;
        text.push_str(&format!("[{gone} bytes are left out here; run it again with less output, or filter it]\n"));
    }
    for line in &last[from.min(last.len())..] {
        text.push_str(line);
        text.push('\n');
    }
    Printed { text, cut: true }
}

fn cut_line(line: &str, chars: usize) -> String {
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}… [{} more characters]", &line[..end], line[end..].chars().count()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(bytes: &[u8]) -> Printed {
        let mut capture = Capture::default();
        for piece in bytes.chunks(7919) {
            capture.push(piece);
        }
        capture.finish(OutputLimits::default())
    }

    #[test]
    fn colours_progress_and_strange_bytes_become_plain_lines() {
        let text = printed(b"\x1b[31mred\x1b[0m\ta\r\n10%\r50%\r100%\nold\rnew\r\n\xff\x07end");
        assert_eq!(text, Printed { text: "red\ta\n100%\nnew\n\u{fffd}end\n".into(), cut: false });
        assert_eq!(printed(b"").text, "");
        assert!(printed(b"ELF\0\x01\x02").text.contains("6 bytes of output that is no text"));
    }

    #[test]
    fn a_long_output_keeps_its_beginning_and_its_end_and_says_what_is_missing() {
        let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let printed = printed(lines.as_bytes());
        assert!(printed.cut && printed.text.len() < OutputLimits::default().bytes + 200);
        assert!(printed.text.starts_with("line 0\nline 1\n") && printed.text.ends_with("line 19998\nline 19999\n"));
        let shown: usize =
            printed.text.lines().filter(|line| line.starts_with("line ")).map(|line| line.len() + 1).sum();
        assert!(
            printed.text.contains(&format!("[{} bytes are left out here", lines.len() - shown)),
            "{}",
            printed.text.len()
        );
    }

    #[test]
    fn a_gigabyte_costs_two_megabytes() {
        let mut capture = Capture::default();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            capture.push(&piece);
        }
        capture.push(b"\nthe end\n");
        assert!(capture.head.capacity() + capture.tail.capacity() <= 6 << 20);
        assert_eq!(capture.total(), (1 << 30) + 9);
        let printed = capture.finish(OutputLimits::default());
        assert!(printed.text.ends_with("the end\n") && printed.text.len() < 64 << 10);
    }
}
