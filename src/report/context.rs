//! How full the model's window was, call by call, and of what.

use std::fmt::Write as _;

use super::say;
use super::story::{Moment, PARTS, Request, Story};

/// Height of the drawing in its own units; its width is one unit a call.
const HEIGHT: u64 = 1_000;
/// Tokens of a scale that fits an empty conversation.
const LEAST: u64 = 1_000;

/// Appends the drawing and the same as a table.
pub fn write(out: &mut String, story: &Story) {
    let shown: Vec<&Request> =
        story.requests.iter().filter(|request| !request.summary && request.prompt_tokens() > 0).collect();
    if shown.is_empty() {
        return;
    }
    let most = shown.iter().map(|request| request.prompt_tokens()).max().unwrap_or(0);
    // The whole window where it says something, else a scale on which the parts can be seen.
    let fits = story.window > 0 && most >= story.window / 6;
    let top = if fits { story.window.max(most) } else { most.max(LEAST).saturating_add(most / 8) };
    out.push_str(
        "<section aria-labelledby=\"h-context\">\n<h2 id=\"h-context\">Context</h2>\n<p class=\"note\">What each model call \
         was given. The total is the provider’s count where it gave one; the parts are shares of it by their bytes.",
    );
    if story.window > 0 {
        let _ = write!(
            out,
            " The fullest prompt took {} of {} tokens, {} of the window.",
            say::count(most),
            say::count(story.window),
            say::percent(most, story.window)
        );
    }
    out.push_str("</p>\n");
    drawing(out, story, &shown, top, fits);
    out.push_str("<ul class=\"legend\" aria-label=\"Parts of the prompt\">\n");
    for (part, name) in PARTS.iter().enumerate() {
        if shown.iter().any(|request| request.parts[part] > 0) {
            let _ = writeln!(out, "<li><i class=\"swatch part{part}\"></i>{name}</li>");
        }
    }
    out.push_str("</ul>\n");
    table(out, &shown);
    out.push_str("</section>\n");
}

fn drawing(out: &mut String, story: &Story, shown: &[&Request], top: u64, fits: bool) {
    let place = |tokens: u64| tokens as f64 * HEIGHT as f64 / top as f64;
    let width = shown.len().max(4) * 10;
    let _ = writeln!(
        out,
        "<div class=\"context\"><svg viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Tokens of the prompt by model call; the table below has the numbers\">"
    );
    for quarter in 1..4 {
        let y = HEIGHT * quarter / 4;
        let _ = writeln!(out, "<line class=\"grid\" x1=\"0\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    for (at, request) in shown.iter().enumerate() {
        let mut below = 0.0;
        let mut parts = request.part_tokens();
        if parts.iter().all(|part| *part == 0) {
            parts[5] = request.prompt_tokens();
        }
        for (part, tokens) in parts.iter().enumerate().filter(|(_, tokens)| **tokens > 0) {
            let height = place(*tokens);
            let _ = writeln!(
                out,
                "<rect class=\"part{part}\" x=\"{}\" y=\"{:.2}\" width=\"8.4\" height=\"{height:.2}\"/>",
                at * 10,
                (HEIGHT as f64 - below - height).max(0.0)
            );
            below += height;
        }
        if let Some(cached) = request.tokens.map(|tokens| tokens.cached).filter(|cached| *cached > 0) {
            let y = HEIGHT as f64 - place(cached);
            let (from, to) = (at * 10, at as f64 * 10.0 + 8.4);
            let _ =
                writeln!(out, "<line class=\"cached-line\" x1=\"{from}\" x2=\"{to}\" y1=\"{y:.2}\" y2=\"{y:.2}\"/>");
        }
    }
    if let Some(limit) = story.compact_at.filter(|share| fits && (0.0..1.0).contains(share)) {
        let y = HEIGHT as f64 - place((story.window as f64 * limit) as u64);
        let _ = writeln!(out, "<line class=\"limit\" x1=\"0\" x2=\"{width}\" y1=\"{y:.2}\" y2=\"{y:.2}\"/>");
    }
    for mark in &story.marks {
        if let Moment::Compacted { .. } = mark.what {
            let before = shown.iter().take_while(|request| request.sent < mark.at).count();
            let x = (before * 10) as f64 - 0.8;
            let _ = writeln!(out, "<line class=\"compaction\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
        }
    }
    let compacted = story.marks.iter().filter(|mark| matches!(mark.what, Moment::Compacted { .. })).count() as u64;
    let limit = if fits && story.compact_at.is_some() {
        "<span class=\"key limit-key\">made smaller from here</span>"
    } else {
        ""
    };
    let _ = write!(
        out,
        "</svg>\n<div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>{}</span><span>{}</span>\
         <span>0</span></div></div>\n<p class=\"keys\" aria-hidden=\"true\"><span class=\"key cached-key\">read from the \
         provider’s cache up to here</span>{limit}",
        say::short(top),
        say::short(top - top / 4),
        say::short(top / 2),
        say::short(top / 4),
    );
    if compacted > 0 {
        out.push_str("<span class=\"key compaction-key\">compacted</span>");
    }
    out.push_str("</p>\n");
}

fn table(out: &mut String, shown: &[&Request]) {
    out.push_str(
        "<details><summary>As a table</summary>\n<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Context as \
         a table\"><table>\n<thead><tr><th scope=\"col\">Call</th><th scope=\"col\" class=\"n\">Tokens</th><th scope=\"col\" \
         class=\"n\">Cached</th>",
    );
    for name in PARTS {
        let _ = write!(out, "<th scope=\"col\" class=\"n\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for request in shown {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}{}</td><td class=\"n\">{}</td>",
            request.step,
            if request.tokens.is_some() { "" } else { "≈ " },
            say::count(request.prompt_tokens()),
            request.tokens.map_or_else(|| "–".to_owned(), |tokens| say::count(tokens.cached))
        );
        for tokens in request.part_tokens() {
            let _ = write!(out, "<td class=\"n\">{}</td>", say::count(tokens));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n</details>\n");
}
