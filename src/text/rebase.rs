//! Carrying one set of edits over another made on the same text: the user typed while the agent worked.
//!
//! The rules, for `ours` carried over `theirs`:
//! - Two edits clash when their replaced ranges share a byte, or when one inserts strictly inside what the other
//!   replaces. Touching is no clash, but for one case that [`rebase_hunks`] knows: one side puts whole lines in before
//!   a line that the other side joins to the line above. The clashing edit of ours is dropped and reported.
//! - The very same edit on both sides is one edit: ours is dropped and counted as a duplicate.
//! - Insertions at one point are both kept, theirs first; but whole lines do not fall into the middle of a line
//!   because someone typed at its end or its start: see [`ours_goes_first`].
//!
//! Both sides are read once, front to back.

use std::ops::Range;

use super::edit::{Edit, EditError, EditSet};
use super::rope::Text;

/// What became of our edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebased {
    /// Our edits over the text after theirs.
    pub edits: EditSet,
    /// Our edits that were dropped because theirs changed the same text, in order.
    pub conflicts: Vec<Conflict>,
    /// How many of our edits theirs had made already.
    pub duplicates: usize,
}

/// An edit of ours that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What we wanted, over the base text: one edit, or a whole hunk as one.
    pub ours: Edit,
    /// What theirs replaced there: bytes of the base text.
    pub theirs: Range<usize>,
    /// Where that stands now: bytes of the text after theirs.
    pub at: Range<usize>,
}

/// Carries each edit of `ours` by itself over `theirs`.
///
/// # Errors
/// The two are not for texts of one length.
pub fn rebase(ours: &EditSet, theirs: &EditSet) -> Result<Rebased, EditError> {
    let fates = fates(ours, theirs, |_, _| false)?;
    let mut out = Rebased { edits: EditSet::identity(theirs.new_len()), conflicts: Vec::new(), duplicates: 0 };
    for (edit, fate) in ours.edits().iter().zip(fates) {
        out.add(edit, fate);
    }
    Ok(out)
}

/// As [`rebase`], but edits on the same or on neighbouring lines of `base` are one hunk, and a hunk with a clash is
/// dropped whole: half of one would be a text that nobody wrote. Its conflict shows the hunk as one edit.
///
/// # Errors
/// The two are not for texts of the length of `base`.
pub fn rebase_hunks(ours: &EditSet, theirs: &EditSet, base: &Text) -> Result<Rebased, EditError> {
    if base.len() != ours.base_len() {
        return Err(EditError::Length { expected: ours.base_len(), found: base.len() });
    }
    let fates = fates(ours, theirs, |joining, inserting| tears_line(joining, inserting, base))?;
    let mut out = Rebased { edits: EditSet::identity(theirs.new_len()), conflicts: Vec::new(), duplicates: 0 };
    // Clashes are rare and a keystroke comes through here: look at lines only when there is one.
    let clash = fates.iter().any(|fate| matches!(fate, Fate::Clashes { .. }));
    let mut rest = ours.edits();
    let mut fates = fates.as_slice();
    while !rest.is_empty() {
        let size = if clash { hunk_size(rest, base) } else { rest.len() };
        let (hunk, edits_after) = rest.split_at(size);
        let (hunk_fates, fates_after) = fates.split_at(size);
        match clash_of(hunk_fates) {
            Some((theirs, at)) => out.conflicts.push(Conflict { ours: as_one(hunk, base), theirs, at }),
            None => hunk.iter().zip(hunk_fates).for_each(|(edit, fate)| out.add(edit, fate.clone())),
        }
        (rest, fates) = (edits_after, fates_after);
    }
    Ok(out)
}

/// Whether our insertion goes before theirs at the same point: when it is whole lines put in before a line at whose
/// start they typed, or when theirs is whole lines put in after a line at whose end we insert.
fn ours_goes_first(ours: &str, theirs: &str) -> bool {
    let begins = |text: &str| text.starts_with(['\n', '\r']);
    let ends = |text: &str| text.ends_with(['\n', '\r']);
    (ends(ours) && !begins(ours) && !ends(theirs) && !begins(theirs))
        || (begins(theirs) && !ends(theirs) && !begins(ours) && !ends(ours))
}

impl Rebased {
    fn add(&mut self, edit: &Edit, fate: Fate) {
        match fate {
            Fate::Moves { start } => self.edits.push(Edit::new(start..start + edit.range.len(), edit.text.as_str())),
            Fate::Duplicate => self.duplicates += 1,
            Fate::Clashes { theirs, at } => self.conflicts.push(Conflict { ours: edit.clone(), theirs, at }),
        }
    }
}

#[derive(Clone, Debug)]
enum Fate {
    /// It begins here in the text after theirs.
    Moves {
        start: usize,
    },
    Duplicate,
    Clashes {
        theirs: Range<usize>,
        at: Range<usize>,
    },
}

