//! Logs: to standard error and, if asked, to a file; never to standard output.
//!
//! Starting them is on the way to the first answer of the server, so the filter language is set up only for those who
//! use it.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use super::args::LoggingArgs;
use crate::config::EnvSnapshot;
use crate::llm::secrets::Redactor;
use crate::lsp::server::log_panics;

/// Starts the logs for the rest of the process, and keeps a panic's text out of them.
pub(super) fn start(args: &LoggingArgs, env: &EnvSnapshot) -> anyhow::Result<()> {
    let (writer, coloured) = match &args.log_file {
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        Some(path) => {
            let file = open(path).with_context(|| format!("cannot open the log file {}", path.display()))?;
            (BoxMakeWriter::new(io::stderr.and(Arc::new(file))), false)
        }
    };
    let lines = fmt::layer()
        .with_writer(Redacting { inner: writer, redactor: Arc::new(Redactor::new(env.secrets())) })
        .with_ansi(coloured)
        // It would be told on standard error, which panics if that is closed.
        .log_internal_errors(false);
    match env.text("ROPEWAY_LOG") {
        Some(filter) => {
            let filter = EnvFilter::builder()
                .parse(filter)
                .with_context(|| "ROPEWAY_LOG is not a filter; write for example warn,ropeway=debug")?;
            registry().with(lines.with_filter(filter)).try_init()
        }
        None => {
            // The libraries speak of headers and addresses when asked for more; only we are asked.
            let filter =
                Targets::new().with_default(LevelFilter::WARN.min(level(args))).with_target("ropeway", level(args));
            registry().with(lines.with_filter(filter)).try_init()
        }
    }
    .context("logs were started twice")?;
    log_panics();
    Ok(())
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
    redactor: Arc<Redactor>,
}

struct Redacted<W> {
    inner: W,
    redactor: Arc<Redactor>,
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

/// Appends, so that two servers may share a file; a new one is readable by its owner only.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
