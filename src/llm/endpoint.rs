//! Where a provider's requests go.
//!
//! Configuration checks addresses when it is read; here, at the last door before the network, what a mistake there
//! would cost is checked again: a key never leaves the machine in clear text.

use std::net::IpAddr;

use serde_json::Value;
use url::{Host, Url};

use crate::config::ProviderConfig;
use crate::llm::{LlmError, LlmErrorKind};

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// The base URL followed by `path`; a query of the base URL is kept, and that of `path` follows it.
///
/// # Errors
/// `Config` where the base URL would carry the key in clear text or has credentials of its own.
pub(crate) fn url(provider: &ProviderConfig, path: &str) -> Result<Url, LlmError> {
    let refuse = |message: String, hint: &str| LlmError::new(LlmErrorKind::Config, message, hint);
    let mut url = provider.base_url.clone();
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(refuse(
                "the base URL is plain http to another machine, which would send the key readable by anyone".into(),
                "use https, or a tunnel that ends on 127.0.0.1",
            ));
        }
        other => {
            return Err(refuse(format!("the base URL's scheme `{other}` is not https"), "set base_url to https://…"));
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "the base URL holds a user name or a password".into(),
            "put the credential into the variable that api_key_env names",
        ));
    }
    let base = url.path().trim_end_matches('/').to_owned();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    url.set_path(&format!("{base}/{}", path.trim_start_matches('/')));
    if !query.is_empty() {
        let own = url.query().map_or_else(String::new, |own| format!("{own}&"));
        url.set_query(Some(&format!("{own}{query}")));
    }
    url.set_fragment(None);
    Ok(url)
}

/// A text option of a provider.
pub(crate) fn text_option<'a>(provider: &'a ProviderConfig, name: &str) -> Option<&'a str> {
    provider.options.get(name).and_then(Value::as_str)
}

/// A provider for unit tests, without key, headers or options.
#[cfg(test)]
pub(crate) fn example(kind: crate::config::ProviderKind, url: &str) -> ProviderConfig {
    let second = std::time::Duration::from_secs(1);
    ProviderConfig {
        name: "p".to_owned(),
        kind,
        base_url: Url::parse(url).unwrap(),
        api_key_env: None,
        key: None,
        key_missing: None,
        headers: Vec::new(),
        timeouts: crate::config::Timeouts { connect: second, first_byte: second, idle: second },
        options: serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderKind;

    fn at(base: &str, path: &str) -> Result<String, LlmErrorKind> {
        url(&example(ProviderKind::OpenAi, base), path).map(String::from).map_err(|error| error.kind)
    }

    #[test]
    fn the_path_follows_the_base_and_its_query_stays() {
        assert_eq!(at("https://a.b/v1/", "chat/completions").unwrap(), "https://a.b/v1/chat/completions");
        assert_eq!(at("https://a.b", "/v1/messages").unwrap(), "https://a.b/v1/messages");
        assert_eq!(at("https://a.b/x?api-version=3#f", "y").unwrap(), "https://a.b/x/y?api-version=3");
        assert_eq!(at("https://a.b?x=1", "/m:go?alt=sse").unwrap(), "https://a.b/m:go?x=1&alt=sse");
        assert_eq!(at("https://a.b", "/m:go?alt=sse").unwrap(), "https://a.b/m:go?alt=sse");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for base in [
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:80",
            "http://localhost:11434",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(at(base, "x").is_ok(), "{base}");
        }
        for base in [
            "http://10.0.0.1",
            "http://example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://u:p@a.b",
        ] {
            assert_eq!(at(base, "x"), Err(LlmErrorKind::Config), "{base}");
        }
    }
}
