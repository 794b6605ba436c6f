//! What a command prints while it runs, for those who watch: whole lines, at a pace that can be followed, and no more
//! than anybody reads.

use std::time::Duration;

use tokio::time::Instant;

use super::capture::readable;

/// Between two pieces.
const PACE: Duration = Duration::from_millis(50);
/// Bytes that are told at once.
const PIECE: usize = 16 << 10;
/// Bytes of a command that are told in all.
const MOST: usize = 256 << 10;

/// Gathers output and tells it in pieces.
pub struct Live<'a> {
    tell: &'a (dyn Fn(&str) + Sync),
    pending: Vec<u8>,
    told: usize,
    due: Option<Instant>,
}

impl<'a> Live<'a> {
    /// For somebody who listens.
    pub fn new(tell: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { tell, pending: Vec::new(), told: 0, due: None }
    }

    /// Takes more of it.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.told >= MOST {
            return;
        }
        self.pending.extend_from_slice(bytes);
        if self.due.is_none() {
            self.due = Some(Instant::now() + PACE);
        }
        if self.pending.len() >= PIECE {
            self.flush();
        }
    }

    /// When there is something to tell; never, if there is nothing.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells the lines there are.
    pub fn flush(&mut self) {
        self.due = None;
        let whole = match memchr::memrchr(b'\n', &self.pending) {
            Some(at) => at + 1,
            None if self.pending.len() >= PIECE => self.pending.len(),
            // Half a line may be half a letter, or half an escape.
            None => return,
        };
        let rest = self.pending.split_off(whole);
        let piece = std::mem::replace(&mut self.pending, rest);
        self.say(&piece);
    }

    /// Tells what is left; there will be no more.
    pub fn finish(mut self) {
        let piece = std::mem::take(&mut self.pending);
        if !piece.is_empty() {
            self.say(&piece);
        }
    }

    fn say(&mut self, piece: &[u8]) {
        if self.told >= MOST {
            return;
        }
        let mut text = readable(piece);
        let room = MOST - self.told;
        if text.len() >= room {
            text.truncate(text.floor_char_boundary(room));
            text.push_str("\n[more is printed than is shown while it runs]\n");
            self.told = MOST;
            self.pending = Vec::new();
        } else {
            self.told += text.len();
        }
        (self.tell)(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<String> {
        let heard = Mutex::new(Vec::new());
        let tell = |text: &str| heard.lock().unwrap().push(text.to_owned());
        let mut live = Live::new(&tell);
        for piece in pieces {
            live.push(piece);
            live.flush();
        }
        live.finish();
        heard.into_inner().unwrap()
    }

    #[tokio::test]
    async fn lines_are_told_whole_and_plain() {
        assert_eq!(
            told(&[b"on", b"e\n\x1b[3", b"1mtwo\x1b[0m\n", b"thr\xc3", b"\xa9"]),
            ["one\n", "two\n", "thr\u{e9}"]
        );
        assert_eq!(told(&[]), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_flood_is_told_up_to_a_limit_and_costs_no_memory_after_that() {
        let piece = vec![b'x'; 64 << 10];
        let pieces = vec![&piece[..]; 100];
        let heard: String = told(&pieces).concat();
        assert!(heard.len() < MOST + 100, "{}", heard.len());
        assert!(heard.ends_with("[more is printed than is shown while it runs]\n"));
    }
}
