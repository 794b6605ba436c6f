//! The first process: leaves the user's namespaces and starts process 1 of the new ones.

use std::fs;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
};

use super::{Failed, NAME, Step};

/// Leaves, and waits for the second process to end; all processes of the new world end with that one.
pub(super) fn leave() -> Result<(), Failed> {
    // Fails where it is the leader of a session already, which is as good.
    let _ = setsid();
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let same = |id: u32| format!("{id} {id} 1");
    unshare(CloneFlags::CLONE_NEWUSER).step("user namespace")?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .step("namespaces")?;
    // The user keeps the number, so that files belong to whom they belong; the groups beyond the first get no name.
    write("/proc/self/setgroups", "deny").step("groups")?;
    write("/proc/self/uid_map", &same(uid.as_raw())).step("user map")?;
    write("/proc/self/gid_map", &same(gid.as_raw())).step("group map")?;
    keep_rights().step("capabilities")?;
    // A signal for the death of a parent is for the death of the thread that started the child: here there is one.
    let status =
        Command::new("/proc/self/exe").args([NAME, "init"]).stdin(Stdio::inherit()).status().step("second process")?;
    if status.success() { Ok(()) } else { Err(Failed::new("second process", status)) }
}

/// Ends this process with the one that started it.
pub(super) fn die_with_parent() -> Result<(), Failed> {
    set_parent_process_death_signal(Some(Signal::KILL)).step("parent's death")
}

/// The rights in the new namespaces are lost at the next exec, but for those that are said to stay.
fn keep_rights() -> rustix::io::Result<()> {
    let CapabilitySets { effective, permitted, .. } = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: permitted })?;
    let each = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    for capability in each.filter(|capability| permitted.contains(*capability)) {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "files of the kernel about this process, no workspace")]
fn write(path: &str, text: &str) -> std::io::Result<()> {
    fs::write(path, text)
}
