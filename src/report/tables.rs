//! What is read rather than looked at: the table of model calls, the changes, the course of the run in words, and what
//! else happened in it.

use std::fmt::Write as _;

use super::figures::missing;
use super::markdown;
use super::markup::Text;
use super::say;
use super::story::{Call, Changed, Moment, Request, Story};

/// Appends one line for each model call.
pub fn steps(out: &mut String, story: &Story) {
    if story.requests.is_empty() {
        return;
    }
    out.push_str(
        "<section aria-labelledby=\"h-steps\">\n<h2 id=\"h-steps\">Model calls</h2>\n<div class=\"wide tall\" tabindex=\"0\" \
         role=\"group\" aria-labelledby=\"h-steps\"><table>\n<thead><tr><th scope=\"col\">Call</th><th scope=\"col\" \
         class=\"n\">At</th><th scope=\"col\" class=\"n\">First token</th><th scope=\"col\" class=\"n\">Took</th><th \
         scope=\"col\" class=\"n\">Tokens in</th><th scope=\"col\" class=\"n\">Cached</th><th scope=\"col\" \
         class=\"n\">Out</th><th scope=\"col\" class=\"n\">Cost</th><th scope=\"col\" class=\"n\">Tools</th><th \
         scope=\"col\" class=\"n\">Overlap won</th><th scope=\"col\">Ended by</th></tr></thead>\n<tbody>\n",
    );
    for (at, request) in story.requests.iter().enumerate() {
        step(out, story, at, request);
    }
    out.push_str("</tbody>\n");
    let sums = story.sums();
    let _ = write!(
        out,
        "<tfoot><tr><th scope=\"row\">All</th><td></td><td></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td \
         class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td></td><td></td>\
         </tr></tfoot>\n</table></div>\n",
        say::time(
            story.requests.iter().fold(0, |sum, request| sum.saturating_add(request.end(story.whole()) - request.sent))
        ),
        say::count(sums.tokens.input),
        say::percent(sums.tokens.cached, sums.tokens.input),
        say::count(sums.tokens.output),
        sums.cost.map_or_else(|| "–".to_owned(), say::dollars),
        say::count(story.calls.len() as u64),
    );
    out.push_str("</section>\n");
}

fn step(out: &mut String, story: &Story, at: usize, request: &Request) {
    let dash = || "–".to_owned();
    let first = request.first_token.map_or_else(dash, |first| say::time(first.saturating_sub(request.sent)));
    let tokens = |of: fn(&super::story::Tokens) -> u64| {
        request.tokens.as_ref().map_or_else(dash, |tokens| say::count(of(tokens)))
    };
    let share = request.tokens.map_or_else(dash, |tokens| say::percent(tokens.cached, tokens.input));
    let overlap = if request.summary { 0 } else { story.overlap(request) };
    let calls = if request.summary { 0 } else { story.batch(request.step).count() };
    let name = if request.summary { "summary".to_owned() } else { request.step.to_string() };
    let end = match &request.error {
        Some(error) => error.code.as_str(),
        None if request.abandoned => "nobody waited",
        None => ended(&request.stop),
    };
    let _ = writeln!(
        out,
        "<tr><th scope=\"row\"><a href=\"#request-{at}\">{name}</a></th><td class=\"n\">{}</td><td class=\"n\">{first}</td><td \
         class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{share}</td><td class=\"n\">{}</td><td \
         class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
        say::time(request.sent),
        say::time(request.end(story.whole()) - request.sent),
        tokens(|tokens| tokens.input),
        tokens(|tokens| tokens.output),
        request.cost.map_or_else(dash, say::dollars),
        if calls == 0 { dash() } else { calls.to_string() },
        if overlap == 0 { dash() } else { say::time(overlap) },
        Text(end),
    );
}

/// What ended an answer, in words.
fn ended(stop: &str) -> &str {
    match stop {
        "endTurn" => "end of the answer",
        "toolCalls" => "tool calls",
        "length" => "its length limit",
        "contextWindow" => "a full window",
        other => other,
    }
}

/// Appends what the run changed.
pub fn changes(out: &mut String, story: &Story) {
    if story.files.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"h-changes\">\n<h2 id=\"h-changes\">Changes</h2>\n");
    for file in &story.files {
        change(out, file);
    }
    out.push_str("</section>\n");
}

