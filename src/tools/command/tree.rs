//! The second reading, by tree-sitter's grammar of bash: to check the first one, and to find commands in lines that
//! are not simple.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tree_sitter::{Node, ParseOptions, Parser};

use super::{Joint, Part, Simple};

/// How long parsing may take: a line of the greatest length takes a few milliseconds.
const MAX_TIME: Duration = Duration::from_millis(200);
/// Most nodes of a tree that are looked at.
const MAX_NODES: usize = 20_000;
/// Deepest nesting that is looked at: reading a word descends once for each.
const MAX_DEPTH: usize = 64;

/// The words of a command that may be anywhere in a line; `None` for one that only the shell knows.
pub type Words = Vec<Option<String>>;

/// What the grammar sees in a line.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The line as simple commands; `None` if there is more to it.
    pub plain: Option<Simple>,
    /// All commands, wherever they stand.
    pub commands: Vec<Words>,
    /// Texts that a shell could be given to read: here-documents and here-strings.
    pub texts: Vec<String>,
    /// There is something that the grammar, or we, could not make out.
    pub broken: bool,
}

/// Parses a line.
pub(super) fn read(line: &str) -> Tree {
    let broken = Tree { broken: true, ..Tree::default() };
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_err() {
        return broken;
    }
    let end = Instant::now() + MAX_TIME;
    let mut watch = |_: &tree_sitter::ParseState| {
        if Instant::now() > end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut watch);
    let bytes = ascii(line);
    let mut text = |at: usize, _| bytes.get(at..).unwrap_or_default();
    let Some(tree) = parser.parse_with_options(&mut text, None, Some(options)) else { return broken };
    let root = tree.root_node();
    let mut found = Tree { broken: root.has_error(), ..Tree::default() };
    found.search(root, line);
    let mut plain = Plain { line, parts: vec![Part::default()] };
    if !found.broken && plain.take(root, 0).is_some() && plain.parts.iter().all(|part| !part.argv.is_empty()) {
        found.plain = Some(Simple { parts: plain.parts });
    }
    found
}

/// The line for the grammar, whose scanner looks characters up in a table of 256 places: `{` and a character that is
/// not one of them crash the process (tree-sitter-bash issue 337). To a shell all of them are parts of words, like the
/// letter that stands in for each of their bytes here; the words are then cut from the line itself.
fn ascii(line: &str) -> Vec<u8> {
    line.bytes().map(|byte| if byte.is_ascii() { byte } else { b'x' }).collect()
}

impl Tree {
    /// Looks through the whole tree for commands.
    fn search(&mut self, root: Node<'_>, line: &str) {
        let mut open = vec![(root, 0)];
        let mut seen = 0;
        while let Some((node, depth)) = open.pop() {
            seen += 1;
            if seen > MAX_NODES || depth > MAX_DEPTH {
                self.broken = true;
                return;
            }
            match node.kind() {
                "command" | "declaration_command" | "unset_command" => {
                    let words: Words = children(node)
                        .filter(|child| !matches!(child.kind(), "variable_assignment" | "herestring_redirect"))
                        .filter(|child| !child.kind().ends_with("_redirect"))
                        .map(|child| word(child, line, depth))
                        .collect();
                    if !words.is_empty() {
                        self.commands.push(words);
                    }
                }
                "heredoc_body" => self.texts.extend(text(node, line).map(str::to_owned)),
                "herestring_redirect" => {
                    self.texts.extend(children(node).last().and_then(|child| word(child, line, depth)));
                }
                _ => {}
            }
            open.extend(children(node).map(|child| (child, depth + 1)));
        }
    }
}

/// Collects the line as simple commands.
struct Plain<'a> {
    line: &'a str,
    parts: Vec<Part>,
}

