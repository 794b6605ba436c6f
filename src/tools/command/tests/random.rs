//! Lines that nobody thought of.

use proptest::prelude::*;

use super::*;

/// Pieces that lines are made of.
const PIECES: &[&str] = &[
    "ls",
    "cat",
    "grep",
    "find",
    "sort",
    "uniq",
    "echo",
    "a.txt",
    "sub",
    "-n",
    "-l",
    "--",
    "-",
    "'a b'",
    "\"x\"",
    "'",
    "\"",
    "\\",
    "$",
    "$(",
    ")",
    "`",
    "{",
    "}",
    ",",
    "*",
    "?",
    "[",
    "]",
    "~",
    "#",
    "!",
    "^",
    "&",
    "&&",
    "|",
    "||",
    ";",
    ";;",
    "<",
    ">",
    ">>",
    "2>&1",
    ">/dev/null",
    "2>/dev/null",
    " ",
    "  ",
    "\n",
    "\t",
    "\r",
    "=",
    "a=b",
    "-o",
    "--output=x",
    "-exec",
    "$'\\n'",
    "é",
    "\u{a0}",
    "\u{202e}",
    "\0",
    "if",
    "then",
    "fi",
    "time",
    "(",
    "test",
    "-v",
    "printf",
    "%n",
    "/etc/passwd",
    "..",
    "../",
    "EOF",
    "<<",
    "<<<",
    "@",
    "%",
    "+",
    ":",
    "in",
    "do",
];

/// Characters that a line may have outside of quotes if it is to run without a question.
fn within_grammar(line: &str) -> bool {
    let mut quote = None;
    let mut rest = line.chars();
    let bare: String = std::iter::from_fn(|| rest.next())
        .filter(|ch| match quote {
            Some(open) => {
                if *ch == open {
                    quote = None;
                }
                false
            }
            None if matches!(ch, '\'' | '"') => {
                quote = Some(*ch);
                false
            }
            None => true,
        })
        .collect();
    let bare = bare.replace("2>&1", "").replace("1>&2", "").replace(">&2", "").replace("/dev/null", "");
    quote.is_none()
        && !line.contains(|ch: char| ch.is_control())
        && !bare
            .replace("&&", "")
            .contains(['$', '`', '*', '?', '[', ']', '{', '}', '(', ')', '~', '#', '!', '\\', '&'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_without_a_panic_and_what_is_simple_is_within_the_grammar(line in ".{0,120}") {
        let read = Line::read(&line);
        prop_assert!(read.simple.is_err() || within_grammar(&line), "{line:?}");
        for words in &read.found {
            rules::tightens("rm -rf", words);
        }
    }

    #[test]
    fn so_is_any_row_of_pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..14)) {
        let line = pieces.concat();
        let read = Line::read(&line);
        if let Ok(simple) = &read.simple {
            prop_assert!(within_grammar(&line), "{line:?}");
            // What is shown is what runs.
            let shown = show::line(simple);
            prop_assert_eq!(&Line::read(&shown).simple, &read.simple, "{}", shown);
        }
    }

    #[test]
    fn words_of_plain_characters_come_back_as_they_went_in(
        words in proptest::collection::vec("[a-zA-Z0-9_./,:=+@%-]{0,6}|[a-z]{1,3} [a-z]", 0..8),
    ) {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("echo {}", quoted.join(" "));
        let read = argv(&line);
        prop_assert_eq!(&read[0][1..], &words[..]);
    }
}
