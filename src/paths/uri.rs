//! `file:` URIs, which clients spell in different ways: VS Code writes `file:///c%3A/x`, Neovim `file:///c:/x`. One
//! file must have one key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::root::clean;

/// The identity of a document: the path of a file, else the URI as it is spelt.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocKey(Arc<str>);

impl DocKey {
    /// The key of the document with this URI.
    pub fn of_uri(uri: &str) -> Self {
        match file_path(uri) {
            Some(path) => Self::of_path(&path),
            None => Self(Arc::from(uri)),
        }
    }

    /// The key of the file at this absolute path.
    pub fn of_path(path: &Path) -> Self {
        let clean = clean(path);
        let mut spelt = clean.to_string_lossy().into_owned();
        if cfg!(windows) {
            spelt = spelt.replace('\\', "/");
        }
        lower_drive(&mut spelt);
        Self(Arc::from(spelt))
    }

    /// The key as text, for messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocKey({})", self.0)
    }
}

/// Drive letters have no case: `/C:/x` and `/c:/x` are one file on the only systems that have drives.
fn lower_drive(path: &mut str) {
    let start = usize::from(path.starts_with('/'));
    let bytes = path.as_bytes();
    let drive = bytes.get(start).is_some_and(u8::is_ascii_alphabetic) && bytes.get(start + 1) == Some(&b':');
    if drive && matches!(bytes.get(start + 2), None | Some(b'/')) {
        path[start..=start].make_ascii_lowercase();
    }
}

/// The path that a `file:` URI names on this system; `None` for any other URI, another host's file, a NUL byte or
/// bytes that are not UTF-8. `?` and `#` are taken as they stand: a client that does not escape them means the name.
pub fn file_path(uri: &str) -> Option<PathBuf> {
    let scheme = uri.get(..5)?;
    if !scheme.eq_ignore_ascii_case("file:") {
        return None;
    }
    let rest = &uri[5..];
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/')?),
        None => ("", rest),
    };
    let mut path = percent_decode(path)?;
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    if cfg!(windows) {
        lower_drive(&mut path);
        let drive = path.as_bytes().get(2) == Some(&b':');
        return match host {
            "" | "localhost" if drive => Some(PathBuf::from(path[1..].replace('/', "\\"))),
            "" | "localhost" => None,
            host => Some(PathBuf::from(format!("\\\\{host}{}", path.replace('/', "\\")))),
        };
    }
    matches!(host, "" | "localhost").then(|| PathBuf::from(path))
}

/// The `file:` URI of an absolute path, escaped as Neovim does, which every client reads.
pub fn file_uri(path: &Path) -> String {
    let mut spelt = path.to_string_lossy().into_owned();
    if cfg!(windows) {
        spelt = spelt.trim_start_matches("\\\\?\\").replace('\\', "/");
        if !spelt.starts_with('/') {
            spelt.insert(0, '/');
        }
        lower_drive(&mut spelt);
    }
    let mut uri = String::with_capacity(spelt.len() + 8);
    uri.push_str(if spelt.starts_with("//") { "file:" } else { "file://" });
    for byte in spelt.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => uri.push(byte as char),
            b'-' | b'.' | b'_' | b'~' | b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' => {
                uri.push(byte as char);
            }
            b';' | b'=' | b':' | b'@' => uri.push(byte as char),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                uri.push('%');
                uri.push(HEX[usize::from(byte >> 4)] as char);
                uri.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
    uri
}

/// A `%` that is not followed by two hexadecimal digits stands for itself.
fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}
