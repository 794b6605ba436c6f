//! The top of the page: what the run was, how it ended, and the numbers one asks for first.

use std::fmt::Write as _;

use super::markdown;
use super::markup::Text;
use super::say;
use super::story::{Cut, Story};

/// Appends title, state and prompt.
pub fn head(out: &mut String, story: &Story) {
    let (state, word) = state(story);
    let title = if story.title.is_empty() { "A run without a title" } else { &story.title };
    let _ = write!(
        out,
        "<p class=\"eyebrow\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M2 7 22 3M12 5v5M6 10h12v7a3 3 0 0 \
         1-3 3H9a3 3 0 0 1-3-3zM6 14h12\"/></svg>Ropeway · run report</p>\n<h1>{}</h1>\n<p class=\"facts\"><strong \
         class=\"badge {state}\">{word}</strong>",
        Text(title)
    );
    if !story.model.is_empty() {
        let _ = write!(out, "<span>{}</span>", Text(&story.model));
    }
    let _ = write!(out, "<span>{}</span>", Text(&say::time(story.total())));
    if let Some(unix) = story.began_unix_us {
        let _ = write!(
            out,
            "<span><time datetime=\"{}\">{}</time></span>",
            say::moment(unix, true),
            say::moment(unix, false)
        );
    }
    if let Some(client) = &story.client {
        let _ = write!(out, "<span>in {}</span>", Text(client));
    }
    out.push_str("</p>\n");
    if !story.prompt.text.trim().is_empty() {
        let _ = write!(
            out,
            "<blockquote class=\"prompt\" tabindex=\"0\" aria-label=\"What was asked for\"><p>{}</p>",
            Text(story.prompt.text.trim())
        );
        missing(out, &story.prompt);
        out.push_str("</blockquote>\n");
    }
    trouble(out, story);
}

/// The class and the words of how a run ended.
fn state(story: &Story) -> (&'static str, &'static str) {
    let status = story.outcome.as_ref().map(|outcome| outcome.status.as_str());
    match status {
        Some("applied") => ("good", "Applied"),
        Some("answered") => ("good", "Answered"),
        Some("proposed") => ("wait", "Proposed, waits for you"),
        Some("unchanged") => ("plain", "Nothing changed"),
        Some("conflict") => ("wait", "Applied but for conflicts"),
        Some("unknown") => ("wait", "Delivery unknown"),
        Some("cancelled") => ("plain", "Cancelled"),
        Some("failed") => ("bad", "Failed"),
        Some(_) => ("plain", "Ended"),
        None if story.live => ("wait", "Still running"),
        None => ("bad", "Cut off"),
    }
}

fn trouble(out: &mut String, story: &Story) {
    match story.outcome.as_ref() {
        Some(outcome) => {
            let Some(error) = &outcome.error else { return };
            let _ = write!(
                out,
                "<div class=\"trouble\" role=\"note\"><p><strong>{}</strong> <code>{}</code></p>",
                Text(&error.message),
                Text(&error.code)
            );
            if !error.hint.is_empty() {
                let _ = write!(out, "<p>{}</p>", Text(&error.hint));
            }
            out.push_str("</div>\n");
        }
        None if story.live => out.push_str(
            "<div class=\"trouble calm\" role=\"note\"><p>The run goes on. This page shows it up to the moment it was \
             made.</p></div>\n",
        ),
        None => out.push_str(
            "<div class=\"trouble\" role=\"note\"><p>The recording ends before the run does: its program was ended, or \
             recording was.</p></div>\n",
        ),
    }
}

