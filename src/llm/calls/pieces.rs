//! Which call a piece belongs to, where the server marks neither a call's start nor its end: chat completions.

use serde_json::value::RawValue;

use super::{Building, Calls};
use crate::llm::StreamEvent;
use crate::llm::failure::Failure;
use crate::llm::scan::ObjectScan;

/// One piece, as a chat completions delta gives it; empty means absent.
#[derive(Debug, Default)]
pub(crate) struct Piece<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// WTF-8.
    pub(crate) arguments: &'a [u8],
    /// What the provider wants back with the call.
    pub(crate) extra: Option<&'a RawValue>,
}

impl Calls {
    /// Takes a piece of a call whose start and end are not marked.
    pub(crate) fn piece(&mut self, piece: &Piece<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let at = match self.find(piece) {
            Some(at) => at,
            None => {
                // A new call closes those before it, but only arguments that are there already can be complete:
                // a server may open all calls first and fill them after.
                for at in 0..self.list.len() {
                    self.close(at, false, out);
                }
                self.open(piece.index, piece.id, "", out)?
            }
        };
        let call = &self.list[at];
        if call.wire_id.is_empty() && call.finished.is_none() && !piece.id.is_empty() {
            let id = self.free_id(piece.id);
            let call = &mut self.list[at];
            call.wire_id = piece.id.to_owned();
            call.id = id;
        }
        let call = &mut self.list[at];
        if let Some(extra) = piece.extra {
            call.extra = Some(extra.to_owned());
        }
        self.name(at, piece.name, out);
        self.arguments(at, piece.arguments)
    }

    fn find(&self, piece: &Piece<'_>) -> Option<usize> {
        let last_where = |test: &dyn Fn(&Building) -> bool| self.list.iter().rposition(test);
        let same_place = |call: &Building| piece.index.is_none() || call.index == piece.index;
        let at = if piece.id.is_empty() {
            match piece.index {
                Some(_) => last_where(&same_place)?,
                None => self.list.len().checked_sub(1)?,
            }
        } else {
            if let Some(at) = last_where(&|call| call.wire_id == piece.id && same_place(call)) {
                return Some(at);
            }
            // The id may come late to a call that was opened without one.
            piece.index?;
            last_where(&|call| same_place(call) && call.wire_id.is_empty())?
        };
        // Without an id to tell, another name is another call, and so is a name with arguments after whole arguments.
        let call = &self.list[at];
        let renamed = !call.name.is_empty() && call.name != piece.name;
        let refilled = call.finished.is_some() || call.object == ObjectScan::Closed;
        let another = !piece.name.is_empty() && (renamed || (refilled && !piece.arguments.trim_ascii().is_empty()));
        (!another).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::calls::{MAX_ARGUMENTS, MAX_CALLS};

    fn run(pieces: &[Piece<'_>]) -> (Vec<(String, String, String)>, Vec<String>) {
        let mut calls = Calls::default();
        let mut out = Vec::new();
        for piece in pieces {
            calls.piece(piece, &mut out).unwrap();
        }
        let early = out.len();
        calls.finish(&mut out);
        let log = out
            .iter()
            .enumerate()
            .map(|(at, event)| {
                let when = if at < early { "" } else { "end: " };
                match event {
                    StreamEvent::CallStarted { index, name } => format!("{when}start {index} {name}"),
                    StreamEvent::Call { index, call } => format!("{when}call {index} {}", call.arguments),
                    other => format!("{other:?}"),
                }
            })
            .collect();
        let list =
            calls.finished().map(|(call, _)| (call.id.to_string(), call.name.to_string(), call.arguments.to_string()));
        (list.collect(), log)
    }

    fn piece<'a>(index: Option<u64>, id: &'a str, name: &'a str, arguments: &'a str) -> Piece<'a> {
        Piece { index, id, name, arguments: arguments.as_bytes(), extra: None }
    }

    fn names_and_arguments(list: &[(String, String, String)]) -> Vec<(&str, &str)> {
        list.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect()
    }

