//! Programs that only read, and the options that leave it so.
//!
//! An option that is not here may write, start something, read names from a file, follow links out of the workspace,
//! or wait for ever; or mean something else in another system's version of the program. What a short option's value
//! may be is any text: none of these names a file.

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A value, attached with `=` or as the next word.
    Value,
    /// A value that can only be attached.
    Attached,
}

/// What the words that are no options mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operands {
    /// So many files, whose text is shown.
    Files(usize, usize),
    /// So many files or folders, of which names and numbers are shown.
    Paths(usize, usize),
    /// So many words that name no file.
    Texts(usize, usize),
    /// A pattern, unless an option gave it, and so many files.
    Pattern(usize),
    /// A pattern, then folders.
    Find,
}

/// What is known of one program.
#[derive(Debug)]
pub(super) struct Program {
    pub name: &'static str,
    /// Short options without a value.
    pub flags: &'static str,
    /// Short options with one.
    pub values: &'static str,
    /// Long options, spelt out: abbreviations are not accepted.
    pub longs: &'static [(&'static str, Takes)],
    /// Whether `-20` is a number of lines.
    pub numbers: bool,
    pub operands: Operands,
}

const MANY: usize = usize::MAX;

const fn program(
    name: &'static str,
    flags: &'static str,
    values: &'static str,
    longs: &'static [(&'static str, Takes)],
    operands: Operands,
) -> Program {
    Program { name, flags, values, longs, numbers: false, operands }
}

use Operands::{Files, Find, Paths, Pattern, Texts};
use Takes::{Attached, Nothing, Value};

