//! Whatever is told is understood, and a long run is told in space that grows with its length and not with its square.

use proptest::prelude::*;

use super::*;
use crate::trajectory::record::{
    Gap, Purpose, Record, Request, Response, ResultRecord, SCHEMA, TextId, ThreadRecord, ToolFinished,
};

/// A message that is the same as another if it is the same pointer.
#[derive(Clone, Debug)]
struct Ours(Arc<Message>);

impl Source for Ours {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn is_turn(&self, turn: &Turn) -> bool {
        matches!(&*self.0, Message::Assistant(own) if **own == *turn)
    }

    fn to_record(&self) -> Message {
        Message::clone(&self.0)
    }
}

fn user(text: impl Into<String>) -> Ours {
    Ours(Arc::new(Message::User(Arc::from(text.into()))))
}

fn turn(text: &str) -> Arc<Turn> {
    Arc::new(Turn { text: text.to_owned(), ..Turn::default() })
}

fn record(event: impl Into<Event>) -> Record {
    Record { version: SCHEMA, seq: 1, at: 0, run: None, thread: None, redacted: false, event: event.into() }
}

fn request(messages: Messages) -> Record {
    record(Request {
        step: 1,
        purpose: Purpose::Turn,
        model: String::new(),
        system: TextId::of(""),
        tools: TextId::of(""),
        messages,
        max_output: 0,
        temperature: None,
        tokens: 0,
    })
}

fn response(turn: &Arc<Turn>) -> Record {
    record(Response { turn: Some(turn.clone()), ..Response::default() })
}

fn finished(call: &str, result: &Arc<str>) -> Record {
    record(ToolFinished {
        call: call.into(),
        tool: "t".into(),
        summary: String::new(),
        batch: 1,
        waited_us: 0,
        ran_us: None,
        cached: false,
        error: None,
        result: result.clone(),
        is_error: false,
    })
}

fn in_full(messages: &[Ours]) -> Vec<Message> {
    messages.iter().map(|message| Message::clone(&message.0)).collect()
}

#[test]
fn a_long_run_is_told_in_space_that_grows_with_its_length() {
    let (mut teller, mut reader) = (Teller::default(), Conversation::default());
    let mut messages = vec![user("do it")];
    let mut bytes = 0;
    for step in 0..200 {
        let told = request(teller.list(0, messages.clone()));
        bytes += serde_json::to_string(&told).unwrap().len();
        reader.take(&told);
        assert_eq!(reader.messages().unwrap(), in_full(&messages));

        let said = turn(&format!("step {step}"));
        teller.turn(0, &said);
        reader.take(&response(&said));
        messages.push(Ours(Arc::new(Message::Assistant(Arc::new(Turn::clone(&said))))));

        let result: Arc<str> = "x".repeat(10_000).into();
        let call = format!("c{step}");
        teller.result(0, &call.as_str().into(), &result);
        reader.take(&finished(&call, &result));
        let answer =
            ResultRecord { call: call.as_str().into(), name: "t".into(), content: Some(result), is_error: false };
        messages.push(Ours(Arc::new(Message::Results(vec![answer]))));
    }
    // A turn is told with its response and a result with its tool: what is left is a few words for each.
    assert!(bytes < 200 * 400, "{bytes}");
}

#[test]
fn what_was_cut_to_size_is_told_as_it_was_sent() {
    let (mut teller, mut reader) = (Teller::default(), Conversation::default());
    let whole: Arc<str> = "long".into();
    teller.result(0, &"c".into(), &whole);
    reader.take(&finished("c", &whole));
    let cut = ResultRecord { call: "c".into(), name: "t".into(), content: Some("lo".into()), is_error: false };
    let messages = vec![Ours(Arc::new(Message::Results(vec![cut])))];
    reader.take(&request(teller.list(0, messages.clone())));
    assert_eq!(reader.messages().unwrap(), in_full(&messages));
}

#[test]
fn behind_a_gap_everything_is_told_anew() {
    let (mut teller, mut reader) = (Teller::default(), Conversation::default());
    let messages = vec![user("a"), user("b")];
    // Lost.
    teller.list(0, messages.clone());
    reader.take(&record(Gap { lost: 1, bytes: 0, why: String::new() }));
    let told = teller.list(1, messages.clone());
    assert_eq!(told, Messages { keep: 0, add: in_full(&messages) });
    reader.take(&request(told));
    assert_eq!(reader.messages().unwrap(), in_full(&messages));
}

#[test]
fn a_list_that_stands_on_what_is_missing_is_none() {
    for told in [
        Messages { keep: 1, add: Vec::new() },
        Messages { keep: 0, add: vec![Message::Ref(0)] },
        Messages { keep: 0, add: vec![Message::Ref(u64::MAX)] },
        Messages {
            keep: 0,
            add: vec![Message::Results(vec![ResultRecord {
                call: "c".into(),
                name: "t".into(),
                content: None,
                is_error: false,
            }])],
        },
    ] {
        let mut reader = Conversation::default();
        reader.take(&record(ThreadRecord { messages: told }));
        assert_eq!(reader.messages(), None);
    }
}

proptest! {
    /// Lists are cut, mixed, rewritten and lost at random.
    #[test]
    fn whatever_is_told_is_understood(steps in proptest::collection::vec((0..6_u8, any::<u16>()), 1..60)) {
        let (mut teller, mut reader) = (Teller::default(), Conversation::default());
        let mut epoch = 0;
        let mut messages: Vec<Ours> = Vec::new();
        for (n, (kind, pick)) in steps.into_iter().enumerate() {
            let at = if messages.is_empty() { 0 } else { usize::from(pick) % messages.len() };
            match kind {
                0 if !messages.is_empty() => messages[at] = user(format!("rewritten {n}")),
                1 if !messages.is_empty() => { messages.remove(at); }
                2 => {
                    let said = turn(&format!("turn {n}"));
                    teller.turn(epoch, &said);
                    reader.take(&response(&said));
                    messages.push(Ours(Arc::new(Message::Assistant(said))));
                }
                3 => {
                    teller.list(epoch, messages.clone());
                    epoch += 1;
                    reader.take(&record(Gap { lost: 1, bytes: 0, why: String::new() }));
                }
                4 => messages.rotate_left(at),
                _ => messages.push(user(format!("new {n}"))),
            }
            reader.take(&request(teller.list(epoch, messages.clone())));
            prop_assert_eq!(reader.messages(), Some(in_full(&messages)));
        }
    }
}
