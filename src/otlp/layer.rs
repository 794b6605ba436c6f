//! Takes the spans of `agent::trace` as they close.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// What the spans have that are exported, by the conventions for generative AI.
const MARK: &str = "gen_ai.operation.name";
/// Bytes of a text among the attributes.
const MAX_TEXT: usize = 1024;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// A span that is over.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) trace: [u8; 16],
    pub(super) id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    /// The operation.
    pub(super) name: &'static str,
    pub(super) began: SystemTime,
    pub(super) took: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

impl Closed {
    /// An attribute that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).and_then(|(_, value)| match value {
            Value::Text(text) => Some(&**text),
            _ => None,
        })
    }

    /// An attribute that is a number.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.attributes.iter().find(|(known, _)| *known == name).and_then(|(_, value)| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        })
    }
}

/// What goes to the thread that sends.
pub(super) enum Post {
    Closed(Box<Closed>),
    /// Send everything now, and say when that is done.
    Flush(SyncSender<()>),
}

/// A span that goes on.
struct Open {
    span: Closed,
    since: Instant,
}

/// The layer. It never waits: what finds no room in the queue is counted and dropped.
pub struct Export {
    pub(super) queue: SyncSender<Post>,
    pub(super) lost: Arc<AtomicU64>,
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Export {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<Open>().map(|open| (open.span.trace, open.span.id))
        });
        let (trace, parent) = match above {
            Some((trace, id)) => (trace, Some(id)),
            None => ((u128::from(random()) << 64 | u128::from(random())).to_be_bytes(), None),
        };
        let mut open = Open {
            span: Closed {
                trace,
                id: random().to_be_bytes(),
                parent,
                name: attributes.metadata().name(),
                began: SystemTime::now(),
                took: Duration::ZERO,
                attributes: Vec::with_capacity(16),
            },
            since: Instant::now(),
        };
        attributes.record(&mut Fields(&mut open.span.attributes));
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut Fields(&mut open.span.attributes));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { span: mut closed, since }) = span.extensions_mut().remove::<Open>() else { return };
        closed.took = since.elapsed();
        if self.queue.try_send(Post::Closed(Box::new(closed))).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Lets through what is exported, and nothing else.
pub struct Ours;

impl<S> Filter<S> for Ours {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_ours(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        if is_ours(metadata) { tracing::subscriber::Interest::always() } else { tracing::subscriber::Interest::never() }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::INFO)
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field(MARK).is_some()
}

/// An identifier: not zero, and different in every process. Nothing hangs on its being hard to guess.
fn random() -> u64 {
    RandomState::new().hash_one(Instant::now()).max(1)
}

struct Fields<'a>(&'a mut Vec<(&'static str, Value)>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = value.to_owned();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        self.set(field, Value::Text(text));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::Double(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Bool(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
