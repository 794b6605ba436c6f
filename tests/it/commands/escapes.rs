//! What a hostile command tries, and does not get: each attempt that succeeds says so, and what it was after is looked
//! at from outside.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use super::{Place, outside};

/// The numbers of system calls that no shell has a word for.
#[cfg(target_arch = "x86_64")]
const PTRACE: u32 = 101;
#[cfg(not(target_arch = "x86_64"))]
const PTRACE: u32 = 117;

/// (name, shell commands that succeed if it is possible); `$OUT` is a folder of the user outside the workspace.
fn attempts(server: u32, tcp: u16, udp: u16) -> Vec<(&'static str, String)> {
    let perl = |code: &str| format!("perl -MSocket -e '{code}'");
    let own = |text: &str| text.to_owned();
    vec![
        ("write", own("echo x > $OUT/canary")),
        ("append", own("echo x >> $OUT/canary")),
        ("truncate", own(": > $OUT/canary")),
        ("new file", own("echo x > $OUT/new")),
        ("remove", own("rm -f $OUT/canary")),
        ("rename", own("mv $OUT/canary $OUT/other")),
        ("mode", own("chmod 777 $OUT/canary")),
        ("owner", own("chown 1 $OUT/canary")),
        ("time", own("touch -d 2001-01-01 $OUT/canary")),
        ("attribute", own("setfattr -n user.x -v y $OUT/canary")),
        ("hard link", own("ln $OUT/canary hard && echo x >> hard")),
        ("link out", own("ln -s $OUT/canary link && echo x >> link")),
        ("home", own("echo x > ~/.profile")),
        ("system", own("echo x > /etc/ropeway-canary || echo x > /usr/ropeway-canary || echo x > /ropeway-canary")),
        ("hook", own("echo x > .git/hooks/pre-commit")),
        ("settings of git", own("echo x >> .git/config || chmod 777 .git/config || sed -i s/core/x/ .git/config")),
        ("folder of git", own("mv .git other || rm -rf .git/hooks || mkdir .git/new")),
        ("tcp", format!("exec 3<>/dev/tcp/127.0.0.1/{tcp}")),
        ("udp", format!("echo x > /dev/udp/127.0.0.1/{udp}")),
        ("net link", perl("socket(S, 16, SOCK_RAW, 0) or exit 1")),
        ("packet", perl("socket(S, 17, SOCK_RAW, 768) or exit 1")),
        (
            "socket by path",
            perl(
                "socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; connect(S, pack_sockaddr_un(\"$ENV{OUT}/sock\")) or exit 1",
            ),
        ),
        (
            "socket by name",
            perl(
                "socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1; connect(S, pack_sockaddr_un(\"\\0ropeway-canary\")) or exit 1",
            ),
        ),
        ("signal", format!("kill -0 {server}")),
        ("process", format!("test -e /proc/{server}")),
        ("secret", own("cat ~/.ssh/id || ls ~/.ssh/* || cat ~/.netrc | grep .")),
        ("key", own("grep -a canary-of-the /proc/*/environ")),
        ("user namespace", own("unshare --user true")),
        ("mount namespace", own("unshare --mount true")),
        ("mount", own("mount -t tmpfs none /mnt")),
        ("remount", own("mount -o remount,rw,bind / || mount -o remount,rw /")),
        ("unmount", own("umount /proc || umount .git || umount -l /")),
        ("root", own("chroot / true")),
        (
            "trace",
            perl(&format!(
                "$p = fork || do {{ sleep 9; exit }}; $r = syscall({PTRACE}, 16, $p, 0, 0); kill 9, $p; exit($r == -1)"
            )),
        ),
        ("ring", perl("$b = \"\\0\" x 200; exit(syscall(425, 1, $b) == -1)")),
        ("keys of the kernel", perl("exit(syscall(250, 0, -3, 0) == -1)")),
        ("disk", own("head -c 1 /dev/vda || head -c 1 /dev/sda || head -c 1 /dev/nvme0n1")),
        ("memory", own("head -c 1 /dev/mem || head -c 1 /dev/kmsg")),
        ("device", own("mknod device b 259 0 && head -c 1 device")),
        ("settings of the kernel", own("echo x > /proc/sys/kernel/hostname || hostname x")),
        ("services", own("ls /run/* /var/run/* | grep .")),
        ("terminal", own("echo x > /dev/tty")),
    ]
}

