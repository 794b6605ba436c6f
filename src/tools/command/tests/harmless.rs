//! What only reads, and every pitfall that looks as if it did.

use super::*;

#[test]
fn programs_that_only_read_are_known_by_their_options_and_files() {
    let folder = Folder::new();
    for line in [
        "ls",
        "ls -la sub",
        "ls -R inner",
        "cat a.txt ./b.txt sub/c.txt",
        "cat -n a.txt | head -20 | tail -n 3 2>/dev/null",
        "cat -- -n",
        "wc -l a.txt && echo done",
        "head -c 10 a.txt",
        "tail --lines=3 a.txt",
        "grep -n 'fn main' a.txt b.txt",
        "grep -rnx -e foo a.txt || true",
        "grep -A 3 -B3 foo a.txt",
        "cat a.txt | grep -v '^#'",
        "find . -name '*.rs' -type f -not -path './target/*'",
        "find sub a.txt '(' -name a -o -name b ')' -print",
        "sort a.txt | uniq -c | sort -rn -k 2",
        "cut -d , -f 1 a.txt",
        "tr a-z A-Z",
        "diff -u a.txt b.txt",
        "diff a.txt /dev/null",
        "du -sh sub",
        "df -h .",
        "stat -c '%n %s' a.txt",
        "basename /etc/passwd .txt",
        "dirname /a/b",
        "realpath a.txt",
        "readlink -f inner",
        "which cargo",
        "pwd",
        "true",
        "uname -a",
        "date",
        "date +%s",
        "date -u",
        "test -f a.txt && echo yes",
        "test -d nothing || echo no",
        "test a = b",
        "printf '%s\\n' a b",
        "echo -n $",
        "sha256sum a.txt",
    ] {
        let expected = !matches!(line, "grep -rnx -e foo a.txt || true" | "echo -n $");
        assert_eq!(folder.check(line).is_ok(), expected, "{line}: {:?}", folder.check(line));
    }
    let sub = folder.roots.resolve("sub").unwrap();
    assert!(folder.check_in("cat ../a.txt c.txt", &sub).is_ok());
    assert!(folder.check_in("cat ../../a.txt", &sub).is_err());
}

