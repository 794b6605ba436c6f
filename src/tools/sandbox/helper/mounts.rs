//! The view of the machine that a command gets: all of it read-only, its folders writable in layers of their own, and
//! some of it not there.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change, mount_remount, move_mount,
    open_tree,
};

use super::super::spec::{Layer, LayerKind, Spec};
use super::{Failed, Step};

/// Folders that are replaced: what programs leave there is meant for others.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Where services listen and agents wait.
const RUN: &str = "/run";
/// Some systems keep their programs there.
const KEPT_IN_RUN: [&str; 2] = ["/run/current-system", "/run/wrappers"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const HIDDEN: MountAttrFlags = PLAIN.union(MountAttrFlags::MOUNT_ATTR_RDONLY).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Sets it up. Nothing is seen by others: the mount namespace is new.
pub(super) fn set_up(spec: &Spec) -> Result<(), Failed> {
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all).step("private mounts")?;

    // Made of the folders as they are, before others are put over them.
    let layers: Vec<OwnedFd> = spec.layers.iter().map(layer).collect::<Result<_, _>>()?;
    let temporary: Vec<OwnedFd> = TEMPORARY.iter().map(|_| clone(&spec.tmp)).collect::<Result<_, _>>()?;
    read_only()?;
    let fixed: Vec<(PathBuf, OwnedFd)> = spec.layers.iter().flat_map(fixed).collect();
    let kept: Vec<(&str, OwnedFd)> =
        KEPT_IN_RUN.iter().filter_map(|at| Some((*at, clone(at.as_ref()).ok()?))).collect();
    let devices: Vec<(&str, OwnedFd)> =
        DEVICES.iter().filter_map(|name| Some((*name, clone(&Path::new("/dev").join(name)).ok()?))).collect();

    for (at, tree) in TEMPORARY.iter().zip(&temporary) {
        if is_folder(at.as_ref()) {
            attach(tree, at.as_ref()).step("temporary files")?;
        }
    }
    if is_folder(RUN.as_ref()) {
        let run = file_system("tmpfs", &[("size", "64k"), ("mode", "755")], PLAIN).step("services")?;
        attach(&run, RUN.as_ref()).step("services")?;
        for (at, tree) in &kept {
            fs::create_dir(at).and_then(|()| attach(tree, at.as_ref())).step("services")?;
        }
        rewrite(RUN.as_ref(), MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV).step("services")?;
    }
    set_up_devices(&devices)?;
    // A folder that hides one of ours comes before it, all others after.
    let hides = |masked: &PathBuf| spec.layers.iter().any(|layer| layer.at.starts_with(masked));
    let (before, after): (Vec<&PathBuf>, Vec<&PathBuf>) = spec.masked.iter().partition(|masked| hides(masked));
    for masked in before {
        let cover = file_system("tmpfs", &[("size", "64k"), ("mode", "755")], PLAIN).step("hidden folders")?;
        attach(&cover, masked).step("hidden folders")?;
    }
    for (layer, tree) in spec.layers.iter().zip(&layers) {
        fs::create_dir_all(&layer.at).step("writable folders")?;
        attach(tree, &layer.at).step("writable folders")?;
    }
    for (at, tree) in &fixed {
        attach(tree, at).step("protected files")?;
    }
    for masked in after {
        mask(masked)?;
    }
    let processes = file_system("proc", &[], HIDDEN).step("process list")?;
    attach(&processes, "/proc".as_ref()).step("process list")
}

/// The folder of a layer, not yet in its place.
fn layer(layer: &Layer) -> Result<OwnedFd, Failed> {
    match &layer.kind {
        LayerKind::Copy { tree } => clone(tree),
        LayerKind::Overlay { upper, work } => overlay(&layer.at, upper, work).step("overlay"),
    }
}

/// The kernel takes the names of an overlay's parts as one text with separators and a limit, so they are given as
/// descriptors, whose names are short and plain.
fn overlay(lower: &Path, upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let folders = [lower, upper, work].map(folder);
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, folder) in ["lowerdir", "upperdir", "workdir"].into_iter().zip(&folders) {
        let folder = folder.as_ref().map_err(|error| io::Error::new(error.kind(), format!("{key}: {error}")))?;
        fsconfig_set_string(&fs, key, format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    }
    // What the kernel notes for itself goes where an ordinary user may write.
    fsconfig_set_flag(&fs, "userxattr")?;
    // Nothing in it outlives the run, so nothing has to reach the disk: else the end of each command would wait until
    // all that anybody has written to the file system below is there. An older kernel does not know the word, and waits.
    if fsconfig_set_flag(&fs, "volatile").is_ok() {
        forget_volatile(work);
    }
    fsconfig_create(&fs)?;
    Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, PLAIN)?)
}

/// The mark by which the kernel refuses layers that a crash may have left half written. Ours die with the server.
fn forget_volatile(work: &Path) {
    // Of the first command there is none; if one stays, mounting fails and says so.
    let _ = fs::remove_dir_all(work.join("work/incompat"));
}

