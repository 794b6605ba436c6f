//! What a text declares, in order, each with its first lines: enough to know where to read.

use std::ops::Range;

use tree_sitter::{Node, TreeCursor};

use super::Parsed;
use super::symbols::{self, Place, Rule, by_kind, is_closure};
use crate::text::Text;

/// Most characters of a name or of the line that shows a symbol.
const MAX_LINE: usize = 200;

/// Bytes of the text looked at for such a line.
const MAX_HEAD: usize = 2_000;

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A class.
    Class,
    /// A constant.
    Constant,
    /// An enumeration.
    Enum,
    /// A function.
    Function,
    /// What a type does for a trait or by itself.
    Implementation,
    /// An interface or a trait.
    Interface,
    /// A macro.
    Macro,
    /// A function of a type.
    Method,
    /// A module or a namespace.
    Module,
    /// A record without behaviour of its own.
    Struct,
    /// Another name of a type.
    Type,
    /// A variable.
    Variable,
}

/// One declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// What it is.
    pub kind: Kind,
    /// Its name, cut if it is long; empty if it has none.
    pub name: String,
    /// How it is declared, in one line without its body, cut if it is long.
    pub signature: String,
    /// Its lines, from 0, the end not included.
    pub lines: Range<usize>,
    /// Its bytes.
    pub bytes: Range<usize>,
    /// Symbols that it is inside of.
    pub depth: usize,
}

/// The declarations of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// In the order of the text; what is inside another one follows it.
    pub symbols: Vec<Symbol>,
    /// Whether there are more.
    pub more: bool,
}

/// What the text declares, at most `limit` symbols. What is inside a function is its own business. Ends early when
/// `stop` says so.
pub fn outline(parsed: &Parsed, limit: usize, stop: &mut dyn FnMut() -> bool) -> Outline {
    let mut outline = Outline::default();
    let mut walk = Walk::new(parsed);
    let mut steps = 0_u32;
    while let Some(found) = walk.next() {
        steps = steps.wrapping_add(1);
        let full = outline.symbols.len() == limit && matches!(found, Found::Symbol(..));
        if full || (steps.is_multiple_of(1_024) && stop()) {
            outline.more = true;
            break;
        }
        if let Found::Symbol(node, rule, kind, depth) = found {
            outline.symbols.push(symbol(parsed.text(), &node, &rule, kind, depth));
        }
    }
    outline
}

/// The innermost declaration around byte `offset`, without looking at the rest of the text.
pub fn enclosing(parsed: &Parsed, offset: usize) -> Option<Symbol> {
    let mut walk = Walk::new(parsed);
    walk.only = Some(offset);
    let mut innermost = None;
    while let Some(found) = walk.next() {
        if let Found::Symbol(node, rule, kind, depth) = found
            && node.byte_range().contains(&offset)
        {
            innermost = Some((node, rule, kind, depth));
        }
    }
    innermost.map(|(node, rule, kind, depth)| symbol(parsed.text(), &node, &rule, kind, depth))
}

enum Found<'tree> {
    Symbol(Node<'tree>, Rule, Kind, usize),
    Other,
}

/// A walk over all nodes that may declare something, in order.
struct Walk<'tree> {
    cursor: TreeCursor<'tree>,
    rules: Vec<Option<Rule>>,
    /// Depths in the tree of the symbols, and of the functions without a name, that the cursor is inside of.
    symbols: Vec<u32>,
    closures: Vec<u32>,
    /// Visits only what holds this byte.
    only: Option<usize>,
    begun: bool,
    /// The node that the cursor is on needs no look inside.
    sealed: bool,
}

impl<'tree> Walk<'tree> {
    fn new(parsed: &'tree Parsed) -> Self {
        Self {
            cursor: parsed.tree.walk(),
            rules: by_kind(parsed.language),
            symbols: Vec::new(),
            closures: Vec::new(),
            only: None,
            begun: false,
            sealed: false,
        }
    }