impl Plain<'_> {
    /// `None` where a node is of a kind that a simple line does not have.
    fn take(&mut self, node: Node<'_>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH || node.is_missing() {
            return None;
        }
        match node.kind() {
            "program" | "list" | "pipeline" | "redirected_statement" => {
                for child in children(node) {
                    self.take(child, depth + 1)?;
                }
            }
            "command" => {
                let last = self.parts.last_mut()?;
                if !last.argv.is_empty() {
                    return None;
                }
                for child in children(node) {
                    let last = self.parts.last_mut()?;
                    match child.kind() {
                        "file_redirect" => last.redirects.push(redirect(child, self.line)?),
                        _ => last.argv.push(plain_word(child, self.line, 0)?),
                    }
                }
            }
            "file_redirect" => {
                let redirect = redirect(node, self.line)?;
                self.parts.last_mut()?.redirects.push(redirect);
            }
            "&&" => self.next(Joint::And),
            "||" => self.next(Joint::Or),
            ";" => self.next(Joint::Then),
            "|" => self.next(Joint::Pipe),
            _ => return None,
        }
        Some(())
    }

    fn next(&mut self, joint: Joint) {
        self.parts.push(Part { joint: Some(joint), ..Part::default() });
    }
}

fn children<'a>(node: Node<'a>) -> impl DoubleEndedIterator<Item = Node<'a>> {
    (0..node.child_count()).filter_map(move |index| node.child(index))
}

fn text<'a>(node: Node<'_>, line: &'a str) -> Option<&'a str> {
    line.get(node.byte_range())
}

/// A redirect that touches no file.
fn redirect(node: Node<'_>, line: &str) -> Option<&'static str> {
    let written: String = text(node, line)?.chars().filter(|ch| *ch != ' ').collect();
    ["2>&1", "1>&2", ">&2", ">/dev/null", "1>/dev/null", "2>/dev/null", "</dev/null"]
        .into_iter()
        .find(|known| *known == written)
}

/// A word in which nothing is replaced.
fn plain_word(node: Node<'_>, line: &str, depth: usize) -> Option<String> {
    if depth > 2 {
        return None;
    }
    let text = text(node, line)?;
    match node.kind() {
        "word" | "number" => (node.child_count() == 0).then(|| text.to_owned()),
        "raw_string" => Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned()),
        "string" => {
            let plain = children(node).all(|child| matches!(child.kind(), "\"" | "string_content"));
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            plain.then(|| inner.to_owned())
        }
        "command_name" => {
            let mut inner = children(node);
            let word = plain_word(inner.next()?, line, depth + 1)?;
            inner.next().is_none().then_some(word)
        }
        "concatenation" => children(node).map(|child| plain_word(child, line, depth + 1)).collect(),
        _ => None,
    }
}

/// A word as the shell would have it, as well as we can tell.
fn word(node: Node<'_>, line: &str, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    let text = text(node, line)?;
    match node.kind() {
        "word" | "number" | "variable_name" => Some(unescaped(text, false)),
        "raw_string" => Some(text.trim_matches('\'').to_owned()),
        "ansi_c_string" => Some(ansi(text.strip_prefix("$'")?.strip_suffix('\'')?)),
        "string" | "translated_string" => {
            let whole = children(node).all(|child| matches!(child.kind(), "\"" | "string_content" | "$" | "string"));
            let inner = text.trim_start_matches('$').strip_prefix('"')?.strip_suffix('"')?;
            whole.then(|| unescaped(inner, true))
        }
        "command_name" | "concatenation" | "variable_assignment" => {
            children(node).map(|child| word(child, line, depth + 1)).collect()
        }
        // What has no parts stands for itself: keywords, operators, signs.
        _ if node.child_count() == 0 && !text.contains(['$', '`']) => Some(unescaped(text, false)),
        _ => None,
    }
}

/// Without the backslashes that a shell takes away.
fn unescaped(text: &str, quoted: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        match (ch, chars.clone().next()) {
            ('\\', Some('\n')) => drop(chars.next()),
            ('\\', Some(next)) if !quoted || matches!(next, '$' | '`' | '"' | '\\') => {
                out.push(next);
                chars.next();
            }
            _ => out.push(ch),
        }
    }
    out
}

/// The inside of `$'…'`.
fn ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch != '\\' {
            out.push(ch);
            continue;
        }
        let Some(kind) = chars.next() else { break };
        let (radix, most) = match kind {
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => (8, 3),
            other => {
                out.push(match other {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                continue;
            }
        };
        let mut code = if radix == 8 { kind.to_digit(8).unwrap_or(0) } else { 0 };
        let mut digits = usize::from(radix == 8);
        while digits < most
            && let Some(digit) = chars.peek().and_then(|ch| ch.to_digit(radix))
        {
            code = code.wrapping_mul(radix).wrapping_add(digit);
            chars.next();
            digits += 1;
        }
        out.extend(char::from_u32(code));
    }
    out
}
