//! A folder of our own below the system's temporary one, gone when it is dropped: for the demo and the measurements.

use std::path::{Path, PathBuf};

/// The folder.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder; nobody else can look into it. `what` is a part of its name.
    ///
    /// # Errors
    /// The system's temporary folder cannot be written.
    pub fn new(what: &str) -> std::io::Result<Self> {
        let base = std::env::temp_dir();
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let started = started.map_or(0, |age| age.subsec_nanos());
        for attempt in 0..100_u32 {
            let path = base.join(format!("ropeway-{what}-{}-{started:x}{attempt}", std::process::id()));
            match private_dir(&path) {
                // The name the server sees has no links in it, so that it is the same for both sides.
                Ok(()) => return Ok(Self { path: std::fs::canonicalize(path)? }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file below it.
    ///
    /// # Errors
    /// Those of the file system.
    #[expect(clippy::disallowed_methods, reason = "a folder of our own, made a moment ago: no workspace")]
    pub fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.path.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)
    }

    /// Reads a file below it.
    ///
    /// # Errors
    /// Those of the file system.
    #[expect(clippy::disallowed_methods, reason = "a folder of our own: no workspace")]
    pub fn read(&self, path: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.path.join(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of its temporary folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(unix)]
fn private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private_dir(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_away() {
        let scratch = Scratch::new("test").unwrap();
        let path = scratch.path().to_owned();
        scratch.write("a/b.txt", "x").unwrap();
        assert_eq!(scratch.read("a/b.txt").unwrap(), "x");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(scratch);
        assert!(!path.exists());
    }
}
