//! Which nodes of which grammar declare something, and where their name stands.

use tree_sitter::Node;

use super::Language;
use super::outline::Kind;

/// What a node of some kind declares.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// The node's kind.
    node: &'static str,
    /// What it declares.
    pub(super) kind: Kind,
    /// Whether what it declares may hold further symbols worth showing.
    pub(super) has_members: bool,
    /// Whether this very node counts, and as what.
    pub(super) counts: fn(&Node<'_>, Place) -> Option<Kind>,
    /// What its line begins with, where the grammar puts the keyword elsewhere.
    pub(super) prefix: &'static str,
}

/// Where a node stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// What its rule says it declares.
    pub(super) kind: Kind,
    /// Nodes above it.
    pub(super) depth: u32,
    /// Whether it is inside a function without a name.
    pub(super) in_closure: bool,
}

const fn leaf(node: &'static str, kind: Kind) -> Rule {
    Rule { node, kind, has_members: false, counts: always, prefix: "" }
}

const fn holder(node: &'static str, kind: Kind) -> Rule {
    Rule { has_members: true, ..leaf(node, kind) }
}

const fn when(rule: Rule, counts: fn(&Node<'_>, Place) -> Option<Kind>) -> Rule {
    Rule { counts, ..rule }
}

const fn prefixed(rule: Rule, prefix: &'static str) -> Rule {
    Rule { prefix, ..rule }
}

const C: &[Rule] = &[
    leaf("function_definition", Kind::Function),
    when(leaf("declaration", Kind::Function), prototype),
    when(leaf("field_declaration", Kind::Method), prototype),
    when(holder("struct_specifier", Kind::Struct), with_body),
    when(holder("union_specifier", Kind::Struct), with_body),
    when(leaf("enum_specifier", Kind::Enum), with_body),
    leaf("type_definition", Kind::Type),
    leaf("preproc_function_def", Kind::Macro),
    when(holder("class_specifier", Kind::Class), with_body),
    holder("namespace_definition", Kind::Module),
    leaf("alias_declaration", Kind::Type),
    leaf("concept_definition", Kind::Type),
];

const GO: &[Rule] = &[
    leaf("function_declaration", Kind::Function),
    leaf("method_declaration", Kind::Method),
    prefixed(when(leaf("type_spec", Kind::Type), go_type), "type "),
    prefixed(leaf("type_alias", Kind::Type), "type "),
    prefixed(when(leaf("const_spec", Kind::Constant), outside), "const "),
    prefixed(when(leaf("var_spec", Kind::Variable), outside), "var "),
];

const JAVA: &[Rule] = &[
    holder("class_declaration", Kind::Class),
    holder("interface_declaration", Kind::Interface),
    holder("annotation_type_declaration", Kind::Interface),
    holder("enum_declaration", Kind::Enum),
    holder("record_declaration", Kind::Class),
    leaf("method_declaration", Kind::Method),
    leaf("constructor_declaration", Kind::Method),
    leaf("compact_constructor_declaration", Kind::Method),
    leaf("annotation_type_element_declaration", Kind::Method),
];

/// JavaScript and TypeScript; a grammar leaves out what it does not know.
const SCRIPT: &[Rule] = &[
    holder("class_declaration", Kind::Class),
    holder("abstract_class_declaration", Kind::Class),
    when(holder("class", Kind::Class), named),
    leaf("method_definition", Kind::Method),
    leaf("method_signature", Kind::Method),
    leaf("abstract_method_signature", Kind::Method),
    when(leaf("public_field_definition", Kind::Method), function_value),
    when(leaf("field_definition", Kind::Method), function_value),
    leaf("function_declaration", Kind::Function),
    leaf("generator_function_declaration", Kind::Function),
    leaf("function_signature", Kind::Function),
    holder("interface_declaration", Kind::Interface),
    leaf("type_alias_declaration", Kind::Type),
    leaf("enum_declaration", Kind::Enum),
    holder("internal_module", Kind::Module),
    holder("module", Kind::Module),
    when(holder("variable_declarator", Kind::Variable), script_variable),
    when(leaf("assignment_expression", Kind::Function), function_value),
];

const LUA: &[Rule] = &[
    leaf("function_declaration", Kind::Function),
    when(leaf("assignment_statement", Kind::Function), lua_function),
    when(leaf("field", Kind::Function), function_value),
];

const PYTHON: &[Rule] = &[
    holder("class_definition", Kind::Class),
    leaf("function_definition", Kind::Function),
    when(leaf("assignment", Kind::Variable), python_variable),
    leaf("type_alias_statement", Kind::Type),
];

const RUST: &[Rule] = &[
    leaf("function_item", Kind::Function),
    leaf("function_signature_item", Kind::Function),
    leaf("struct_item", Kind::Struct),
    leaf("union_item", Kind::Struct),
    leaf("enum_item", Kind::Enum),
    holder("trait_item", Kind::Interface),
    holder("impl_item", Kind::Implementation),
    holder("mod_item", Kind::Module),
    leaf("type_item", Kind::Type),
    leaf("associated_type", Kind::Type),
    leaf("const_item", Kind::Constant),
    leaf("static_item", Kind::Variable),
    leaf("macro_definition", Kind::Macro),
];

/// The rules of a language.
pub(super) fn rules(language: Language) -> &'static [Rule] {
    match language {
        Language::C | Language::Cpp => C,
        Language::Go => GO,
        Language::Java => JAVA,
        Language::JavaScript | Language::TypeScript | Language::Tsx => SCRIPT,
        Language::Lua => LUA,
        Language::Python => PYTHON,
        Language::Rust => RUST,
    }
}

