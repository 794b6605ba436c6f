//! Rules of the kernel on system calls: no network, no new namespaces or mounts, no looking into other processes.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use super::{Failed, Step};

/// Refused altogether.
const REFUSED: &[i64] = &[
    // Other processes, and the kernel's stores.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    // Ways around this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // What is seen of the machine.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Flags of `clone` that make a namespace.
const NEW_NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    0x80, // CLONE_NEWTIME
];

/// Calls on a terminal that put words into the mouth of its user: TIOCSTI and TIOCLINUX.
const TERMINAL_INPUT: [u64; 2] = [0x5412, 0x541C];

/// What `clone3` is answered with: its flags are out of the filter's sight, and everybody falls back to `clone`.
const NOT_THERE: u32 = libc::ENOSYS as u32;
const NOT_PERMITTED: u32 = libc::EPERM as u32;

/// Restricts this process and all it starts. Without a network of its own (`connect` false) sockets reach nobody.
pub(super) fn restrict(connect: bool) -> Result<(), Failed> {
    let step = "system call filter";
    apply_filter(&other_abi()).step(step)?;
    apply_filter(&filter([(libc::SYS_clone3, Vec::new())].into(), NOT_THERE)?).step(step)?;
    apply_filter(&filter(rules(connect)?, NOT_PERMITTED)?).step(step)
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: u32) -> Result<BpfProgram, Failed> {
    let arch = std::env::consts::ARCH.try_into().step("system call filter")?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch);
    filter.step("system call filter")?.try_into().step("system call filter")
}

fn rules(connect: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, Failed> {
    use SeccompCmpArgLen::{Dword, Qword};
    let rule = |conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]| {
        let each =
            conditions.iter().map(|(at, len, op, value)| SeccompCondition::new(*at, len.clone(), op.clone(), *value));
        each.collect::<Result<Vec<_>, _>>().and_then(SeccompRule::new).step("system call filter")
    };
    let local = libc::AF_UNIX as u64;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let mut sockets = vec![rule(&[(0, Dword, SeccompCmpOp::Ne, local)])?];
    if !connect {
        // Datagrams need no connection to reach a service of the machine.
        let kind = SeccompCmpOp::MaskedEq(0xf);
        sockets.push(rule(&[(1, Dword, kind, libc::SOCK_DGRAM as u64)])?);
        rules.insert(libc::SYS_connect, Vec::new());
        rules.insert(libc::SYS_sendto, vec![rule(&[(4, Qword, SeccompCmpOp::Ne, 0)])?]);
    }
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_socketpair, vec![rule(&[(0, Dword, SeccompCmpOp::Ne, local)])?]);
    let each = NEW_NAMESPACES.iter().map(|flag| {
        let flag = *flag as u32 as u64;
        rule(&[(0, Qword, SeccompCmpOp::MaskedEq(flag), flag)])
    });
    rules.insert(libc::SYS_clone, each.collect::<Result<_, _>>()?);
    let each = TERMINAL_INPUT.iter().map(|request| rule(&[(1, Dword, SeccompCmpOp::Eq, *request)]));
    rules.insert(libc::SYS_ioctl, each.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Ends who calls the kernel by its x32 numbers, which a filter by native numbers would let through.
fn other_abi() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let line = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number of the call is the first thing that a filter is shown.
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_programs_that_the_kernel_could_take() {
        for connect in [true, false] {
            assert!(filter(rules(connect).unwrap(), NOT_PERMITTED).unwrap().len() < 4096);
        }
    }
}
