//! What must never stand in an error or a log: the key and the user's own header values, as they are and in the forms
//! in which a server gives them back. Providers echo keys in their 401s.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use secrecy::{ExposeSecret, SecretString};

use crate::config::ProviderConfig;
use crate::llm::LlmError;

/// What stands where a secret stood.
const TAKEN: &str = "[key]";
/// A shorter value is no secret, and taking it out would garble the text.
const SHORTEST: usize = 8;
/// How the keys of the vendors begin, for those that no configuration knows.
const SHAPES: [&str; 9] = ["sk-", "AIza", "ghp_", "github_pat_", "xai-", "gsk_", "hf_", "Bearer ", "Basic "];
/// A word of one of these shapes counts as a key from this length.
const SHAPE_MIN: usize = 20;

/// The secrets of one provider, and its name, which every error begins with.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    provider: String,
    /// Every form, longest first.
    values: Vec<SecretString>,
}

impl Secrets {
    /// Of this provider.
    pub(crate) fn of(provider: &ProviderConfig) -> Self {
        let mut forms: Vec<String> = Vec::new();
        // A key of the user's own making may be short and counts all the same; a header value such as `true` does not.
        if let Some(key) = &provider.key {
            add_forms(key.expose_secret().trim(), 4, &mut forms);
        }
        for (_, value) in &provider.headers {
            let value = value.expose_secret().trim();
            add_forms(value, SHORTEST, &mut forms);
            // `Bearer …` in a header of the user's own: the token alone counts too.
            for part in value.split_whitespace() {
                add_forms(part, SHORTEST, &mut forms);
            }
        }
        Self { provider: provider.name.clone(), values: sealed(forms) }
    }

    /// The error as it may be shown: with the provider's name and without its secrets.
    pub(crate) fn clean(&self, mut error: LlmError) -> LlmError {
        self.take_out(&mut error.message);
        self.take_out(&mut error.hint);
        if let Some(id) = &mut error.request_id {
            self.take_out(id);
        }
        error.message = format!("{}: {}", self.provider, error.message);
        error
    }

    fn take_out(&self, text: &mut String) {
        let mut clean = Cow::Borrowed(text.as_str());
        take_out(&self.values, &mut clean);
        if let Cow::Owned(clean) = clean {
            *text = clean;
        }
    }
}

/// Takes secrets out of whatever is written: those whose values are known, and what looks like a vendor's key. All of
/// them are looked for in one pass: every line of a log and of a recording comes by here.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every form.
    known: Option<AhoCorasick>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.known.as_ref().map_or(0, AhoCorasick::patterns_len))
    }
}

impl Redactor {
    /// For these values.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            add_forms(secret.trim(), SHORTEST, &mut forms);
        }
        let known = (!forms.is_empty()).then(|| {
            let known = AhoCorasick::builder().ascii_case_insensitive(true).build(&forms);
            known.expect("a few forms of a few secrets are no automaton of gigabytes")
        });
        Self { known }
    }

    /// The text without them; borrowed where there were none.
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(known) = self.known.as_ref().filter(|known| known.is_match(text)) else { return without_keys(text) };
        let mut found: Vec<_> = known.find_overlapping_iter(text).map(|found| found.range()).collect();
        found.sort_unstable_by_key(|range| range.start);
        let mut clean = String::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            // What overlaps goes as a whole, or the rest of one would be left.
            if range.start >= end {
                clean.push_str(&text[end..range.start]);
                clean.push_str(TAKEN);
            }
            end = end.max(range.end);
        }
        clean.push_str(&text[end..]);
        Cow::Owned(without_keys(&clean).into_owned())
    }
}

/// Longest first: a form may hold another.
fn sealed(mut forms: Vec<String>) -> Vec<SecretString> {
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms.into_iter().map(SecretString::from).collect()
}

/// Where a secret stands, also with other capitals: some of what servers say is read in lower case.
fn find(text: &str, from: usize, secret: &str) -> Option<Range<usize>> {
    let mut places = text.as_bytes().get(from..)?.windows(secret.len());
    let at = from + places.position(|place| place.eq_ignore_ascii_case(secret.as_bytes()))?;
    // A place in the middle of a character cannot be equal to a text.
    Some(at..at + secret.len())
}

