//! Where a JSON object ends, found while it arrives: each byte is looked at once, and nothing is parsed again and again.

/// Follows a text that should become one JSON object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ObjectScan {
    /// Nothing but blanks so far.
    #[default]
    Before,
    /// Begun.
    Inside { depth: usize, string: bool, escape: bool },
    /// Complete, with nothing but blanks after it.
    Closed,
    /// Never one object again.
    Broken,
}

impl ObjectScan {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            self.step(byte);
            rest = match *self {
                Self::Broken => return,
                // Most bytes are inside strings, where only two of them matter.
                Self::Inside { string: true, escape: false, .. } => {
                    &after[memchr::memchr2(b'"', b'\\', after).unwrap_or(after.len())..]
                }
                _ => after,
            };
        }
    }

    /// Takes bytes up to the object's end and says where that is, if it is among them.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes
            .iter()
            .position(|&byte| {
                self.step(byte);
                *self == Self::Closed
            })
            .map(|at| at + 1)
    }

    fn step(&mut self, byte: u8) {
        *self = match (*self, byte) {
            (Self::Broken, _) => Self::Broken,
            (Self::Inside { depth, string: true, escape: true }, _) => {
                Self::Inside { depth, string: true, escape: false }
            }
            (Self::Inside { depth, string: true, escape: false }, b'\\') => {
                Self::Inside { depth, string: true, escape: true }
            }
            (Self::Inside { depth, string, escape: false }, b'"') => {
                Self::Inside { depth, string: !string, escape: false }
            }
            (Self::Inside { depth, string: false, .. }, b'{' | b'[') => {
                Self::Inside { depth: depth + 1, string: false, escape: false }
            }
            (Self::Inside { depth: 1, string: false, .. }, b'}' | b']') => Self::Closed,
            (Self::Inside { depth, string: false, .. }, b'}' | b']') => {
                Self::Inside { depth: depth - 1, string: false, escape: false }
            }
            (inside @ Self::Inside { .. }, _) => inside,
            (before_or_closed, b' ' | b'\n' | b'\r' | b'\t') => before_or_closed,
            (Self::Before, b'{') => Self::Inside { depth: 1, string: false, escape: false },
            (Self::Before | Self::Closed, _) => Self::Broken,
        };
    }
}
