//! Events that repeat the one before them but for a few letters.
//!
//! The answer of a model is thousands of events, of which each is the last one again, byte for byte, around a new
//! piece of text. One of them is parsed; from then on the frame is compared and the piece taken out of it, for a
//! fraction of the time that parsing the whole would take. What does not compare is parsed as ever, so a frame decides how
//! fast an event is read, never what it means.

use crate::llm::surrogates::Wtf;

/// Frames remembered at a time: text, thinking and the arguments of calls may take turns.
const MOST: usize = 4;
/// Bytes of a frame; events with more around a text are not many.
const MAX_FRAME: usize = 2 << 10;
/// So many frames may be remembered in vain before it is left.
const IN_VAIN: u32 = 32;

/// What stands between two parts of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The string that is looked for; each frame has one.
    Text,
    /// Any other string.
    String,
    /// A number without sign, fraction and exponent.
    Number,
}

impl Gap {
    /// How many bytes of `rest` fill it; `None` if it is something else, or would have to be looked at closely.
    fn fill(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Text => string(rest).filter(|len| std::str::from_utf8(&rest[..*len]).is_ok()),
            Self::String => string(rest).filter(|len| !rest[..*len].contains(&b'\\') && rest[..*len].is_ascii()),
            Self::Number => {
                let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                (len == 1 || (len > 1 && rest[0] != b'0')).then_some(len)
            }
        }
    }
}

/// The length of a JSON string with its quotes; `None` if there is none, or a byte that has no business in it.
fn string(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    if rest.first() != Some(&b'"') {
        return None;
    }
    loop {
        let next = memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        at += next;
        if rest[at] == b'"' {
            return (!rest[1..at].iter().any(|byte| *byte < b' ')).then_some(at + 1);
        }
        at += 2;
    }
}

/// A string that stands in `event`, which `inner` is the inside of, with its quotes. `None` if it had escapes.
pub(crate) fn quoted<'e>(event: &'e str, inner: &Wtf<'_>) -> Option<&'e str> {
    let start = (inner.0.as_ptr() as usize).checked_sub(event.as_ptr() as usize)?.checked_sub(1)?;
    let found = event.get(start..start.checked_add(inner.0.len() + 2)?)?;
    (found.starts_with('"') && found.ends_with('"')).then_some(found)
}

/// One frame, and what a decoder does with the text in it.
#[derive(Debug)]
struct Frame<T> {
    head: Vec<u8>,
    /// Each gap and what follows it.
    parts: Vec<(Gap, Vec<u8>)>,
    what: T,
}

impl<T> Frame<T> {
    /// The frame of `event` around these values, which are slices of it. `None` if they are not, or it is too large.
    fn around(event: &str, gaps: &mut [(Gap, &str)], what: T) -> Option<Self> {
        let place = |value: &str| {
            // What lies there is the value itself, however long it is, so nothing is compared.
            let start = (value.as_ptr() as usize).checked_sub(event.as_ptr() as usize)?;
            let place = start..start.checked_add(value.len())?;
            event.get(place.clone()).map(|_| place)
        };
        gaps.sort_unstable_by_key(|(_, value)| value.as_ptr() as usize);
        let mut frame = Self { head: Vec::new(), parts: Vec::with_capacity(gaps.len()), what };
        let (mut at, mut size) = (0, event.len());
        for (gap, value) in gaps.iter() {
            let place = place(value)?;
            let before = event.as_bytes().get(at..place.start)?.to_vec();
            match frame.parts.last_mut() {
                Some((_, after)) => *after = before,
                None => frame.head = before,
            }
            frame.parts.push((*gap, Vec::new()));
            at = place.end;
            size -= place.len();
        }
        frame.parts.last_mut()?.1 = event.as_bytes().get(at..)?.to_vec();
        (size <= MAX_FRAME).then_some(frame)
    }

    /// The text of an event that has this frame, in its quotes.
    fn text<'e>(&self, event: &'e [u8]) -> Option<&'e [u8]> {
        let mut rest = event.strip_prefix(&*self.head)?;
        let mut text = None;
        for (gap, after) in &self.parts {
            let (value, tail) = rest.split_at(gap.fill(rest)?);
            if *gap == Gap::Text {
                text = Some(value);
            }
            rest = tail.strip_prefix(&**after)?;
        }
        text.filter(|_| rest.is_empty())
    }
}

/// The frames of one stream. `T` says what a decoder does with the text.
#[derive(Debug)]
pub(crate) struct Frames<T> {
    frames: Vec<Frame<T>>,
    learned: u32,
    found: u64,
}

impl<T> Default for Frames<T> {
    fn default() -> Self {
        Self { frames: Vec::new(), learned: 0, found: 0 }
    }
}

impl<T: Copy> Frames<T> {
    /// Remembers nothing, ever.
    pub(crate) fn off() -> Self {
        Self { learned: u32::MAX, ..Self::default() }
    }

