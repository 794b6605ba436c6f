//! Spans and histograms in the shapes of the protocol, with the names of the conventions for generative AI.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::layer::{Closed, Value};
use super::message::{Field, Node, field};

/// What the conventions ask for: tokens of a call.
const TOKEN_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// What the conventions ask for: seconds of an operation.
const SECOND_BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Series of one metric, at most; a server asks a few models.
const MAX_SERIES: usize = 256;

const INTERNAL: u32 = 1;
const CLIENT: u32 = 3;
const ERROR: u32 = 2;
const CUMULATIVE: u32 = 2;

/// Nanoseconds since 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(name: &str, value: &Value) -> Vec<Field> {
    let value = match value {
        Value::Text(text) => field(1, "stringValue", Node::Text(text.clone())),
        Value::Bool(yes) => field(2, "boolValue", Node::Bool(*yes)),
        Value::Int(number) => field(3, "intValue", Node::Int(*number)),
        Value::Double(number) => field(4, "doubleValue", Node::Double(*number)),
    };
    vec![field(1, "key", Node::Text(name.to_owned())), field(2, "value", Node::Message(vec![value]))]
}

fn texts<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Node {
    let all = pairs.into_iter().map(|(name, value)| attribute(name, &Value::Text(value.to_owned())));
    Node::Messages(all.collect())
}

fn resource(attributes: &[(String, String)]) -> Node {
    let pairs = attributes.iter().map(|(name, value)| (&**name, &**value));
    Node::Message(vec![field(1, "attributes", texts(pairs))])
}

fn scope() -> Node {
    let version = Node::Text(env!("CARGO_PKG_VERSION").to_owned());
    Node::Message(vec![field(1, "name", Node::Text("ropeway".to_owned())), field(2, "version", version)])
}

/// The operation and what it is done with.
fn title(span: &Closed) -> String {
    let with = ["gen_ai.request.model", "gen_ai.tool.name", "gen_ai.agent.name"];
    match with.iter().find_map(|name| span.text(name)) {
        Some(with) => format!("{} {with}", span.name),
        None => span.name.to_owned(),
    }
}

fn span(closed: &Closed) -> Vec<Field> {
    let mut message =
        vec![field(1, "traceId", Node::Id(closed.trace.to_vec())), field(2, "spanId", Node::Id(closed.id.to_vec()))];
    if let Some(parent) = closed.parent {
        message.push(field(4, "parentSpanId", Node::Id(parent.to_vec())));
    }
    let kind = if closed.name == "chat" { CLIENT } else { INTERNAL };
    let attributes = closed.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    message.extend([
        field(5, "name", Node::Text(title(closed))),
        field(6, "kind", Node::Word(kind)),
        field(7, "startTimeUnixNano", Node::Fixed(nanos(closed.began))),
        field(8, "endTimeUnixNano", Node::Fixed(nanos(closed.began + closed.took))),
        field(9, "attributes", Node::Messages(attributes)),
    ]);
    if closed.text("error.type").is_some() {
        message.push(field(15, "status", Node::Message(vec![field(3, "code", Node::Word(ERROR))])));
    }
    message
}

/// A request that exports spans.
pub(super) fn traces(spans: &[Closed], attributes: &[(String, String)]) -> Vec<Field> {
    let all = spans.iter().map(span).collect();
    let scoped = vec![field(1, "scope", scope()), field(2, "spans", Node::Messages(all))];
    let ours = vec![field(1, "resource", resource(attributes)), field(2, "scopeSpans", Node::Messages(vec![scoped]))];
    vec![field(1, "resourceSpans", Node::Messages(vec![ours]))]
}

#[derive(Clone, Debug)]
struct Histogram {
    counts: [u64; 15],
    sum: f64,
    min: f64,
    max: f64,
}

