//! Logs: lines for people on standard error and, if asked, lines of JSON in a file; never on standard output.
//!
//! Starting them is on the way to the first answer of the server, so the filter language is set up only for those who
//! use it.

mod file;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, LazyLock};

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, subscriber};
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, fmt, registry};

use self::file::{FILES, Rolling, SIZE};
use super::args::LoggingArgs;
use crate::config::EnvSnapshot;
use crate::llm::secrets::Redactor;
use crate::lsp::server::log_panics;

/// What must live as long as the logs are to work to their end.
#[derive(Default)]
pub(super) struct Logs {
    #[cfg(feature = "otlp")]
    _exporting: Option<crate::otlp::Guard>,
}

/// A layer over what is below it.
type Boxed<S> = Box<dyn Layer<S> + Send + Sync>;

/// Takes keys out of lines. Made ready at the first line: most sessions log none, and all have to start.
type Secrets = Arc<LazyLock<Redactor, Box<dyn FnOnce() -> Redactor + Send>>>;

fn secrets(env: &EnvSnapshot) -> Secrets {
    let known: Vec<String> = env.secrets().map(str::to_owned).collect();
    Arc::new(LazyLock::new(Box::new(move || {
        // A key with a quote or a backslash in it stands otherwise in JSON.
        let spelt: Vec<String> = known.iter().map(|secret| serde_json::Value::from(&**secret).to_string()).collect();
        let spelt = spelt.iter().map(|json| json.trim_matches('"'));
        Redactor::new(known.iter().map(String::as_str).chain(spelt))
    })))
}

/// Starts the logs for the rest of the process, and keeps a panic's text out of them.
pub(super) fn start(args: &LoggingArgs, env: &EnvSnapshot) -> anyhow::Result<Logs> {
    let redactor = secrets(env);
    let file = match &args.log_file {
        None => None,
        Some(path) => {
            let rolling = Rolling::open(path, SIZE, FILES);
            let rolling = rolling.with_context(|| format!("cannot open the log file {}", path.display()))?;
            Some(Redacting { inner: rolling, redactor: redactor.clone() })
        }
    };
    let (exporting, logs) = exporting(env)?;
    let base: Layered<Option<Boxed<Registry>>, Registry> = registry().with(exporting);
    match env.text("ROPEWAY_LOG") {
        Some(filter) => {
            let filter = || {
                EnvFilter::builder()
                    .parse(filter)
                    .with_context(|| "ROPEWAY_LOG is not a filter; write for example warn,ropeway=debug")
            };
            let file = file.map(lines_of_json).map(|lines| filter().map(|filter| lines.with_filter(filter)));
            let lines = lines(redactor).with_filter(filter()?);
            subscriber::set_global_default(base.with(lines).with(file.transpose()?))
        }
        None => {
            // The libraries speak of headers and addresses when asked for more; only we are asked. What goes to a
            // collector is for machines.
            let filter = || {
                Targets::new()
                    .with_default(LevelFilter::WARN.min(level(args)))
                    .with_target("ropeway", level(args))
                    .with_target("ropeway::agent::trace", LevelFilter::OFF)
            };
            let file = file.map(lines_of_json).map(|lines| lines.with_filter(filter()));
            subscriber::set_global_default(base.with(lines(redactor).with_filter(filter())).with(file))
        }
    }
    .context("logs were started twice")?;
    log_panics();
    Ok(logs)
}

/// For people, on standard error.
fn lines<S: Subscriber + for<'l> LookupSpan<'l>>(redactor: Secrets) -> impl Layer<S> + Send + Sync {
    fmt::layer()
        .with_writer(Redacting { inner: io::stderr as fn() -> io::Stderr, redactor })
        .with_ansi(io::stderr().is_terminal())
        // It would be told on standard error, which panics if that is closed.
        .log_internal_errors(false)
}

/// For machines, in the file.
fn lines_of_json<S: Subscriber + for<'l> LookupSpan<'l>>(file: Redacting<Rolling>) -> impl Layer<S> + Send + Sync {
    fmt::layer().json().flatten_event(true).with_writer(file).with_ansi(false).log_internal_errors(false)
}

/// What goes to a collector of traces.
#[cfg(feature = "otlp")]
fn exporting(env: &EnvSnapshot) -> anyhow::Result<(Option<Boxed<Registry>>, Logs)> {
    let started = crate::otlp::start(|name| env.text(name)).context("the traces for OpenTelemetry")?;
    let Some((layer, guard)) = started else { return Ok((None, Logs::default())) };
    Ok((Some(layer.with_filter(crate::otlp::Ours).boxed()), Logs { _exporting: Some(guard) }))
}

#[cfg(not(feature = "otlp"))]
fn exporting(_: &EnvSnapshot) -> anyhow::Result<(Option<Boxed<Registry>>, Logs)> {
    Ok((None, Logs::default()))
}

fn level(args: &LoggingArgs) -> LevelFilter {
    match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    }
}

/// Takes secrets out of each line; a line comes in one write.
struct Redacting<M> {
    inner: M,
    redactor: Secrets,
}

struct Redacted<W> {
    inner: W,
    redactor: Secrets,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = Redacted<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacted { inner: self.inner.make_writer(), redactor: Arc::clone(&self.redactor) }
    }
}

impl<W: Write> Write for Redacted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        match self.redactor.clean(&text) {
            Cow::Borrowed(_) => self.inner.write_all(line)?,
            Cow::Owned(clean) => self.inner.write_all(clean.as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