#[test]
fn every_pitfall_is_asked() {
    let folder = Folder::new();
    let outside = tempfile::tempdir().unwrap();
    let absolute = format!("cat {}/x", outside.path().display());
    let inside = format!("cat {}/a.txt", folder.dir.path().display());
    assert!(folder.check(&inside).is_ok());
    for line in [
        absolute.as_str(),
        // Programs that are not known, or known to be more.
        "touch x",
        "rm a.txt",
        "git status",
        "git log --output=x",
        "git -c core.fsmonitor=x status",
        "git ls-remote --upload-pack=x .",
        "cargo metadata",
        "cargo --version",
        "rustc --version",
        "node --version",
        "python3 -m json.tool a.txt",
        "make -n",
        "sed w/e/-i a.txt",
        "sed -n p a.txt",
        "awk 1 a.txt",
        "xxd a.txt b.txt",
        "tar -tf a.txt",
        "split --filter=x a.txt",
        "env",
        "printenv",
        "ps",
        "jq -n env",
        "less a.txt",
        "hostname x",
        "xargs ls",
        "tac a.txt",
        "tee x",
        "cd sub",
        "source a.txt",
        "eval ls",
        "command ls",
        "exec ls",
        "export PATH=.",
        "hash -p ./x ls",
        "sh a.txt",
        // Paths instead of names.
        "./ls",
        "bin/ls",
        "/bin/ls",
        "../ls",
        // Options that write, start, wait, follow or read elsewhere.
        "find . -delete",
        "find . '-exec' touch x ';'",
        "find . -execdir x",
        "find . -ok x",
        "find . -fprint x",
        "find . -fprintf x y",
        "find . -fls x",
        "find . -ls",
        "find -L .",
        "find . -follow",
        "find -H out",
        "find . -newer /etc/passwd",
        "find . -files0-from a.txt",
        "find -D all .",
        "find . -name",
        "rg foo",
        "rg foo sub",
        "rg --pre sh foo a.txt",
        "rg --pre=sh foo a.txt",
        "rg -z foo a.txt",
        "rg -L foo a.txt",
        "rg -f a.txt b.txt",
        "rg --hostname-bin=x foo a.txt",
        "fd -x ls",
        "fd --exec ls",
        "fd -l",
        "fd -L x",
        "fd -X ls",
        "sort -o x a.txt",
        "sort -ox a.txt",
        "sort -no x a.txt",
        "sort --outp=x a.txt",
        "sort --output=x a.txt",
        "sort --compress-program=sh a.txt",
        "sort -T /tmp a.txt",
        "sort --files0-from=a.txt",
        "sort a.txt -o x",
        "uniq a.txt b.txt",
        "uniq a.txt x",
        "uniq -- a.txt x",
        "wc --files0-from=a.txt",
        "du --files0-from=a.txt",
        "du -L .",
        "du -X a.txt",
        "tail -f a.txt",
        "tail -F a.txt",
        "tail --follow a.txt",
        "tail --follow=name a.txt",
        "tail +5 a.txt",
        "tree -o x",
        "tree -R -L 1",
        "tree -l",
        "tree --fromfile a.txt",
        "ls -L out",
        "ls -H out",
        "ls --dereference",
        "ls --color=auto",
        "date -s x",
        "date --set=x",
        "date 01010101",
        "date -f a.txt",
        "date -d dst",
        "file -f a.txt",
        "file -C -m a.txt",
        "file -z a.txt",
        "grep -r foo .",
        "grep -R foo",
        "grep -f a.txt b.txt",
        "grep -d recurse foo .",
        "grep --recursive foo",
        "grep --include=x -r foo .",
        "diff -r sub sub",
        "diff a.txt sub",
        "diff -l a.txt b.txt",
        "diff --to-file=a.txt b.txt",
        "sha256sum -c a.txt",
        "md5sum --check a.txt",
        "od -w a.txt",
        "cat -l a.txt",
        "df --sync",
        "readlink",
        "which /etc/passwd",
        "test -v a",
        "test -v 'a[$(touch x)]'",
        "test a -o -v b",
        "test -R a",
        "test -t 1",
        "test",
        "printf -v a b",
        "printf '%n' PATH",
        "printf '%12s%n' a PATH",
        "printf '%d' 'a[0]'",
        "printf '%(%s)T'",
        "printf",
        // Abbreviations of options.
        "head --line=3 a.txt",
        "head --lines",
        "tail --lines",
        // Files elsewhere, behind links, secret, hidden, not there or no file.
        "cat /etc/passwd",
        "cat /dev/stdin",
        "cat /dev/tcp/a/1",
        "cat /proc/self/environ",
        "cat ../x",
        "cat sub/../a.txt",
        "cat out/../a.txt",
        "cat out/passwd",
        "cat passwd",
        "ls out",
        "ls -d out",
        "stat passwd",
        "cat .env",
        "cat .ENV",
        "cat key.pem",
        "cat notes",
        "cat .git/config",
        "cat .GIT/config",
        "cat hidden/x",
        "ls hidden/x",
        "cat ''",
        "cat nothing",
        "cat sub",
        "grep -C x /etc/passwd",
        "grep -e /etc/passwd a.txt",
        "head -n /etc/passwd a.txt",
        "test -f /etc/passwd",
        "test -f out/passwd",
        "basename",
        "tr",
        "cut -f",
    ] {
        assert!(folder.check(line).is_err(), "{line}");
    }
}

#[test]
fn a_program_of_the_workspace_or_of_the_current_directory_is_not_trusted() {
    let mut folder = Folder::new();
    let bin = folder.dir.path().join("bin");
    for path in
        [format!("{}:/usr/bin:/bin", bin.display()), ":/usr/bin:/bin".into(), ".:/usr/bin".into(), String::new()]
    {
        folder.programs = Programs::new(Some(path.as_ref()));
        assert!(folder.check("ls").is_err(), "{path}");
    }
    #[cfg(unix)]
    {
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(bin.join("ls"), elsewhere.path().join("ls")).unwrap();
        folder.programs = Programs::new(Some(elsewhere.path().as_os_str()));
        assert!(folder.check("ls").unwrap_err().contains("of this workspace"));
    }
    folder.programs = Programs::new(Some("/usr/bin:/bin:.".as_ref()));
    assert!(folder.check("ls").is_ok(), "what comes behind the hit does not matter");
}
