//! The demo's hold on the terminal: lines that stay, and below them a block that is drawn over in place.
//!
//! Where nobody looks (a pipe, a file, a dumb or tiny terminal) only the lines that stay are written. Whatever ends the
//! demo, the cursor is shown again.

use std::io::{self, Write};

use crate::cli::terminal::{self, Style};

/// The smallest terminal that the block is drawn on.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// Where the demo writes.
pub struct Screen {
    style: Style,
    live: bool,
    rows: usize,
    /// Lines of the block on the terminal now.
    drawn: usize,
    out: io::Stdout,
}

impl Screen {
    /// Standard output; with a block only if `moving` and the terminal can show it.
    pub fn new(moving: bool) -> Self {
        let style = Style::stdout();
        let size = terminal::size().filter(|_| style.is_terminal());
        let fits = size.is_some_and(|(columns, rows)| columns >= COLUMNS && rows >= ROWS);
        let live = moving && fits && !terminal::is_dumb();
        let rows = size.map_or(ROWS, |(_, rows)| rows);
        Self { style, live, rows, drawn: 0, out: io::stdout() }
    }

    /// How text is coloured here.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether the block is drawn at all.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Writes a line that stays.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        let erase = self.erase();
        self.write(&format!("{erase}{line}\n"))
    }

    /// Draws the block over what was drawn before. Lines must be narrower than the terminal.
    pub fn block(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let lines = &lines[..lines.len().min(self.rows - 1)];
        let mut text = self.erase();
        if text.is_empty() {
            text.push_str("\x1b[?25l");
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        // Terminals that know the marks show the whole block at once, others ignore them.
        // A line that is too wide is cut at the edge instead of becoming two.
        self.write(&format!("\x1b[?2026h\x1b[?7l{text}\x1b[?7h\x1b[?2026l"))
    }

    /// Leaves the block where it is; what follows comes below.
    pub fn keep(&mut self) -> io::Result<()> {
        if self.drawn == 0 {
            return Ok(());
        }
        self.drawn = 0;
        self.write("\x1b[?25h")
    }

    /// What takes the block away.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            let below = if self.drawn > 0 { "\n" } else { "" };
            // The terminal may be gone; then there is no cursor to show.
            let _ = self.write(&format!("\x1b[?7h\x1b[?25h\x1b[0m{below}"));
        }
    }
}