/// `tears` says of an edit and of an insertion right at its end whether they spoil each other all the same.
fn fates(ours: &EditSet, theirs: &EditSet, tears: impl Fn(&Edit, &Edit) -> bool) -> Result<Vec<Fate>, EditError> {
    if ours.base_len() != theirs.base_len() {
        return Err(EditError::Length { expected: ours.base_len(), found: theirs.base_len() });
    }
    let theirs = theirs.edits();
    let mut fates = Vec::with_capacity(ours.edits().len());
    // The first of theirs that ends after the start of the edit of ours at hand, and what those before it removed
    // and added: ours moves by the difference.
    let (mut next, mut removed, mut added) = (0, 0, 0);
    for our in ours.edits() {
        while let Some(their) = theirs.get(next).filter(|their| their.range.end <= our.range.start) {
            removed += their.range.len();
            added += their.text.len();
            next += 1;
        }
        let start = our.range.start - removed + added;
        let before = next.checked_sub(1).map(|last| &theirs[last]).filter(|last| last.range.end == our.range.start);
        let clashing = theirs[next..].iter().take_while(|their| their.range.start < our.range.end).count();
        fates.push(match before {
            Some(their) if their.range == our.range && their.text == our.text => Fate::Duplicate,
            Some(their) if their.range == our.range && ours_goes_first(&our.text, &their.text) => {
                Fate::Moves { start: start - their.text.len() }
            }
            Some(their) if tears(their, our) => {
                Fate::Clashes { theirs: their.range.clone(), at: start - their.text.len()..start }
            }
            _ if clashing > 0 && theirs[next] == *our => Fate::Duplicate,
            _ if clashing > 0 => clash(our, &theirs[next..next + clashing], start),
            _ if theirs.get(next).is_some_and(|their| tears(our, their)) => clash(our, &theirs[next..=next], start),
            _ => Fate::Moves { start },
        });
    }
    Ok(fates)
}

/// The clash of `our` edit, whose start stands at `start` in the text after theirs, with these of theirs.
fn clash(our: &Edit, theirs: &[Edit], start: usize) -> Fate {
    let base = theirs.first().map_or(0, |first| first.range.start)..theirs.last().map_or(0, |last| last.range.end);
    let from = start + base.start - our.range.start;
    let added: usize = theirs.iter().map(|their| their.text.len()).sum();
    let removed: usize = theirs.iter().map(|their| their.range.len()).sum();
    Fate::Clashes { at: from..from + base.len() - removed + added, theirs: base }
}

/// Whether `joining` takes away the line break before the very place where `inserting` puts in whole lines: together
/// they would glue its first line to the end of another.
fn tears_line(joining: &Edit, inserting: &Edit, base: &Text) -> bool {
    let at = inserting.range.start;
    let break_before = |at: usize| at == 0 || base.has_at(at - 1, "\n") || base.has_at(at - 1, "\r");
    inserting.range.is_empty()
        && !joining.range.is_empty()
        && joining.range.end == at
        && inserting.text.ends_with(['\n', '\r'])
        && !inserting.text.starts_with(['\n', '\r'])
        && break_before(at)
        && match joining.text.is_empty() {
            true => !break_before(joining.range.start),
            false => !joining.text.ends_with(['\n', '\r']),
        }
}

/// How many of the first edits stand on the same or on neighbouring lines.
fn hunk_size(edits: &[Edit], base: &Text) -> usize {
    let mut last_line = None;
    let together = edits.iter().take_while(|edit| {
        let first = base.line_at(edit.range.start);
        let joined = last_line.is_none_or(|last: usize| first <= last + 1);
        last_line = Some(base.line_at(edit.range.end));
        joined
    });
    together.count()
}

fn clash_of(fates: &[Fate]) -> Option<(Range<usize>, Range<usize>)> {
    let mut clashes = fates.iter().filter_map(|fate| match fate {
        Fate::Clashes { theirs, at } => Some((theirs, at)),
        Fate::Moves { .. } | Fate::Duplicate => None,
    });
    let (theirs, at) = clashes.next()?;
    let (last_theirs, last_at) = clashes.next_back().unwrap_or((theirs, at));
    Some((theirs.start..last_theirs.end, at.start..last_at.end))
}

