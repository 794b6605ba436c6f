//! Every token is the one that tiktoken gives. `benches/suite` compares ten megabytes of other people's code the same way.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use tiktoken_rs::CoreBPE;

use super::*;
use crate::tokens::merge::tests::begins;

struct Pair {
    ours: Encoder,
    theirs: CoreBPE,
}

/// Ours and tiktoken's, in both encodings.
fn pairs() -> &'static [Pair; 2] {
    static PAIRS: OnceLock<[Pair; 2]> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let theirs = [tiktoken_rs::o200k_base().unwrap(), tiktoken_rs::cl100k_base().unwrap()];
        let mut encodings = Encoding::ALL.into_iter();
        theirs.map(|theirs| Pair { ours: Encoder::new(encodings.next().unwrap()), theirs })
    })
}

impl Encoder {
    fn ids(&self, text: &str) -> Vec<u32> {
        let text = self.classes.of(text.as_bytes());
        let (mut ids, mut at) = (Vec::new(), 0);
        while at < text.bytes.len() {
            let end = match self.encoding {
                Encoding::O200k => O200k::end(text, at),
                Encoding::Cl100k => Cl100k::end(text, at),
            };
            let piece = &text.bytes[at..end];
            match self.vocabulary.rank(piece) {
                NONE => {
                    let mut edges = begins(&self.vocabulary, piece);
                    edges.push(piece.len());
                    ids.extend(edges.windows(2).map(|two| self.vocabulary.rank(&piece[two[0]..two[1]])));
                }
                rank => ids.push(rank),
            }
            at = end;
        }
        ids
    }
}

/// Tokens and count are tiktoken's, in both encodings.
fn same(text: &str) {
    for Pair { ours, theirs } in pairs() {
        let expected: Vec<u32> = theirs.encode_ordinary(text);
        let shown: String = text.chars().take(80).collect();
        assert_eq!(ours.ids(text), expected, "{:?}: {shown:?}", ours.encoding);
        assert_eq!(ours.count(text), expected.len() as u64, "{:?}: {shown:?}", ours.encoding);
    }
}

/// The sources and pages of this repository.
#[expect(clippy::disallowed_methods, reason = "it reads the repository that it is a test of")]
fn repository() -> Vec<String> {
    let mut texts = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                open.push(path);
            } else if [".rs", ".md", ".toml", ".lock"].iter().any(|end| name.ends_with(end)) {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

#[test]
fn code_and_prose_have_the_tokens_that_tiktoken_gives_them() {
    let texts = repository();
    assert!(texts.iter().map(String::len).sum::<usize>() > 1_000_000);
    texts.iter().for_each(|text| same(text));
}

#[test]
fn every_token_and_every_character_is_itself() {
    for Pair { ours, theirs } in pairs() {
        let longest = (0..).map_while(|rank| theirs.decode_bytes(&[rank]).ok().map(|token| (rank, token)));
        for (rank, token) in longest {
            assert_eq!(ours.vocabulary.rank(&token), rank);
        }
    }
    let all: Vec<char> =
        ('\0'..=char::MAX).filter(|ch| (*ch as u32) < 0x3000 || (*ch as u32).is_multiple_of(61)).collect();
    for some in all.chunks(1000) {
        same(&some.iter().collect::<String>());
        same(&some.iter().flat_map(|ch| ['a', *ch, 'B', ' ']).collect::<String>());
    }
}

#[test]
fn a_piece_that_never_ends_has_the_same_tokens_in_windows_as_whole() {
    let mut state = 1_u64;
    let mut random = |alphabet: &[u8]| -> char {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state % alphabet.len() as u64) as usize])
    };
    for alphabet in [&b"ab"[..], b"abcdefghijklmnopqrstuvwxyz", b"etaoinshr", b"-=", b" ", b"\t ", b"a", b"\n\r"] {
        for len in [63, 64, 65, 66, 2047, 2048, 2049, 3000, 5000] {
            same(&(0..len).map(|_| random(alphabet)).collect::<String>());
        }
    }
    same(&"\u{4e2d}".repeat(3000));
    same(&"\u{1f600}".repeat(1500));
    same(&format!("{}x", " ".repeat(6000)));
}

#[test]
fn a_text_counted_in_parts_on_several_cores_has_the_tokens_of_the_whole() {
    let texts = repository();
    let long = texts.concat();
    let blanks = " ".repeat(MANY);
    let texts = [long.as_str(), "", &blanks, "short"];
    for Pair { ours, .. } in pairs() {
        let one = ours.count_all(&texts, NonZero::<usize>::MIN);
        for cores in [2, 3] {
            assert_eq!(ours.count_all(&texts, NonZero::new(cores).unwrap()), one);
        }
    }
    assert!(parts(&long).count() > 10);
    assert_eq!(parts(&long).collect::<String>(), long);
    assert_eq!(parts(&blanks).count(), 1);
}

/// What the patterns tell apart, and what stands at the edges of it.
const PALETTE: &str = "abzABZsSdDmMtTlLvVrReEſKǅʰªé中अाا\u{301}\u{200d}0१½Ⅷ \t\n\r\u{a0}\u{85}\u{2028}\u{3000}\u{b}''’!/-_.(){}€😀\u{0}\u{ad}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn whatever_stands_together_is_split_as_the_patterns_say(
        chars in prop::collection::vec(prop::sample::select(PALETTE.chars().collect::<Vec<_>>()), 0..40),
    ) {
        same(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn any_text_is_split_as_the_patterns_say(text in any::<String>()) {
        same(&text);
    }

    #[test]
    fn a_text_may_be_cut_behind_a_word(
        chars in prop::collection::vec(prop::sample::select(PALETTE.chars().collect::<Vec<_>>()), 0..60),
    ) {
        let text: String = chars.into_iter().collect();
        let bytes = text.as_bytes();
        for at in 1..bytes.len() {
            if bytes[at - 1].is_ascii_alphanumeric() && matches!(bytes[at], b' ' | b'\n' | b'\t' | b'\r') {
                for Pair { ours, .. } in pairs() {
                    let (front, back) = text.split_at(at);
                    prop_assert_eq!(ours.count(front) + ours.count(back), ours.count(&text));
                }
            }
        }
    }
}
