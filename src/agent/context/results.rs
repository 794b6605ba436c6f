//! What a tool says, made small before it enters the conversation.
//!
//! Nothing here may cost the model a second call: a text that it will quote in an edit (`read_file`) is never touched
//! inside, and a reference is only made to a text that it can still see.

use std::fmt::Write as _;
use std::sync::Arc;

use super::calls::{REFERENCE, exchanges, is_reference, same, shown_call};
use super::{Pass, Passes, Saved, known};
use crate::llm::{Message, ToolCall, ToolResult};

/// A result shorter than this is not worth a reference.
const WORTH_REFERRING: usize = 240;

/// Tools that show lines behind their numbers, which are set to the right as people like them.
const NUMBERED: &[&str] = &["read_file", "outline", "edit_file", "insert_lines", "create_file"];

/// What results are made to fit.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The passes in force.
    pub passes: Passes,
    /// What one result may take of this model's window, in bytes.
    pub bytes: usize,
    /// How many messages back a result may stand that is pointed at: one further back may be trimmed next.
    pub near: usize,
}

/// Makes the results of the turn that `history` ends with as small as they can be.
pub fn arrive(
    history: &[Message],
    mut results: Vec<ToolResult>,
    Fit { passes, bytes: max_bytes, near }: Fit,
    saved: &mut Saved,
) -> Vec<ToolResult> {
    let Some(Message::Assistant(turn)) = history.last() else { return results };
    for result in &mut results {
        let Some(call) = turn.calls.iter().find(|call| call.id == result.call) else { continue };
        let tool = &*call.name;
        for pass in Pass::ALL.into_iter().filter(|pass| passes.has(*pass)) {
            let made = match pass {
                Pass::Clean if tool == "run_command" => clean(&result.content),
                Pass::Clean if NUMBERED.contains(&tool) => unpad(&result.content),
                Pass::Merge if tool == "diagnostics" => merge(&result.content),
                Pass::Repeats if !result.is_error => repeat(history, call, &result.content, near),
                Pass::Known if !result.is_error && !is_reference(result) => {
                    known::refer(history, call, &result.content, near)
                }
                Pass::Shorten => shorten(&result.content, max_bytes),
                _ => None,
            };
            if let Some(made) = made.filter(|made| made.len() < result.content.len()) {
                saved.add(pass, result.content.len(), made.len());
                result.content = Arc::from(made);
            }
        }
    }
    results
}

/// The output of a program without what only a terminal needs; `None` if there is nothing to do.
pub fn clean(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut empty, mut again, mut last) = (0, 0_usize, None);
    for line in text.lines() {
        let line = line.trim_end();
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty > 1 {
            continue;
        }
        if last == Some(line) && !line.is_empty() {
            again += 1;
            continue;
        }
        tell_repeats(&mut out, &mut again);
        out.push_str(line);
        out.push('\n');
        last = Some(line);
    }
    tell_repeats(&mut out, &mut again);
    out.truncate(out.trim_end().len());
    (out.len() < text.len()).then_some(out)
}

/// Lines without the blanks before their numbers, which are a sixth of the tokens of a source file that is read; `None`
/// if there are none. What stands behind a number is not touched.
pub fn unpad(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let number = line.trim_start_matches(' ');
        let rest = number.trim_start_matches(|ch: char| ch.is_ascii_digit() || ch == '-');
        let is_numbered = rest.len() < number.len() && rest.starts_with('\t');
        out.push_str(if is_numbered { number } else { line });
    }
    (out.len() < text.len()).then_some(out)
}

fn tell_repeats(out: &mut String, again: &mut usize) {
    if *again > 0 {
        let times = if *again == 1 { "once".into() } else { format!("{again} times") };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "[the line above {times} more]");
        *again = 0;
    }
}

