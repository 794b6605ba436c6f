//! Where the files are that a file names as its imports: guesses from how each language is usually laid out.
//!
//! Only the first lines are read, line by line: an import that is written unusually is not found, and nothing breaks.
//! A guess is a path below the same root; whether there is a file is for the reader to find out.

use super::region::Look;
use crate::paths::{WsPath, plain};
use crate::syntax::{Language, Use};
use crate::text::Text;

/// Bytes of a file in which imports are looked for.
const HEAD: usize = 32 * 1024;
/// Imports that are followed.
const MAX: usize = 40;

/// For each import the paths where it may be, the likeliest first.
pub(super) fn of(path: &WsPath, text: &Text, look: &Look) -> Vec<Vec<WsPath>> {
    let head = text.slice(0..text.floor_boundary(HEAD));
    let rel = path.rel();
    let folder = rel.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found: Vec<Vec<String>> = Vec::new();
    match look.language {
        Language::Rust => rust(rel, folder, &head, &mut found),
        Language::Python => python(folder, &head, &mut found),
        Language::JavaScript | Language::TypeScript | Language::Tsx => script(folder, &head, &mut found),
        Language::C | Language::Cpp => c(rel, folder, &head, &mut found),
        Language::Java => java(folder, &head, look, &mut found),
        Language::Lua => lua(folder, &head, &mut found),
        // An import of Go names a folder; its files are in no order that would say which is meant.
        Language::Go => {}
    }
    let mut top = path.clone();
    while let Some(above) = top.parent() {
        top = above;
    }
    let place = |rel: &String| top.join(&plain(rel)?).ok();
    found.dedup();
    found.truncate(MAX);
    found.iter().map(|candidates| candidates.iter().filter_map(place).collect()).collect()
}

fn under(folder: &str, rel: &str) -> String {
    if folder.is_empty() { rel.to_owned() } else { format!("{folder}/{rel}") }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|ch| ch.is_alphanumeric() || ch == '_')
}

/// The first word in quotes.
fn quoted(text: &str) -> Option<&str> {
    let at = text.find(['"', '\''])?;
    let quote = text[at..].chars().next()?;
    text[at + 1..].split(quote).next().filter(|word| !word.is_empty() && word.len() < 200)
}

fn rust(rel: &str, folder: &str, head: &str, found: &mut Vec<Vec<String>>) {
    let stem = rel.strip_suffix(".rs").unwrap_or(rel);
    // The folder of what this module holds, and the one of its brothers.
    let own = match stem.rsplit('/').next() {
        Some("mod" | "lib" | "main") => folder,
        _ => stem,
    };
    let top = match rel.rfind("src/") {
        Some(at) if at == 0 || rel[..at].ends_with('/') => rel[..at + 3].to_owned(),
        _ => String::new(),
    };
    let above = |folder: &str| folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
    for line in head.lines().map(str::trim) {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            if is_word(name) {
                found.push(vec![under(own, &format!("{name}.rs")), under(own, &format!("{name}/mod.rs"))]);
            }
            continue;
        }
        let Some(used) = line.strip_prefix("use ") else { continue };
        let mut parts = used.trim_end_matches(';').split("::").map(str::trim).peekable();
        let mut base = match parts.next() {
            Some("crate") => top.clone(),
            Some("self") => own.to_owned(),
            Some("super") => above(own),
            _ => continue,
        };
        while parts.next_if(|part| *part == "super").is_some() {
            base = above(&base);
        }
        let path: Vec<&str> = parts.take_while(|part| is_word(part)).collect();
        // The last word may be a module or what is in one.
        let candidates: Vec<String> = (1..=path.len())
            .rev()
            .map(|length| under(&base, &path[..length].join("/")))
            .chain([base.clone()])
            .filter(|module| !module.is_empty())
            .flat_map(|module| [format!("{module}.rs"), format!("{module}/mod.rs")])
            .collect();
        found.push(candidates);
    }
}