/// The rule for each kind of node of a grammar, by its number.
pub(super) fn by_kind(language: Language) -> Vec<Option<Rule>> {
    let Some(grammar) = language.grammar() else { return Vec::new() };
    let mut table = vec![None; grammar.node_kind_count()];
    for rule in rules(language) {
        // Kinds that the grammar does not have are number 0, the end of the text.
        let id = usize::from(grammar.id_for_node_kind(rule.node, true));
        if let Some(slot) = table.get_mut(id).filter(|_| id > 0) {
            *slot = Some(*rule);
        }
    }
    table
}

/// Whether a node is a function without a name of its own.
pub(super) fn is_closure(kind: &str) -> bool {
    matches!(
        kind,
        "arrow_function" | "function_expression" | "generator_function" | "func_literal" | "lambda_expression"
    )
}

fn is_function(node: &Node<'_>) -> bool {
    is_closure(node.kind()) || node.kind() == "function_definition"
}

fn always(_: &Node<'_>, place: Place) -> Option<Kind> {
    Some(place.kind)
}

fn outside(_: &Node<'_>, place: Place) -> Option<Kind> {
    (!place.in_closure).then_some(place.kind)
}

fn named(node: &Node<'_>, place: Place) -> Option<Kind> {
    node.child_by_field_name("name").map(|_| place.kind)
}

fn with_body(node: &Node<'_>, place: Place) -> Option<Kind> {
    node.child_by_field_name("body").map(|_| place.kind)
}

fn value<'tree>(node: &Node<'tree>) -> Option<Node<'tree>> {
    node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"))
}

fn function_value(node: &Node<'_>, place: Place) -> Option<Kind> {
    value(node).filter(is_function).map(|_| place.kind)
}

fn script_variable(node: &Node<'_>, place: Place) -> Option<Kind> {
    if value(node).is_some_and(|value| is_function(&value)) {
        return Some(Kind::Function);
    }
    (!place.in_closure).then_some(Kind::Variable)
}

fn lua_function(node: &Node<'_>, place: Place) -> Option<Kind> {
    let values = node.named_child(1)?;
    values.named_child(0).filter(is_function).map(|_| place.kind)
}

fn python_variable(node: &Node<'_>, place: Place) -> Option<Kind> {
    // module, expression_statement, assignment
    let is_top = place.depth == 2;
    let is_name = node.child_by_field_name("left").is_some_and(|left| left.kind() == "identifier");
    (is_top && is_name).then_some(place.kind)
}

fn go_type(node: &Node<'_>, place: Place) -> Option<Kind> {
    Some(match node.child_by_field_name("type").map(|node| node.kind()) {
        Some("struct_type") => Kind::Struct,
        Some("interface_type") => Kind::Interface,
        _ => place.kind,
    })
}

/// Declarators nest: pointers, parentheses, arrays, parameters. This deep at most.
const MAX_DECLARATORS: usize = 32;

fn prototype(node: &Node<'_>, place: Place) -> Option<Kind> {
    let mut at = node.child_by_field_name("declarator")?;
    for _ in 0..MAX_DECLARATORS {
        if at.kind() == "function_declarator" {
            return Some(place.kind);
        }
        at = at.child_by_field_name("declarator")?;
    }
    None
}

/// The node that holds the name of what `node` declares.
pub(super) fn name<'tree>(node: &Node<'tree>) -> Option<Node<'tree>> {
    let direct = ["name", "property", "left"].iter().find_map(|field| node.child_by_field_name(field));
    if direct.is_some() {
        return direct;
    }
    if let Some(mut at) = node.child_by_field_name("declarator") {
        for _ in 0..MAX_DECLARATORS {
            let inner = at.child_by_field_name("declarator").or_else(|| {
                // Parentheses have no field for what is in them.
                (at.kind() == "parenthesized_declarator").then(|| at.named_child(0)).flatten()
            });
            match inner {
                Some(inner) => at = inner,
                None => return Some(at),
            }
        }
        return Some(at);
    }
    match node.kind() {
        "impl_item" => node.child_by_field_name("type"),
        "assignment_statement" => node.named_child(0),
        _ => None,
    }
}
