//! What a run wanted of files, as diffs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::report::markup::line;
use crate::report::story::{Changed, Cut};
use crate::text::diff::unified_file;
use crate::text::{Edit, EditSet, Text};
use crate::trajectory::record::{FileOp, Proposal, ProposedFile, Staged, TextId, TextRecord};

/// Bytes of texts that are kept until the end, to compare them then.
const KEPT: usize = 64 << 20;
/// Bytes of a diff that is looked at, of one that is shown, and of all that are shown.
const DIFF: usize = 2 << 20;
const SHOWN: usize = 64 << 10;
const ALL_SHOWN: usize = 1 << 20;
/// Files of a run.
const FILES: usize = 200;

/// What was told of files so far.
#[derive(Default)]
pub struct Changes {
    texts: HashMap<TextId, Arc<str>>,
    kept: usize,
    proposal: Vec<ProposedFile>,
    proposed: bool,
    /// By path, the last of each; in the order of the first.
    staged: Vec<Staged>,
    /// By URI.
    conflicts: HashMap<String, Vec<(u64, Cut)>>,
}

impl Changes {
    /// A text was told.
    pub fn text(&mut self, record: &TextRecord) {
        let Some(text) = &record.text else { return };
        if self.kept.saturating_add(text.len()) <= KEPT {
            self.kept += text.len();
            self.texts.insert(record.hash.clone(), text.clone());
        }
    }

    /// The run wants a file otherwise.
    pub fn staged(&mut self, staged: &Staged) {
        match self.staged.iter().position(|known| known.path == staged.path) {
            Some(known) => self.staged[known] = staged.clone(),
            None if self.staged.len() < FILES => self.staged.push(staged.clone()),
            None => {}
        }
    }

    /// All it wants, at its end.
    pub fn proposal(&mut self, proposal: &Proposal) {
        self.proposed = true;
        self.proposal = proposal.files.iter().take(FILES).cloned().collect();
    }

    /// Where the user had changed the same text of this document.
    pub fn conflicts(&mut self, uri: &str, places: Vec<(u64, Cut)>) {
        self.conflicts.insert(uri.to_owned(), places);
    }

    /// File by file.
    pub fn files(mut self) -> Vec<Changed> {
        let mut left = ALL_SHOWN;
        if self.proposed {
            let files = std::mem::take(&mut self.proposal);
            return files.iter().map(|file| self.proposed(file, &mut left)).collect();
        }
        let staged = std::mem::take(&mut self.staged);
        staged.iter().map(|file| self.only_staged(file, &mut left)).collect()
    }

    fn proposed(&mut self, file: &ProposedFile, left: &mut usize) -> Changed {
        let mut changed = Changed {
            path: line(&file.path, 300),
            from: file.from.as_deref().map(|from| line(from, 300)),
            how: word(file.op),
            conflicts: self.conflicts.remove(&file.uri).unwrap_or_default(),
            ..Changed::default()
        };
        let (before, after) = (self.side(&file.before), self.side(&file.after));
        match (file.op, before, after) {
            (FileOp::Created, _, Some(after)) => show(&mut changed, None, Some(&after), left),
            (FileOp::Deleted, Some(before), _) => show(&mut changed, Some(&before), None, left),
            (FileOp::Edited | FileOp::Renamed, Some(before), Some(after)) => {
                show(&mut changed, Some(&before), Some(&after), left);
            }
            _ => {
                changed.without = Some("Its texts are larger than what is recorded, or are missing from the recording.")
            }
        }
        changed
    }

    fn only_staged(&mut self, file: &Staged, left: &mut usize) -> Changed {
        let mut changed = Changed {
            path: line(&file.path, 300),
            from: file.from.as_deref().map(|from| line(from, 300)),
            how: word(file.op),
            ..Changed::default()
        };
        let before = self.side(&file.base);
        let after = before.as_ref().and_then(|before| {
            let edits =
                file.edits.iter().map(|edit| Edit::new(edit.start..edit.end.max(edit.start), edit.text.clone()));
            EditSet::new(before.len(), edits.collect()).ok()?.apply(before).ok()
        });
        match (file.op, before, after) {
            (FileOp::Created, _, Some(after)) => show(&mut changed, None, Some(&after), left),
            (FileOp::Deleted, Some(before), _) => show(&mut changed, Some(&before), None, left),
            (_, Some(before), Some(after)) => show(&mut changed, Some(&before), Some(&after), left),
            _ => changed.without = Some("The text that it was staged on is not in the recording as it stood then."),
        }
        changed
    }

