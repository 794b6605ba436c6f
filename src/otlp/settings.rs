//! The standard variables: where the collector is, what it wants to be told besides, and how much may wait for it.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;
use url::Url;

/// Most headers or attributes that are read of a variable.
const MAX_PAIRS: usize = 64;

/// What is wrong with a variable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable}: {why}")]
pub struct Fault {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong, without its value: it may hold a key.
    pub why: &'static str,
}

/// How a message is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`
    Protobuf,
    /// `http/json`
    Json,
}

/// One of traces and metrics.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Where it goes.
    pub url: Url,
    /// What goes with it; the values are marked as sensitive.
    pub headers: HeaderMap,
    /// How it is spelt.
    pub protocol: Protocol,
    /// How long a request may take.
    pub timeout: Duration,
}

/// What is exported, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Traces, if they are wanted.
    pub traces: Option<Signal>,
    /// Metrics, if they are wanted.
    pub metrics: Option<Signal>,
    /// Attributes of the resource, `service.name` among them.
    pub resource: Vec<(String, String)>,
    /// How long a batch is gathered.
    pub delay: Duration,
    /// Spans that may wait.
    pub queue: usize,
    /// Spans of a batch.
    pub batch: usize,
}

/// The names of a signal's variables.
struct Names {
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
    headers: &'static str,
    protocol: &'static str,
    timeout: &'static str,
}

const TRACES: Names = Names {
    path: "v1/traces",
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
};

const METRICS: Names = Names {
    path: "v1/metrics",
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

impl Settings {
    /// What the variables say; `None` if they name no collector.
    ///
    /// # Errors
    /// A value that cannot be understood.
    pub fn read<'e>(variable: impl Fn(&str) -> Option<&'e str>) -> Result<Option<Self>, Fault> {
        let text = |name: &str| variable(name).map(str::trim).filter(|text| !text.is_empty());
        if text("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let (traces, metrics) = (signal(&text, &TRACES)?, signal(&text, &METRICS)?);
        if traces.is_none() && metrics.is_none() {
            return Ok(None);
        }
        let mut resource = match text("OTEL_RESOURCE_ATTRIBUTES") {
            Some(list) => pairs("OTEL_RESOURCE_ATTRIBUTES", list)?,
            None => Vec::new(),
        };
        let named = resource.iter().any(|(name, _)| name == "service.name");
        if let Some(name) = text("OTEL_SERVICE_NAME").or((!named).then_some("ropeway")) {
            resource.retain(|(known, _)| known != "service.name");
            resource.push(("service.name".into(), name.into()));
        }
        resource.retain(|(known, _)| known != "service.version");
        resource.push(("service.version".into(), env!("CARGO_PKG_VERSION").into()));
        let queue = number(&text, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)?.clamp(1, 1 << 16) as usize;
        Ok(Some(Self {
            traces,
            metrics,
            resource,
            delay: Duration::from_millis(number(&text, "OTEL_BSP_SCHEDULE_DELAY", 5000)?),
            queue,
            batch: (number(&text, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?.max(1) as usize).min(queue),
        }))
    }
}

fn signal<'e>(text: &impl Fn(&str) -> Option<&'e str>, names: &Names) -> Result<Option<Signal>, Fault> {
    match text(names.exporter) {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(_) => return Err(Fault { variable: names.exporter, why: "write otlp or none" }),
    }
    let (variable, address) = match (text(names.endpoint), text(ENDPOINT)) {
        (Some(own), _) => (names.endpoint, own.to_owned()),
        (None, Some(base)) => (ENDPOINT, format!("{}/{}", base.trim_end_matches('/'), names.path)),
        (None, None) => return Ok(None),
    };
    let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or(Fault { variable, why: "write an address such as http://127.0.0.1:4318" })?;
    let (variable, list) = match text(names.headers) {
        Some(list) => (names.headers, Some(list)),
        None => ("OTEL_EXPORTER_OTLP_HEADERS", text("OTEL_EXPORTER_OTLP_HEADERS")),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in list.map(|list| pairs(variable, list)).transpose()?.unwrap_or_default() {
        let unfit = Fault { variable, why: "a name or a value cannot stand in a header" };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit.clone())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| unfit)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let (variable, protocol) = match text(names.protocol) {
        Some(word) => (names.protocol, Some(word)),
        None => ("OTEL_EXPORTER_OTLP_PROTOCOL", text("OTEL_EXPORTER_OTLP_PROTOCOL")),
    };
    let protocol = match protocol {
        None | Some("http/protobuf") => Protocol::Protobuf,
        Some("http/json") => Protocol::Json,
        Some(_) => return Err(Fault { variable, why: "write http/protobuf or http/json" }),
    };
    let general = number(text, "OTEL_EXPORTER_OTLP_TIMEOUT", 10_000)?;
    let timeout = Duration::from_millis(number(text, names.timeout, general)?.max(1));
    Ok(Some(Signal { url, headers, protocol, timeout }))
}

fn number<'e>(text: &impl Fn(&str) -> Option<&'e str>, variable: &'static str, otherwise: u64) -> Result<u64, Fault> {
    // A day is longer than anybody waits, and far from what would overflow.
    let parsed = text(variable).map(|text| text.parse::<u64>().map(|number| number.min(86_400_000)));
    parsed.transpose().map_or(Err(Fault { variable, why: "write a number" }), |number| Ok(number.unwrap_or(otherwise)))
}

