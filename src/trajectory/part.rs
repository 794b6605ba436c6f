//! One file of a recording while it is written: what was acknowledged stays, what was torn off is cut off again.

use std::fs::File;
use std::io::{self, Write};

/// A file that grows by whole lines.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    /// Bytes of whole lines in it.
    length: u64,
    /// It ends in half a line that could not be cut off.
    torn: bool,
}

/// Why not all was written.
#[derive(Debug)]
pub(super) struct Short {
    /// Whole lines that are in the file.
    pub(super) lines: u64,
    /// Bytes of them.
    pub(super) bytes: usize,
    /// What the system says.
    pub(super) error: io::Error,
}

impl Part {
    /// A new, empty file.
    pub(super) fn new(file: File) -> Self {
        Self { file, length: 0, torn: false }
    }

    /// Bytes in it.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends whole lines with as few calls as the system allows, mostly one.
    ///
    /// # Errors
    /// Not all is there; what is not is as if it had never been.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Short> {
        if self.torn {
            // The half line becomes one of its own, which nobody can read.
            self.put(b"\n").map_err(|(_, error)| Short { lines: 0, bytes: 0, error })?;
            self.torn = false;
        }
        match self.put(lines) {
            Ok(()) => {
                self.length += lines.len() as u64;
                Ok(())
            }
            Err((written, error)) => {
                let whole = memchr::memrchr(b'\n', &lines[..written]).map_or(0, |at| at + 1);
                self.length += whole as u64;
                self.torn = whole < written && self.file.set_len(self.length).is_err();
                let count = memchr::memchr_iter(b'\n', &lines[..whole]).count() as u64;
                Err(Short { lines: count, bytes: whole, error })
            }
        }
    }

    /// Writes it all, or tells how much of it.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Whether the file still has a name.
    pub(super) fn is_there(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            self.file.metadata().is_ok_and(|found| found.nlink() > 0)
        }
        #[cfg(not(unix))]
        true
    }

    /// Sees to it that what was written survives a power cut, as far as the system can.
    pub(super) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::debug!(%error, "a recording cannot be written through to the disk");
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn half_a_line_is_cut_off_and_what_was_whole_stays() {
        // A pipe that is full takes no more, which is how a disk can be made full without filling one; what it has got
        // cannot be cut, so this is the harder case, too.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = std::os::fd::OwnedFd::from(writer);
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut part = Part::new(File::from(writer));
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let lines = line.repeat(1_000);
        let short = part.append(&lines).unwrap_err();
        assert!(short.lines > 0 && short.bytes as u64 == short.lines * 1_000, "{short:?}");
        assert!(part.torn && part.length() == short.bytes as u64);
        let mut taken = vec![0; 60_000];
        reader.read_exact(&mut taken).unwrap();
        part.append(b"next\n").unwrap();
        drop(part);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"\nnext\n"), "the half line is a line of its own");
    }
}