fn change(out: &mut String, file: &Changed) {
    let _ = write!(out, "<details class=\"file\" open><summary><span class=\"path\">{}</span>", Text(&file.path));
    if let Some(from) = &file.from {
        let _ = write!(out, "<span class=\"note\">was {}</span>", Text(from));
    }
    if file.how != "edited" {
        let _ = write!(out, "<span class=\"note\">{}</span>", file.how);
    }
    let _ = writeln!(
        out,
        "<span class=\"plus\"><span class=\"spoken\">lines added: </span>+{}</span><span class=\"minus\"><span \
         class=\"spoken\">lines removed: </span>−{}</span></summary>",
        say::count(file.added as u64),
        say::count(file.removed as u64)
    );
    if let Some(why) = file.without {
        let _ = writeln!(out, "<p class=\"cut\">{why}</p>");
    } else {
        diff(out, &file.diff);
    }
    for (line, wanted) in &file.conflicts {
        let _ = write!(
            out,
            "<div class=\"conflict\"><p>Yours stands at line {line}: you had changed the same text. The run wanted:</p><pre \
             tabindex=\"0\">{}</pre>",
            Text(&wanted.text)
        );
        missing(out, wanted);
        out.push_str("</div>\n");
    }
    out.push_str("</details>\n");
}

/// Each line is an element; what it is also stands before it as a sign, not only as a colour.
fn diff(out: &mut String, diff: &str) {
    out.push_str("<pre class=\"diff\" tabindex=\"0\">");
    for line in diff.lines() {
        let tag = match line.as_bytes().first() {
            Some(b'+') => "ins",
            Some(b'-') => "del",
            Some(b'@' | b'[' | b'\\') => "b",
            _ => "span",
        };
        let _ = write!(out, "<{tag}>{}\n</{tag}>", Text(line));
    }
    out.push_str("</pre>\n");
}

/// Appends what the model said and what it had done, call by call.
pub fn course(out: &mut String, story: &Story) {
    if story.requests.is_empty() && story.calls.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"h-course\">\n<h2 id=\"h-course\">Step by step</h2>\n");
    let mut told = vec![false; story.calls.len()];
    for (at, request) in story.requests.iter().enumerate() {
        let _ = write!(out, "<article class=\"step\" id=\"request-{at}\" tabindex=\"-1\">\n<h3>");
        if request.summary {
            out.push_str("Summary of the conversation");
        } else {
            let _ = write!(out, "Model call {}", request.step);
        }
        let _ = writeln!(out, "</h3>\n<p class=\"note\">{}</p>", Text(&facts(story, request)));
        if let Some(error) = &request.error {
            let _ = writeln!(out, "<p class=\"wrong\">{} {}</p>", Text(&error.message), Text(&error.hint));
        }
        if !request.said.text.is_empty() {
            out.push_str("<div class=\"prose\">\n");
            markdown::write(out, &request.said.text);
            missing(out, &request.said);
            out.push_str("</div>\n");
        }
        out.push_str("</article>\n");
        if !request.summary {
            for (index, call) in
                story.batch(request.step).filter(|(index, _)| !std::mem::replace(&mut told[*index], true))
            {
                entry(out, story, index, call);
            }
        }
    }
    for (index, call) in story.calls.iter().enumerate().filter(|(index, _)| !told[*index]) {
        entry(out, story, index, call);
    }
    out.push_str("</section>\n");
}

fn facts(story: &Story, request: &Request) -> String {
    let mut facts = vec![format!("at {}", say::time(request.sent))];
    facts.push(format!("{} long", say::time(request.end(story.whole()) - request.sent)));
    if let Some(connect) = request.connect {
        facts.push(format!("a new connection in {}", say::time(connect)));
    }
    if let Some(first) = request.first_byte {
        facts.push(format!("head of the answer after {}", say::time(first.saturating_sub(request.sent))));
    }
    if let Some(first) = request.first_token {
        facts.push(format!("first token after {}", say::time(first.saturating_sub(request.sent))));
    }
    match request.tokens {
        Some(tokens) => facts.push(format!(
            "{} tokens in ({} cached), {} out",
            say::count(tokens.input),
            say::count(tokens.cached),
            say::count(tokens.output)
        )),
        None => facts.push(format!("about {} tokens in, by our estimate", say::count(request.estimate))),
    }
    match request.attempts {
        0 if request.tokens.is_some() => facts.push("answered from memory".to_owned()),
        0 | 1 => {}
        attempts => facts.push(say::many(u64::from(attempts), "attempt")),
    }
    if request.model != story.model && !request.model.is_empty() {
        facts.push(request.model.clone());
    }
    facts.join(" · ")
}

