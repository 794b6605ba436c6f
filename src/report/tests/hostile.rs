//! Nothing that a run says gets out of its element.
//!
//! A page is told from the same records twice, once with a harmless word in every foreign field and once with a hostile
//! one. If the hostile words are only ever text, both pages have the same elements with the same attributes in the same
//! order. The page is read here by the rules that a browser has for it, as far as they can make a difference.

use proptest::prelude::*;

use super::made::Made;
use super::{html, story};

/// An element as it is in the source: its name, and the names of its attributes.
type Tag = (String, Vec<String>);

/// The tags of a page in order, and all that stands in attributes and between tags.
fn read(page: &str) -> (Vec<Tag>, String) {
    let mut tags: Vec<Tag> = Vec::new();
    let mut words = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        words.push_str(&rest[..at]);
        rest = &rest[at..];
        // What is between these two is not read as HTML, up to the end of the element.
        let raw = ["script", "style"].into_iter().find(|name| rest[1..].starts_with(name));
        let (tag, behind) = tag(rest, &mut words);
        tags.push(tag);
        rest = behind;
        if let Some(raw) = raw {
            let end = format!("</{raw}");
            let at = rest.to_ascii_lowercase().find(&end).unwrap_or_else(|| panic!("{raw} does not end"));
            rest = &rest[at..];
        }
    }
    words.push_str(rest);
    (tags, words)
}

/// Reads a tag as browsers do, up to the `>` that is in no quoted value.
fn tag<'a>(text: &'a str, words: &mut String) -> (Tag, &'a str) {
    let mut name = String::new();
    let mut attributes = Vec::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((_, ch)) = chars.next_if(|(_, ch)| !ch.is_whitespace() && *ch != '>') {
        name.push(ch);
    }
    let mut attribute = String::new();
    while let Some((at, ch)) = chars.next() {
        match ch {
            '>' => {
                attributes.extend((!attribute.is_empty()).then_some(attribute));
                return ((name, attributes), &text[at + 1..]);
            }
            '"' => {
                for (_, ch) in chars.by_ref().take_while(|(_, ch)| *ch != '"') {
                    words.push(ch);
                }
            }
            ch if ch.is_whitespace() => {
                attributes.extend((!attribute.is_empty()).then(|| std::mem::take(&mut attribute)));
            }
            ch => attribute.push(ch),
        }
    }
    panic!("a tag does not end: {}", text.chars().take(200).collect::<String>());
}

const HOSTILE: [&str; 9] = [
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)' x='",
    "</style><style>*{background:url(http://evil/)}",
    "</script><img src=http://evil/ onerror=alert(1)>",
    "<!--",
    "]]> &quot;&lt;script&gt;",
    "\u{202e}txet\u{2066} \u{0} \u{1b}[2J \u{feff}",
    "javascript:alert(1)//</a><a href=javascript:alert(1)>",
    "{{constructor.constructor('alert(1)')()}}${alert(1)}",
];

fn holds(word: &str) {
    let harmless = html::page(&story(&Made::till("text")));
    let hostile = html::page(&story(&Made::till(word)));
    let ((expected, _), (found, words)) = (read(&harmless), read(&hostile));
    assert_eq!(found, expected, "with {word:?}");
    assert!(!words.contains('<'), "with {word:?}");
    let forbidden = |ch: char| (ch.is_control() && ch != '\n' && ch != '\t') || ('\u{202a}'..='\u{202e}').contains(&ch);
    assert!(!hostile.contains(forbidden), "with {word:?}");
}

#[test]
fn hostile_words_stay_words() {
    for word in HOSTILE {
        holds(word);
    }
}

#[test]
fn the_policy_allows_this_style_and_this_script_only() {
    let page = html::page(&story(&Made::till(HOSTILE[3])));
    let between = |from: &str, to: &str| {
        let start = page.find(from).unwrap() + from.len();
        &page[start..start + page[start..].find(to).unwrap()]
    };
    let policy = between("Content-Security-Policy\" content=\"", "\"");
    let (style, script) = (between("<style>", "</style>"), between("<script>", "</script>"));
    let [style, script] = [style, script].map(crate::report::markup::hash);
    assert_eq!(
        policy,
        format!("default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'")
    );
    let (tags, _) = read(&page);
    let handler = |tag: &&Tag| tag.1.iter().any(|name| name.starts_with("on") || name.starts_with("style"));
    assert_eq!(tags.iter().find(handler), None);
    for (name, _) in tags {
        assert!(
            !["img", "iframe", "object", "embed", "link", "form", "base", "image"].contains(&name.as_str()),
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Words of one line without the marks of Markdown, which may well make elements of their own.
    #[test]
    fn no_word_gets_out_of_its_element(word in "[<>\"'&;/=a-z!\\[\\]\u{202e}\u{0}\u{7f}🦀 ]{1,40}") {
        let word = format!("x{word}x");
        let words = word.split_whitespace().collect::<Vec<_>>().join(" ");
        holds(&words);
    }
}