/// Appends the numbers.
pub fn cards(out: &mut String, story: &Story) {
    let sums = story.sums();
    out.push_str("<dl class=\"cards\">\n");
    let mut card = |name: &str, value: &str, notes: &[String], bar: Option<u64>| {
        let _ = write!(out, "<div class=\"card\"><dt>{name}</dt><dd><span class=\"value\">{}</span>", Text(value));
        if let Some(percent) = bar {
            let _ = write!(
                out,
                "<svg class=\"meter\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect \
                 class=\"rest\" width=\"100\" height=\"4\"/><rect class=\"done\" width=\"{}\" height=\"4\"/></svg>",
                percent.min(100)
            );
        }
        for note in notes.iter().filter(|note| !note.is_empty()) {
            let _ = write!(out, "<span class=\"note\">{}</span>", Text(note));
        }
        out.push_str("</dd></div>\n");
    };
    let timing = story.outcome.as_ref().and_then(|outcome| outcome.timing);
    let split =
        timing.map(|[_, model, tools, _]| format!("model {}, tools {} added up", say::time(model), say::time(tools)));
    card("Time", &say::time(story.total()), &[split.unwrap_or_default()], None);
    if let Some(median) = sums.first_tokens.get(sums.first_tokens.len() / 2) {
        let slowest = sums.first_tokens.last().copied().unwrap_or_default();
        let of = say::many(sums.first_tokens.len() as u64, "model call");
        card("First token", &say::time(*median), &[format!("median of {of}, slowest {}", say::time(slowest))], None);
    }
    let failed = if sums.failed > 0 { format!(", {} failed", sums.failed) } else { String::new() };
    let remembered = if sums.cached > 0 { format!(", {} remembered", sums.cached) } else { String::new() };
    let calls = story.calls.len() as u64 + story.lacking.calls;
    card(
        "Tool calls",
        &say::count(calls),
        &[if calls > 0 { format!("{} at once at most{remembered}{failed}", sums.peak) } else { String::new() }],
        None,
    );
    let early = match (sums.early, calls) {
        (0, _) => "no call ended before its response did".to_owned(),
        (early, all) => format!("{early} of {all} calls done while the model still spoke"),
    };
    if let (Some([.., overlap]), true) = (timing, calls > 0) {
        card("Time won by overlap", &say::time(overlap), &[early], None);
    }
    let tokens = sums.tokens;
    if tokens.input > 0 {
        let share = say::percent(tokens.cached, tokens.input);
        card(
            "Tokens in",
            &say::count(tokens.input),
            &[format!("{share} of them from the provider’s cache")],
            Some((tokens.cached as f64 * 100.0 / tokens.input as f64) as u64),
        );
        let reasoning = if tokens.reasoning > 0 {
            format!("{} of them reasoning", say::count(tokens.reasoning))
        } else {
            String::new()
        };
        card("Tokens out", &say::count(tokens.output), &[reasoning], None);
    }
    match sums.cost {
        Some(cost) => {
            let note = if sums.cost_unknown { "without calls whose price is not known" } else { "US dollars" };
            card("Cost", &say::dollars(cost), &[note.to_owned()], None);
        }
        None if tokens.input > 0 => card("Cost", "not known", &["this model has no price here".to_owned()], None),
        None => {}
    }
    let keys: u64 = story.typing.iter().map(|typing| typing.changes).sum();
    if keys > 0 {
        let files: std::collections::BTreeSet<&str> = story.typing.iter().map(|typing| typing.path.as_str()).collect();
        let note = format!("in {} of the run, while it went", say::many(files.len() as u64, "file"));
        card("You typed", &say::many(keys, "change"), &[note], None);
    }
    let asked: u64 = story.asks.iter().map(|ask| ask.to.unwrap_or(ask.from) - ask.from).sum();
    if !story.asks.is_empty() {
        let note = format!("in {}", say::many(story.asks.len() as u64, "question"));
        card("Waited for you", &say::time(asked), &[note], None);
    }
    out.push_str("</dl>\n");
}

/// Appends the answer, if there is one.
pub fn answer(out: &mut String, story: &Story) {
    let Some(outcome) = story.outcome.as_ref().filter(|outcome| !outcome.answer.text.is_empty()) else { return };
    out.push_str("<section aria-labelledby=\"h-answer\">\n<h2 id=\"h-answer\">Answer</h2>\n<div class=\"prose\">\n");
    markdown::write(out, &outcome.answer.text);
    missing(out, &outcome.answer);
    out.push_str("</div>\n</section>\n");
}

/// Says how much of a text is not here.
pub fn missing(out: &mut String, cut: &Cut) {
    if cut.missing > 0 {
        let _ = write!(out, "<p class=\"cut\">{} more are not shown here.</p>", say::bytes(cut.missing as u64));
    }
}
