//! The workspace that the demo works on: a till that loses cents, because three files cut fractions off.

use std::path::{Path, PathBuf};

/// One file of the sample.
pub struct SampleFile {
    /// Its place below the root.
    pub path: &'static str,
    /// What it says before.
    pub before: &'static str,
    /// What it says once the defect is gone and the user's line is typed.
    pub after: &'static str,
}

macro_rules! same {
    ($path:literal) => {
        SampleFile {
            path: $path,
            before: include_str!(concat!("sample/", $path)),
            after: include_str!(concat!("sample/", $path)),
        }
    };
}

macro_rules! fixed {
    ($path:literal) => {
        SampleFile {
            path: $path,
            before: include_str!(concat!("sample/", $path)),
            after: include_str!(concat!("expected/", $path)),
        }
    };
}

/// All files.
pub const FILES: &[SampleFile] = &[
    same!("README.md"),
    fixed!("shop/cart.py"),
    fixed!("shop/money.py"),
    same!("shop/receipt.py"),
    fixed!("shop/tax.py"),
    same!("tests/test_receipt.py"),
];

/// The file with the failing check, and the line of it, from 0.
pub const COMPLAINT: (&str, u32) = ("tests/test_receipt.py", 10);
/// What the check says.
pub const MESSAGE: &str = "the receipt comes to 56.73, but 56.80 is right";
/// The file that the user types into while the agent works.
pub const TYPED_IN: &str = "shop/cart.py";
/// The line behind which the user types.
pub const TYPED_AFTER: &str = "        self.lines = []";
/// What the user types: a line end with the editor's indentation, then this.
pub const TYPED: &str = "self.currency = \"EUR\"";

/// The sample's file at `path`.
pub fn file(path: &str) -> Option<&'static SampleFile> {
    FILES.iter().find(|file| file.path == path)
}

/// A folder of our own below the system's temporary one, gone when this is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder; nobody else can look into it.
    pub fn new() -> std::io::Result<Self> {
        let base = std::env::temp_dir();
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let started = started.map_or(0, |age| age.subsec_nanos());
        for attempt in 0..100_u32 {
            let path = base.join(format!("ropeway-demo-{}-{started:x}{attempt}", std::process::id()));
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
    #[expect(clippy::disallowed_methods, reason = "a folder of the demo's own, made a moment ago: no workspace")]
    pub fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        let path = self.path.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)
    }

    /// Reads a file below it.
    #[expect(clippy::disallowed_methods, reason = "a folder of the demo's own: no workspace")]
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
    fn the_places_that_the_demo_names_are_in_the_sample() {
        let complaint = file(COMPLAINT.0).unwrap().before.lines().nth(COMPLAINT.1 as usize).unwrap();
        assert!(complaint.trim_start().starts_with("assert "), "{complaint}");
        let typed_in = file(TYPED_IN).unwrap();
        assert_eq!(typed_in.before.matches(TYPED_AFTER).count(), 1);
        assert!(typed_in.after.contains(&format!("{TYPED_AFTER}\n        {TYPED}\n")));
    }

    #[test]
    fn the_folder_is_private_and_goes_away() {
        let scratch = Scratch::new().unwrap();
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
