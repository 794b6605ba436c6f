//! Commands that need no shell: one program with plain words is started as it was read, so that there is no second
//! reader who could understand the line otherwise.
//!
//! The result is what the shell would have given: words that the shell does itself (`echo`, `cd`) stay with it, and so
//! does whatever cannot be started, because it is for the shell to say so.

use super::spec::Direct;
use crate::paths::Roots;
use crate::tools::command::{Line, Programs};

/// What bash and others do themselves, sorted.
const OWN: [&str; 58] = [
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
];

/// The program to start for a line; `None` if a shell has to read it. Looks at the disk.
pub(super) fn of(line: &str, programs: &Programs, roots: &Roots) -> Option<Direct> {
    let simple = Line::read(line).simple.ok()?;
    let words = simple.single()?;
    let name = words.first()?;
    let program = match name.contains('/') {
        true if name.starts_with('/') => name.into(),
        // From the folder of the command, which is another one here.
        true => return None,
        false if OWN.contains(&name.as_str()) || name == "wait" || name == "." => return None,
        // One of the workspace may be another one for the command, which sees what was edited.
        false => programs.outside(name, roots).ok()?,
    };
    Some(Direct { program, words: words.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Root;

    #[test]
    fn only_one_plain_program_from_outside_the_workspace_is_started_without_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("mine");
        std::fs::copy("/bin/ls", &own).unwrap();
        let path = std::env::join_paths(["/bin".as_ref(), folder.path()]).unwrap();
        let programs = Programs::new(Some(&path));
        let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
        let direct = of("ls -l 'a b'", &programs, &roots).unwrap();
        assert_eq!(
            (direct.program.to_str().unwrap(), &direct.words[..]),
            ("/bin/ls", &["ls", "-l", "a b"].map(str::to_owned)[..])
        );
        assert_eq!(of("/bin/ls", &programs, &roots).unwrap().program.to_str(), Some("/bin/ls"));
        for line in
            ["mine", "./mine", "echo x", "no-such-program", "ls | cat", "ls 2>&1", "ls $HOME", "A=b ls", "ls *", ""]
        {
            assert_eq!(of(line, &programs, &roots), None, "{line}");
        }
        assert!(OWN.is_sorted());
    }
}
