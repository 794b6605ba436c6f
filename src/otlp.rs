//! Traces and metrics for a team's OpenTelemetry collector: OTLP over HTTP, where the standard variables name one.
//!
//! A [`Export`] layer takes the spans of `agent::trace` as they close and puts them into a bounded queue without ever
//! waiting; a thread of its own ([`sender`]) makes batches of them, adds them up for the metrics, and sends both. With
//! nothing to send it sleeps without a timer. What finds no room, or a collector that does not answer, is dropped and
//! counted: a run never waits for it. `settings` reads the variables, `message` spells protobuf and its JSON, `records`
//! gives spans and histograms the shapes of the protocol.
//!
//! There is no text of a user, a file or a model in any of it, whatever `OTEL_INSTRUMENTATION_GENAI_*` says.

mod layer;
mod message;
mod records;
mod sender;
mod settings;

pub use self::layer::{Export, Ours};
pub use self::sender::Guard;
pub use self::settings::{Fault, Settings};

/// Starts exporting, as the environment wants it; `None` if it names no collector. The guard sends what is left when it
/// is dropped, and does not wait long for that.
///
/// # Errors
/// The variables cannot be understood, or there is no thread to be had.
pub fn start<'e>(variable: impl Fn(&str) -> Option<&'e str>) -> Result<Option<(Export, Guard)>, Fault> {
    let Some(settings) = Settings::read(variable)? else { return Ok(None) };
    sender::start(settings).map(Some)
}
