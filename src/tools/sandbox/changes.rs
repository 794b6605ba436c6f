//! Brings the edits that are not on disk into the command's view. On Linux the helper does, by the rights that the
//! command has itself: a link that an earlier command left in the way leads nowhere that it could not write.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::spec::{Change, MAX_BODY};

/// Makes the changes; their bytes come from `bodies`, in order.
pub fn make(changes: &[Change], bodies: &mut impl Read) -> io::Result<()> {
    let total: u64 = changes.iter().map(|change| if let Change::Write { len, .. } = change { *len } else { 0 }).sum();
    if total > MAX_BODY {
        return Err(io::Error::other("too much differs from the disk"));
    }
    for change in changes {
        match change {
            Change::Write { path, mode, len } => {
                write(path, *mode, &mut bodies.by_ref().take(*len)).map_err(|error| at(path, &error))?
            }
            Change::Remove { path } => match fs::remove_file(path) {
                Err(error) if !is_missing(&error) => return Err(at(path, &error)),
                _ => {}
            },
        }
    }
    Ok(())
}

fn write<R: Read>(path: &Path, mode: u32, body: &mut io::Take<&mut R>) -> io::Result<()> {
    let len = body.limit();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = match options(mode).open(path) {
        Err(error) if !is_missing(&error) => {
            // A link, or closed to writing: a new file has no such past.
            fs::remove_file(path)?;
            options(mode).open(path)?
        }
        other => other?,
    };
    if io::copy(body, &mut file)? != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    permit(&file, mode)
}

#[cfg(unix)]
fn options(mode: u32) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

#[cfg(not(unix))]
fn options(_mode: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
}

#[cfg(unix)]
fn permit(file: &fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn permit(_file: &fs::File, _mode: u32) -> io::Result<()> {
    Ok(())
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