    fn side(&self, id: &TextId) -> Option<Text> {
        if *id == TextId::of("") {
            return Some(Text::default());
        }
        self.texts.get(id).map(|text| Text::from(&**text))
    }
}

/// The word of what happens to a file.
pub fn word(op: FileOp) -> &'static str {
    match op {
        FileOp::Edited => "edited",
        FileOp::Created => "created",
        FileOp::Deleted => "deleted",
        FileOp::Renamed => "renamed",
    }
}

fn show(changed: &mut Changed, before: Option<&Text>, after: Option<&Text>, left: &mut usize) {
    let whole = unified_file(before, after, "x", 3, DIFF);
    let body = whole.splitn(3, '\n').nth(2).unwrap_or_default();
    changed.added = body.lines().filter(|line| line.starts_with('+')).count();
    changed.removed = body.lines().filter(|line| line.starts_with('-')).count();
    let most = SHOWN.min(*left);
    let shown: usize = body
        .split_inclusive('\n')
        .map(str::len)
        .scan(0, |sum, line| {
            *sum += line;
            (*sum <= most).then_some(line)
        })
        .sum();
    *left -= shown;
    changed.diff = body[..shown].to_owned();
    if shown < body.len() {
        let lines = body[shown..].lines().count();
        changed.diff.push_str(&format!("[{lines} more lines of this diff are not shown]\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::record::EditRecord;

    fn told(changes: &mut Changes, text: &str) -> TextId {
        let hash = TextId::of(text);
        changes.text(&TextRecord { hash: hash.clone(), text: Some(text.into()), bytes: text.len() });
        hash
    }

    fn file(op: FileOp, before: TextId, after: TextId) -> Proposal {
        let file = ProposedFile { path: "a.py".into(), uri: "file:///a.py".into(), op, from: None, before, after };
        Proposal { files: vec![file] }
    }

    #[test]
    fn a_proposal_is_shown_as_what_it_changes() {
        let mut changes = Changes::default();
        let (before, after) = (told(&mut changes, "a\nb\nc\n"), told(&mut changes, "a\nB\nc\nd\n"));
        changes.proposal(&file(FileOp::Edited, before, after));
        changes.conflicts("file:///a.py", vec![(3, Cut::new("x", 9))]);
        let files = changes.files();
        assert_eq!(files[0].diff, "@@ -1,3 +1,4 @@\n a\n-b\n+B\n c\n+d\n");
        assert_eq!((files[0].added, files[0].removed, files[0].conflicts.len()), (2, 1, 1));
    }

    #[test]
    fn a_new_file_has_no_other_side_and_a_missing_text_is_said() {
        let mut changes = Changes::default();
        let after = told(&mut changes, "new\n");
        changes.proposal(&file(FileOp::Created, TextId::of(""), after.clone()));
        assert_eq!(changes.files()[0].diff, "@@ -0,0 +1 @@\n+new\n");
        let mut changes = Changes::default();
        changes.proposal(&file(FileOp::Edited, TextId::of("never told"), after));
        assert!(changes.files()[0].without.is_some());
    }

    #[test]
    fn what_was_only_staged_is_shown_where_its_base_is_known() {
        let mut changes = Changes::default();
        let base = told(&mut changes, "one two");
        let edits = vec![EditRecord { start: 4, end: 7, text: "three".into() }];
        let mut staged = Staged {
            path: "a".into(),
            uri: "file:///a".into(),
            op: FileOp::Edited,
            from: None,
            base,
            edits,
            carried: false,
        };
        changes.staged(&staged);
        assert!(changes.files()[0].diff.contains("+one three"));
        // What does not fit the text is no reason to fall over.
        staged.edits[0].end = usize::MAX;
        let mut changes = Changes::default();
        told(&mut changes, "one two");
        changes.staged(&staged);
        assert!(changes.files()[0].without.is_some());
    }

    #[test]
    fn a_long_diff_says_how_much_is_not_shown() {
        let mut changes = Changes::default();
        let after = told(&mut changes, &"line\n".repeat(50_000));
        changes.proposal(&file(FileOp::Created, TextId::of(""), after));
        let files = changes.files();
        assert_eq!(files[0].added, 50_000);
        assert!(files[0].diff.len() < SHOWN + 100);
        assert!(files[0].diff.ends_with(" more lines of this diff are not shown]\n"), "{}", files[0].diff.len());
    }
}
