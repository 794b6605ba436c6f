//! A line that is one plain program runs without a shell, and nobody can tell.

use super::Place;

/// Of one result, what does not depend on the moment. The order of variables is nobody's business, and a shell that
/// redirects counts itself.
fn told(result: &str) -> Vec<String> {
    let counted = result.lines().filter(|line| !line.starts_with("SHLVL="));
    let mut lines: Vec<String> = counted.map(|line| line.split(" after ").next().unwrap_or(line).to_owned()).collect();
    if lines.iter().any(|line| line.starts_with("PATH=")) {
        lines.sort();
    }
    lines
}

#[test]
fn a_plain_program_gives_the_same_with_and_without_a_shell() {
    let files = [("a.txt", "one\ntwo\n"), ("b c.txt", "x\n"), ("run.sh", "echo $0 $1\n"), ("sub/d.txt", "d\n")];
    let mut place = Place::new(&files);
    let lines = [
        "env",
        "cat a.txt 'b c.txt' absent.txt",
        "ls -1 sub no-such-folder",
        "grep -c two a.txt",
        "grep nothing a.txt",
        "/bin/cat a.txt",
        "/no/such/program x",
        "/etc/passwd",
        "no-such-program x",
        "./run.sh x",
        "echo -e 'a\\tb'",
        "pwd",
        "readlink /proc/self/cwd",
        "cat /proc/self/cmdline",
        "expr 1 = 2",
    ];
    let each: Vec<String> = lines.iter().flat_map(|line| [(*line).to_owned(), format!("{line} 2>&1")]).collect();
    let (results, _) = place.commands(&each.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(results.len(), each.len());
    for (line, both) in lines.iter().zip(results.chunks(2)) {
        assert_eq!(told(&both[0]), told(&both[1]), "{line}");
    }
    assert!(results[0].contains("PWD=") && results[0].contains("SHLVL=0"), "{}", results[0]);
}
