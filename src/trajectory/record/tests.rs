//! The format: what is written is read again, and what other versions write does no harm.

use serde_json::json;

use super::*;

fn record(event: impl Into<Event>) -> Record {
    let (run, thread) = (Some(RunId::from("run-1")), Some(ThreadId::from("thread-1")));
    Record { version: SCHEMA, seq: 7, at: 1_234, run, thread, redacted: false, event: event.into() }
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let turn = Turn {
        origin: "p/m".into(),
        text: "so\n".into(),
        calls: vec![CallRecord { id: "c1".into(), name: "grep".into(), arguments: "{}".into() }],
        raw: Some("{\"a\" : 1e2}".into()),
        id: None,
    };
    let result = ResultRecord { call: "c1".into(), name: "grep".into(), content: None, is_error: true };
    let messages = Messages {
        keep: 2,
        add: vec![
            Message::Ref(3),
            Message::User("go on 😀".into()),
            Message::Assistant(Arc::new(turn.clone())),
            Message::Results(vec![result]),
        ],
    };
    let usage = UsageRecord { input_tokens: 10, output_tokens: 2, ..UsageRecord::default() };
    let request = Request {
        step: 1,
        purpose: Purpose::Turn,
        model: "p/m".into(),
        system: TextId::of("system"),
        tools: TextId::of("[]"),
        messages,
        max_output: 100,
        temperature: Some(0.5),
        tokens: 9,
    };
    let response = Response {
        step: 1,
        turn: Some(Arc::new(turn)),
        usage: Some(usage),
        cost_usd: Some(0.25),
        ..Response::default()
    };
    let edits = vec![EditRecord { start: 0, end: 3, text: "é".into() }];
    let typed = Typed { path: "a.rs".into(), uri: "file:///a.rs".into(), version: Some(4), edits, landed: true };
    let started = Started { diagnostics: vec![json!({"message": "no"})], ..Started::default() };
    for event in [request.into(), response.into(), typed.into(), started.into(), Event::Cleared(Box::default())] {
        let record = record(event);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(Record::parse(line.as_bytes()).unwrap(), record, "{line}");
    }
}

#[test]
fn the_names_on_disk_are_a_promise() {
    let line = serde_json::to_value(record(Gap { lost: 3, bytes: 100, why: "full".into() })).unwrap();
    let whole = json!({
        "v": 1, "seq": 7, "t": 1234, "run": "run-1", "thread": "thread-1", "kind": "gap",
        "data": {"lost": 3, "bytes": 100, "why": "full"},
    });
    assert_eq!(line, whole);
    let line = serde_json::to_string(&record(Called { step: 2, call: "c".into(), tool: "grep".into() })).unwrap();
    assert!(line.starts_with(r#"{"v":1,"seq":7,"t":1234,"run":"run-1","thread":"thread-1","kind":"called","data":{"#));
}

#[test]
fn what_a_newer_version_adds_is_kept_and_does_no_harm() {
    let line = br#"{"v":9,"seq":1,"t":2,"new":[1],"kind":"dreamt","data":{"of":"sheep"}}"#;
    let record = Record::parse(line).unwrap();
    assert!(record.is_newer());
    let other = Other { kind: "dreamt".into(), data: json!({"of": "sheep"}) };
    assert_eq!(record.event, Event::Other(Box::new(other)));
    assert_eq!(serde_json::to_value(&record).unwrap()["data"]["of"], "sheep");

    let line = br#"{"v":1,"seq":1,"t":2,"kind":"called","data":{"step":1,"call":"c","tool":"t","more":true}}"#;
    assert!(matches!(Record::parse(line).unwrap().event, Event::Called(_)), "a new field is no matter");
    let line = br#"{"v":1,"seq":1,"t":2,"kind":"called","data":{"step":"one"}}"#;
    assert_eq!(Record::parse(line).unwrap().event.kind(), "called", "one that is not understood keeps its name");
}

#[test]
fn what_is_no_record_is_an_error_and_nothing_worse() {
    let deep = format!(r#"{{"v":1,"seq":1,"t":1,"kind":"x","data":{}}}"#, "[".repeat(100_000));
    for line in ["", "{}", "null", "\u{0}\u{0}", r#"{"v":1}"#, r#"{"v":-1,"seq":1,"t":1,"kind":"x"}"#, &deep] {
        assert!(Record::parse(line.as_bytes()).is_err());
    }
    assert!(Record::parse(&[0xff, 0xfe, b'{']).is_err());
}
