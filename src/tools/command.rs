//! What a command line says, as far as we can be sure of it.
//!
//! A line is read twice: by our own words ([`words`]), a grammar so small that every shell reads it alike, and by
//! tree-sitter's grammar of bash ([`tree`]). Only where both find the same programs with the same arguments, joined by
//! nothing but `&&`, `||`, `;` and `|`, is it [`Simple`], and only a simple line can ever run without a question.
//! Everything else (a redirect, an expansion, a glob, a newline, a keyword…) has a reason why it is not.
//!
//! For rules that forbid, that would be too little: they are also matched against every command that the tree has
//! anywhere, and against what `env`, `timeout`, `xargs`, `sh -c` and the like would start ([`wrapped`]). That is best
//! effort, and need not be more: what it misses is asked.
//!
//! [`readonly`] knows programs that only read, and which of their options leave it so.

pub mod place;
pub mod programs;
pub mod readonly;
pub mod rules;
pub mod show;
mod special;
mod table;
mod tree;
mod words;
mod wrapped;

pub use self::place::Place;
pub use self::programs::Programs;
pub use self::tree::Words;

/// Longest line that is looked at, in bytes. It is also the longest that is put to the user, who must see all of it.
pub const MAX_LINE: usize = 4096;
/// Most simple commands of a line: one that has more is not looked through, but asked.
const MAX_PARTS: usize = 16;

/// What stands between two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`
    Then,
    /// `|`
    Pipe,
}

impl Joint {
    /// As the shell spells it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Then => ";",
            Self::Pipe => "|",
        }
    }
}

/// One program with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What stands before it; nothing before the first.
    pub joint: Option<Joint>,
    /// The program and its arguments, unquoted. Never empty.
    pub argv: Vec<String>,
    /// Redirects that touch no file (`2>&1`, `>/dev/null`), without blanks.
    pub redirects: Vec<&'static str>,
}

/// A line of simple commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simple {
    /// The commands, in order. Never empty.
    pub parts: Vec<Part>,
}

impl Simple {
    /// The one command of a line that needs no shell at all.
    pub fn single(&self) -> Option<&[String]> {
        match &self.parts[..] {
            [part] if part.redirects.is_empty() => Some(&part.argv),
            _ => None,
        }
    }
}

/// A line that has been read.
#[derive(Clone, Debug)]
pub struct Line {
    /// The line of simple commands that it is, or why it is none.
    pub simple: Result<Simple, &'static str>,
    /// Every command found anywhere in it, also in substitutions and behind `sudo`, `env` and the like. For rules that
    /// tighten only: there may be more.
    pub found: Vec<Words>,
}

impl Line {
    /// Reads a line. Takes bounded time and memory, whatever it is given.
    pub fn read(line: &str) -> Self {
        if line.len() > MAX_LINE {
            return Self { simple: Err("it is too long to be looked at"), found: Vec::new() };
        }
        let tree = tree::read(line);
        let simple = words::read(line).and_then(|simple| match &tree.plain {
            Some(plain) if *plain == simple => Ok(simple),
            _ => Err("shells may read it in different ways"),
        });
        Self { simple, found: wrapped::all(tree, line) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
