//! The timeline: who did what when, as bars in four rows on one axis of time.
//!
//! Each bar is a link to its entry further down, so that it means something without a script, to a keyboard and to a
//! reader of screens. Places are percentages of the track: zooming makes the track wider and nothing else.

use std::fmt::Write as _;

use super::lanes::{Canvas, Span, pack, ticks};
use super::markup::{Sheet, Text, line};
use super::say;
use super::story::{Moment, Request, Story};

/// How wide the track is taken to be, in pixels, where it matters whether a label fits.
const TRACK: u64 = 1_000;
/// Height of a lane in pixels.
const LANE: f64 = 22.0;
/// Lanes of a row at most.
const MOST: usize = 48;
/// Percent of the track behind which the label of a tick stands before it.
const LATE: f64 = 96.0;
/// Characters of a label, and pixels of one.
const LABEL: usize = 34;
const CHARACTER: u64 = 7;

/// A part of a bar: its class, and from when to when.
type Part = (&'static str, u64, u64);

struct Bar {
    from: u64,
    to: u64,
    class: String,
    parts: Vec<Part>,
    /// The first token.
    tick: Option<u64>,
    label: String,
    spoken: String,
    target: String,
}

/// Appends the timeline; where things are goes into `sheet`.
pub fn write(out: &mut String, sheet: &mut Sheet, story: &Story) {
    let whole = story.whole();
    // Each with the lanes that it takes at most for the sake of its labels. Calls of the model follow one another, and
    // in many lanes they would look as if they did not.
    let rows =
        [("Model", 3, model(story)), ("Tools", 14, tools(story)), ("You", 6, you(story)), ("Edits", 10, edits(story))];
    let bars: usize = rows.iter().map(|(.., bars)| bars.len()).sum();
    let _ = write!(
        out,
        "<div class=\"bar-tools\"><p class=\"hint\" id=\"timeline-hint\">{} in {}. Each bar leads to its entry below.<span \
         class=\"scripted\" hidden> Arrow keys go from bar to bar, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> \
         zoom.</span></p>\n<div class=\"zoom scripted\" hidden><button type=\"button\" id=\"zoom-out\" \
         aria-label=\"Zoom out\">−</button><button type=\"button\" id=\"zoom-fit\">Fit</button><button type=\"button\" \
         id=\"zoom-in\" aria-label=\"Zoom in\">+</button></div></div>\n<div id=\"scroller\" tabindex=\"0\" role=\"group\" \
         aria-label=\"Timeline\" aria-describedby=\"timeline-hint\" data-whole=\"{whole}\">\n<div id=\"track\">\n<div \
         id=\"axis\" aria-hidden=\"true\">\n",
        say::many(bars as u64, "bar"),
        Text(&say::time(whole)),
    );
    for (index, at) in ticks(whole, 9).into_iter().enumerate() {
        sheet.rule(format_args!("#t{index}"), &[("left", share(at, whole), "%")]);
        let class = if share(at, whole) > LATE { "tick late" } else { "tick" };
        let _ = writeln!(out, "<span class=\"{class}\" id=\"t{index}\">{}</span>", tick(at));
    }
    out.push_str("</div>\n");
    let mut number = 0;
    for (index, (name, comfortable, bars)) in rows.iter().enumerate() {
        if !bars.is_empty() {
            let canvas = Canvas { label: 0, least: 0, comfortable: *comfortable, most: MOST, whole };
            row(out, sheet, (index, name), bars, canvas, &mut number);
        }
    }
    out.push_str("</div>\n</div>\n");
    legend(out, story);
    out.push_str("<div id=\"detail\" class=\"detail scripted\" role=\"region\" aria-label=\"The chosen bar\" tabindex=\"0\" hidden></div>\n");
}

fn row(
    out: &mut String,
    sheet: &mut Sheet,
    (index, name): (usize, &str),
    bars: &[Bar],
    canvas: Canvas,
    number: &mut usize,
) {
    let Canvas { comfortable, whole, .. } = canvas;
    let pixel = whole.div_ceil(TRACK);
    let wanted = |bar: &Bar| (bar.label.chars().count() as u64 * CHARACTER + 14).saturating_mul(pixel);
    // Nothing can be read on hatching.
    let fits = |(class, from, to): &Part, bar: &Bar| *class == "run" && to - from >= wanted(bar);
    let inside = |bar: &Bar| bar.parts.last().is_some_and(|last| fits(last, bar));
    let label = bars.iter().map(wanted).max().unwrap_or(0);
    let least = pixel.saturating_mul(4);
    let canvas = Canvas { label, least, ..canvas };
    // At the right end there is no room for a label behind its bar: then it stands before it, where there is room for
    // labels at all.
    let late = |bar: &Bar| !inside(bar) && whole - bar.to < wanted(bar) && bar.from >= wanted(bar);
    let lay = |before: bool| {
        let start = |bar: &Bar| if before && late(bar) { bar.from - wanted(bar) } else { bar.from };
        let spans: Vec<Span> = bars.iter().map(|bar| Span { from: start(bar), to: bar.to }).collect();
        pack(&spans, Canvas { comfortable: if before { usize::MAX } else { comfortable }, ..canvas })
    };
    let roomy = lay(true);
    let has_room = roomy.lanes <= comfortable;
    let packed = if has_room { roomy } else { lay(false) };
    let before = |bar: &Bar| has_room && late(bar);
    sheet.rule(format_args!("#row{index}"), &[("height", packed.lanes as f64 * LANE + 10.0, "px")]);
    let _ = writeln!(out, "<div class=\"row\" id=\"row{index}\"><h3 class=\"name\">{name}</h3><div class=\"lanes\">");
    for (at, bar) in bars.iter().enumerate() {
        let id = *number;
        *number += 1;
        let left = if before(bar) { bar.from - wanted(bar) } else { bar.from };
        let drawn =
            if inside(bar) || before(bar) { bar.to } else { bar.to.saturating_add(wanted(bar)).min(packed.room[at]) };
        let width = drawn.saturating_sub(left).max(1);
        sheet.rule(
            format_args!("#b{id}"),
            &[
                ("left", share(left, whole), "%"),
                ("width", share(width, whole), "%"),
                ("top", packed.lane[at] as f64 * LANE + 5.0, "px"),
            ],
        );
        let _ = write!(
            out,
            "<a class=\"bar {}\" id=\"b{id}\" href=\"#{}\" data-from=\"{}\" data-to=\"{}\" aria-label=\"{}\">",
            bar.class,
            bar.target,
            bar.from,
            bar.to,
            Text(&bar.spoken)
        );
        for (part, (class, from, to)) in bar.parts.iter().enumerate() {
            let numbers = [("left", share(from - left, width), "%"), ("width", share(to - from, width), "%")];
            sheet.rule(format_args!("#b{id} .p{part}"), &numbers);
            let _ = write!(out, "<i class=\"part {class} p{part}\"></i>");
        }
        if let Some(tick) = bar.tick {
            sheet.rule(format_args!("#b{id} .first"), &[("left", share(tick.saturating_sub(left), width), "%")]);
            out.push_str("<i class=\"first\"></i>");
        }
        let (place, numbers) = if inside(bar) {
            ("inside", [("left", share(bar.parts.last().map_or(left, |part| part.1) - left, width), "%")])
        } else if before(bar) {
            ("before", [("right", share(bar.to - bar.from, width), "%")])
        } else {
            ("beside", [("left", share(bar.to - left, width), "%")])
        };
        sheet.rule(format_args!("#b{id} .label"), &numbers);
        let _ = writeln!(out, "<span class=\"label {place}\">{}</span></a>", Text(&bar.label));
    }
    out.push_str("</div></div>\n");
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// A moment on the axis.
pub fn tick(us: u64) -> String {
    match us {
        0 => "0".to_owned(),
        us if us.is_multiple_of(60_000_000) => format!("{} min", us / 60_000_000),
        us if us.is_multiple_of(1_000_000) && us < 60_000_000 => format!("{} s", us / 1_000_000),
        us if us.is_multiple_of(1_000_000) => format!("{}:{:02} min", us / 60_000_000, us / 1_000_000 % 60),
        us if us.is_multiple_of(1_000) && us < 1_000_000 => format!("{} ms", us / 1_000),
        us if us >= 1_000_000 => format!("{} s", us as f64 / 1e6),
        us => format!("{us} µs"),
    }
}

fn model(story: &Story) -> Vec<Bar> {
    let mut bars: Vec<Bar> = story.requests.iter().enumerate().map(|(at, request)| call(story, at, request)).collect();
    for (at, retry) in story.retries.iter().enumerate() {
        let to = retry.at.saturating_add(retry.wait).min(story.whole());
        bars.push(Bar {
            from: retry.at,
            to: to.max(retry.at),
            class: "retry".to_owned(),
            parts: vec![("wait", retry.at, to.max(retry.at))],
            tick: None,
            label: format!("retry {}", retry.attempt),
            spoken: format!("retry {}: waited {} after {}", retry.attempt, say::time(retry.wait), retry.why),
            target: format!("retry-{at}"),
        });
    }
    for (at, mark) in story.marks.iter().enumerate() {
        let (class, label, spoken) = match &mark.what {
            Moment::Compacted { before, after } => {
                let label = format!("compacted {} → {}", say::short(*before), say::short(*after));
                let spoken = format!("{label} tokens");
                ("compacted", label, spoken)
            }
            Moment::PrefixBroken { why } => ("broken", "cache lost".to_owned(), format!("cache lost: {why}")),
            Moment::Broken { why } => ("broken", "broke off".to_owned(), format!("broke off: {why}")),
            Moment::Staged { .. } => continue,
        };
        bars.push(point(mark.at, class, label, &spoken, format!("mark-{at}")));
    }
    bars
}

fn call(story: &Story, at: usize, request: &Request) -> Bar {
    let (from, end) = (request.sent, request.end(story.whole()));
    let head = request.first_byte.unwrap_or(request.first_token.unwrap_or(end)).clamp(from, end);
    let first = request.first_token.unwrap_or(end).clamp(head, end);
    let mut parts = vec![("wait", from, head)];
    if first > head {
        parts.push(("think", head, first));
    }
    if request.first_token.is_some() {
        parts.push(("run", first, end));
    }
    let name = if request.summary { "summary".to_owned() } else { request.step.to_string() };
    let what = match (&request.error, request.tokens) {
        (Some(error), _) => format!("failed: {}", error.code),
        (None, Some(tokens)) => format!("{} tokens", say::count(tokens.output)),
        (None, None) => "no usage told".to_owned(),
    };
    let first_token = request.first_token.map_or("no token came".to_owned(), |first| {
        format!("first token after {}", say::time(first.saturating_sub(from)))
    });
    let class = if request.error.is_some() { "model failed" } else { "model" };
    Bar {
        from,
        to: end,
        class: class.to_owned(),
        parts,
        tick: request.first_token.map(|first| first.clamp(from, end)),
        label: format!("{name} · {what}"),
        spoken: format!(
            "{name} · {what}. Model call at {}, {} long, {first_token}",
            say::time(from),
            say::time(end - from)
        ),
        target: format!("request-{at}"),
    }
}

fn tools(story: &Story) -> Vec<Bar> {
    let whole = story.whole();
    let bar = |(at, call): (usize, &super::story::Call)| {
        let end = call.end(whole);
        let started = call.started.unwrap_or(end).clamp(call.asked, end);
        let mut parts = Vec::new();
        if started > call.asked {
            parts.push(("wait", call.asked, started));
        }
        if call.started.is_some() {
            parts.push(("run", started, end));
        }
        let mut class = call.sort.word().to_owned();
        let mut notes = String::new();
        for (holds, word, note) in [
            (call.failed, " failed", ", failed"),
            (call.cached, " cached", ", remembered"),
            (call.ended.is_none(), " open", ", not ended"),
        ] {
            if holds {
                class.push_str(word);
                notes.push_str(note);
            }
        }
        let label = if call.summary.is_empty() { line(&call.tool, LABEL) } else { line(&call.summary, LABEL) };
        Bar {
            from: call.asked,
            to: end,
            class,
            parts,
            tick: None,
            spoken: format!(
                "{label}. {} at {}, waited {}, ran {}{notes}",
                call.tool,
                say::time(call.asked),
                say::time(call.waited(whole)),
                say::time(call.ran(whole))
            ),
            label,
            target: format!("call-{at}"),
        }
    };
    story.calls.iter().enumerate().map(bar).collect()
}

fn you(story: &Story) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (at, typing) in story.typing.iter().enumerate() {
        let label = format!("typed in {}", base(&typing.path));
        bars.push(Bar {
            from: typing.from,
            to: typing.to,
            class: "typed".to_owned(),
            parts: vec![("run", typing.from, typing.to)],
            tick: None,
            spoken: format!(
                "{label}: {} at {}, within {}",
                say::many(typing.changes, "change"),
                say::time(typing.from),
                say::time(typing.to - typing.from)
            ),
            label,
            target: format!("typing-{at}"),
        });
    }
    for (at, ask) in story.asks.iter().enumerate() {
        let to = ask.to.unwrap_or_else(|| story.whole()).max(ask.from);
        let label = line(ask.answer.as_deref().unwrap_or("no answer"), LABEL);
        bars.push(Bar {
            from: ask.from,
            to,
            class: "asked".to_owned(),
            parts: vec![("wait", ask.from, to)],
            tick: None,
            spoken: format!("{label}: asked “{}”, after {}", line(&ask.message, 120), say::time(to - ask.from)),
            label,
            target: format!("ask-{at}"),
        });
    }
    bars
}

fn edits(story: &Story) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (at, mark) in story.marks.iter().enumerate() {
        if let Moment::Staged { path, how } = &mark.what {
            let spoken = format!("{} {how} in the run's own copy", base(path));
            bars.push(point(mark.at, "staged", base(path).to_owned(), &spoken, format!("mark-{at}")));
        }
    }
    for (at, delivery) in story.deliveries.iter().enumerate() {
        let what = if delivery.undo { "taken back" } else { "delivered" };
        let label = if delivery.reply == "landed" { what.to_owned() } else { line(&delivery.reply, LABEL) };
        bars.push(Bar {
            from: delivery.from,
            to: delivery.to.max(delivery.from),
            class: if delivery.reply == "landed" { "landed".to_owned() } else { "refused".to_owned() },
            parts: vec![("run", delivery.from, delivery.to.max(delivery.from))],
            tick: None,
            spoken: format!(
                "{label}: edits of {} sent to the editor, {} after {}",
                say::many(delivery.paths.len() as u64, "file"),
                delivery.reply,
                say::time(delivery.to.saturating_sub(delivery.from))
            ),
            label,
            target: format!("delivery-{at}"),
        });
    }
    bars
}

