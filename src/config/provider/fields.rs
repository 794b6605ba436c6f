//! Reading the fields of a provider: an address that is safe to send code to, a variable's name, sendable headers.
//!
//! No message repeats a value here: a key pasted in the wrong place must not reach a log.

use secrecy::SecretString;
use url::Url;

use super::is_loopback;
use crate::config::node::{Node, Value};
use crate::config::place::Layer;
use crate::config::read::{Reader, shown};
use crate::config::values::text;

pub(super) fn base_url(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Url> {
    let written = text(2048)(reader, key, node)?;
    let problem = match Url::parse(&written) {
        Err(error) => format!("`base_url` is not an address: {error}; write https://HOST/…"),
        Ok(url) if !matches!(url.scheme(), "https" | "http") || url.host().is_none() => {
            "`base_url` must begin with https:// (or http:// for this machine)".to_owned()
        }
        // The address itself is not repeated: the user part may be a secret.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "`base_url` must not hold a user or password; use `api_key_env` or `headers`".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "`base_url` must not have a query or a fragment; the request's path is put behind it".to_owned()
        }
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            "`base_url` must be https:// unless it is on this machine: your code and key would go unencrypted"
                .to_owned()
        }
        Ok(url) => return Some(url),
    };
    reader.error(key, &node.span, problem);
    None
}

pub(super) fn api_key_env(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<String> {
    if matches!(reader.layer(), Layer::ClientInit | Layer::ClientSettings) {
        let message = "`api_key_env` is ignored in the editor's settings; put it in your own configuration file";
        reader.warning(key, &node.span, message.to_owned());
        return None;
    }
    let Value::String(name) = &node.value else {
        reader.wrong(key, node, "the name of an environment variable");
        return None;
    };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && name.len() <= 128 && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(name.clone());
    }
    // Most likely a key was pasted here: it must not appear in a message.
    reader.error(
        key,
        &node.span,
        "`api_key_env` takes the name of an environment variable, not the key itself".to_owned(),
    );
    None
}

pub(super) fn headers(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Vec<(String, SecretString)>> {
    let Value::Table(entries) = &node.value else {
        reader.wrong(key, node, "a table of strings");
        return None;
    };
    if entries.len() > 64 {
        reader.error(key, &node.span, format!("`headers` has {} entries; 64 are allowed", entries.len()));
        return None;
    }
    let mut headers = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.text.is_empty() || name.text.len() > 256 || !name.text.chars().all(token) {
            reader.error(key, &name.span, format!("`{}` cannot be a header's name", shown(&name.text)));
            continue;
        }
        let lower = name.text.to_ascii_lowercase();
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&lower.as_str()) {
            reader.error(key, &name.span, format!("the header `{lower}` is set by the client itself"));
            continue;
        }
        match &value.value {
            Value::String(text)
                if text.len() <= 8192 && text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) =>
            {
                headers.push((name.text.clone(), SecretString::from(text.clone())));
            }
            // The value is not repeated: it may be a secret.
            _ => reader.error(
                key,
                &value.span,
                format!("the header `{lower}` needs a string of visible ASCII characters"),
            ),
        }
    }
    Some(headers)
}
