//! What the terminal can show: colours where they are wanted, no control characters from anyone but us.
//!
//! Answers and diffs hold text of models and repositories. On a terminal an escape sequence in it could move the
//! cursor, set the title or fill the clipboard, so it is shown as a visible sign there; a pipe gets the bytes as they
//! are, because `patch` must.

use std::borrow::Cow;
use std::io::IsTerminal;

/// What a piece of text means; the terminal's own palette decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
    /// The model speaks.
    Model,
    /// Good, added.
    Good,
    /// Bad, removed.
    Bad,
    /// The user's own doing.
    You,
    /// Places and hints.
    Place,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Model => "34",
            Self::Good => "32",
            Self::Bad => "31",
            Self::You => "1;33",
            Self::Place => "36",
        }
    }
}

/// Whether to use colours, decided once for a stream.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colours: bool,
    terminal: bool,
}

impl Style {
    /// For standard output: colours on a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// For standard error, likewise.
    pub fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    /// No colours, text as it is: what a test compares.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { colours: false, terminal: false }
    }

    fn of(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: terminal && !refused && !is_dumb(), terminal }
    }

    /// Whether a person looks at it.
    pub fn is_terminal(self) -> bool {
        self.terminal
    }

    /// `text` in `ink`. The text is ours or went through [`Style::clean`].
    pub fn paint(self, ink: Ink, text: &str) -> Cow<'_, str> {
        match ink.code() {
            code if self.colours && !code.is_empty() && !text.is_empty() => {
                Cow::Owned(format!("\x1b[{code}m{text}\x1b[0m"))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Foreign text, made harmless where a terminal would act on it.
    pub fn clean(self, text: &str) -> Cow<'_, str> {
        if self.terminal { visible(text) } else { Cow::Borrowed(text) }
    }

    /// A unified diff, coloured line by line.
    pub fn diff(self, diff: &str) -> String {
        let mut out = String::with_capacity(diff.len() * 2);
        for line in diff.split_inclusive('\n') {
            let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
            let text = self.clean(text);
            let ink = match text.as_bytes() {
                [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Ink::Bold,
                [b'+', ..] => Ink::Good,
                [b'-', ..] => Ink::Bad,
                [b'@', ..] => Ink::Place,
                _ => Ink::Plain,
            };
            out.push_str(&self.paint(ink, &text));
            out.push_str(end);
        }
        out
    }
}

/// Whether the terminal cannot even move its cursor.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Columns and rows of the terminal on standard output; `None` if there is none.
#[cfg(unix)]
pub fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Columns and rows of the terminal on standard output, as terminals are made there.
#[cfg(not(unix))]
pub fn size() -> Option<(usize, usize)> {
    std::io::stdout().is_terminal().then_some((80, 25))
}

/// `text` with every control character but line end and tab shown by a sign of its own, and without characters that
/// turn the direction of the line around.
pub fn visible(text: &str) -> Cow<'_, str> {
    let acts = |ch: char| {
        (ch.is_control() && ch != '\n' && ch != '\t')
            || matches!(ch, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let shown = text.replace("\r\n", "\n");
    let sign = |ch: char| match ch {
        ch if !acts(ch) => ch,
        '\x7f' => '␡',
        ch if ch < ' ' => char::from_u32(0x2400 + ch as u32).unwrap_or('�'),
        _ => '�',
    };
    Cow::Owned(shown.chars().map(sign).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: Style = Style { colours: true, terminal: true };

    #[test]
    fn a_diff_is_coloured_by_line_and_left_alone_without_colours() {
        let diff = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z";
        assert_eq!(Style::plain().diff(diff), diff);
        let coloured = COLOURED.diff(diff);
        assert!(coloured.contains("\x1b[31m-x\x1b[0m\n\x1b[32m+y\x1b[0m\n z"), "{coloured:?}");
        assert!(coloured.contains("\x1b[1m--- a\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        let hostile = "+a\x1b]52;c;aGk=\x07b\u{9b}31m\u{202e}c\rd\r\n";
        let shown = COLOURED.diff(hostile);
        assert!(shown.contains("a␛]52;c;aGk=␇b�31m�c␍d"), "{shown:?}");
        assert_eq!(Style::plain().diff(hostile), hostile, "a pipe gets the bytes");
    }
}
