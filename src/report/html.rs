//! The page: one file that needs nothing else.
//!
//! Its policy names the one style and the one script in it by their hashes and allows nothing more: no network, no
//! inline style, no handler. So even if a text of a run got out of its element, it could not do anything there.

use std::fmt::Write as _;

use super::markup::{Sheet, Text, hash};
use super::story::Story;
use super::{context, figures, say, tables, timeline};

const STYLE: &str = include_str!("page/report.css");
const SCRIPT: &str = include_str!("page/report.js");

/// The report of a run as an HTML page.
pub fn page(story: &Story) -> String {
    let mut sheet = Sheet::default();
    let mut body = String::new();
    body.push_str("<a class=\"skip\" href=\"#main\">Skip to the timeline</a>\n<header>\n");
    figures::head(&mut body, story);
    body.push_str("</header>\n<main id=\"main\" tabindex=\"-1\">\n");
    body.push_str("<section aria-labelledby=\"h-figures\">\n<h2 id=\"h-figures\" class=\"spoken\">Figures</h2>\n");
    figures::cards(&mut body, story);
    body.push_str("</section>\n<section aria-labelledby=\"h-timeline\">\n<h2 id=\"h-timeline\">Timeline</h2>\n");
    timeline::write(&mut body, &mut sheet, story);
    body.push_str("</section>\n");
    figures::answer(&mut body, story);
    tables::changes(&mut body, story);
    tables::steps(&mut body, story);
    context::write(&mut body, story);
    tables::course(&mut body, story);
    tables::events(&mut body, story);
    notes(&mut body, story);
    body.push_str("</main>\n<footer>\n");
    let _ = write!(body, "<p>Run <code>{}</code>", Text(&story.run));
    if !story.thread.is_empty() {
        let _ = write!(body, " of <code>{}</code>", Text(&story.thread));
    }
    if !story.version.is_empty() {
        let _ = write!(body, ", recorded by Ropeway {}", Text(&story.version));
    }
    body.push_str(". This page is one file and loads nothing.</p>\n</footer>\n");

    let style = format!("{STYLE}{}", sheet.into_text());
    let title = if story.title.is_empty() { "Run" } else { &story.title };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light \
         dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>{} · Ropeway</title>\n<style>{style}</style>\n\
         </head>\n<body>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        hash(&style),
        hash(SCRIPT),
        Text(title),
    )
}

fn notes(out: &mut String, story: &Story) {
    let mut lines = vec![
        "Times are the server’s own clock, in its recording of the run. A bar begins when something was asked for; while it \
         waited it is hatched."
            .to_owned(),
        "Time won by overlap is what the same calls would have taken longer one after another: the sum of all model calls \
         and tool runs, less the time in which at least one of them was at work."
            .to_owned(),
        "Tokens and what was cached of them are the provider’s counts; the cost is these at the price that the \
         configuration knows."
            .to_owned(),
    ];
    let lacking = &story.lacking;
    let mut lacks = |count: u64, what: &str| {
        if count > 0 {
            lines.push(format!("{}{what}", say::count(count)));
        }
    };
    lacks(lacking.lost, " records could not be written while the run went on.");
    lacks(lacking.dropped, " records were kept without their contents: too much was waiting to be written.");
    lacks(lacking.damaged, " places of the recording could not be read.");
    lacks(lacking.redacted, " records had a secret taken out of them.");
    lacks(lacking.requests, " more model calls are not shown: it is too many for a page.");
    lacks(lacking.calls, " more tool calls are not shown: it is too many for a page.");
    lacks(lacking.marks, " more events are not shown: it is too many for a page.");
    if lacking.newer {
        lines.push(
            "A newer version of Ropeway wrote this recording: what this one does not know is left out.".to_owned(),
        );
    }
    if lacking.lost > 0 && !lacking.why.is_empty() {
        lines.push(format!("The recorder said: {}", lacking.why));
    }
    out.push_str("<section aria-labelledby=\"h-notes\">\n<h2 id=\"h-notes\">How to read the numbers</h2>\n<ul class=\"notes\">\n");
    for line in lines {
        let _ = writeln!(out, "<li>{}</li>", Text(&line));
    }
    out.push_str("</ul>\n</section>\n");
}