fn take_out(values: &[SecretString], text: &mut Cow<'_, str>) {
    for secret in values {
        let mut from = 0;
        while let Some(at) = find(text, from, secret.expose_secret()) {
            // A secret may stand in the very word that is put in its place.
            from = at.start + TAKEN.len();
            text.to_mut().replace_range(at, TAKEN);
        }
    }
    if let Cow::Owned(clean) = without_keys(text) {
        *text = Cow::Owned(clean);
    }
}

/// A secret as it stands, URL-encoded, as JSON spells it, and inside a longer text in base64.
fn add_forms(secret: &str, shortest: usize, forms: &mut Vec<String>) {
    if secret.len() < shortest {
        return;
    }
    forms.push(secret.to_owned());
    forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    let json = serde_json::to_string(secret).unwrap_or_default();
    forms.push(json.trim_matches('"').to_owned());
    forms.extend(base64_cores(secret.as_bytes()));
}

/// What every base64 text of something that holds `bytes` shows of them, for each of the three places at which they may
/// begin and both alphabets.
fn base64_cores(bytes: &[u8]) -> impl Iterator<Item = String> {
    let mut cores = Vec::new();
    for alphabet in [b"+/", b"-_"] {
        for offset in 0..3 {
            // The first group holds what stands before, and the last what stands behind.
            let skip = (3 - offset) % 3;
            let whole = bytes.len().saturating_sub(skip) / 3 * 3;
            let Some(inner) = bytes.get(skip..skip + whole).filter(|inner| inner.len() >= 6) else { continue };
            cores.push(base64(inner, *alphabet));
        }
    }
    cores.into_iter()
}

/// Base64 of whole groups of three.
fn base64(bytes: &[u8], last: [u8; 2]) -> String {
    let letter = |six: u32| -> char {
        let six = (six & 63) as u8;
        char::from(match six {
            0..=25 => b'A' + six,
            26..=51 => b'a' + six - 26,
            52..=61 => b'0' + six - 52,
            62 => last[0],
            _ => last[1],
        })
    };
    let mut text = String::with_capacity(bytes.len() / 3 * 4);
    for group in bytes.chunks_exact(3) {
        let all = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        text.extend([all >> 18, all >> 12, all >> 6, all].map(letter));
    }
    text
}

