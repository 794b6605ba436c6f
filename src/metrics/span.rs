//! One operation from its beginning to its end: timed, seen by subscribers, and told in the log if it was slow.

use std::borrow::Cow;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::{Metrics, Op};

/// From when on an operation is told, in milliseconds.
#[derive(Debug)]
pub(super) struct Limits {
    slow: AtomicU64,
    moderate: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { slow: AtomicU64::new(u64::MAX), moderate: AtomicU64::new(u64::MAX) }
    }
}

/// An operation that goes on, entered as a span of `tracing`. For work that does not wait; for what does there are
/// [`Metrics::begin`] and [`Metrics::wait`].
#[must_use = "an operation ends where this is dropped"]
pub struct Span<'a> {
    metrics: &'a Metrics,
    op: Op,
    began: Instant,
    ok: bool,
    told: bool,
    _entered: tracing::span::EnteredSpan,
}

impl Span<'_> {
    /// It has ended, well or not. Dropped without this, it went well.
    pub fn end(mut self, ok: bool) {
        self.ok = ok;
    }

    /// The same, with what took the time, which is asked only if it is told.
    pub fn end_why(mut self, ok: bool, why: impl FnOnce() -> Cow<'static, str>) {
        self.told = true;
        let now = Instant::now();
        self.metrics.note(self.op, now, now.saturating_duration_since(self.began), ok, why);
    }

    /// Part of the operation was done before, in so much time.
    pub fn and_before(mut self, took: Duration) -> Self {
        self.began = self.began.checked_sub(took).unwrap_or(self.began);
        self
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        self.metrics.note(self.op, now, took, self.ok, || Cow::Borrowed(""));
    }
}

/// An operation that goes on and is not entered: it may end on another thread than it began. Dropped before its end
/// (cancelled), it is not counted.
#[derive(Debug)]
#[must_use = "an operation that is not ended is not counted"]
pub struct Waiting {
    op: Op,
    began: Instant,
    trace: tracing::Span,
}

impl Waiting {
    /// It has ended, well or not, with what took the time, which is asked only if it is told.
    pub fn end(self, metrics: &Metrics, ok: bool, why: impl FnOnce() -> Cow<'static, str>) {
        self.end_at(Instant::now(), metrics, ok, why);
    }

    fn end_at(self, now: Instant, metrics: &Metrics, ok: bool, why: impl FnOnce() -> Cow<'static, str>) {
        let took = now.saturating_duration_since(self.began);
        self.trace.in_scope(|| metrics.note(self.op, now, took, ok, why));
    }

    /// The span to instrument its work with.
    pub fn trace(&self) -> tracing::Span {
        self.trace.clone()
    }

    /// How long it has gone on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Metrics {
    /// Begins an operation that waits.
    pub fn begin(&self, op: Op) -> Waiting {
        Waiting { op, trace: op.trace(), began: Instant::now() }
    }

    /// Does work that waits as one operation; `ok` says whether it went well.
    pub async fn wait<T>(&self, op: Op, work: impl Future<Output = T>, ok: impl FnOnce(&T) -> bool) -> T {
        self.wait_since(Instant::now(), op, work, ok).await.0
    }

    /// The same for work that begins at a moment that is known. Gives the moment of its end as well, where what follows
    /// begins.
    pub async fn wait_since<T>(
        &self,
        began: Instant,
        op: Op,
        work: impl Future<Output = T>,
        ok: impl FnOnce(&T) -> bool,
    ) -> (T, Instant) {
        let waiting = Waiting { op, trace: op.trace(), began };
        let done = work.instrument(waiting.trace.clone()).await;
        let ended = Instant::now();
        waiting.end_at(ended, self, ok(&done), Cow::default);
        (done, ended)
    }

