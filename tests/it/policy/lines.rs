//! Command lines from a grammar of everything that programs which read are known to do otherwise: harmless words and
//! harmful ones, in any order, joined in any way. The same lines each time.

/// Numbers that look random (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

/// Programs, each with words that it may take for options; the harmful ones beside the harmless.
const PROGRAMS: &[(&str, &str)] = &[
    ("ls", "-l -a -la -R -1 -d -i -s -t -L -H --color=always --dereference --sort=size --hyperlink -F -Z --all"),
    ("cat", "-n -A -b -e -s -v -E --number -l --show-all -u"),
    ("rev", "-V --zero"),
    ("nl", "-b a -w 3 -s : -p"),
    ("head", "-n -c -5 -q -v --lines=2 --bytes=3 -z --lines"),
    ("tail", "-n -c -5 -q -v --lines=2 -f -F --follow --retry --pid=1 +1"),
    ("wc", "-l -w -c -L -m --lines --files0-from=a.txt --total=always"),
    ("file", "-b -i -f -m -C -z --mime-type -s --brief -L -P"),
    ("stat", "-c %n -t -f -L --format=%s --printf=%n --terse"),
    (
        "grep",
        "-n -i -v -c -l -o -q -r -R -f -e -A 1 -B2 -C --regexp=x -d recurse -P --include=* --color=always -H -h -s",
    ),
    (
        "sort",
        "-n -r -u -k 1 -t , -o -onew --output=new -T -S 1K --compress-program=sh --files0-from=a.txt -m -c --check --parallel=2 --debug",
    ),
    ("uniq", "-c -d -u -i -f 1 -s 1 -w 2 -D --count --skip-fields=1 --group"),
    ("cut", "-d , -f 1 -c 1-3 -b 1 -s --fields=1 --complement --output-delimiter=x -z"),
    ("paste", "-s -d , --serial --delimiters=x -z"),
    ("comm", "-1 -2 -3 -12 --total -i --check-order --output-delimiter=x"),
    ("fold", "-w 3 -s -b --width=4 --spaces"),
    ("tr", "-d -s -c a-z A-Z --delete"),
    (
        "diff",
        "-u -c -q -r -y -i -w -b -B -s -a -N -l -D x --brief --to-file=a.txt --from-file=a.txt -S x --unified=1 -U 1 --starting-file=x -x y -X a.txt",
    ),
    ("cmp", "-b -l -s -n 3 -i 1 --verbose --ignore-initial=1"),
    ("sha256sum", "-b -c --check --tag -t"),
    ("sha1sum", "-b -c"),
    ("md5sum", "-b --check --status"),
    ("cksum", "-a md5 --untagged --check"),
    ("od", "-c -x -A d -N 4 -j 1 -t x1 -w4 -v --endian=big"),
    ("du", "-s -h -a -c -d 1 -k --max-depth=1 -L -X a.txt --files0-from=a.txt -D --time --si"),
    ("df", "-h -i -k --sync -P --output=source -a"),
    ("tree", "-a -L 1 -d -o new -R -H x -l --fromfile -i -f"),
    (
        "find",
        "-name *.txt -type f -maxdepth 1 -delete -exec touch new ; -ok x -fprint new -fls new -print -print0 -newer a.txt -follow -L -H -size +1 -o -not ! ( ) -mtime 1 -empty -ls -quit -files0-from a.txt -samefile -lname x -execdir",
    ),
    ("rg", "-n -i --pre sh -z -L -f a.txt --hostname-bin=sh -e x --no-config -c -l --json --files -u --replace=x"),
    ("fd", "-H -t f -x touch -X -l -e txt -L -d 1 --exec touch -C --search-path -0"),
    ("basename", "-a -s .txt -z --suffix=.txt"),
    ("dirname", "-z --zero"),
    ("realpath", "-e -m -s -q --relative-to=. -z -L"),
    ("readlink", "-f -e -m -n -q --canonicalize"),
    ("which", "-a -s"),
    ("echo", "-n -e -E --help \\x41"),
    ("printf", "%s %d %n %b %c %% -v x %s\\n %(%s)T %q"),
    ("test", "-f -d -e -s -r -w -x -L -v -R -n -z = != -nt -o -a ! ( -t 1"),
    ("date", "-u +%s -s --set=x -d now -f a.txt -R -I -r a.txt --debug --reference=a.txt"),
    ("pwd", "-L -P"),
    ("true", "--help x"),
    ("false", "x"),
    ("uname", "-a -s -r --help"),
    ("nproc", "--all --ignore=1"),
    ("whoami", "--version"),
    ("id", "-u -g -n -G -Z -un"),
    // Known to do more than read: none of their lines may come through.
    ("tac", "-b -r -s"),
    ("git", "status log --output=new -c core.pager=touch diff -O"),
    ("touch", "-a -c"),
    ("tee", "-a"),
    ("sed", "-n p -i w s/a/b/w"),
    ("awk", "1 -f {print>\"new\"}"),
    ("env", "touch -i"),
    ("xargs", "touch -n 1"),
    ("sh", "-c touch"),
    ("curl", "-s -o new"),
    ("cp", "-r -f"),
    ("split", "-l 1 --filter=sh"),
    ("xxd", "-r"),
    ("tar", "-cf new -I sh -xf"),
    ("bin/ls", "-l"),
    ("./bin/ls", ""),
];