/// Diagnostics of one file with the same text become one line with their places: `3:1 error: text` and
/// `9:2 error: text` become `3:1, 9:2 error: text`. A blank line ends a file; what has several lines stays.
pub fn merge(text: &str) -> Option<String> {
    let mut merged: Vec<(Vec<&str>, &str)> = Vec::new();
    let (mut any, mut file) = (false, 0);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let goes_on = lines.peek().is_some_and(|next| next.starts_with(' '));
        match line.split_once(' ').filter(|(place, _)| is_place(place) && !goes_on) {
            Some((place, said)) => {
                let same = |(places, known): &&mut (Vec<&str>, &str)| !places.is_empty() && *known == said;
                match merged[file..].iter_mut().find(same) {
                    Some((places, _)) => {
                        any = true;
                        places.push(place);
                    }
                    None => merged.push((vec![place], said)),
                }
            }
            None => merged.push((Vec::new(), line)),
        }
        if line.is_empty() {
            file = merged.len();
        }
    }
    any.then(|| {
        let told = merged.iter().map(|(places, said)| match &places[..] {
            [] => (*said).to_owned(),
            places => format!("{} {said}", places.join(", ")),
        });
        told.collect::<Vec<_>>().join("\n")
    })
}

/// Whether this is a place in a file: `12:3`.
fn is_place(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':').is_some_and(|(line, character)| digits(line) && digits(character))
}

/// A word that stands for the same text as an earlier result of the same call. `None` if there is none in view, or
/// if the model asks again after it has been given such a word: then it wants the text.
fn repeat(history: &[Message], call: &ToolCall, content: &str, near: usize) -> Option<String> {
    if content.len() < WORTH_REFERRING || content.starts_with(REFERENCE) {
        return None;
    }
    let before = exchanges(history).rev().find(|exchange| same(exchange.call, call))?;
    let in_view = !is_reference(before.result) && history.len() - before.message <= near;
    (in_view && *before.result.content == *content)
        .then(|| format!("{REFERENCE}it is as {} above; make this call once more to see it again]", shown_call(call)))
}