#[test]
fn a_hostile_command_gets_nothing_it_should_not_have() {
    let mut place = Place::new(&[(".git/config", "[core]\n"), (".git/hooks/x", "")]);
    let out = outside();
    let canary = out.path().join("canary");
    std::fs::write(&canary, "canary\n").unwrap();
    std::fs::set_permissions(&canary, std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = std::fs::metadata(&canary).unwrap();
    let home = place.home.path().to_owned();
    std::fs::create_dir(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/id"), "secret\n").unwrap();
    std::fs::write(home.join(".netrc"), "secret\n").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let by_path = UnixListener::bind(out.path().join("sock")).unwrap();
    tcp.set_nonblocking(true).unwrap();
    udp.set_nonblocking(true).unwrap();
    by_path.set_nonblocking(true).unwrap();

    let server = std::process::id();
    let attempts = attempts(server, tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let mut script = format!("export OUT={}\n", out.path().display());
    for (name, attempt) in &attempts {
        script.push_str(&format!(
            "if ( {attempt} ) >/dev/null 2>&1; then echo 'GOT {name}'; else echo 'kept {name}'; fi\n"
        ));
    }
    script.push_str("id -u; cat /proc/self/status | grep -E 'CapEff|NoNewPrivs|Seccomp:'\n");
    // All of it is more than a line may be.
    std::fs::write(place.path("attempts.sh"), script).unwrap();
    let result = place.command("bash attempts.sh");

    for (name, _) in &attempts {
        assert!(result.contains(&format!("kept {name}\n")), "{name} was possible:\n{result}");
    }
    assert!(result.contains("CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"), "{result}");
    let after = std::fs::metadata(&canary).unwrap();
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "canary\n");
    assert_eq!((after.mode(), after.mtime(), after.nlink()), (before.mode(), before.mtime(), before.nlink()));
    assert!(!home.join(".profile").exists() && !out.path().join("new").exists());
    assert!(!place.path(".git/hooks/pre-commit").exists() && !place.path(".git/new").exists());
    assert_eq!(place.text(".git/config"), "[core]\n");
    for path in ["/etc", "/usr", "/"] {
        assert!(!std::path::Path::new(path).join("ropeway-canary").exists());
    }
    assert!(tcp.accept().is_err() && by_path.accept().is_err() && udp.recv(&mut [0; 9]).is_err(), "nobody called");
}

#[test]
fn a_command_is_told_nothing_but_harmless_variables() {
    let mut place = Place::new(&[]);
    let result = place.command("env | sort; ls -A /tmp /var/tmp | sort -u | grep -v ':$'; readlink /proc/self/fd/0");
    let names: Vec<&str> = result.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = [
        "CARGO_NET_OFFLINE",
        "GIT_OPTIONAL_LOCKS",
        "GIT_PAGER",
        "GIT_TERMINAL_PROMPT",
        "HOME",
        "LANG",
        "PAGER",
        "PATH",
        "PWD",
        "SHLVL",
        "TERM",
        "TMPDIR",
        "_",
    ];
    assert_eq!(names, expected, "{result}");
    assert!(!result.contains("canary-of-the-key"), "{result}");
    assert!(result.contains("/dev/null\n"), "{result}");
}

#[test]
fn a_file_left_in_the_way_of_an_edit_leads_nowhere() {
    let mut place = Place::new(&[("a.txt", "one\n"), ("sub/b.txt", "b\n")]);
    let out = outside();
    std::fs::write(out.path().join("canary"), "canary\n").unwrap();
    let line = format!(
        "rm a.txt; ln -s {0}/canary a.txt; rm -r sub; ln -s {0} sub; mkfifo pipe; mkdir d; chmod 0 d",
        out.path().display()
    );
    let (results, _) = place.run(vec![
        super::edit("a.txt", "one", "two"),
        super::command(&line),
        super::edit("a.txt", "two", "three"),
        super::command("cat a.txt; echo x > sub/canary"),
    ]);
    assert!(results[1].contains("a.txt (a link)"), "{results:?}");
    assert!(results[3].starts_with("three\n"), "{results:?}");
    assert_eq!(std::fs::read_to_string(out.path().join("canary")).unwrap(), "canary\n");
    assert!(!out.path().join("b.txt").exists());
}