fn point(at: u64, class: &str, label: String, spoken: &str, target: String) -> Bar {
    Bar {
        from: at,
        to: at,
        class: format!("point {class}"),
        parts: vec![("run", at, at)],
        tick: None,
        label,
        spoken: format!("{spoken}, at {}", say::time(at)),
        target,
    }
}

/// The last name of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn legend(out: &mut String, story: &Story) {
    let has = |sort: &str| story.calls.iter().any(|call| call.sort.word() == sort);
    let entries = [
        ("model wait", "waits", true),
        ("model think", "before its first token", true),
        ("model run", "model speaks", true),
        ("first", "first token", true),
        ("read run", "reads", has("read")),
        ("search run", "searches", has("search")),
        ("edit run", "stages edits", has("edit")),
        ("command run", "runs commands", has("command")),
        ("cached run", "remembered", story.calls.iter().any(|call| call.cached)),
        ("failed run", "failed", story.calls.iter().any(|call| call.failed)),
        ("typed run", "you type", !story.typing.is_empty()),
        ("asked wait", "you are asked", !story.asks.is_empty()),
        ("landed run", "in your buffer", story.deliveries.iter().any(|delivery| delivery.reply == "landed")),
    ];
    out.push_str("<ul class=\"legend\" aria-label=\"Colours of the timeline\">\n");
    for (class, what, _) in entries.iter().filter(|(_, _, shown)| *shown) {
        let _ = writeln!(out, "<li><i class=\"swatch {class}\"></i>{what}</li>");
    }
    out.push_str("</ul>\n");
}
