//! What the server tells its helper, and what it hears from it: one message there, a few lines back, over one socket
//! that is also the leash. Whoever loses the other end gives up.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest head of a message, in bytes: names of a few thousand files.
const MAX_HEAD: u32 = 16 << 20;
/// Most bytes of all files that one command is given.
pub const MAX_BODY: u64 = 512 << 20;

/// One command and the world it lives in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    /// The program, by its absolute path, and its arguments. Empty: nothing runs, only the world is tried.
    pub argv: Vec<String>,
    /// What is started instead, if it can be started.
    #[serde(default)]
    pub direct: Option<Direct>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Folders that the command may write; an outer one before those in it.
    pub layers: Vec<Layer>,
    /// What stands in for `/tmp`.
    pub tmp: PathBuf,
    /// Files and folders that nobody may see.
    pub masked: Vec<PathBuf>,
    /// What differs from the disk, to be brought about before the command starts.
    pub changes: Vec<Change>,
}

/// A program that needs no shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// Its file.
    pub program: PathBuf,
    /// Its words, the first one as it was called.
    pub words: Vec<String>,
}

/// A folder that can be written without being changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// Where it is seen.
    pub at: PathBuf,
    /// How.
    pub kind: LayerKind,
    /// Names in it that cannot be written all the same.
    pub fixed: Vec<String>,
}

/// How a folder is made to be writable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LayerKind {
    /// What is written goes to `upper`; `work` is the kernel's.
    Overlay {
        /// Holds what was written.
        upper: PathBuf,
        /// Next to it, on the same file system.
        work: PathBuf,
    },
    /// A copy of all of it.
    Copy {
        /// The copy.
        tree: PathBuf,
    },
}

/// One file that is to be otherwise than it is on disk.
#[derive(Debug, Serialize, Deserialize)]
pub enum Change {
    /// It has these bytes, which follow the head, in order.
    Write {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Number of its bytes.
        len: u64,
    },
    /// It is not there.
    Remove {
        /// The file.
        path: PathBuf,
    },
}

/// What the helper says, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// All is set up and the command starts.
    Ready {
        /// Whether the rules on files are in force.
        landlock: bool,
    },
    /// The command has ended by itself.
    Exit(i32),
    /// A signal has ended the command.
    Signal(i32),
    /// There is no command, because this did not work.
    Failed {
        /// What was tried.
        step: String,
        /// What the system said.
        error: String,
    },
}

/// The word that asks the processes of the command to end.
pub const TERMINATE: u8 = b'T';

/// What the helper is given before the files: the head with its length.
pub fn head(spec: &Spec) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(spec)?;
    let len = u32::try_from(json.len()).ok().filter(|len| *len <= MAX_HEAD);
    let len = len.ok_or_else(|| io::Error::other("too many files differ from the disk"))?;
    let mut head = len.to_le_bytes().to_vec();
    head.extend(json);
    Ok(head)
}

/// Reads the head; the bytes of its changes come next.
pub fn read(from: &mut impl Read) -> io::Result<Spec> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len > MAX_HEAD {
        return Err(io::Error::other("a message without end"));
    }
    let mut json = vec![0; len as usize];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Says one line.
pub fn say(to: &mut impl Write, said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    to.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_over_whole_and_a_hostile_one_is_refused() {
        let spec = Spec { argv: vec!["/bin/true".into()], cwd: "/".into(), ..Spec::default() };
        let sent = head(&spec).unwrap();
        assert_eq!(read(&mut &*sent).unwrap().argv, spec.argv);
        assert!(read(&mut &sent[..sent.len() - 1]).is_err());
        assert!(read(&mut &[0xff; 8][..]).is_err());
    }
}