/// A text without the words that look like a vendor's key. For what may hold a key that nobody told us of: the second
/// line of defence, at the log.
pub fn without_keys(text: &str) -> Cow<'_, str> {
    static FINDER: OnceLock<AhoCorasick> = OnceLock::new();
    // Whichever comes first will do, and only for that is there a search of many bytes at a time.
    let make = || AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(SHAPES);
    let finder = FINDER.get_or_init(|| make().expect("nine short words are no large automaton"));
    if !finder.is_match(text) {
        return Cow::Borrowed(text);
    }
    let part = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.' | '/' | '+' | '=' | '~');
    let mut clean = String::new();
    let mut done = 0;
    for shape in SHAPES {
        if !text.contains(shape) {
            continue;
        }
        // Rare, so each shape walks the text anew.
        let source = if clean.is_empty() && done == 0 { text.to_owned() } else { std::mem::take(&mut clean) };
        done += 1;
        let mut rest = source.as_str();
        while let Some(at) = rest.find(shape) {
            let begins = rest[..at].chars().next_back().is_none_or(|before| !before.is_ascii_alphanumeric());
            let word = rest[at + shape.len()..].find(|ch| !part(ch)).map_or(rest.len(), |end| at + shape.len() + end);
            clean.push_str(&rest[..at]);
            if begins && word - at >= SHAPE_MIN {
                clean.push_str(TAKEN);
            } else {
                clean.push_str(&rest[at..word]);
            }
            rest = &rest[word..];
        }
        clean.push_str(rest);
    }
    // A word may begin like a key and be none.
    if done == 0 || clean == text { Cow::Borrowed(text) } else { Cow::Owned(clean) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderKind;
    use crate::llm::LlmErrorKind;
    use crate::llm::endpoint::example;

    const KEY: &str = "sk-canary/0123+456 789%";

    fn secrets() -> Secrets {
        let mut provider = example(ProviderKind::OpenAi, "https://a.b");
        provider.key = Some(format!("{KEY}\n").into());
        provider.headers = vec![("x-own".to_owned(), "Token own-secret-1234".to_owned().into())];
        Secrets::of(&provider)
    }

    fn cleaned(text: &str) -> String {
        secrets().clean(LlmError::new(LlmErrorKind::Auth, text, "")).message
    }

    #[test]
    fn the_key_is_found_in_every_form_a_server_gives_it_back_in() {
        let encoded = "sk-canary%2F0123%2B456+789%25";
        for text in [
            format!("bad key {KEY} ({KEY})"),
            format!("bad key {encoded}"),
            "own-secret-1234 and Token own-secret-1234".to_owned(),
            format!("bad key {}", KEY.to_lowercase().to_uppercase()),
        ] {
            let clean = cleaned(&text);
            assert!(
                !clean.to_lowercase().contains("canary") && !clean.contains("own-secret") && clean.contains(TAKEN),
                "{clean}"
            );
        }
    }

    #[test]
    fn base64_shows_nothing_of_the_key_wherever_it_stands() {
        for before in 0..7 {
            for after in 0..4 {
                let text = format!("{}{KEY}{}", "u".repeat(before), ":".repeat(after));
                let padded = format!("{text}{}", "\0".repeat((3 - text.len() % 3) % 3));
                for alphabet in [*b"+/", *b"-_"] {
                    let echo = base64(padded.as_bytes(), alphabet);
                    let clean = cleaned(&format!("credentials {echo}"));
                    assert!(clean.contains(TAKEN), "{before} {after} {clean}");
                    // Of 23 bytes at most the two at each edge may be left.
                    assert!(clean.len() < "p: credentials ".len() + TAKEN.len() + 24, "{clean}");
                }
            }
        }
    }

    #[test]
    fn words_that_look_like_keys_are_taken_out_and_others_stay() {
        for (text, clean) in [
            ("use sk-proj-abcdefghijklmnopqrst now", "use [key] now"),
            ("Authorization: Bearer abcdefghijklmnop", "Authorization: [key]"),
            ("a AIzaSyA1234567890abcdefghij, b sk-ant-api03-abcdefghijk", "a [key], b [key]"),
            ("task-force, disk-usage and sk-short", "task-force, disk-usage and sk-short"),
            ("risk-abcdefghijklmnopqrstuvwxyz", "risk-abcdefghijklmnopqrstuvwxyz"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_keys(text), clean);
        }
    }

    #[test]
    fn a_secret_that_looks_like_its_own_replacement_comes_to_an_end() {
        assert_eq!(Redactor::new(["[key]long"]).clean("a [KEY]long[key]long b"), "a [key][key] b");
        let mut provider = example(ProviderKind::OpenAi, "https://a.b");
        provider.key = Some("[key".to_owned().into());
        let error = LlmError::new(LlmErrorKind::Auth, "x [key y", "");
        assert_eq!(Secrets::of(&provider).clean(error).message, "p: x [key] y");
    }

    #[test]
    fn secrets_that_overlap_go_as_a_whole() {
        let redactor = Redactor::new(["abcdefgh", "efghijkl", "fghi-9999", "inside-the-long-one", "long"]);
        for (text, clean) in [
            ("x abcdefghijkl y", "x [key] y"),
            ("ABCDEFGHi ABCDEFGH", "[key]i [key]"),
            ("abcdefghabcdefgh", "[key][key]"),
            ("été abcdefghi-9999 été", "été [key] été"),
            ("long", "long"),
        ] {
            assert_eq!(redactor.clean(text), clean);
        }
        assert!(matches!(redactor.clean("nothing of that kind"), Cow::Borrowed(_)));
        assert!(matches!(Redactor::default().clean("nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_secret_stays() {
        let mut provider = example(ProviderKind::OpenAi, "https://a.b");
        provider.headers = vec![("x-flag".to_owned(), "true".to_owned().into())];
        let error = LlmError::new(LlmErrorKind::Auth, "this is true", "true");
        assert_eq!(Secrets::of(&provider).clean(error).message, "p: this is true");
    }
}