    /// The text of an event with a frame that is known, and what to do with it.
    pub(crate) fn find<'e>(&mut self, event: &'e [u8]) -> Option<(T, Wtf<'e>)> {
        let (frame, quoted) = self.frames.iter().find_map(|frame| Some((frame, frame.text(event)?)))?;
        let inner = &quoted[1..quoted.len() - 1];
        let text = match memchr::memchr(b'\\', inner) {
            None => Wtf(inner.into()),
            Some(_) => serde_json::from_slice(quoted).ok()?,
        };
        self.found += 1;
        Some((frame.what, text))
    }

    /// An event was parsed whose only effect is what `what` says of the text among `gaps`. These are slices of it.
    pub(crate) fn learn(&mut self, event: &str, gaps: &mut [(Gap, &str)], what: T) {
        if u64::from(self.learned) > u64::from(IN_VAIN) + self.found {
            self.frames.clear();
            return;
        }
        if let Some(frame) = Frame::around(event, gaps, what) {
            self.learned += 1;
            self.frames.truncate(MOST - 1);
            self.frames.insert(0, frame);
        }
    }

    /// Something happened that may change what an event means.
    pub(crate) fn forget(&mut self) {
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(frames: &mut Frames<u8>, event: &str) -> Option<String> {
        frames.find(event.as_bytes()).map(|(_, text)| text.text().into_owned())
    }

    #[test]
    fn an_event_with_the_frame_of_an_earlier_one_gives_its_text() {
        let first = r#"{"n":12,"x":"ab","t":"one","l":[]}"#;
        let mut frames = Frames::default();
        assert_eq!(text(&mut frames, first), None);
        let value = |from: usize, len: usize| &first[from..from + len];
        let mut gaps = [(Gap::Text, value(21, 5)), (Gap::Number, value(5, 2)), (Gap::String, value(12, 4))];
        frames.learn(first, &mut gaps, 7);
        for (event, expected) in [
            (first, Some("one")),
            (r#"{"n":3,"x":"","t":"","l":[]}"#, Some("")),
            (r#"{"n":0,"x":"c d","t":"a\nb\u00e9\ud83d\ude00 é","l":[]}"#, Some("a\nbé😀 é")),
            (r#"{"n":0,"x":"c","t":"\\","l":[]}"#, Some("\\")),
            (r#"{"n":00,"x":"c","t":"d","l":[]}"#, None),
            (r#"{"n":1.5,"x":"c","t":"d","l":[]}"#, None),
            (r#"{"n":1,"x":"\"","t":"d","l":[]}"#, None),
            (r#"{"n":1,"x":"c","t":"d\"","l":[]}"#, Some("d\"")),
            (r#"{"n":1,"x":"c","t":"d\","l":[]}"#, None),
            (r#"{"n":1,"x":"c","t":"d","t":"e","l":[]}"#, None),
            (r#"{"n":1,"x":"c","t":"d","l":[]},"#, None),
            (r#"{"n":1,"x":"c","t":null,"l":[]}"#, None),
            ("{\"n\":1,\"x\":\"c\",\"t\":\"a\u{1}b\",\"l\":[]}", None),
            (r#"{"n":1,"x":"c","t":"d"#, None),
            (r#"{"n":1,"x":"c","t":"\x","l":[]}"#, None),
        ] {
            assert_eq!(text(&mut frames, event).as_deref(), expected, "{event}");
        }
        assert!(frames.find(b"{\"n\":1,\"x\":\"c\",\"t\":\"a\xff\",\"l\":[]}").is_none());
        frames.forget();
        assert_eq!(text(&mut frames, first), None);
    }

    #[test]
    fn the_quotes_of_a_string_are_found_if_it_stands_in_the_event_as_it_is() {
        let event = r#"{"t":"one","u":"t\nwo"}"#;
        #[derive(serde::Deserialize)]
        struct Two<'a> {
            #[serde(borrow)]
            t: Wtf<'a>,
            #[serde(borrow)]
            u: Wtf<'a>,
        }
        let two: Two<'_> = serde_json::from_str(event).unwrap();
        assert_eq!(quoted(event, &two.t), Some("\"one\""));
        assert_eq!(quoted(event, &two.u), None);
        assert_eq!(quoted(event, &Wtf(b"one"[..].into())), None);
    }

    #[test]
    fn a_stream_of_which_no_two_events_are_alike_soon_costs_nothing() {
        let mut frames = Frames::default();
        for number in 0..1_000 {
            let event = format!("{{\"k{number}\":\"v\"}}");
            let start = event.find(":\"").unwrap() + 1;
            frames.learn(&event, &mut [(Gap::Text, &event[start..start + 3])], 0);
            assert!(frames.frames.len() <= MOST);
        }
        assert!(frames.frames.is_empty() && frames.learned <= IN_VAIN + 2);
    }

    #[test]
    fn values_that_are_no_part_of_the_event_and_large_frames_are_left() {
        let mut frames = Frames::default();
        frames.learn("{\"t\":\"a\"}", &mut [(Gap::Text, "\"a\"")], 0);
        let large = format!("{{\"x\":\"{}\",\"t\":\"a\"}}", "x".repeat(MAX_FRAME));
        frames.learn(&large, &mut [(Gap::Text, &large[large.len() - 4..large.len() - 1])], 0);
        assert!(frames.frames.is_empty());
    }

    proptest! {
        #[test]
        fn what_a_frame_finds_is_what_parsing_finds(event in "\\{\"n\":[0-9]{0,3},\"t\":\"[a\"\\\\\\\\ué0]{0,6}\"[,}]{0,2}") {
            let first = r#"{"n":1,"t":"x"}"#;
            let mut frames = Frames::default();
            frames.learn(first, &mut [(Gap::Number, &first[5..6]), (Gap::Text, &first[11..14])], 0);
            let parsed = serde_json::from_str::<serde_json::Value>(&event).ok();
            let expected = parsed.as_ref().and_then(|parsed| parsed["t"].as_str());
            match frames.find(event.as_bytes()) {
                Some((_, text)) => prop_assert_eq!(Some(&*text.text()), expected),
                // What is not found is parsed; but plain events must be found.
                None => prop_assert!(expected.is_none() || parsed.is_none(), "{} was not found", event),
            }
        }
    }
}
