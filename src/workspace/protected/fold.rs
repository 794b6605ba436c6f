//! One spelling for all the names that some file system takes for the same.
//!
//! Case is folded as Unicode does it in full, because ext4 and APFS do: `.\u{df}h` is `.ssh` there. Characters that are
//! not seen are left out, as HFS+ and ext4 do. What follows a colon is a stream of the file before it, and dots and
//! spaces at the end are dropped, as on Windows. The names of the table are ASCII, and composing or decomposing leaves
//! ASCII alone, so no more of Unicode is needed: the one character that decomposes to a letter, the sign for Kelvin,
//! is that letter in lower case, too.

/// The parts of a path. A backslash divides on Windows, and nobody means one in a name.
pub(super) fn parts(rel: &str) -> impl Iterator<Item = &str> {
    rel.split(['/', '\\']).filter(|part| !part.is_empty())
}

/// A part of a path as the most forgiving file system takes it.
pub(super) fn fold(part: &str) -> String {
    let mut folded = String::with_capacity(part.len());
    for ch in part.chars().filter(|ch| !is_ignored(*ch)).flat_map(char::to_lowercase) {
        match several(ch) {
            Some(several) => folded.push_str(several),
            None => folded.push(ch),
        }
    }
    let name = match folded.split_once(':') {
        Some((name, _)) if !name.is_empty() => name,
        _ => &folded,
    };
    match name.trim_end_matches(['.', ' ']) {
        "" => name.to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// What a character in lower case folds to, where that is ASCII.
fn several(ch: char) -> Option<&'static str> {
    Some(match ch {
        '\u{17f}' => "s",
        '\u{df}' => "ss",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

/// Characters that a comparison of names may leave out: those that Unicode says to ignore by default.
fn is_ignored(ch: char) -> bool {
    matches!(
        ch,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a folded name has the shape of a second one that Windows gives: up to six characters, a tilde, a number, and
/// up to three more after a dot.
pub(super) fn is_alias(part: &str) -> bool {
    alias(part).is_some()
}

/// Whether the folded name `part` may be the second name of `name`: its first characters, or two of them and four
/// digits of a checksum where several names begin alike.
pub(super) fn is_alias_of(part: &str, name: &str) -> bool {
    let Some((start, number, end)) = alias(part) else { return false };
    let trimmed = name.trim_start_matches('.');
    let (base, ending) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
    let base: String = base.chars().filter(|ch| !matches!(ch, '.' | ' ')).collect();
    let same_end = end == &ending[..ending.len().min(3)];
    let room = 7 - number.len();
    let cut = &base[..base.len().min(room)];
    let short = &base[..base.len().min(2)];
    let checksum = start.strip_prefix(short).is_some_and(is_checksum);
    same_end && (start == cut || checksum)
}

fn is_checksum(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Start, number and ending of a name of that shape.
fn alias(part: &str) -> Option<(&str, &str, &str)> {
    let (stem, end) = part.rsplit_once('.').unwrap_or((part, ""));
    let (start, number) = stem.rsplit_once('~')?;
    let fits = part.is_ascii() && stem.len() <= 8 && end.len() <= 3 && !start.is_empty() && !start.contains('.');
    let counts = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (fits && counts).then_some((start, number, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_it() {
        for spelt in [
            ".git",
            ".GIT",
            ".git.",
            ".git. .",
            ".git ",
            ".git:x",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            ".g\u{e0001}it\u{fe0f}",
            ".gi\u{34f}t",
        ] {
            assert_eq!(fold(spelt), ".git", "{spelt:?}");
        }
        assert_eq!(fold("ma\u{212a}e\u{fb01}le"), "makefile");
        assert_eq!(fold(".\u{1e9e}H"), ".ssh");
        assert_eq!(fold(".\u{17f}\u{17f}h"), ".ssh");
        assert_eq!(fold("..."), "...");
        assert_eq!(fold(":x"), ":x");
        assert_ne!(fold(".gi\u{301}t"), ".git", "an accent makes another name");
        assert_eq!(parts("a\\.git/b").collect::<Vec<_>>(), ["a", ".git", "b"]);
    }

    #[test]
    fn the_second_names_that_windows_gives_are_known() {
        for (alias, name) in [
            ("git~1", ".git"),
            ("git~12", ".git"),
            ("gitmod~1", ".gitmodules"),
            ("gi7eba~1", ".gitmodules"),
            ("gitmo~10", ".gitmodules"),
            ("packag~1.jso", "package.json"),
            ("mcp~1.jso", ".mcp.json"),
            ("agents~1.md", "agents.md"),
            ("env~1", ".env"),
            ("vscode~2", ".vscode"),
            ("settin~1.gra", "settings.gradle"),
        ] {
            assert!(is_alias_of(alias, name), "{alias} {name}");
        }
        for (other, name) in [
            ("git", ".git"),
            ("gi~1", ".git"),
            ("git~", ".git"),
            ("git~x", ".git"),
            ("~1", ".git"),
            ("git~1.x", ".git"),
            ("gitmod~1.x", ".gitmodules"),
            ("backup~1", ".git"),
            ("packag~1.js", "package.json"),
            ("notes~1.txt", "agents.md"),
        ] {
            assert!(!is_alias_of(other, name), "{other} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_is_too_strange_to_be_folded(part in ".{0,12}", name in "[.a-z]{1,12}") {
            let folded = fold(&part);
            is_alias_of(&folded, &name);
            proptest::prop_assert_eq!(fold(&folded).is_empty(), folded.is_empty());
        }
    }
}
