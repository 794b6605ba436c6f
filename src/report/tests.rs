//! The report as a whole: what stands in it, that nothing a run says gets out of its element, that the trace keeps the
//! rules of its format.

mod hostile;
mod made;

use std::collections::BTreeMap;

use serde_json::Value;

use self::made::Made;
use super::gather::Gather;
use super::story::Story;
use super::{chrome, html};

fn story(records: &Made) -> Story {
    let mut gather = Gather::default();
    records.list.iter().for_each(|record| gather.record(record));
    gather.story(false)
}

#[test]
fn a_run_is_told_with_its_times_tokens_and_changes() {
    let story = story(&Made::till("text"));
    assert_eq!((story.requests.len(), story.calls.len(), story.files.len()), (3, 9, 1));
    let first = &story.requests[0];
    assert_eq!((first.sent, first.first_token, first.ended), (10_000, Some(410_000), Some(2_010_000)));
    let grep = &story.calls[0];
    assert_eq!((grep.asked, grep.started, grep.ended), (700_000, Some(701_000), Some(705_000)));
    assert_eq!((grep.waited(story.end), grep.ran(story.end)), (1_000, 4_000));
    assert_eq!(story.typing.len(), 1, "one burst");
    assert_eq!((story.typing[0].from, story.typing[0].to, story.typing[0].changes), (5_000_000, 5_600_000, 7));
    assert_eq!(story.asks[0].to, Some(4_400_000));
    assert_eq!(story.files[0].diff, "@@ -1,2 +1,2 @@\n-a = int(x)\n+a = nearest(x)\n b = 2\n");
    let sums = story.sums();
    assert_eq!((sums.tokens.input, sums.tokens.cached, sums.tokens.output), (9_300, 5_600, 480));
    assert_eq!(sums.early, 9);
    assert_eq!(sums.cost, Some(0.03));
    assert_eq!(story.total(), 9_800_000);
    assert_eq!(story.began_unix_us, Some(1_795_385_045_000_000 + 500));
}

#[test]
fn the_page_says_what_a_reader_asks_for() {
    let page = html::page(&story(&Made::till("text")));
    for said in [
        "<title>text title · Ropeway</title>",
        "Applied",
        "9.8 s",
        "$0.0300",
        "60 % of them from the provider’s cache",
        "9 of 9 calls done while the model still spoke",
        "<ins>+a = nearest(x)\n</ins>",
        "compacted 4k → 1.2k",
        "You were asked",
        "retry 1",
        "Landed".to_lowercase().as_str(),
    ] {
        assert!(page.contains(said), "{said} is not in the page");
    }
    assert!(!page.contains("not shown here"), "nothing was cut");
}

#[test]
fn runs_without_an_end_or_without_anything_are_told_too() {
    let mut cut_off = Made::till("text");
    cut_off.list.retain(|record| !matches!(record.event.kind(), "finished" | "response" | "toolFinished" | "proposal"));
    let page = html::page(&story(&cut_off));
    assert!(page.contains("Cut off") && page.contains("The recording ends before the run does"), "{page}");
    assert!(page.contains("had not ended") && page.contains("In the run") || page.contains("Staged"), "{page}");
    let nothing = Story::default();
    assert!(html::page(&nothing).contains("A run without a title"));
    let trace: Value = serde_json::from_str(&chrome::trace(&nothing)).unwrap();
    assert!(trace["traceEvents"].as_array().is_some());
    let live = Gather::default().story(true);
    assert!(html::page(&live).contains("Still running"));
}

#[test]
fn what_the_recording_lacks_is_said() {
    let mut story = story(&Made::till("text"));
    story.lacking.lost = 3;
    story.lacking.damaged = 1;
    story.lacking.calls = 7;
    let page = html::page(&story);
    for said in ["3 records could not be written", "1 places of the recording", "7 more tool calls are not shown"] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_long_run_makes_a_page_of_bounded_size() {
    let page = html::page(&story(&Made::long(400, 12_000)));
    assert!(page.contains("more tool calls are not shown"));
    assert!(page.len() < 12 << 20, "{} bytes", page.len());
}

#[test]
fn the_trace_keeps_the_rules_of_its_format() {
    for made in [Made::till("text"), Made::long(60, 400), Made::till("\"}]\u{0}\\")] {
        rules(&chrome::trace(&story(&made)));
    }
}

/// What Perfetto's importer of JSON wants.
fn rules(trace: &str) {
    let trace: Value = serde_json::from_str(trace).unwrap();
    let mut slices: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let mut named = Vec::new();
    let mut arrows: BTreeMap<u64, Vec<(String, u64, u64)>> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().unwrap() {
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("no {key} in {event}"));
        let (phase, thread, at) = (event["ph"].as_str().unwrap(), number("tid"), number("ts"));
        assert_eq!(number("pid"), 1);
        assert!(event["name"].is_string(), "{event}");
        match phase {
            "M" if event["name"] == "thread_name" => named.push(thread),
            "M" => assert!(event["args"].is_object()),
            "X" => slices.entry(thread).or_default().push((at, at + number("dur"))),
            "s" | "f" => arrows.entry(number("id")).or_default().push((phase.to_owned(), thread, at)),
            "i" => assert!(["t", "p", "g"].contains(&event["s"].as_str().unwrap())),
            "C" => assert!(event["args"].as_object().unwrap().values().all(Value::is_number), "{event}"),
            other => panic!("a phase of ours? {other}"),
        }
    }
    for (thread, slices) in &slices {
        assert!(named.contains(thread), "thread {thread} has no name");
        for (at, (from, to)) in slices.iter().enumerate() {
            assert!(from < to, "an empty slice on {thread}");
            for (other_from, other_to) in &slices[at + 1..] {
                let apart = to <= other_from || other_to <= from;
                let inside = (from <= other_from && other_to <= to) || (other_from <= from && to <= other_to);
                assert!(apart || inside, "{from}–{to} and {other_from}–{other_to} cross on thread {thread}");
            }
        }
    }
    for (id, ends) in &arrows {
        let [(start, from_thread, from), (finish, to_thread, to)] = &ends[..] else { panic!("arrow {id}: {ends:?}") };
        assert_eq!((start.as_str(), finish.as_str()), ("s", "f"));
        assert!(from <= to, "arrow {id} leads back in time");
        let held = |thread: &u64, at: u64| slices[thread].iter().any(|(from, to)| (*from..*to).contains(&at));
        assert!(held(from_thread, *from) && held(to_thread, *to), "arrow {id} ends outside of a slice");
    }
}
