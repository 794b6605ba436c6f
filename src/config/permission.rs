//! The approval rules as they are written: `TOOL` or `TOOL(PATTERN)`. What they mean for a call is `tools::policy`'s
//! business; here a rule that could not work is found before it silently protects nothing.

use std::fmt;

use globset::GlobBuilder;
use serde::Serialize;

use super::keys::TOOL_NAMES;
use super::node::Node;
use super::place::{Origin, Origins, Severity};
use super::read::{Reader, Table, Unknown, shown};
use super::values::texts;

/// Rules in one list of one layer.
const MAX_RULES: usize = 1000;
/// Bytes of one rule.
const MAX_RULE: usize = 1024;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The tool's name.
    pub tool: String,
    /// A glob over the path below its root or, for `run_command`, leading words; absent: every call.
    pub pattern: Option<String>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Some(pattern) => write!(f, "{}({pattern})", self.tool),
            None => f.write_str(&self.tool),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The rules in force. Deny goes before ask before allow, whatever the order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Permissions {
    /// Calls that need no question. The strongest layer that sets the list decides.
    pub allow: Vec<Rule>,
    /// Calls that are asked. The lists of all layers together.
    pub ask: Vec<Rule>,
    /// Calls that are refused. The lists of all layers together.
    pub deny: Vec<Rule>,
}

/// What one layer says of the rules that can only tighten: all that a project's file may hold.
#[derive(Clone, Debug, Default)]
pub(super) struct RulesLayer {
    ask: Vec<(Rule, Origin)>,
    deny: Vec<(Rule, Origin)>,
    /// A list could not be read in part or at all.
    broken: bool,
}

impl RulesLayer {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let mut layer = Self::default();
        for (key, list) in [("ask", &mut layer.ask), ("deny", &mut layer.deny)] {
            let present = table.get(key).is_some();
            let read = table.take(key, rules);
            layer.broken |= present && read.is_none();
            for (rule, origin) in read.map(|at| at.value).unwrap_or_default() {
                layer.broken |= rule.is_err();
                // Of a rule that cannot be read the tool's name is kept: it tightens more than was meant, never less.
                let rule = rule.or_else(|tool| tool.map(|tool| Rule { tool, pattern: None }).ok_or(()));
                list.extend(rule.ok().map(|rule| (rule, origin)));
            }
        }
        layer
    }

    pub(super) fn apply(&self, to: &mut Permissions, origins: &mut Origins) {
        self.add(to);
        for (key, list) in [("ask", &self.ask), ("deny", &self.deny)] {
            for (_, origin) in list {
                origins.add("permissions", key, origin);
            }
        }
    }

    /// Adds the rules that are not there yet.
    pub(super) fn add(&self, to: &mut Permissions) {
        for (list, to) in [(&self.ask, &mut to.ask), (&self.deny, &mut to.deny)] {
            for (rule, _) in list {
                if !to.contains(rule) {
                    to.push(rule.clone());
                }
            }
        }
    }
}

/// What one layer of the user's says of the rules.
#[derive(Clone, Debug, Default)]
pub(super) struct PermissionsLayer {
    pub(super) allow: Option<(Vec<Rule>, Origin)>,
    pub(super) rules: RulesLayer,
    /// The list of what is allowed, or the whole section, could not be read.
    pub(super) broken: bool,
}

impl PermissionsLayer {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let rules = RulesLayer::read(table);
        let present = table.get("allow").is_some();
        let allow = table.take("allow", self::rules);
        let broken = present && allow.as_ref().is_none_or(|at| at.value.iter().any(|(rule, _)| rule.is_err()));
        let allow = allow.map(|at| {
            let good = at.value.into_iter().filter_map(|(rule, _)| rule.ok()).collect();
            (good, at.origin)
        });
        Self { allow, rules, broken }
    }

    /// Something could not be read: what the layer allows must not count.
    pub(super) fn is_broken(&self) -> bool {
        self.broken || self.rules.broken
    }
}

type ReadRule = (Result<Rule, Option<String>>, Origin);

fn rules(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Vec<ReadRule>> {
    let items = texts(MAX_RULES, MAX_RULE)(reader, key, node)?;
    Some(items.into_iter().map(|(text, place)| (rule(reader, key, &text, place), reader.origin(place))).collect())
}

/// A rule, else the tool's name if at least that can be read; the problem is reported.
fn rule(reader: &mut Reader<'_>, key: &str, text: &str, place: &Node) -> Result<Rule, Option<String>> {
    let (tool, pattern) = match text.split_once('(') {
        None => (text.trim(), None),
        Some((tool, rest)) => (tool.trim(), Some(rest)),
    };
    if tool.is_empty() || !tool.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c)) || tool.len() > 128 {
        let message = format!("\"{}\" is not a rule; write TOOL or TOOL(PATTERN)", shown(text));
        reader.error(key, &place.span, message);
        return Err(None);
    }
    let pattern = match pattern.map(|rest| rest.strip_suffix(')')) {
        None => None,
        Some(Some(pattern)) if !pattern.trim().is_empty() => Some(pattern.to_owned()),
        Some(_) => {
            let message = format!(
                "\"{}\" is not a rule; write TOOL or TOOL(PATTERN) with a pattern and \")\" at the end",
                shown(text)
            );
            reader.error(key, &place.span, message);
            return Err(Some(tool.to_owned()));
        }
    };
    if let Some(pattern) = &pattern
        && tool != "run_command"
        && let Err(error) = GlobBuilder::new(pattern).literal_separator(true).build()
    {
        let message = format!("the pattern \"{}\" is not a glob: {}", shown(pattern), error.kind());
        reader.error(key, &place.span, message);
        return Err(Some(tool.to_owned()));
    }
    if !TOOL_NAMES.contains(&tool) {
        // Only a warning, so that a rule for a tool of another version does not make the rest of the file count for
        // nothing.
        reader.unknown_word(Severity::Warning, key, place, &Unknown::name("tool", tool, TOOL_NAMES));
    }
    Ok(Rule { tool: tool.to_owned(), pattern })
}