fn folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The names of a layer that stay as they are, taken from the folder itself.
fn fixed(layer: &Layer) -> Vec<(PathBuf, OwnedFd)> {
    let each = layer.fixed.iter().map(|name| layer.at.join(name));
    each.filter_map(|at| clone(&at).ok().map(|tree| (at, tree))).collect()
}

/// A second sight of a file or folder, not yet in its place.
fn clone(path: &Path) -> Result<OwnedFd, Failed> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(CWD, path, flags).step("second sight")
}

fn file_system(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&fs, *key, *value)?;
    }
    fsconfig_create(&fs)?;
    Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn attach(tree: &OwnedFd, at: &Path) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn rewrite(at: &Path, flags: MountFlags) -> io::Result<()> {
    Ok(mount_remount(at, MountFlags::BIND | flags, "")?)
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Makes everything read-only that is mounted now.
fn read_only() -> Result<(), Failed> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel about this process, no workspace")]
    let table = fs::read_to_string("/proc/self/mountinfo").step("mount table")?;
    for (at, flags) in table.lines().filter_map(mounted) {
        match rewrite(&at, flags | MountFlags::RDONLY) {
            Ok(()) => {}
            // Out of reach for the command as well: behind another mount, or behind a folder closed to the user.
            Err(error)
                if at != Path::new("/")
                    && matches!(
                        rustix::io::Errno::from_io_error(&error),
                        Some(rustix::io::Errno::NOENT | rustix::io::Errno::ACCESS | rustix::io::Errno::INVAL)
                    ) => {}
            Err(error) => return Err(Failed::new("read-only files", format!("{}: {error}", at.display()))),
        }
    }
    Ok(())
}

/// A line of the mount table: where, and the flags that must not be lost.
fn mounted(line: &str) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(' ').skip(4);
    let at = unescape(fields.next()?);
    let flag = |word| match word {
        "nosuid" => MountFlags::NOSUID,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        "noatime" => MountFlags::NOATIME,
        "nodiratime" => MountFlags::NODIRATIME,
        "relatime" => MountFlags::RELATIME,
        _ => MountFlags::empty(),
    };
    Some((at, fields.next()?.split(',').map(flag).fold(MountFlags::empty(), MountFlags::union)))
}

/// The kernel writes spaces and the like as `\040`.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match (first, tail.get(..3).and_then(code)) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// The devices that every program needs, and none besides: no disk, no terminal of the user.
fn set_up_devices(devices: &[(&str, OwnedFd)]) -> Result<(), Failed> {
    let at = Path::new("/dev");
    let tree = file_system("tmpfs", &[("size", "64k"), ("mode", "755")], MountAttrFlags::MOUNT_ATTR_NOSUID);
    attach(&tree.step("devices")?, at).step("devices")?;
    for (name, device) in devices {
        let at = at.join(name);
        fs::File::options().write(true).create_new(true).open(&at).step("devices")?;
        attach(device, &at).step("devices")?;
    }
    let links = [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1")];
    for (name, target) in links.into_iter().chain([("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx")]) {
        std::os::unix::fs::symlink(target, at.join(name)).step("devices")?;
    }
    for name in ["shm", "pts"] {
        fs::create_dir(at.join(name)).step("devices")?;
    }
    let memory = file_system("tmpfs", &[("size", "256m"), ("mode", "1777")], PLAIN).step("shared memory")?;
    attach(&memory, &at.join("shm")).step("shared memory")?;
    // Terminals of its own are for the few programs that want one; they work without.
    let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if let Ok(terminals) = file_system("devpts", &[("ptmxmode", "0666"), ("mode", "620")], quiet) {
        attach(&terminals, &at.join("pts")).step("terminals")?;
    }
    rewrite(at, MountFlags::RDONLY | MountFlags::NOSUID).step("devices")
}

/// Hides a file or folder; what is not there needs no hiding.
fn mask(at: &Path) -> Result<(), Failed> {
    let Ok(found) = fs::symlink_metadata(at) else { return Ok(()) };
    if found.is_dir() {
        let nothing = file_system("tmpfs", &[("size", "4k"), ("mode", "755")], HIDDEN).step("hidden folders")?;
        return attach(&nothing, at).step("hidden folders");
    }
    if found.is_symlink() {
        return Ok(());
    }
    let nothing = clone("/dev/null".as_ref())?;
    attach(&nothing, at).step("hidden files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_gives_its_place_and_the_flags_to_keep() {
        let line = r"36 35 98:0 /mnt1 /mnt/a\040b rw,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let (at, flags) = mounted(line).unwrap();
        assert_eq!((at, flags), (PathBuf::from("/mnt/a b"), MountFlags::NOSUID | MountFlags::NOATIME));
        assert!(mounted("").is_none() && mounted("1 2 3").is_none());
        assert_eq!(unescape(r"/x\134y\0"), PathBuf::from(r"/x\y\0"));
    }
}
