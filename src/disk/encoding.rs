//! Bytes to text and back again, so that what was not edited comes back byte for byte.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How far a NUL byte is looked for: the first bytes tell text from data, as git and grep hold.
const LOOK_BYTES: usize = 8 << 10;

/// How the lines of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eol {
    /// There is no line end yet.
    None,
    /// All with LF.
    Lf,
    /// All with CRLF.
    CrLf,
    /// All with CR.
    Cr,
    /// Some with one, some with another: left alone.
    Mixed,
}

impl Eol {
    /// How the lines of `text` end.
    pub fn of(text: &str) -> Self {
        let mut found = Self::None;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(step) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) {
            at += step;
            let this = match (bytes[at], bytes.get(at + 1)) {
                (b'\n', _) => Self::Lf,
                (_, Some(b'\n')) => Self::CrLf,
                _ => Self::Cr,
            };
            if found != Self::None && found != this {
                return Self::Mixed;
            }
            found = this;
            at += if this == Self::CrLf { 2 } else { 1 };
        }
        found
    }

    /// The line end to write, where there is one kind.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Lf => Some("\n"),
            Self::CrLf => Some("\r\n"),
            Self::Cr => Some("\r"),
            Self::None | Self::Mixed => None,
        }
    }

    /// `text` with every line ended this way; unchanged where there is no one way.
    pub fn conform(self, text: &str) -> Cow<'_, str> {
        let Some(end) = self.as_str() else { return Cow::Borrowed(text) };
        if matches!(Self::of(text), found if found == self || found == Self::None) {
            return Cow::Borrowed(text);
        }
        let mut conformed = String::with_capacity(text.len() + text.len() / 16);
        let mut rest = text;
        while let Some(at) = rest.find(['\n', '\r']) {
            conformed.push_str(&rest[..at]);
            conformed.push_str(end);
            let width = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[at + width..];
        }
        conformed.push_str(rest);
        Cow::Owned(conformed)
    }
}

/// What has to be kept when a file is written again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Format {
    /// How its characters are encoded.
    pub encoding: &'static Encoding,
    /// Whether it begins with a byte order mark.
    pub bom: bool,
    /// How its lines end.
    pub eol: Eol,
    /// Whether its last line has a line end.
    pub final_newline: bool,
    /// Its permission bits; 0 where the system has none.
    pub mode: u32,
    /// Whether the bytes come back exactly from the text. Where they do not, the file is read but not written.
    pub exact: bool,
}

impl Default for Format {
    /// A new file: UTF-8, nothing to keep.
    fn default() -> Self {
        Self { encoding: UTF_8, bom: false, eol: Eol::None, final_newline: false, mode: 0o644, exact: true }
    }
}

impl Format {
    /// `text` with the line ends and the final newline of the file. A missing final newline is added where the file
    /// had one; one that the file did not have is left to the writer of the text.
    pub fn conform<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = self.eol.conform(text);
        if self.final_newline && !text.is_empty() && !text.ends_with(['\n', '\r']) {
            text.to_mut().push_str(self.eol.as_str().unwrap_or("\n"));
        }
        text
    }
}

/// The text in `bytes`, and its format but for the mode. The error says what shows that it is no text.
pub fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Format), &'static str> {
    let (encoding, bom) = match bytes {
        [0xEF, 0xBB, 0xBF, ..] => (UTF_8, 3),
        [0xFF, 0xFE, 0, 0, ..] => return Err("UTF-32"),
        [0xFF, 0xFE, ..] => (UTF_16LE, 2),
        [0xFE, 0xFF, ..] => (UTF_16BE, 2),
        _ if memchr::memchr(0, &bytes[..bytes.len().min(LOOK_BYTES)]).is_some() => return Err("it holds NUL bytes"),
        _ if std::str::from_utf8(bytes).is_ok() => (UTF_8, 0),
        _ => {
            let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
            detector.feed(bytes, true);
            (detector.guess(None, Utf8Detection::Deny), 0)
        }
    };
    let body = &bytes[bom..];
    let text = encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or("its bytes fit no encoding we know")?;
    let format = Format {
        encoding,
        bom: bom > 0,
        eol: Eol::of(&text),
        final_newline: text.ends_with(['\n', '\r']),
        ..Format::default()
    };
    let exact = encoding == UTF_8 || encode(&text, &format).is_ok_and(|again| again == bytes);
    Ok((text, Format { exact, ..format }))
}

/// The bytes of `text` in this format, its line ends untouched; the error is the first character that does not fit.
pub fn encode(text: &str, format: &Format) -> Result<Vec<u8>, char> {
    let encoding = format.encoding;
    if encoding == UTF_16LE || encoding == UTF_16BE {
        let bytes = |unit: u16| if encoding == UTF_16LE { unit.to_le_bytes() } else { unit.to_be_bytes() };
        let mark = format.bom.then_some(0xFEFF);
        return Ok(mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect());
    }
    let mut encoded = if format.bom { vec![0xEF, 0xBB, 0xBF] } else { Vec::new() };
    let (body, _, unmapped) = encoding.encode(text);
    if unmapped {
        let lost = text.chars().find(|ch| encoding.encode(ch.encode_utf8(&mut [0; 4])).2);
        return Err(lost.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    encoded.extend_from_slice(&body);
    Ok(encoded)
}