    fn next(&mut self) -> Option<Found<'tree>> {
        if self.begun && !self.step() {
            return None;
        }
        self.begun = true;
        let node = self.cursor.node();
        let depth = self.cursor.depth();
        while self.symbols.pop_if(|above| *above >= depth).is_some() {}
        while self.closures.pop_if(|above| *above >= depth).is_some() {}
        self.sealed = false;
        let rule = self.rules.get(usize::from(node.kind_id())).copied().flatten();
        let Some(rule) = rule else {
            if node.is_named() && is_closure(node.kind()) {
                self.closures.push(depth);
            }
            return Some(Found::Other);
        };
        let place = Place { kind: rule.kind, depth, in_closure: !self.closures.is_empty() };
        let Some(kind) = (rule.counts)(&node, place) else { return Some(Found::Other) };
        let nesting = self.symbols.len();
        self.sealed = !rule.has_members || kind == Kind::Function;
        self.symbols.push(depth);
        Some(Found::Symbol(node, rule, kind, nesting))
    }

    /// To the next node, into the one the cursor is on unless it is sealed.
    fn step(&mut self) -> bool {
        let into = !self.sealed
            && match self.only {
                Some(offset) => self.cursor.goto_first_child_for_byte(offset).is_some(),
                None => self.cursor.goto_first_child(),
            };
        if into {
            return true;
        }
        // Only one child of each node holds a byte.
        if self.only.is_some() {
            return false;
        }
        loop {
            if self.cursor.goto_next_sibling() {
                return true;
            }
            if !self.cursor.goto_parent() {
                return false;
            }
        }
    }
}

fn symbol(text: &Text, node: &Node<'_>, rule: &Rule, kind: Kind, depth: usize) -> Symbol {
    let bytes = node.byte_range();
    let named = symbols::name(node).map(|name| one_line(&head(text, name.byte_range()), false));
    let name = match node.child_by_field_name("trait").filter(|_| kind == Kind::Implementation) {
        Some(of) => {
            let of = one_line(&head(text, of.byte_range()), false);
            format!("{of} for {}", named.unwrap_or_default())
        }
        None => named.unwrap_or_default(),
    };
    let body = node.child_by_field_name("body").or_else(|| {
        let value = node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"))?;
        value.child_by_field_name("body")
    });
    let declared = match body {
        Some(body) => one_line(&head(text, bytes.start..body.start_byte()), false),
        None => one_line(&head(text, bytes.clone()), true),
    };
    let declared = declared.trim_end_matches(['{', ':', ';', ' ', ',']).trim_end_matches("=>");
    let declared = declared.trim_end_matches(['=', ' ']);
    // A function of Lua that does nothing has no body.
    let declared = declared.strip_suffix(" end").filter(|_| body.is_none()).unwrap_or(declared);
    let mut signature = format!("{}{declared}", rule.prefix);
    // Where the name comes after a body: `typedef struct { … } name`.
    if !signature.contains(name.as_str()) && kind != Kind::Implementation {
        signature.push_str(" … ");
        signature.push_str(&name);
    }
    let last = text.line_at(bytes.end.saturating_sub(1).max(bytes.start));
    let lines = text.line_at(bytes.start)..last + 1;
    Symbol { kind, name: cut(name), signature: cut(signature), lines, bytes, depth }
}

/// The text of a node as far as a line can show it.
fn head(text: &Text, bytes: Range<usize>) -> String {
    text.slice(bytes.start..bytes.end.min(bytes.start.saturating_add(MAX_HEAD)))
}

/// `text` with each stretch of white space as one space; with `first`, only up to the first line end or brace that
/// is in no brackets.
fn one_line(text: &str, first: bool) -> String {
    let mut line = String::new();
    let mut depth = 0_usize;
    let mut space = false;
    for ch in text.trim_start().chars() {
        match ch {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '\n' | '\r' | '{' if first && depth == 0 => break,
            _ => {}
        }
        if ch.is_whitespace() || ch.is_control() {
            space = true;
            continue;
        }
        if space {
            line.push(' ');
            space = false;
        }
        line.push(ch);
    }
    line
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