/// Several edits as one, with the text of the base between them.
fn as_one(edits: &[Edit], base: &Text) -> Edit {
    let (Some(first), Some(last)) = (edits.first(), edits.last()) else { return Edit::new(0..0, "") };
    let mut text = String::new();
    let mut kept = first.range.start;
    for edit in edits {
        base.chunks_in(kept..edit.range.start).for_each(|chunk| text.push_str(chunk));
        text.push_str(&edit.text);
        kept = edit.range.end;
    }
    Edit::new(first.range.start..last.range.end, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::{edits, text};
    use super::*;

    fn set(base: &str, edits: &[(Range<usize>, &str)]) -> EditSet {
        EditSet::new(base.len(), edits.iter().map(|(range, text)| Edit::new(range.clone(), *text)).collect()).unwrap()
    }

    fn carried(base: &str, ours: &[(Range<usize>, &str)], theirs: &[(Range<usize>, &str)]) -> (String, Rebased) {
        let (ours, theirs, base) = (set(base, ours), set(base, theirs), Text::from(base));
        let rebased = rebase_hunks(&ours, &theirs, &base).unwrap();
        (rebased.edits.apply(&theirs.apply(&base).unwrap()).unwrap().to_string(), rebased)
    }

    fn merged(base: &str, ours: &[(Range<usize>, &str)], theirs: &[(Range<usize>, &str)]) -> String {
        let (text, rebased) = carried(base, ours, theirs);
        assert_eq!(rebased.conflicts, []);
        text
    }

    #[test]
    fn what_the_user_typed_elsewhere_moves_ours_along() {
        assert_eq!(merged("one\ntwo\n", &[(4..7, "2")], &[(0..0, "zero\n")]), "zero\none\n2\n");
        assert_eq!(merged("one\ntwo\n", &[(0..3, "1")], &[(7..7, "!")]), "1\ntwo!\n");
    }

    #[test]
    fn touching_is_no_clash() {
        assert_eq!(merged("abcd", &[(1..3, "X")], &[(3..4, "Y"), (0..1, "Z")]), "ZXY");
        assert_eq!(merged("abcd", &[(1..3, "X")], &[(1..1, "<"), (3..3, ">")]), "a<X>d");
        assert_eq!(merged("abcd", &[(1..1, "<"), (3..3, ">")], &[(1..3, "X")]), "a<X>d");
    }

    #[test]
    fn insertions_at_one_point_are_both_kept_theirs_first() {
        assert_eq!(merged("ab", &[(1..1, "o")], &[(1..1, "t")]), "atob");
        assert_eq!(merged("a\n", &[(0..0, "o\n")], &[(0..0, "t\n")]), "t\no\na\n");
    }

    #[test]
    fn whole_lines_do_not_fall_into_a_line_that_the_user_types_in() {
        assert_eq!(merged("a\nb\n", &[(2..2, "new\n")], &[(2..2, "x")]), "a\nnew\nxb\n");
        assert_eq!(merged("a\nb\n", &[(1..1, "\nnew")], &[(1..1, "x")]), "ax\nnew\nb\n");
        assert_eq!(merged("a\nb\n", &[(1..1, "x")], &[(1..1, "\nnew")]), "ax\nnew\nb\n");
        assert_eq!(merged("a\nb\n", &[(2..2, "x")], &[(2..2, "new\n")]), "a\nnew\nxb\n");
    }

    #[test]
    fn whole_lines_before_a_line_that_was_joined_to_the_one_above_clash() {
        let (text, rebased) = carried("a\nb\n", &[(2..2, "new\n")], &[(1..2, " ")]);
        assert_eq!(text, "a b\n");
        assert_eq!(rebased.conflicts, [Conflict { ours: Edit::new(2..2, "new\n"), theirs: 1..2, at: 1..2 }]);
        let (text, rebased) = carried("a\nb\n", &[(1..2, " ")], &[(2..2, "new\n")]);
        assert_eq!(text, "a\nnew\nb\n");
        assert_eq!(rebased.conflicts, [Conflict { ours: Edit::new(1..2, " "), theirs: 2..2, at: 2..6 }]);
        assert_eq!(merged("a\nb\nc\n", &[(4..4, "new\n")], &[(2..4, "")]), "a\nnew\nc\n");
    }

    #[test]
    fn the_same_change_on_both_sides_is_made_once() {
        let both = [(0..3, "1"), (4..4, "x")];
        let (text, rebased) = carried("one\ntwo", &both, &both);
        assert_eq!((text.as_str(), rebased.duplicates, rebased.conflicts.len()), ("1\nxtwo", 2, 0));
    }

    #[test]
    fn a_clash_drops_ours_and_says_where() {
        let (text, rebased) = carried("abcdef", &[(1..4, "X")], &[(0..0, "__"), (2..3, "YY")]);
        assert_eq!(text, "__abYYdef");
        assert_eq!(rebased.conflicts, [Conflict { ours: Edit::new(1..4, "X"), theirs: 2..3, at: 4..6 }]);
        let (text, rebased) = carried("abcdef", &[(3..3, "X")], &[(1..5, "Y")]);
        assert_eq!(text, "aYf");
        assert_eq!(rebased.conflicts, [Conflict { ours: Edit::new(3..3, "X"), theirs: 1..5, at: 1..2 }]);
    }

    #[test]
    fn half_of_a_hunk_is_never_applied_alone() {
        let base = "a\nb\nc\n\nd\n";
        let ours = [(0..1, "A"), (2..3, "B"), (4..5, "C"), (7..8, "D")];
        let (text, rebased) = carried(base, &ours, &[(2..3, "user")]);
        assert_eq!(text, "a\nuser\nc\n\nD\n", "the hunk of three lines is dropped, the one further down is made");
        assert_eq!(rebased.conflicts, [Conflict { ours: Edit::new(0..5, "A\nB\nC"), theirs: 2..3, at: 2..6 }]);
    }

    #[test]
    fn sets_for_other_texts_are_refused() {
        let error = EditError::Length { expected: 3, found: 4 };
        assert_eq!(rebase(&EditSet::identity(3), &EditSet::identity(4)).unwrap_err(), error);
        let hunks = rebase_hunks(&EditSet::identity(3), &EditSet::identity(3), &Text::from("four"));
        assert_eq!(hunks.unwrap_err(), error);
    }

    /// The rules one byte at a time, with no running totals: the text of the merge and how many of ours clash.
    fn reference(base: &str, ours: &EditSet, theirs: &EditSet) -> (String, usize) {
        let clash = |our: &Edit| {
            theirs.edits().iter().any(|their| {
                let (a, b) = (&our.range, &their.range);
                our != their
                    && match (a.is_empty(), b.is_empty()) {
                        (true, true) => false,
                        (true, false) => b.start < a.start && a.start < b.end,
                        (false, true) => a.start < b.start && b.start < a.end,
                        (false, false) => a.clone().any(|byte| b.contains(&byte)),
                    }
            })
        };
        let kept: Vec<&Edit> = ours.edits().iter().filter(|our| !clash(our) && !theirs.edits().contains(our)).collect();
        let (mut out, bytes) = (Vec::new(), base.as_bytes());
        for at in 0..=bytes.len() {
            let insertion = |edit: &&Edit| edit.range == (at..at);
            let their = theirs.edits().iter().find(insertion).map_or("", |edit| &edit.text);
            let our = kept.iter().copied().find(insertion).map_or("", |edit| &edit.text);
            let swap = !our.is_empty() && !their.is_empty() && ours_goes_first(our, their);
            for text in if swap { [our, their] } else { [their, our] } {
                out.extend_from_slice(text.as_bytes());
            }
            for edit in theirs.edits().iter().chain(kept.iter().copied()) {
                if edit.range.start == at && !edit.range.is_empty() {
                    out.extend_from_slice(edit.text.as_bytes());
                }
            }
            let gone = theirs.edits().iter().chain(kept.iter().copied()).any(|edit| edit.range.contains(&at));
            out.extend(bytes.get(at).filter(|_| !gone));
        }
        (String::from_utf8(out).unwrap(), ours.edits().iter().filter(|our| clash(our)).count())
    }

    proptest! {
        #[test]
        fn rebasing_agrees_with_a_reference((base, ours, theirs) in text().prop_flat_map(|base| {
            (Just(base.clone()), edits(base.clone()), edits(base))
        })) {
            let rebased = rebase(&ours, &theirs).unwrap();
            let text = rebased.edits.apply(&theirs.apply(&Text::from(base.as_str())).unwrap()).unwrap();
            let (expected, clashes) = reference(&base, &ours, &theirs);
            prop_assert_eq!(text.to_string(), expected);
            prop_assert_eq!(rebased.conflicts.len(), clashes);
            let sum = rebased.edits.edits().len() + rebased.conflicts.len() + rebased.duplicates;
            prop_assert!(sum <= ours.edits().len());
        }

        #[test]
        fn hunks_are_made_whole_or_not_at_all((base, ours, theirs) in text().prop_flat_map(|base| {
            (Just(base.clone()), edits(base.clone()), edits(base))
        })) {
            let base = Text::from(base.as_str());
            let rebased = rebase_hunks(&ours, &theirs, &base).unwrap();
            let after = theirs.apply(&base).unwrap();
            rebased.edits.apply(&after).unwrap();
            for conflict in &rebased.conflicts {
                prop_assert!(conflict.at.end <= after.len());
                for edit in ours.edits() {
                    let lines = |range: &Range<usize>| (base.line_at(range.start), base.line_at(range.end));
                    let ((a, b), (c, d)) = (lines(&edit.range), lines(&conflict.ours.range));
                    let inside = edit.range.start >= conflict.ours.range.start && edit.range.end <= conflict.ours.range.end;
                    prop_assert!(inside || b + 1 < c || d + 1 < a);
                }
            }
        }
    }
}