    /// Begins an operation.
    pub fn span(&self, op: Op) -> Span<'_> {
        Span { metrics: self, op, ok: true, told: false, _entered: op.trace().entered(), began: Instant::now() }
    }

    /// Notes that an operation took so long and whether it went well. Some additions; no lock, but for one in half a
    /// minute.
    pub fn record(&self, op: Op, took: Duration, ok: bool) {
        self.record_why(op, took, ok, || Cow::Borrowed(""));
    }

    /// The same, with what took the time, which is asked only if it is told.
    pub fn record_why(&self, op: Op, took: Duration, ok: bool, why: impl FnOnce() -> Cow<'static, str>) {
        self.note(op, Instant::now(), took, ok, why);
    }

    fn note(&self, op: Op, now: Instant, took: Duration, ok: bool, why: impl FnOnce() -> Cow<'static, str>) {
        self.timings.of(op).record_at(now, took, ok);
        if op.is_whole() && took.as_millis() >= u128::from(self.limits.moderate.load(Relaxed)) {
            self.tell(op, took, ok, &why());
        } else {
            tracing::debug!(op = op.name(), micros = took.as_micros() as u64, ok);
        }
    }

    #[cold]
    fn tell(&self, op: Op, took: Duration, ok: bool, why: &str) {
        let (op, ms) = (op.name(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        if ms >= self.limits.slow.load(Relaxed) {
            tracing::warn!(op, ms, ok, why, "slow");
        } else {
            tracing::info!(op, ms, ok, why, "took a moment");
        }
    }

    /// Sets from when on an operation is slow, and from when on it took a moment: `monitor.slow_ms` and
    /// `monitor.moderate_ms`. Without, none is told.
    pub fn set_limits(&self, slow_ms: u64, moderate_ms: u64) {
        self.limits.slow.store(slow_ms, Relaxed);
        self.limits.moderate.store(moderate_ms.min(slow_ms), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// Keeps what is said, from a level on.
    struct Listener {
        most: Level,
        said: Arc<Mutex<Vec<String>>>,
    }

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }

    impl Subscriber for Listener {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= self.most
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            self.said.lock().unwrap().push(format!("span {}", span.metadata().name()));
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.said.lock().unwrap().push(line.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn heard(most: Level, work: impl FnOnce(&Metrics)) -> Vec<String> {
        let said = Arc::<Mutex<Vec<String>>>::default();
        let metrics = Metrics::new();
        metrics.set_limits(5000, 1000);
        tracing::subscriber::with_default(Listener { most, said: said.clone() }, || work(&metrics));
        let said = said.lock().unwrap();
        said.clone()
    }

    #[test]
    fn a_slow_operation_is_told_with_what_took_the_time() {
        let said = heard(Level::INFO, |metrics| {
            let why = || Cow::Borrowed("the model's first token took 4.2 s");
            metrics.record_why(Op::Request, Duration::from_millis(5000), true, why);
            metrics.record_why(Op::Tool, Duration::from_millis(1000), false, || "it ran".into());
            metrics.record_why(Op::Tool, Duration::from_millis(999), true, || panic!("nobody wants to know"));
            metrics.record_why(Op::FirstToken, Duration::from_secs(60), true, || panic!("told with its request"));
        });
        assert_eq!(said.len(), 2, "{said:?}");
        let wanted = "WARN message=slow op=\"request\" ms=5000 ok=true why=\"the model's first token took 4.2 s\"";
        assert_eq!(said[0], wanted);
        assert!(said[1].starts_with("INFO message=took a moment op=\"tool\" ms=1000 ok=false"), "{said:?}");
    }

    #[test]
    fn work_that_waits_is_a_span_and_is_counted_if_it_ends() {
        let said = heard(Level::DEBUG, |metrics| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let half = runtime.block_on(metrics.wait(Op::Queue, std::future::ready(2), |half| *half > 2));
            assert_eq!((half, metrics.stats(Op::Queue).count, metrics.stats(Op::Queue).errors), (2, 1, 1));
            drop(metrics.begin(Op::Apply));
            assert_eq!(metrics.stats(Op::Apply).count, 0);
            let waiting = metrics.begin(Op::Propose);
            std::thread::scope(|scope| scope.spawn(|| waiting.end(metrics, true, Cow::default)).join().unwrap());
            assert_eq!(metrics.stats(Op::Propose).count, 1);
        });
        let spans: Vec<&String> = said.iter().filter(|line| line.starts_with("span")).collect();
        assert_eq!(spans, ["span queue", "span apply", "span propose"], "{said:?}");
    }

    #[test]
    fn all_others_are_for_those_who_debug_and_each_is_a_span() {
        let work = |metrics: &Metrics| metrics.span(Op::Change).end(false);
        let said = heard(Level::DEBUG, work);
        assert_eq!(said[0], "span change");
        assert!(said[1].starts_with("DEBUG op=\"change\""), "{said:?}");
        assert!(heard(Level::INFO, work).is_empty());
        let metrics = Metrics::new();
        work(&metrics);
        drop(metrics.span(Op::Change));
        let stats = metrics.stats(Op::Change);
        assert_eq!((stats.count, stats.errors), (2, 1));
    }
}
