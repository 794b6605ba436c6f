//! Records of runs that never were.

use serde_json::{Value, json};

use crate::ids::{RunId, ThreadId};
use crate::trajectory::record::{Event, Record, SCHEMA, TextId};

/// Records, and the words that stand for everything foreign in them.
pub struct Made {
    pub list: Vec<Record>,
    word: String,
}

impl Made {
    fn new(word: &str) -> Self {
        Self { list: Vec::new(), word: word.to_owned() }
    }

    fn push(&mut self, at: u64, kind: &str, data: Value) {
        let event = Event::from_parts(kind.to_owned(), data);
        assert!(!matches!(event, Event::Other(_)), "{kind} is not what the format says");
        self.list.push(Record {
            version: SCHEMA,
            seq: self.list.len() as u64 + 1,
            at: at + 500,
            run: Some(RunId::from(self.word.as_str())),
            thread: Some(ThreadId::from(self.word.as_str())),
            redacted: false,
            event,
        });
    }

    fn text(&mut self, text: &str) -> TextId {
        let hash = TextId::of(text);
        self.push(0, "text", json!({"hash": hash, "text": text, "bytes": text.len()}));
        hash
    }

    fn head(&mut self, window: u64) {
        let word = self.word.clone();
        self.push(
            0,
            "session",
            json!({"id": word, "schema": 1, "version": word, "pid": 1, "startedUnixUs": 1_795_385_045_000_000_u64,
                "part": 1, "roots": [{"name": "", "path": word}], "client": word}),
        );
        self.push(
            0,
            "started",
            json!({"action": word, "title": format!("{word} title"), "prompt": word, "uri": word, "encoding": "utf-8",
                "model": word, "window": window, "maxOutput": 4_096, "provider": word,
                "settings": {"context": {"compact_at": 0.8}}}),
        );
        self.text("instructions");
    }

    /// A model call and the calls of tools that it makes, each `(tool, when, how long)`.
    fn step(&mut self, step: u32, from: u64, long: u64, tokens: [u64; 3], calls: &[(&str, u64, u64)]) {
        let word = self.word.clone();
        let system = TextId::of("instructions");
        let keep = if step == 1 { 0 } else { 1 };
        self.push(
            from,
            "request",
            json!({"step": step, "model": word, "system": system, "tools": system, "maxOutput": 100, "tokens": 900,
                "messages": {"keep": keep, "add": [{"user": word}]}}),
        );
        for (index, (tool, at, long)) in calls.iter().enumerate() {
            let call = format!("{word}-{step}-{index}");
            let summary = format!("{tool} {word}");
            self.push(
                *at,
                "toolStarted",
                json!({"call": call, "tool": tool, "summary": summary, "arguments": word, "batch": step,
                    "waitedUs": 1_000, "beside": 1}),
            );
            self.push(
                at + long + 50,
                "toolFinished",
                json!({"call": call, "tool": tool, "summary": summary, "batch": step, "waitedUs": 1_000, "ranUs": long,
                    "cached": index == 3, "result": word, "isError": index == 4,
                    "error": if index == 4 { json!(word) } else { Value::Null }}),
            );
        }
        let [input, cached, output] = tokens;
        self.push(
            from + long,
            "response",
            json!({"step": step, "attempts": 1, "stop": word, "costUsd": 0.01,
                "turn": {"origin": word, "text": word, "calls": []},
                "usage": {"inputTokens": input, "cachedTokens": cached, "outputTokens": output},
                "timing": {"connectUs": 900, "firstByteUs": 250_000, "firstTokenUs": 400_000, "lastTokenUs": long - 9,
                    "totalUs": long}}),
        );
    }

    /// A run of ten seconds with something of everything in it.
    pub fn till(word: &str) -> Self {
        let mut made = Self::new(word);
        made.head(8_000);
        let tools = [
            ("grep", 701_000, 4_000),
            ("read_file", 900_000, 900),
            ("read_file", 1_100_000, 1_200),
            ("outline", 1_300_000, 700),
            ("glob", 1_500_000, 900),
        ];
        made.step(1, 10_000, 2_000_000, [2_100, 0, 160], &tools);
        made.push(2_100_000, "retry", json!({"attempt": 1, "waitUs": 300_000, "why": word}));
        let tools =
            [("run_command", 3_300_000, 900_000), ("edit_file", 4_600_000, 3_000), ("insert_lines", 4_800_000, 2_000)];
        made.push(3_200_000, "approval", json!({"message": word}));
        made.push(4_400_000, "approval", json!({"message": word, "answer": word}));
        made.step(2, 2_500_000, 3_500_000, [3_200, 2_000, 200], &tools);
        let (before, after) = (made.text("a = int(x)\nb = 2\n"), made.text("a = nearest(x)\nb = 2\n"));
        made.push(
            4_605_000,
            "staged",
            json!({"path": word, "uri": word, "op": "edited", "base": before, "edits": [{"start": 4, "end": 7, "text": "nearest"}]}),
        );
        for key in 0..7 {
            let edits = json!([{"start": key, "end": key, "text": word}]);
            made.push(
                5_000_000 + key * 100_000,
                "typed",
                json!({"path": word, "uri": word, "version": 2, "edits": edits}),
            );
        }
        made.push(
            6_200_000,
            "compacted",
            json!({"before": {"messages": 9, "tokens": 4_000}, "after": {"messages": 3, "tokens": 1_200}}),
        );
        made.push(6_250_000, "prefixBroken", json!({ "why": word }));
        made.step(3, 6_300_000, 3_300_000, [4_000, 3_600, 120], &[("invented", 7_000_000, 1_000)]);
        made.push(
            9_700_000,
            "proposal",
            json!({"files": [{"path": word, "uri": word, "op": "edited", "before": before, "after": after}]}),
        );
        made.push(
            9_790_000,
            "delivery",
            json!({"what": "staged", "fate": "landed", "why": word, "paths": [word], "tookUs": 40_000}),
        );
        made.push(9_800_000, "gap", json!({"lost": 0, "bytes": 0, "why": word}));
        made.push(
            9_800_000,
            "finished",
            json!({"outcome": {"status": "applied", "answer": word,
                "files": [{"uri": word, "edits": 1, "conflicts": [{"line": 3, "endLine": 4, "wanted": word}]}],
                "error": {"code": word, "message": word, "hint": word},
                "timing": {"totalMs": 9_800.0, "modelMs": 8_800.0, "toolMs": 911.0, "overlapMs": 911.0}}}),
        );
        made
    }

    /// So many model calls over half an hour, with so many tool calls between them.
    pub fn long(steps: u32, calls: u64) -> Self {
        let mut made = Self::new("text");
        made.head(200_000);
        let each = 1_800_000_000 / u64::from(steps);
        let per_step = calls / u64::from(steps);
        for step in 1..=steps {
            let from = u64::from(step - 1) * each;
            let names = ["read_file", "grep", "read_file", "edit_file", "run_command"];
            let tools: Vec<_> = (0..per_step)
                .map(|call| (names[call as usize % 5], from + 500_000 + call * 40_000, 1_000 + call * 1_700 % 90_000))
                .collect();
            let grown = u64::from(step % 90) * 1_900 + 4_000;
            if step.is_multiple_of(90) {
                let before = json!({"messages": 9, "tokens": 170_000});
                made.push(from, "compacted", json!({"before": before, "after": {"messages": 3, "tokens": 4_000}}));
            }
            made.step(step, from + 1, each * 9 / 10, [grown, grown * 8 / 10, 300], &tools);
        }
        made
    }
}
