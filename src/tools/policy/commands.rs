//! Command lines.

use super::super::command::place::Place;
use super::super::command::{self, Line, MAX_LINE, Simple, Words, readonly, show};
use super::super::sandbox::Level;
use super::{Assessment, Command, Lasting, Part, Policy, Verdict, denied, rules_of};
use crate::config::Rule;
use crate::paths::beneath;

/// Most commands of a line that is not simple which are told of.
const MAX_TOLD: usize = 32;

/// Judges a line.
pub(super) fn assess(policy: &Policy<'_>, tool: &str, command: Command<'_>) -> Assessment {
    if !policy.trusted {
        return refused("this workspace is not trusted, so no command runs in it");
    }
    if command.line.len() > MAX_LINE {
        return refused("the command line is longer than 4096 bytes, more than can be put to you");
    }
    let Ok(cwd) = beneath::real(command.cwd) else {
        return refused("the folder that it is to run in leads out of the workspace");
    };
    let line = Line::read(command.line);
    let hidden = denied(policy.permissions);
    let judge = Judge { policy, tool, place: Place { cwd: &cwd, denied: &hidden } };
    let mut found = judge.line(&line);
    if let Ok(simple) = &line.simple
        && found.verdict != Verdict::Deny
        && simple.parts.iter().all(|part| readonly::check(part, &judge.place, policy.programs).is_ok())
    {
        found.lasting = Lasting::new(simple, &cwd);
    }
    // The very line in the very folder: what looks alike is another call.
    found.key = format!("{tool} {:?} in {:?}", command.line, cwd.absolute());
    found
}

fn refused(reason: &str) -> Assessment {
    judged(Verdict::Deny, None, reason.to_owned(), Vec::new())
}

fn judged(verdict: Verdict, rule: Option<String>, reason: String, parts: Vec<Part>) -> Assessment {
    Assessment { verdict, rule, reason, parts, at_delivery: false, key: String::new(), lasting: None }
}

struct Judge<'a> {
    policy: &'a Policy<'a>,
    tool: &'a str,
    place: Place<'a>,
}

/// What is said of one command.
struct Said {
    verdict: Verdict,
    rule: Option<String>,
    reason: String,
}

impl Judge<'_> {
    fn line(&self, line: &Line) -> Assessment {
        // What is found includes what stands in the parts; the whole line is no better than the worst of it.
        let mut tightened = self.blanket();
        for words in &line.found {
            let said = self.tightened(words);
            if let Some(said) = said
                && tightened.as_ref().is_none_or(|worst| said.verdict > worst.verdict)
            {
                tightened = Some(said);
            }
        }
        match &line.simple {
            Ok(simple) => self.simple(simple, tightened),
            Err(why) => {
                let parts = line.found.iter().take(MAX_TOLD).map(|words| {
                    let Said { verdict, reason, .. } = self.tightened(words).unwrap_or_else(|| Said {
                        verdict: Verdict::Ask,
                        rule: None,
                        reason: "it is part of a line that no rule can allow".to_owned(),
                    });
                    Part { text: text(words), verdict, reason }
                });
                let parts = parts.collect();
                let Some(said) = tightened else {
                    let reason = format!("it is not a plain line of commands: {why}");
                    return judged(Verdict::Ask, None, reason, parts);
                };
                judged(said.verdict, said.rule, said.reason, parts)
            }
        }
    }

    fn simple(&self, simple: &Simple, tightened: Option<Said>) -> Assessment {
        let said: Vec<Said> = simple
            .parts
            .iter()
            .map(|part| {
                let words: Words = part.argv.iter().cloned().map(Some).collect();
                let own = [self.blanket(), self.tightened(&words)].into_iter().flatten();
                own.max_by_key(|said| said.verdict).unwrap_or_else(|| self.loosened(part))
            })
            .collect();
        let parts = simple
            .parts
            .iter()
            .zip(&said)
            .map(|(part, said)| Part { text: show::part(part), verdict: said.verdict, reason: said.reason.clone() })
            .collect();
        // The first of the strictest speaks for all.
        let worst = tightened
            .into_iter()
            .chain(said)
            .reduce(|worst, said| if said.verdict > worst.verdict { said } else { worst });
        match worst {
            Some(said) => judged(said.verdict, said.rule, said.reason, parts),
            None => judged(Verdict::Ask, None, "there is no command in it".to_owned(), parts),
        }
    }

    /// What rules without a pattern forbid or ask.
    fn blanket(&self) -> Option<Said> {
        self.tighten(|rule| rule.pattern.is_none())
    }

    /// What rules forbid or ask of a command, wherever it stands.
    fn tightened(&self, words: &Words) -> Option<Said> {
        self.tighten(|rule| rule.pattern.as_deref().is_none_or(|pattern| command::rules::tightens(pattern, words)))
    }

    fn tighten(&self, covers: impl Fn(&Rule) -> bool) -> Option<Said> {
        let permissions = self.policy.permissions;
        let lists = [
            (Verdict::Deny, &permissions.deny, "your rule forbids it"),
            (Verdict::Ask, &permissions.ask, "your rule asks for this"),
        ];
        lists.into_iter().find_map(|(verdict, rules, reason)| {
            let rule = rules_of(rules, self.tool).find(|rule| covers(rule))?;
            Some(Said { verdict, rule: Some(rule.to_string()), reason: reason.to_owned() })
        })
    }

    /// What rules allow of one part.
    fn loosened(&self, part: &command::Part) -> Said {
        let ask = |rule: Option<&Rule>, reason: String| Said {
            verdict: Verdict::Ask,
            rule: rule.map(ToString::to_string),
            reason,
        };
        let allows =
            |rule: &&Rule| rule.pattern.as_deref().is_none_or(|pattern| command::rules::allows(pattern, &part.argv));
        let Some(rule) = rules_of(&self.policy.permissions.allow, self.tool).find(allows) else {
            return ask(None, "no rule of yours allows it".to_owned());
        };
        let [name, words @ ..] = &part.argv[..] else { return ask(None, "there is no command in it".to_owned()) };
        // A path is a program of anyone's choosing, unless the rule says which.
        let spelt = rule.pattern.is_some() && name.contains('/');
        if name.contains('/') && !spelt {
            return ask(Some(rule), "the rule does not say which program at which path".to_owned());
        }
        if !spelt && let Err(why) = command::rules::known(name, self.place.roots(), self.policy.programs) {
            return ask(Some(rule), why);
        }
        if let Some(word) = words.iter().find(|word| self.place.hides(word)) {
            return ask(Some(rule), format!("a rule of yours hides `{}`", show::visible(word)));
        }
        if (self.policy.level)() < Level::Full
            && let Err(why) = readonly::check(part, &self.place, self.policy.programs)
        {
            return ask(Some(rule), format!("without the whole sandbox only reading is allowed by rules: {why}"));
        }
        Said { verdict: Verdict::Allow, rule: Some(rule.to_string()), reason: "your rule allows it".to_owned() }
    }
}

fn text(words: &Words) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.as_deref().unwrap_or("…")).collect();
    show::visible(&words.join(" "))
}

#[cfg(test)]
mod tests;