/// How many of them, at the end, are known to do more than read.
const MORE: usize = 16;

/// Operands: files of every kind, patterns, addresses.
const OPERANDS: &[&str] = &[
    "a.txt",
    "b.txt",
    "sub/c.txt",
    "sub",
    ".",
    "./a.txt",
    "inner/c.txt",
    "inner",
    "sub/../a.txt",
    "deep/er/d.txt",
    "deep",
    "'x y.txt'",
    "\"x y.txt\"",
    "-n",
    "--",
    "-",
    "/dev/null",
    "nothing",
    "new",
    "sub/new",
    "@ROOT@/a.txt",
    "@ROOT@",
    "@OUT@/canary.txt",
    "@OUT@",
    "../outside/canary.txt",
    "..",
    "out",
    "out/canary.txt",
    "link",
    "notes",
    ".env",
    "key.pem",
    ".git",
    ".git/config",
    "hidden/x",
    "hidden",
    "@HOME@/.netrc",
    "~",
    "$HOME",
    "*",
    "one",
    "'t.o'",
    "'^o'",
    "a-z",
    "A-Z",
    "1",
    "'$(touch new)'",
    "\"`touch new`\"",
    "'%s\\n'",
    "+1",
    "/dev/tcp/127.0.0.1/@PORT@",
    "/dev/udp/127.0.0.1/@PORT@",
    "http://127.0.0.1:@PORT@/",
    "127.0.0.1",
    "/etc/hostname",
    "/proc/self/environ",
    "a.txt",
    "b.txt",
    "sub/c.txt",
    "a.txt",
    "''",
    "-x",
    "--output=new",
    "-o",
    "new2",
    "@",
    "=",
    "a=b",
];

const JOINTS: &[&str] = &[" | ", " | ", " && ", " || ", "; ", ";", "|", " & ", "\n", " |& "];
const REDIRECTS: &[&str] =
    &[" 2>/dev/null", " >/dev/null", " 2>&1", " </dev/null", " > new", " >>a.txt", " <a.txt", " 2>new"];

/// A line; `@ROOT@` and the like stand for what only the test knows.
pub fn line(dice: &mut Dice) -> String {
    let mut line = command(dice);
    while dice.below(4) == 0 && line.len() < 200 {
        let joint = dice.pick(JOINTS);
        line = format!("{line}{joint}{}", command(dice));
    }
    line
}

fn command(dice: &mut Dice) -> String {
    // Most that only read: the rest is there to see that it does not come through.
    let at = if dice.below(12) == 0 { dice.below(PROGRAMS.len()) } else { dice.below(PROGRAMS.len() - MORE) };
    let (name, options) = PROGRAMS[at];
    let options: Vec<&str> = options.split(' ').filter(|option| !option.is_empty()).collect();
    let mut words = Vec::new();
    for _ in 0..[0, 0, 1, 1, 1, 2, 3][dice.below(7)] {
        if !options.is_empty() {
            let word = dice.pick(&options);
            let quoted = word.contains(['*', '(', ')', '!', ';', '\\', '{', '>', '"', '%']) && dice.below(8) > 0;
            words.push(if quoted { format!("'{word}'") } else { word.to_owned() });
        }
    }
    for _ in 0..[0, 1, 1, 1, 2, 2, 3][dice.below(7)] {
        words.push(dice.pick(OPERANDS).to_owned());
    }
    if words.len() > 1 && dice.below(6) == 0 {
        let (a, b) = (dice.below(words.len()), dice.below(words.len()));
        words.swap(a, b);
    }
    let redirect = if dice.below(10) == 0 { dice.pick(REDIRECTS) } else { "" };
    let words: String = words.iter().map(|word| format!(" {word}")).collect();
    format!("{name}{words}{redirect}")
}