fn python(folder: &str, head: &str, found: &mut Vec<Vec<String>>) {
    let module = |base: &str, name: &str| {
        let path = under(base, &name.replace('.', "/"));
        [format!("{path}.py"), format!("{path}/__init__.py")]
    };
    for line in head.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("from ") {
            let Some((name, names)) = rest.split_once(" import ") else { continue };
            let dots = name.len() - name.trim_start_matches('.').len();
            let name = name.trim_start_matches('.');
            if dots > 0 {
                let base = (1..dots).fold(folder.to_owned(), |base, _| format!("{base}/.."));
                for word in names.split([',', '(', ')', ' ']).filter(|word| is_word(word)).take(8) {
                    let inner = if name.is_empty() { word.to_owned() } else { format!("{name}.{word}") };
                    let mut candidates = Vec::from(module(&base, &inner));
                    if !name.is_empty() {
                        candidates.extend(module(&base, name));
                    }
                    found.push(candidates);
                }
                continue;
            }
            found.push(["", "src", folder].iter().flat_map(|base| module(base, name)).collect());
        } else if let Some(rest) = line.strip_prefix("import ") {
            for name in rest.split(',').filter_map(|part| part.split_whitespace().next()).take(8) {
                found.push(["", "src", folder].iter().flat_map(|base| module(base, name)).collect());
            }
        }
    }
}

fn script(folder: &str, head: &str, found: &mut Vec<Vec<String>>) {
    for line in head.lines().map(str::trim) {
        let named = line.split_once("from ").map(|(_, rest)| rest);
        let named = named.or_else(|| line.split_once("require(").map(|(_, rest)| rest));
        let named = named.or_else(|| line.strip_prefix("import "));
        let Some(name) = named.and_then(quoted).filter(|name| name.starts_with('.')) else { continue };
        let path = under(folder, name);
        // What is written `./a.js` is often `a.ts`.
        let stem = path.strip_suffix(".js").or_else(|| path.strip_suffix(".jsx")).unwrap_or(&path).to_owned();
        let mut candidates: Vec<String> =
            ["ts", "tsx", "js", "jsx", "mjs", "cjs"].iter().map(|end| format!("{stem}.{end}")).collect();
        candidates.extend(["ts", "tsx", "js"].iter().map(|end| format!("{stem}/index.{end}")));
        candidates.push(path);
        found.push(candidates);
    }
}

fn c(rel: &str, folder: &str, head: &str, found: &mut Vec<Vec<String>>) {
    for line in head.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix('#').map(str::trim_start) else { continue };
        let Some(name) = rest.strip_prefix("include").filter(|rest| rest.contains('"')).and_then(quoted) else {
            continue;
        };
        found.push([folder, "", "include", "src"].iter().map(|base| under(base, name)).collect());
    }
    // A header and its source go together.
    if let Some((stem, _)) = rel.rsplit_once('.') {
        let others = ["h", "hpp", "c", "cc", "cpp"].map(|end| format!("{stem}.{end}"));
        found.push(others.into_iter().filter(|other| other != rel).collect());
    }
}