impl Histogram {
    fn add(&mut self, value: f64, bounds: &[f64; 14]) {
        // A bound is the last value of its bucket.
        self.counts[bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; 15], sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

type Series = BTreeMap<Vec<(&'static str, String)>, Histogram>;

/// The metrics, added up since the start.
#[derive(Debug)]
pub(super) struct Sums {
    began: SystemTime,
    durations: Series,
    tokens: Series,
}

fn add(series: &mut Series, key: Vec<(&'static str, String)>, value: f64, bounds: &[f64; 14]) {
    if series.len() < MAX_SERIES || series.contains_key(&key) {
        series.entry(key).or_default().add(value, bounds);
    }
}

impl Sums {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { began: SystemTime::now(), durations: Series::new(), tokens: Series::new() }
    }

    /// Takes in a span.
    pub(super) fn add(&mut self, span: &Closed) {
        const OF_BOTH: [&str; 4] =
            ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"];
        let of = |names: &[&'static str]| -> Vec<(&'static str, String)> {
            names.iter().filter_map(|name| Some((*name, span.text(name)?.to_owned()))).collect()
        };
        let mut key = of(&OF_BOTH);
        key.extend(of(&["gen_ai.tool.name", "error.type"]));
        add(&mut self.durations, key, span.took.as_secs_f64(), &SECOND_BOUNDS);
        if span.name != "chat" {
            return;
        }
        for (word, name) in [("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")] {
            let Some(tokens) = span.number(name) else { continue };
            let mut key = of(&OF_BOTH);
            key.push(("gen_ai.token.type", word.to_owned()));
            #[expect(clippy::cast_precision_loss, reason = "tokens of one call")]
            add(&mut self.tokens, key, tokens as f64, &TOKEN_BOUNDS);
        }
    }

    /// A request that exports them.
    pub(super) fn request(&self, now: SystemTime, attributes: &[(String, String)]) -> Vec<Field> {
        let metric = |name: &str, unit: &str, what: &str, series: &Series, bounds: &[f64; 14]| {
            let points = series.iter().map(|(key, sum)| self.point(now, key, sum, bounds)).collect();
            let histogram = vec![
                field(1, "dataPoints", Node::Messages(points)),
                field(2, "aggregationTemporality", Node::Word(CUMULATIVE)),
            ];
            vec![
                field(1, "name", Node::Text(name.to_owned())),
                field(2, "description", Node::Text(what.to_owned())),
                field(3, "unit", Node::Text(unit.to_owned())),
                field(9, "histogram", Node::Message(histogram)),
            ]
        };
        let all = vec![
            metric(
                "gen_ai.client.operation.duration",
                "s",
                "How long operations took",
                &self.durations,
                &SECOND_BOUNDS,
            ),
            metric(
                "gen_ai.client.token.usage",
                "{token}",
                "Tokens of each call of a model",
                &self.tokens,
                &TOKEN_BOUNDS,
            ),
        ];
        let scoped = vec![field(1, "scope", scope()), field(2, "metrics", Node::Messages(all))];
        let scoped = Node::Messages(vec![scoped]);
        let ours = vec![field(1, "resource", resource(attributes)), field(2, "scopeMetrics", scoped)];
        vec![field(1, "resourceMetrics", Node::Messages(vec![ours]))]
    }

    fn point(&self, now: SystemTime, key: &[(&str, String)], sum: &Histogram, bounds: &[f64; 14]) -> Vec<Field> {
        vec![
            field(2, "startTimeUnixNano", Node::Fixed(nanos(self.began))),
            field(3, "timeUnixNano", Node::Fixed(nanos(now))),
            field(4, "count", Node::Fixed(sum.counts.iter().sum())),
            field(5, "sum", Node::Double(sum.sum)),
            field(6, "bucketCounts", Node::AllFixed(sum.counts.to_vec())),
            field(7, "explicitBounds", Node::AllDouble(bounds.to_vec())),
            field(9, "attributes", texts(key.iter().map(|(name, value)| (*name, &**value)))),
            field(11, "min", Node::Double(sum.min)),
            field(12, "max", Node::Double(sum.max)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::message::json;
    use super::*;

    fn chat(tokens: i64, ms: u64, error: Option<&str>) -> Closed {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut attributes = vec![
            ("gen_ai.operation.name", text("chat")),
            ("gen_ai.provider.name", text("openai")),
            ("gen_ai.request.model", text("m")),
            ("gen_ai.usage.input_tokens", Value::Int(tokens)),
        ];
        attributes.extend(error.map(|error| ("error.type", text(error))));
        Closed {
            trace: [1; 16],
            id: [2; 8],
            parent: Some([3; 8]),
            name: "chat",
            began: UNIX_EPOCH + Duration::from_secs(1),
            took: Duration::from_millis(ms),
            attributes,
        }
    }

    #[test]
    fn a_span_has_its_title_its_times_and_its_failure() {
        let request =
            json(&traces(&[chat(5, 250, Some("timeout")), chat(5, 1, None)], &[("team".into(), "blue".into())]));
        let ours = &request["resourceSpans"][0];
        assert_eq!(ours["resource"]["attributes"][0]["value"]["stringValue"], "blue");
        let span = &ours["scopeSpans"][0]["spans"][0];
        assert_eq!(
            (&span["name"], &span["kind"], &span["status"]["code"]),
            (&"chat m".into(), &3.into(), &2.into()),
            "{span}"
        );
        assert_eq!((&span["traceId"], &span["parentSpanId"]), (&"01".repeat(16).into(), &"03".repeat(8).into()));
        assert_eq!(
            (&span["startTimeUnixNano"], &span["endTimeUnixNano"]),
            (&"1000000000".into(), &"1250000000".into())
        );
        assert!(ours["scopeSpans"][0]["spans"][1].get("status").is_none());
    }

    #[test]
    fn tokens_and_times_are_added_up_by_model_and_failure() {
        let mut sums = Sums::new();
        for span in [chat(4, 20, None), chat(5, 30, None), chat(5, 30, Some("timeout"))] {
            sums.add(&span);
        }
        let request = json(&sums.request(UNIX_EPOCH, &[]));
        let metrics = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
        let points = |at: usize| metrics[at]["histogram"]["dataPoints"].as_array().unwrap().clone();
        assert_eq!(metrics[0]["histogram"]["aggregationTemporality"], 2);
        let (durations, tokens) = (points(0), points(1));
        assert_eq!((durations.len(), tokens.len()), (2, 1));
        let point = &tokens[0];
        assert_eq!((&point["count"], &point["sum"], &point["min"]), (&"3".into(), &14.0.into(), &4.0.into()));
        // 4 is the last value of its bucket.
        assert_eq!((&point["bucketCounts"][1], &point["bucketCounts"][2]), (&"1".into(), &"2".into()));
        assert_eq!(point["attributes"][3]["key"], "gen_ai.token.type");
    }
}