/// `name=value,name=value`, the values percent-encoded where they have to be.
fn pairs(variable: &'static str, list: &str) -> Result<Vec<(String, String)>, Fault> {
    let fault = Fault { variable, why: "write name=value,name=value" };
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty()).take(MAX_PAIRS);
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').ok_or_else(|| fault.clone())?;
            Ok((
                decoded(name.trim()).ok_or_else(|| fault.clone())?,
                decoded(value.trim()).ok_or_else(|| fault.clone())?,
            ))
        })
        .collect()
}

/// With `%20` as a blank, and so on; nothing if that gives no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(more.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &more[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &'static str)]) -> Result<Option<Settings>, Fault> {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=b"), (ENDPOINT, " ")]).unwrap().is_none());
        assert!(read(&[(ENDPOINT, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        let none = [(ENDPOINT, "http://c"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
        assert!(read(&none).unwrap().is_none());
    }

    #[test]
    fn a_base_address_gets_the_path_of_each_signal_and_an_own_one_does_not() {
        let settings = read(&[
            (ENDPOINT, "http://127.0.0.1:4318/"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA==, x-team = blue "),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-own=1"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ]);
        let settings = settings.unwrap().unwrap();
        let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
        assert_eq!(traces.url.as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(metrics.url.as_str(), "https://m.example/in");
        assert_eq!((traces.protocol, metrics.protocol), (Protocol::Json, Protocol::Protobuf));
        assert_eq!(traces.headers["authorization"], "Basic eA==");
        assert_eq!(traces.headers["x-team"], "blue");
        assert!(traces.headers["authorization"].is_sensitive());
        assert_eq!(metrics.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-own"]);
        assert_eq!(traces.timeout, Duration::from_millis(250));
    }

    #[test]
    fn the_service_is_named_by_its_own_variable_before_the_list() {
        let name = |variables: &[(&str, &'static str)]| {
            let all = [&[(ENDPOINT, "http://c")], variables].concat();
            let settings = read(&all).unwrap().unwrap();
            settings.resource.iter().find(|(name, _)| name == "service.name").unwrap().1.clone()
        };
        let list = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed,team=blue");
        assert_eq!(name(&[]), "ropeway");
        assert_eq!(name(&[list]), "listed");
        assert_eq!(name(&[list, ("OTEL_SERVICE_NAME", "own")]), "own");
    }

    #[test]
    fn what_cannot_be_understood_is_named_without_its_value() {
        for (variable, value) in [
            (ENDPOINT, "127.0.0.1:4318"),
            (ENDPOINT, "ftp://c"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "sk-secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0Asecret"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ] {
            let fault = read(&[(variable, value), (ENDPOINT, "http://c")]).unwrap_err().to_string();
            assert!(fault.starts_with(variable) && !fault.contains("secret"), "{fault}");
        }
    }
}