fn java(folder: &str, head: &str, look: &Look, found: &mut Vec<Vec<String>>) {
    let package = head.lines().find_map(|line| line.trim().strip_prefix("package ")?.strip_suffix(';'));
    let package = package.map(|name| name.trim().replace('.', "/")).unwrap_or_default();
    let base = folder.strip_suffix(package.as_str()).unwrap_or(folder).trim_end_matches('/');
    for line in head.lines().map(str::trim) {
        let Some(name) = line.strip_prefix("import ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        found.push(vec![under(base, &format!("{}.java", name.trim().replace('.', "/")))]);
    }
    // Of the same package nothing is imported.
    let types = look.names.iter().filter(|wanted| wanted.name.used == Use::Named && is_word(&wanted.name.text));
    found.extend(types.map(|wanted| vec![under(folder, &format!("{}.java", wanted.name.text))]));
}

fn lua(folder: &str, head: &str, found: &mut Vec<Vec<String>>) {
    for line in head.lines() {
        let Some(name) = line.split_once("require").and_then(|(_, rest)| quoted(rest)) else { continue };
        let path = name.replace('.', "/");
        let bases = ["", "lua", "src", folder];
        found.push(
            bases
                .iter()
                .flat_map(|base| [under(base, &format!("{path}.lua")), under(base, &format!("{path}/init.lua"))])
                .collect(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::region::Wanted;
    use super::*;
    use crate::paths::{Root, Roots};
    use crate::syntax::{Name, Outline};

    fn guesses(rel: &str, text: &str) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![Root::open("w", folder.path()).unwrap()]);
        let language = Language::of(rel, "").unwrap();
        let name = Name { text: "Other".into(), used: Use::Named, at: 0 };
        let names = vec![Wanted { name, rank: (0, 0, 0) }];
        let look = Look { language, names, outline: Arc::new(Outline::default()) };
        let found = of(&roots.resolve(rel).unwrap(), &Text::from(text), &look);
        found.into_iter().map(|paths| paths.iter().map(|path| path.rel().to_owned()).collect()).collect()
    }

    #[test]
    fn an_import_is_looked_for_where_its_language_would_have_it() {
        for (file, line, expected) in [
            ("src/agent/task.rs", "use crate::text::{Text, diff};", "src/text.rs"),
            ("src/agent/task.rs", "use super::run::{Ended};", "src/agent/run.rs"),
            ("src/agent/run/a.rs", "use super::super::events::Events;", "src/agent/events.rs"),
            ("src/agent/task.rs", "use self::part::Part;", "src/agent/task/part.rs"),
            ("src/agent.rs", "pub mod task;", "src/agent/task.rs"),
            ("src/lib.rs", "mod a;", "src/a.rs"),
            ("crates/x/src/y.rs", "use crate::text::Z;", "crates/x/src/text.rs"),
            ("pkg/a.py", "from .b import c", "pkg/b.py"),
            ("pkg/sub/a.py", "from ..b import c", "pkg/b.py"),
            ("pkg/a.py", "from . import b", "pkg/b.py"),
            ("a.py", "import x.y as z, w", "x/y.py"),
            ("a.py", "from x.y import z", "src/x/y.py"),
            ("web/a.ts", "import { b } from './b.js';", "web/b.ts"),
            ("web/a.ts", "const b = require('../lib/b')", "lib/b.js"),
            ("web/a.tsx", "import \"./c\";", "web/c/index.ts"),
            ("lib/a.c", "#include \"b.h\"", "lib/b.h"),
            ("lib/a.c", "", "lib/a.h"),
            ("j/com/x/A.java", "package com.x;\nimport com.y.B;", "j/com/y/B.java"),
            ("j/com/x/A.java", "package com.x;", "j/com/x/Other.java"),
            ("a.lua", "local b = require(\"x.b\")", "lua/x/b.lua"),
        ] {
            let found = guesses(file, line);
            assert!(found.iter().flatten().any(|path| path == expected), "{file} {line}: {found:?}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_root_and_odd_lines_do_no_harm() {
        let lines = "import x from '../../../etc/passwd'\nimport \nfrom '\nrequire(\nimport '/etc/passwd'\n";
        assert!(
            guesses("a.ts", lines).iter().flatten().all(|path| !path.contains("..")),
            "{:?}",
            guesses("a.ts", lines)
        );
        assert!(guesses("a/b.py", "from .......x import y\n").iter().flatten().next().is_none());
        for file in ["a.rs", "a.py", "a.ts", "a.c", "A.java", "a.lua", "a.go"] {
            for text in
                ["use ", "use crate", "mod ;", "from", "import", "#", "#include \"", "package ;", "é\u{10ffff}'"]
            {
                guesses(file, &format!("{text}\n").repeat(200));
            }
        }
    }
}
