//! What a command is told of the machine: a few variables of the server's own environment, and none that holds a
//! secret or makes a program run another.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::config::EnvSnapshot;

/// Variables that are passed on; besides, `LC_*`.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "JAVA_HOME",
    "VIRTUAL_ENV",
    "NVM_DIR",
];

/// Parts of names that speak of secrets.
const SECRETS: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASS", "CREDENTIAL", "AUTH"];

/// Longest value, in bytes: the kernel takes no longer one, and nothing starts with it.
const MAX_VALUE: usize = 64 << 10;

/// Shells that the policy's parser understands, the better one first.
const SHELLS: [&str; 6] =
    ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/run/current-system/sw/bin/bash", "/bin/sh", "/usr/bin/sh"];

/// The environment of a command. `temporary` is where it may leave what it needs for a moment; `offline` says that it
/// has no network, to those programs that would wait for one.
pub fn variables(env: &EnvSnapshot, temporary: &Path, offline: bool) -> Vec<(OsString, OsString)> {
    let passed = env.iter().filter(|(name, value)| {
        let Some(name) = name.to_str() else { return false };
        let secret = SECRETS.iter().any(|word| name.to_ascii_uppercase().contains(word));
        (PASSED.contains(&name) || name.starts_with("LC_")) && !secret && !value.is_empty() && value.len() <= MAX_VALUE
    });
    let mut variables: Vec<_> = passed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let set = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
    variables.push(set("TMPDIR", temporary.as_os_str()));
    for (name, value) in [
        ("TERM", "dumb"),
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_OPTIONAL_LOCKS", "0"),
    ] {
        variables.push(set(name, value.as_ref()));
    }
    if offline {
        variables.push(set("CARGO_NET_OFFLINE", "true".as_ref()));
    }
    variables.sort();
    variables
}

/// The words that run a command line: a shell that reads no file of the user's first. The error is for the model.
pub fn shell(line: &str) -> Result<Vec<String>, String> {
    let found = SHELLS.iter().find(|shell| Path::new(shell).is_file());
    let shell = found.ok_or_else(|| format!("there is no shell on this machine; looked for {}", SHELLS.join(", ")))?;
    let quiet: &[&str] = if shell.ends_with("bash") { &["--noprofile", "--norc"] } else { &[] };
    let words = [*shell].into_iter().chain(quiet.iter().copied()).chain(["-c", line]);
    Ok(words.map(str::to_owned).collect())
}

/// Folders in which build tools keep what they have loaded, where they exist: they want to write there even if all
/// they need is there.
pub fn caches(env: &EnvSnapshot) -> Vec<PathBuf> {
    let home = env.home();
    let named = |name: &str| env.os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |name: &str| home.as_ref().map(|home| home.join(name));
    let all = [
        named("CARGO_HOME").or_else(|| below(".cargo")),
        named("XDG_CACHE_HOME").or_else(|| below(".cache")),
        named("GOPATH").or_else(|| below("go")),
        below(".npm"),
        below(".gradle"),
        below(".m2"),
        below(".nuget"),
    ];
    let found = all.into_iter().flatten().filter_map(|path| path.canonicalize().ok());
    let mut caches: Vec<PathBuf> = found.filter(|path| path.is_dir() && path.parent().is_some()).collect();
    caches.sort();
    caches.dedup();
    caches
}

/// Secrets in the user's home.
const SECRET: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".password-store",
    ".mozilla",
    ".thunderbird",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".vault-token",
    ".terraform.d",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".config/gcloud",
    ".config/gh",
    ".config/hub",
    ".config/git/credentials",
    ".config/op",
    ".config/rclone",
    ".config/chromium",
    ".config/google-chrome",
    ".config/BraveSoftware",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    "Library/Keychains",
];

/// What a command must not see, where it exists: secrets, agents' sockets, our own settings and records.
pub fn masked(env: &EnvSnapshot, own: &[PathBuf]) -> Vec<PathBuf> {
    let home = env.home();
    let secrets = home.iter().flat_map(|home| SECRET.iter().map(|name| home.join(name)));
    let cargo = env.os("CARGO_HOME").map(PathBuf::from).into_iter();
    let cargo = cargo.flat_map(|home| ["credentials", "credentials.toml"].map(|name| home.join(name)));
    let named = ["SSH_AUTH_SOCK", "GPG_AGENT_SOCK", "XAUTHORITY", "KUBECONFIG", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"];
    let named = named.into_iter().filter_map(|name| env.os(name)).map(PathBuf::from).filter(|path| path.is_absolute());
    let all = secrets.chain(cargo).chain(named).chain(own.iter().cloned()).chain(sockets());
    let mut masked: Vec<PathBuf> = all
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| path.to_str().is_some() && path.parent().is_some())
        .collect();
    masked.sort();
    masked.dedup();
    masked
}

/// Most sockets that are hidden one by one.
#[cfg(target_os = "linux")]
const MAX_SOCKETS: usize = 512;

/// Sockets with a name in the file system: whoever may write to one talks to a service of the machine, and neither a
/// read-only view nor a network of its own is in the way.
#[cfg(target_os = "linux")]
fn sockets() -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel, no workspace")]
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut paths: Vec<PathBuf> =
        table.lines().filter_map(|line| line.find(" /").map(|at| PathBuf::from(&line[at + 1..]))).collect();
    paths.sort();
    paths.dedup();
    // Those in folders that are replaced anyway need no mask of their own.
    paths.retain(|path| !["/run", "/var/run", "/dev"].iter().any(|folder| path.starts_with(folder)));
    paths.truncate(MAX_SOCKETS);
    paths
}

#[cfg(not(target_os = "linux"))]
fn sockets() -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_variables_are_passed_on() {
        let huge = "x".repeat(1 << 20);
        let env = EnvSnapshot::from_iter([
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("LC_SECRET_KEY", "s"),
            ("ANTHROPIC_API_KEY", "s"),
            ("GITHUB_TOKEN", "s"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("BASH_ENV", "/tmp/x"),
            ("BASH_FUNC_ls%%", "() { evil; }"),
            ("GIT_SSH_COMMAND", "evil"),
            ("RUSTC_WRAPPER", "evil"),
            ("LANG", &*huge),
        ]);
        let names: Vec<String> =
            variables(&env, Path::new("/tmp"), true).into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
        let expected = [
            "CARGO_NET_OFFLINE",
            "GIT_OPTIONAL_LOCKS",
            "GIT_PAGER",
            "GIT_TERMINAL_PROMPT",
            "LC_ALL",
            "PAGER",
            "PATH",
            "TERM",
            "TMPDIR",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_line_is_one_word_for_a_shell_that_reads_nothing_first() {
        let words = shell("echo 'a b' && $(x)").unwrap();
        assert_eq!(words.last().unwrap(), "echo 'a b' && $(x)");
        assert_eq!(words[words.len() - 2], "-c");
        assert!(!words.iter().any(|word| word == "-l" || word == "-i"));
    }
}