    const TWO: [(&str, &str); 2] = [("a", r#"{"x":1}"#), ("b", r#"{"y":2}"#)];

    #[test]
    fn a_call_is_handed_over_when_the_next_one_opens() {
        let (list, log) = run(&[
            piece(Some(0), "i", "a", ""),
            piece(Some(0), "", "", r#"{"x""#),
            piece(Some(0), "", "", ":1}"),
            piece(Some(1), "j", "b", ""),
            piece(Some(1), "", "", r#"{"y":2}"#),
        ]);
        assert_eq!(names_and_arguments(&list), TWO);
        assert_eq!(log, ["start 0 a", r#"call 0 {"x":1}"#, "start 1 b", r#"end: call 1 {"y":2}"#]);
    }

    #[test]
    fn every_known_way_to_number_two_calls_gives_two_calls() {
        let ways: &[&[Piece<'_>]] = &[
            // One index for all, told apart by ids (Ollama).
            &[piece(Some(0), "i", "a", TWO[0].1), piece(Some(0), "j", "b", TWO[1].1)],
            // … in pieces.
            &[
                piece(Some(0), "i", "a", ""),
                piece(Some(0), "", "", TWO[0].1),
                piece(Some(0), "j", "b", ""),
                piece(Some(0), "", "", TWO[1].1),
            ],
            // No index: an id opens, arguments alone continue.
            &[
                piece(None, "i", "a", r#"{"x":"#),
                piece(None, "", "", "1}"),
                piece(None, "j", "b", r#"{"y"#),
                piece(None, "", "", r#"":2}"#),
            ],
            // No index, the id in every piece.
            &[
                piece(None, "i", "a", r#"{"x":"#),
                piece(None, "i", "a", "1}"),
                piece(None, "j", "b", r#"{"y"#),
                piece(None, "j", "b", r#"":2}"#),
            ],
            // No id at all.
            &[piece(Some(0), "", "a", r#"{"x":"#), piece(Some(0), "", "", "1}"), piece(Some(1), "", "b", TWO[1].1)],
            // Neither, whole.
            &[piece(None, "", "a", TWO[0].1), piece(None, "", "b", TWO[1].1)],
            // Index 0 for all and no id.
            &[piece(Some(0), "", "a", TWO[0].1), piece(Some(0), "", "b", TWO[1].1)],
            // The same id twice.
            &[
                piece(Some(0), "i", "a", r#"{"x":"#),
                piece(Some(0), "i", "", "1}"),
                piece(Some(1), "i", "b", r#"{"y"#),
                piece(Some(1), "i", "", r#"":2}"#),
            ],
            // Interleaved: both opened, then filled.
            &[
                piece(Some(0), "i", "a", ""),
                piece(Some(1), "j", "b", ""),
                piece(Some(0), "", "", TWO[0].1),
                piece(Some(1), "", "", TWO[1].1),
            ],
            // Name and id in every piece (llama-cpp-python).
            &[
                piece(Some(0), "i", "a", r#"{"x":"#),
                piece(Some(0), "i", "a", "1}"),
                piece(Some(1), "j", "b", r#"{"y"#),
                piece(Some(1), "j", "b", r#"":2}"#),
            ],
            // A late id and a late name.
            &[
                piece(Some(0), "", "", ""),
                piece(Some(0), "i", "a", TWO[0].1),
                piece(Some(7), "", "b", ""),
                piece(Some(7), "j", "", TWO[1].1),
            ],
            // A hostile index sizes nothing.
            &[piece(Some(u64::MAX), "i", "a", TWO[0].1), piece(Some(1 << 32), "j", "b", TWO[1].1)],
        ];
        for (way, pieces) in ways.iter().enumerate() {
            let (list, log) = run(pieces);
            assert_eq!(names_and_arguments(&list), TWO, "way {way}: {log:?}");
            assert_ne!(list[0].0, list[1].0, "way {way}: ids");
            assert!(list.iter().all(|(id, _, _)| !id.is_empty()), "way {way}: ids");
        }
    }

    #[test]
    fn twice_the_same_call_without_ids_is_two_calls() {
        let (list, _) = run(&[piece(None, "", "a", "{}"), piece(None, "", "a", "{}")]);
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn no_arguments_are_an_empty_object_but_only_at_the_end() {
        let (list, log) = run(&[piece(Some(0), "i", "a", ""), piece(Some(1), "j", "b", "null")]);
        assert_eq!(names_and_arguments(&list), [("a", "{}"), ("b", "{}")]);
        assert_eq!(log, ["start 0 a", "start 1 b", "end: call 0 {}", "end: call 1 {}"]);
    }

    #[test]
    fn what_is_no_object_waits_for_the_end_and_comes_as_it_is() {
        for bad in [r#"{"x":1"#, r#"{"x":1}}"#, "[1]", "\"x\"", "{]", r#"{"a":}"#, "{x}"] {
            let (list, log) = run(&[piece(Some(0), "i", "a", bad), piece(Some(1), "j", "b", "{}")]);
            assert_eq!(list[0].2, bad);
            assert_eq!(log[2], format!("end: call 0 {bad}"), "{log:?}");
        }
    }

    #[test]
    fn a_finished_call_does_not_change() {
        let mut calls = Calls::default();
        let mut out = Vec::new();
        calls.piece(&piece(Some(0), "i", "a", "{}"), &mut out).unwrap();
        calls.piece(&piece(Some(1), "j", "b", ""), &mut out).unwrap();
        calls.piece(&piece(Some(0), "", "", " \n"), &mut out).unwrap();
        assert!(calls.piece(&piece(Some(0), "i", "", "x"), &mut out).is_err());
    }

    #[test]
    fn calls_and_arguments_are_bounded() {
        let mut calls = Calls::default();
        let mut out = Vec::new();
        for at in 0..MAX_CALLS {
            calls.piece(&piece(None, &format!("i{at}"), "a", "{}"), &mut out).unwrap();
        }
        assert!(calls.piece(&piece(None, "one-more", "a", "{}"), &mut out).is_err());

        let mut calls = Calls::default();
        let megabyte = "x".repeat(1 << 20);
        let fed = (0..10).take_while(|_| calls.piece(&piece(Some(0), "i", "a", &megabyte), &mut out).is_ok()).count();
        assert_eq!(fed, MAX_ARGUMENTS >> 20);
    }

    #[test]
    fn absurd_names_and_ids_are_replaced() {
        let long = "é".repeat(5000);
        let (list, _) = run(&[piece(Some(0), &long, &long, "{}"), piece(Some(1), "j", "", "{}")]);
        assert!(list[0].0.len() < 100 && list[0].1.len() <= 256);
        assert_eq!(list[1].1, "missing_name");
    }
}