fn entry(out: &mut String, story: &Story, index: usize, call: &Call) {
    let whole = story.whole();
    let mut notes = vec![format!("at {}", say::time(call.asked))];
    if call.waited(whole) >= 1_000 || call.started.is_none() {
        notes.push(format!("waited {}", say::time(call.waited(whole))));
    }
    match (call.started, call.ended) {
        (None, _) => notes.push("never ran".to_owned()),
        (Some(_), None) => notes.push("had not ended".to_owned()),
        (Some(_), Some(_)) => notes.push(format!("ran {}", say::time(call.ran(whole)))),
    }
    if call.beside > 1 {
        notes.push(format!("{} at once", call.beside));
    }
    if call.cached {
        notes.push("remembered".to_owned());
    }
    let summary = if call.summary.is_empty() { &call.tool } else { &call.summary };
    let _ = writeln!(
        out,
        "<details class=\"call {}{}\" id=\"call-{index}\" tabindex=\"-1\"><summary><code>{}</code> <span \
         class=\"what\">{}</span><span class=\"note\">{}</span></summary>",
        call.sort.word(),
        if call.failed { " failed" } else { "" },
        Text(&call.tool),
        Text(summary),
        notes.join(" · "),
    );
    if let Some(error) = &call.error {
        let _ = writeln!(out, "<p class=\"wrong\">{}</p>", Text(error));
    }
    for (name, cut) in [("Arguments", &call.arguments), ("Result", &call.result)] {
        if !cut.text.is_empty() {
            let _ = write!(out, "<p class=\"pre-name\">{name}</p><pre tabindex=\"0\">{}</pre>", Text(&cut.text));
            missing(out, cut);
        }
    }
    out.push_str("</details>\n");
}

/// Appends what happened beside calls: typing, questions, staging, delivery, retries, compaction.
pub fn events(out: &mut String, story: &Story) {
    let mut rows: Vec<(u64, String, &str, String)> = Vec::new();
    for (at, typing) in story.typing.iter().enumerate() {
        let what = format!(
            "{} in {}, within {}",
            say::many(typing.changes, "change"),
            typing.path,
            say::time(typing.to - typing.from)
        );
        rows.push((typing.from, format!("typing-{at}"), "You typed", what));
    }
    for (at, ask) in story.asks.iter().enumerate() {
        let answer = ask.answer.as_deref().unwrap_or("no answer");
        let after = say::time(ask.to.unwrap_or_else(|| story.whole()).saturating_sub(ask.from));
        rows.push((
            ask.from,
            format!("ask-{at}"),
            "You were asked",
            format!("{} — {answer}, after {after}", ask.message),
        ));
    }
    for (at, retry) in story.retries.iter().enumerate() {
        let what = format!("attempt {} failed, next one after {}: {}", retry.attempt, say::time(retry.wait), retry.why);
        rows.push((retry.at, format!("retry-{at}"), "Retry", what));
    }
    for (at, delivery) in story.deliveries.iter().enumerate() {
        let why = if delivery.why.is_empty() { String::new() } else { format!(": {}", delivery.why) };
        let took = say::time(delivery.to.saturating_sub(delivery.from));
        let what = format!("{} — {} after {took}{why}", delivery.paths.join(", "), delivery.reply);
        rows.push((
            delivery.from,
            format!("delivery-{at}"),
            if delivery.undo { "Taken back" } else { "Delivered" },
            what,
        ));
    }
    for (at, mark) in story.marks.iter().enumerate() {
        let (name, what) = match &mark.what {
            Moment::Staged { path, how } => ("Staged", format!("{path} {how}, in the run’s own copy")),
            Moment::Compacted { before, after } => (
                "Compacted",
                format!("the conversation, from {} to {} tokens", say::count(*before), say::count(*after)),
            ),
            Moment::PrefixBroken { why } => ("Cache lost", why.clone()),
            Moment::Broken { why } => ("Broke off", why.clone()),
        };
        rows.push((mark.at, format!("mark-{at}"), name, what));
    }
    if rows.is_empty() {
        return;
    }
    rows.sort();
    out.push_str(
        "<section aria-labelledby=\"h-events\">\n<h2 id=\"h-events\">What else happened</h2>\n<div class=\"wide\" \
         tabindex=\"0\" role=\"group\" aria-labelledby=\"h-events\"><table>\n<thead><tr><th scope=\"col\" \
         class=\"n\">At</th><th scope=\"col\">What</th><th scope=\"col\">More</th></tr></thead>\n<tbody>\n",
    );
    for (at, id, name, what) in rows {
        let _ = writeln!(
            out,
            "<tr id=\"{id}\" tabindex=\"-1\"><td class=\"n\">{}</td><th scope=\"row\">{name}</th><td>{}</td></tr>",
            say::time(at),
            Text(&what)
        );
    }
    out.push_str("</tbody>\n</table></div>\n</section>\n");
}
