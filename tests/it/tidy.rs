//! The house rules, as far as a program can check them.
#![expect(clippy::disallowed_methods, reason = "it reads the sources")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which module is on which floor; `src/lib.rs` explains it.
const FLOORS: [(&str, u8); 20] = [
    ("ids", 0),
    ("moment", 0),
    ("paths", 0),
    ("text", 1),
    ("disk", 1),
    ("metrics", 1),
    ("otlp", 1),
    ("tokens", 1),
    ("trajectory", 1),
    ("watch", 1),
    ("config", 2),
    ("report", 2),
    ("syntax", 2),
    ("workspace", 2),
    ("host", 3),
    ("llm", 3),
    ("tools", 4),
    ("agent", 5),
    ("lsp", 6),
    ("cli", 7),
];

/// Longest file, in lines.
const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, with its path from the root and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The code of a file: line comments and doc comments are not part of the law.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The top module a file belongs to; nothing for `lib.rs`.
fn module_of(file: &str) -> Option<&str> {
    let name = file.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    match name {
        "lib" => None,
        "main" => Some("cli"),
        name => Some(name),
    }
}

/// Every top module that a code names by `crate::`, also in braces.
fn named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|ch| ch.is_alphanumeric() || *ch == '_').collect::<String>();
    let mut names = Vec::new();
    for start in ["crate::", "ropeway::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|ch: char| ch.is_alphanumeric() || ch == '_') {
                continue;
            }
            let rest = &code[at + start.len()..];
            let Some(list) = rest.strip_prefix('{') else {
                names.push(word(rest));
                continue;
            };
            let mut depth = 1;
            let mut item = true;
            for (at, ch) in list.char_indices() {
                match ch {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => item = true,
                    ch if item && depth == 1 && !ch.is_whitespace() => {
                        names.push(word(&list[at..]));
                        item = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
    }
    names
}

#[test]
fn a_module_uses_only_lower_floors() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let mut broken = Vec::new();
    for (file, text) in sources("src") {
        let Some(module) = module_of(&file) else { continue };
        let Some(floor) = floors.get(module) else {
            broken.push(format!("{file}: the module {module} is on no floor; give it one here and in src/lib.rs"));
            continue;
        };
        for other in named(&code(&text)) {
            match floors.get(&*other) {
                Some(_) if other == module || module == "cli" => {}
                Some(lower) if lower < floor => {}
                Some(lower) => {
                    broken.push(format!("{file}: {module} (floor {floor}) uses {other} (floor {lower})"));
                }
                None => broken.push(format!("{file}: crate::{other} is no module with a floor")),
            }
        }
    }
    assert!(broken.is_empty(), "the floor law is broken:\n{}", broken.join("\n"));
}

#[test]
fn the_law_sees_every_way_of_naming_a_module() {
    let code = "use crate::{text::{Edit, Text}, ids::RunId,\n disk};\nuse crate::lsp::pump;\nfn f(x: crate::host::Host) {} mycrate::no";
    assert_eq!(named(code), ["text", "ids", "disk", "lsp", "host"]);
    assert_eq!(module_of("src/lsp/pump/frame.rs"), Some("lsp"));
    assert_eq!(module_of("src/lsp.rs"), Some("lsp"));
    assert_eq!(module_of("src/main.rs"), Some("cli"));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let mut silent = Vec::new();
    for (file, text) in sources("src").into_iter().chain(sources("tests")) {
        if !text.starts_with("//! ") {
            silent.push(file);
        }
    }
    assert!(silent.is_empty(), "files that do not begin with `//!`: {silent:?}");
}

#[test]
fn no_file_is_too_long() {
    let mut long = Vec::new();
    for (file, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{file}: {lines}"));
        }
    }
    assert!(long.is_empty(), "files of more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for (file, _) in sources("src").into_iter().chain(sources("tests")) {
        let name = Path::new(&file).file_stem().unwrap().to_str().unwrap();
        assert!(!["mod", "utils", "util", "helpers", "misc", "common"].contains(&name), "{file}");
    }
}

#[test]
fn a_module_gives_away_only_what_is_its_own() {
    for (file, text) in sources("src") {
        for line in code(&text).lines().map(str::trim) {
            let given = line.strip_prefix("pub use ").or_else(|| line.strip_prefix("pub(crate) use "));
            if let Some(given) = given {
                assert!(file == "src/lib.rs" || given.starts_with("self::"), "{file}: {line}");
            }
        }
    }
}