pub(super) const PROGRAMS: &[Program] = &[
    // `-L`, `-H` and `--dereference` look behind links, `--color` may.
    program(
        "ls",
        "1aAbBcCdFghiklmnopqQrRsStuUvxXZ",
        "",
        &[
            ("all", Nothing),
            ("almost-all", Nothing),
            ("directory", Nothing),
            ("human-readable", Nothing),
            ("recursive", Nothing),
            ("reverse", Nothing),
            ("size", Nothing),
            ("inode", Nothing),
            ("full-time", Nothing),
            ("group-directories-first", Nothing),
            ("numeric-uid-gid", Nothing),
            ("no-group", Nothing),
            ("sort", Attached),
            ("time-style", Attached),
        ],
        Paths(0, MANY),
    ),
    // `-l` takes a lock on macOS.
    program(
        "cat",
        "AbeEnstTuv",
        "",
        &[
            ("number", Nothing),
            ("number-nonblank", Nothing),
            ("show-all", Nothing),
            ("show-ends", Nothing),
            ("show-tabs", Nothing),
            ("show-nonprinting", Nothing),
            ("squeeze-blank", Nothing),
        ],
        Files(0, MANY),
    ),
    // No `tac`: what is piped into it, it first writes to a file.
    program("rev", "", "", &[], Files(0, MANY)),
    program("nl", "p", "bdfhilnsvw", &[], Files(0, MANY)),
    Program {
        numbers: true,
        ..program(
            "head",
            "qvz",
            "nc",
            &[("lines", Value), ("bytes", Value), ("quiet", Nothing), ("verbose", Nothing)],
            Files(0, MANY),
        )
    },
    // `-f` waits for ever.
    Program {
        numbers: true,
        ..program(
            "tail",
            "qvz",
            "nc",
            &[("lines", Value), ("bytes", Value), ("quiet", Nothing), ("verbose", Nothing)],
            Files(0, MANY),
        )
    },
    // `--files0-from` reads names from a file.
    program(
        "wc",
        "clmwL",
        "",
        &[("bytes", Nothing), ("chars", Nothing), ("lines", Nothing), ("words", Nothing), ("max-line-length", Nothing)],
        Files(0, MANY),
    ),
    // `-C` compiles, `-m` and `-f` read other files, `-z` starts decompressors.
    program(
        "file",
        "bi",
        "",
        &[("brief", Nothing), ("mime", Nothing), ("mime-type", Nothing), ("mime-encoding", Nothing)],
        Files(1, MANY),
    ),
    // Elsewhere `-f` is a format.
    program("stat", "t", "c", &[("format", Attached), ("printf", Attached), ("terse", Nothing)], Paths(1, MANY)),
    // `-r` walks folders, in which there may be secrets; `-f` reads patterns from a file; `-d` and `-D` may walk, too.
    Program {
        numbers: true,
        ..program(
            "grep",
            "nivwxcloqshHFEGabIL",
            "ABCme",
            &[
                ("line-number", Nothing),
                ("ignore-case", Nothing),
                ("invert-match", Nothing),
                ("word-regexp", Nothing),
                ("line-regexp", Nothing),
                ("count", Nothing),
                ("files-with-matches", Nothing),
                ("files-without-match", Nothing),
                ("only-matching", Nothing),
                ("quiet", Nothing),
                ("silent", Nothing),
                ("no-messages", Nothing),
                ("no-filename", Nothing),
                ("with-filename", Nothing),
                ("fixed-strings", Nothing),
                ("extended-regexp", Nothing),
                ("basic-regexp", Nothing),
                ("text", Nothing),
                ("byte-offset", Nothing),
                ("after-context", Value),
                ("before-context", Value),
                ("context", Value),
                ("max-count", Value),
                ("regexp", Value),
                ("color", Attached),
                ("colour", Attached),
            ],
            Pattern(0),
        )
    },
    // `--pre`, `--hostname-bin` and `-z` start programs, `-f` and `--ignore-file` read other files, `-L` follows links.
    program(
        "rg",
        "nNiswxvclFHIoqSU",
        "ABCmergtT",
        &[
            ("line-number", Nothing),
            ("no-line-number", Nothing),
            ("ignore-case", Nothing),
            ("smart-case", Nothing),
            ("case-sensitive", Nothing),
            ("word-regexp", Nothing),
            ("line-regexp", Nothing),
            ("invert-match", Nothing),
            ("count", Nothing),
            ("count-matches", Nothing),
            ("files-with-matches", Nothing),
            ("files-without-match", Nothing),
            ("fixed-strings", Nothing),
            ("only-matching", Nothing),
            ("quiet", Nothing),
            ("multiline", Nothing),
            ("heading", Nothing),
            ("no-heading", Nothing),
            ("with-filename", Nothing),
            ("no-filename", Nothing),
            ("trim", Nothing),
            ("json", Nothing),
            ("stats", Nothing),
            ("no-config", Nothing),
            ("after-context", Value),
            ("before-context", Value),
            ("context", Value),
            ("max-count", Value),
            ("regexp", Value),
            ("replace", Value),
            ("color", Value),
        ],
        // Without one it walks the folder.
        Pattern(1),
    ),
    // `-x` and `-X` start programs, so does `-l`; `-L` follows links; `-C` and `--search-path` name folders.
    program(
        "fd",
        "HIugsiFa0p1q",
        "tedE",
        &[
            ("hidden", Nothing),
            ("no-ignore", Nothing),
            ("glob", Nothing),
            ("fixed-strings", Nothing),
            ("case-sensitive", Nothing),
            ("ignore-case", Nothing),
            ("absolute-path", Nothing),
            ("full-path", Nothing),
            ("quiet", Nothing),
            ("type", Value),
            ("extension", Value),
            ("max-depth", Value),
            ("min-depth", Value),
            ("exact-depth", Value),
            ("max-results", Value),
            ("color", Value),
        ],
        Find,
    ),
    // `-o` writes, `-T` and `--files0-from` name files, `--compress-program` starts one.
    program(
        "sort",
        "bdfghiMnRrVcCmsuz",
        "kt",
        &[
            ("numeric-sort", Nothing),
            ("reverse", Nothing),
            ("unique", Nothing),
            ("human-numeric-sort", Nothing),
            ("version-sort", Nothing),
            ("ignore-case", Nothing),
            ("check", Nothing),
            ("stable", Nothing),
            ("key", Value),
            ("field-separator", Value),
        ],
        Files(0, MANY),
    ),
    // A second file is written.
    program(
        "uniq",
        "cdDiuz",
        "fsw",
        &[
            ("count", Nothing),
            ("repeated", Nothing),
            ("unique", Nothing),
            ("ignore-case", Nothing),
            ("skip-fields", Value),
            ("skip-chars", Value),
            ("check-chars", Value),
        ],
        Files(0, 1),
    ),
    program(
        "cut",
        "sz",
        "bcdf",
        &[
            ("bytes", Value),
            ("characters", Value),
            ("delimiter", Value),
            ("fields", Value),
            ("output-delimiter", Attached),
            ("only-delimited", Nothing),
            ("complement", Nothing),
        ],
        Files(0, MANY),
    ),
    program("paste", "sz", "d", &[("serial", Nothing), ("delimiters", Value)], Files(0, MANY)),
    program("comm", "123iz", "", &[("total", Nothing)], Files(2, 2)),
    program("fold", "bs", "w", &[("width", Value), ("spaces", Nothing)], Files(0, MANY)),
    program(
        "tr",
        "cCdst",
        "",
        &[("complement", Nothing), ("delete", Nothing), ("squeeze-repeats", Nothing), ("truncate-set1", Nothing)],
        Texts(1, 2),
    ),
    // `-r` walks, `-l` starts `pr`; of a folder it would compare a file that nobody named.
    program(
        "diff",
        "uciwbBqsyaEZNpe",
        "UCW",
        &[
            ("unified", Attached),
            ("context", Attached),
            ("brief", Nothing),
            ("report-identical-files", Nothing),
            ("side-by-side", Nothing),
            ("ignore-case", Nothing),
            ("ignore-all-space", Nothing),
            ("ignore-space-change", Nothing),
            ("ignore-blank-lines", Nothing),
            ("ignore-trailing-space", Nothing),
            ("strip-trailing-cr", Nothing),
            ("text", Nothing),
            ("minimal", Nothing),
            ("color", Attached),
        ],
        Files(2, 2),
    ),
    program("cmp", "bls", "n", &[("silent", Nothing), ("quiet", Nothing), ("verbose", Nothing)], Files(2, 2)),
    // `-c` reads names from a file.
    program("sha256sum", "b", "", &[], Files(0, MANY)),
    program("sha1sum", "b", "", &[], Files(0, MANY)),
    program("md5sum", "b", "", &[], Files(0, MANY)),
    program("cksum", "", "", &[], Files(0, MANY)),
    program("od", "bcdoxv", "AjNt", &[], Files(0, MANY)),
    // `-L`, `-H` and `-D` follow links, `-X` reads a file.
    program(
        "du",
        "0abchkmsx",
        "d",
        &[
            ("all", Nothing),
            ("apparent-size", Nothing),
            ("human-readable", Nothing),
            ("max-depth", Value),
            ("summarize", Nothing),
            ("total", Nothing),
            ("one-file-system", Nothing),
            ("si", Nothing),
        ],
        Paths(0, MANY),
    ),
    program(
        "df",
        "hikmP",
        "",
        &[("human-readable", Nothing), ("inodes", Nothing), ("portability", Nothing), ("si", Nothing)],
        Paths(0, MANY),
    ),
    // `-o` and `-R` write, `-l` follows links, `--fromfile` reads names from a file.
    program(
        "tree",
        "adfishDpugFCnJ",
        "LPI",
        &[
            ("dirsfirst", Nothing),
            ("noreport", Nothing),
            ("prune", Nothing),
            ("gitignore", Nothing),
            ("du", Nothing),
            ("si", Nothing),
            ("filelimit", Value),
        ],
        Paths(0, MANY),
    ),
    program("basename", "az", "s", &[("multiple", Nothing), ("suffix", Value), ("zero", Nothing)], Texts(1, MANY)),
    program("dirname", "z", "", &[("zero", Nothing)], Texts(1, MANY)),
    program(
        "realpath",
        "emqsz",
        "",
        &[("canonicalize-existing", Nothing), ("no-symlinks", Nothing), ("quiet", Nothing)],
        Paths(1, MANY),
    ),
    program("readlink", "efmnqsz", "", &[("canonicalize", Nothing), ("no-newline", Nothing)], Paths(1, MANY)),
    program("which", "a", "", &[], Texts(1, MANY)),
    program("echo", "", "", &[], Texts(0, MANY)),
    program("pwd", "LP", "", &[], Texts(0, 0)),
    program("true", "", "", &[], Texts(0, 0)),
    program("false", "", "", &[], Texts(0, 0)),
    program("uname", "amnoprsv", "", &[], Texts(0, 0)),
    program("nproc", "", "", &[("all", Nothing)], Texts(0, 0)),
    program("whoami", "", "", &[], Texts(0, 0)),
    program("id", "Ggnru", "", &[], Texts(0, 0)),
];