/// The head and the tail of a text that is longer than `max` bytes, cut at lines.
pub fn shorten(text: &str, max: usize) -> Option<String> {
    if text.len() <= max {
        return None;
    }
    let room = max.saturating_sub(200);
    let head_end = text[..text.floor_char_boundary(room * 2 / 3)].rfind('\n').map_or(0, |at| at + 1);
    let tail_start = text.ceil_char_boundary(text.len() - room / 3);
    let tail_start = text[tail_start..].find('\n').map_or(text.len(), |at| tail_start + at + 1);
    // A text of one line is cut inside it.
    let (head_end, tail_start) = if head_end == 0 || tail_start == text.len() {
        (text.floor_char_boundary(room * 2 / 3), text.ceil_char_boundary(text.len() - room / 3))
    } else {
        (head_end, tail_start)
    };
    let middle = &text[head_end..tail_start];
    let head = text[..head_end].trim_end_matches('\n');
    Some(format!(
        "{head}\n[{} lines ({} bytes) in the middle are left out: they are much for this model's window; ask for less at \
         once to see them]\n{}",
        middle.lines().count(),
        middle.len(),
        &text[tail_start..]
    ))
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{step, user};
    use super::*;

    const FIT: Fit = Fit { passes: Passes::ALL, bytes: 1 << 20, near: usize::MAX };

    #[test]
    fn a_program_s_output_loses_what_only_a_terminal_needs() {
        let again = "warning: this is long enough to be told how often it came\n";
        let text = format!("a  \n\n\n\nb\n{}c\n{}", again.repeat(3), again.repeat(2));
        let told = again.trim_end();
        assert_eq!(
            clean(&text).unwrap(),
            format!("a\n\nb\n{told}\n[the line above 2 times more]\nc\n{told}\n[the line above once more]")
        );
        // A note longer than what it stands for is not worth it.
        assert_eq!(clean("c\nc"), None);
        assert_eq!(clean("a\n\nb"), None);
        assert_eq!(clean(""), None);
    }

    #[test]
    fn numbers_lose_the_blanks_before_them_and_lines_keep_theirs() {
        let text = "edited a.rs; it now reads:\n     9\t    x\n    10\t  12\ty\n   ...\n 3-12\tfn z()\n   no\t\n \t1\n     5\t";
        let bare = "edited a.rs; it now reads:\n9\t    x\n10\t  12\ty\n   ...\n3-12\tfn z()\n   no\t\n \t1\n5\t";
        assert_eq!(unpad(text).unwrap(), bare);
        assert_eq!(unpad(bare), None);
        assert_eq!(unpad(""), None);
    }

    #[test]
    fn diagnostics_with_one_text_become_one_line() {
        let text = "a.rs\n3:1 error: unused\n4:1 error: other\n9:2 error: unused\n\nb.rs\n1:1 error: unused\n[end]";
        let merged = "a.rs\n3:1, 9:2 error: unused\n4:1 error: other\n\nb.rs\n1:1 error: unused\n[end]";
        assert_eq!(merge(text).unwrap(), merged);
        assert_eq!(merge("note: this\nnote: this"), None);
        assert_eq!(merge("a\n1:1 error: x\n    because\n2:1 error: x\n    therefore"), None);
    }

    fn read(history: &[Message], content: &str) -> String {
        let mut history = history.to_vec();
        let [turn, results] = step("read_file", r#"{"path":"a"}"#, content);
        history.push(turn);
        let Message::ToolResults(results) = results else { panic!() };
        let made = arrive(&history, results.to_vec(), FIT, &mut Saved::default());
        made[0].content.to_string()
    }

    #[test]
    fn the_same_text_is_said_once_and_again_when_it_is_asked_for_again() {
        let text = "x\n".repeat(200);
        let mut history = vec![user("do")];
        assert_eq!(read(&history, &text), text);
        history.extend(step("read_file", r#"{"path":"a"}"#, &text));
        let word = read(&history, &text);
        assert!(word.starts_with(REFERENCE) && word.contains(r#"{"path":"a"}"#), "{word}");
        history.extend(step("read_file", r#"{"path":"a"}"#, &word));
        assert_eq!(read(&history, &text), text);
    }

    #[test]
    fn another_text_another_call_and_a_short_text_are_said() {
        let text = "x\n".repeat(200);
        let history: Vec<Message> =
            [user("do")].into_iter().chain(step("read_file", r#"{"path":"a"}"#, &text)).collect();
        assert_eq!(read(&history, &"y\n".repeat(200)), "y\n".repeat(200));
        assert_eq!(read(&history[..1], &text), text);
        let short: Vec<Message> = [user("do")].into_iter().chain(step("read_file", r#"{"path":"a"}"#, "z")).collect();
        assert_eq!(read(&short, "z"), "z");
    }

    #[test]
    fn a_long_result_keeps_head_and_tail_within_its_bound() {
        let text: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        let short = shorten(&text, 4_000).unwrap();
        assert!(short.len() <= 4_000, "{}", short.len());
        assert!(short.starts_with("line 0\n") && short.ends_with("line 9999\n") && short.contains("are left out"));
        let one = shorten(&"ä".repeat(10_000), 4_000).unwrap();
        assert!(one.len() <= 4_000 && one.contains("1 lines"), "{}", one.len());
        assert_eq!(shorten("short", 4_000), None);
        // A bound that leaves no room for anything still gives a text.
        assert!(shorten(&text, 10).unwrap().contains("are left out"));
    }

    #[test]
    fn each_pass_has_its_switch_and_its_count() {
        let history: Vec<Message> = vec![user("do"), step("run_command", "{}", "")[0].clone()];
        let text = "same\n".repeat(100);
        let result = |content: &str| ToolResult {
            call: "c".into(),
            name: "run_command".into(),
            content: content.into(),
            is_error: false,
        };
        let mut saved = Saved::default();
        let off = arrive(&history, vec![result(&text)], Fit { passes: Passes::NONE, bytes: 10, ..FIT }, &mut saved);
        assert_eq!((&*off[0].content, saved), (&*text, Saved::default()));
        let on = arrive(
            &history,
            vec![result(&text)],
            Fit { passes: Passes::named(["clean"]), bytes: 10, ..FIT },
            &mut saved,
        );
        assert_eq!(saved.of(Pass::Clean), (text.len() - on[0].content.len()) as u64);
    }
}
