//! Where the files are that a file imports: a guess by the customs of its language, made from the first lines alone.
//!
//! A wrong guess costs a look at a name that is not there; so nothing is parsed, and nothing depends on being right.

use crate::paths::{WsPath, plain};
use crate::text::Text;

/// Lines that are looked at: imports stand at the top.
const LINES: usize = 300;

/// Longest line that is looked at, in bytes.
const LINE: usize = 400;

/// Imports of one file that are followed.
const IMPORTS: usize = 12;

/// For each import the places where its file may be, the likeliest first.
pub(super) fn of(path: &WsPath, text: &Text) -> Vec<Vec<WsPath>> {
    let extension = path.extension().unwrap_or_default();
    let customs: fn(&WsPath, &str) -> Vec<String> = match extension {
        "rs" => rust,
        "py" | "pyi" => python,
        "ts" | "tsx" | "js" | "jsx" | "mjs" | "cjs" | "mts" | "cts" => script,
        "c" | "h" | "cc" | "hh" | "cpp" | "hpp" | "cxx" => include,
        "java" => java,
        "lua" => lua,
        _ => return Vec::new(),
    };
    let Some(top) = path.roots().tops().into_iter().find(|top| top.root().path() == path.root().path()) else {
        return Vec::new();
    };
    let mut found: Vec<Vec<WsPath>> = Vec::new();
    for line in 0..text.lines().min(LINES) {
        let range = text.line_range(line);
        if range.len() > LINE {
            continue;
        }
        let places: Vec<WsPath> = customs(path, text.slice(range).trim())
            .iter()
            .filter_map(|rel| top.join(&plain(rel).filter(|rel| !rel.is_empty())?).ok())
            .filter(|place| place != path)
            .collect();
        if !places.is_empty() && !found.contains(&places) {
            found.push(places);
            if found.len() == IMPORTS {
                break;
            }
        }
    }
    found
}

/// The folder of a path, below its root.
fn folder(rel: &str) -> &str {
    rel.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What stands between the first quotes of a line.
fn quoted(line: &str) -> Option<&str> {
    let start = line.find(['"', '\''])?;
    let quote = &line[start..=start];
    let rest = &line[start + 1..];
    rest.find(quote).map(|end| &rest[..end])
}

/// The words of a dotted or coloned name, up to the first that is none.
fn words<'a>(name: &'a str, between: &str) -> Vec<&'a str> {
    let plain = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    name.split(between).map(str::trim).take_while(plain).take(8).collect()
}

fn rust(path: &WsPath, line: &str) -> Vec<String> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or("", |(_, rest)| rest).trim_start(),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let rel = path.rel();
    let stem = path.name().trim_end_matches(".rs");
    // Where the modules stand that this file declares.
    let own = match stem {
        "mod" | "lib" | "main" => folder(rel).to_owned(),
        stem => format!("{}/{stem}", folder(rel)),
    };
    let at = |base: &str, parts: &[&str]| {
        let module = parts.join("/");
        [format!("{base}/{module}.rs"), format!("{base}/{module}/mod.rs")]
    };
    if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
        return words(name, "::").first().map(|name| at(&own, &[name]).to_vec()).unwrap_or_default();
    }
    let Some(name) = line.strip_prefix("use ") else { return Vec::new() };
    let mut parts = words(name.trim_end_matches(';'), "::");
    let mut base = match parts.first() {
        Some(&"crate") => match rel.split('/').position(|part| part == "src") {
            Some(depth) => rel.split('/').take(depth + 1).collect::<Vec<_>>().join("/"),
            None => return Vec::new(),
        },
        Some(&("self" | "super")) => own,
        _ => return Vec::new(),
    };
    while let Some(&("crate" | "self" | "super")) = parts.first() {
        if parts.remove(0) == "super" {
            base = folder(&base).to_owned();
        }
    }
    // The last words may be an item of the module before them.
    (1..=parts.len()).rev().take(3).flat_map(|upto| at(&base, &parts[..upto])).collect()
}

fn python(path: &WsPath, line: &str) -> Vec<String> {
    let (name, item) = if let Some(rest) = line.strip_prefix("from ") {
        let Some((name, items)) = rest.split_once(" import ") else { return Vec::new() };
        (name.trim(), words(items, ",").first().copied())
    } else if let Some(rest) = line.strip_prefix("import ") {
        (rest.split([',', ' ']).next().unwrap_or_default(), None)
    } else {
        return Vec::new();
    };
    let dots = name.chars().take_while(|c| *c == '.').count();
    let parts = words(&name[dots..], ".");
    let here = folder(path.rel());
    let bases = match dots {
        0 => vec![String::new(), here.to_owned(), "src".to_owned()],
        _ => vec![format!("{here}{}", "/..".repeat(dots - 1))],
    };
    let places = |base: String| {
        let module = format!("{base}/{}", parts.join("/"));
        let inner = item.map(|item| format!("{module}/{item}.py"));
        inner.into_iter().chain([format!("{module}.py"), format!("{module}/__init__.py")])
    };
    bases.into_iter().flat_map(places).collect()
}

fn script(path: &WsPath, line: &str) -> Vec<String> {
    let from = ["from ", "import ", "import(", "require("].iter().find_map(|word| {
        let (_, rest) = line.split_once(word)?;
        quoted(rest).filter(|name| name.starts_with('.'))
    });
    let Some(name) = from else { return Vec::new() };
    let base = format!("{}/{name}", folder(path.rel()));
    // A module of TypeScript is imported under the name that it will be compiled to.
    let bare = base.strip_suffix(".js").unwrap_or(&base).to_owned();
    let endings = [".ts", ".tsx", ".js", ".jsx", ".mjs", "/index.ts", "/index.tsx", "/index.js"];
    let whole =
        path.name().rsplit_once('/').is_none() && name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let whole = whole.then(|| base.clone());
    whole.into_iter().chain(endings.iter().map(|ending| format!("{bare}{ending}"))).collect()
}

fn include(path: &WsPath, line: &str) -> Vec<String> {
    let Some(rest) = line.strip_prefix('#').map(str::trim_start).and_then(|rest| rest.strip_prefix("include")) else {
        return Vec::new();
    };
    if !rest.trim_start().starts_with('"') {
        return Vec::new();
    }
    let Some(name) = quoted(rest) else { return Vec::new() };
    vec![format!("{}/{name}", folder(path.rel())), name.to_owned(), format!("include/{name}"), format!("src/{name}")]
}

fn java(path: &WsPath, line: &str) -> Vec<String> {
    let Some(name) = line.strip_prefix("import ").and_then(|rest| rest.strip_suffix(';')) else { return Vec::new() };
    let parts = words(name.trim_start_matches("static "), ".");
    // Packages begin at the folder that this file shares with the import.
    let Some(at) = parts.first().and_then(|first| path.rel().split('/').position(|part| part == *first)) else {
        return Vec::new();
    };
    let base: Vec<&str> = path.rel().split('/').take(at).collect();
    vec![format!("{}/{}.java", base.join("/"), parts.join("/"))]
}

fn lua(path: &WsPath, line: &str) -> Vec<String> {
    let Some(name) = line.split_once("require").and_then(|(_, rest)| quoted(rest)) else { return Vec::new() };
    let module = words(name, ".").join("/");
    if module.is_empty() {
        return Vec::new();
    }
    let bases = ["".to_owned(), "lua/".to_owned(), format!("{}/", folder(path.rel()))];
    bases.iter().flat_map(|base| [format!("{base}{module}.lua"), format!("{base}{module}/init.lua")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{Root, Roots};

    fn guesses(name: &str, text: &str) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![Root::open("ws", folder.path()).unwrap()]);
        let found = of(&roots.resolve(name).unwrap(), &Text::from(text));
        found.iter().map(|places| places.iter().map(|place| place.rel().to_owned()).collect()).collect()
    }

    fn firsts(name: &str, text: &str) -> Vec<String> {
        guesses(name, text).into_iter().map(|places| places[0].clone()).collect()
    }

    #[test]
    fn imports_lead_to_the_files_that_each_language_would_look_for() {
        assert_eq!(
            guesses("src/lib.rs", "pub mod a;\npub(crate) mod b;\n"),
            [["src/a.rs", "src/a/mod.rs"], ["src/b.rs", "src/b/mod.rs"]]
        );
        assert_eq!(
            firsts("src/a.rs", "mod inner;\nuse super::b;\nuse self::inner::x;\n"),
            ["src/a/inner.rs", "src/b.rs", "src/a/inner/x.rs"]
        );
        // Spelled so that it is no path of this crate.
        let line = format!("use {}::one::two::{{Three, four}};\nuse std::fmt;", "crate");
        let places = &guesses("crates/x/src/deep/a.rs", &line)[0];
        assert_eq!(places[..3], ["crates/x/src/one/two.rs", "crates/x/src/one/two/mod.rs", "crates/x/src/one.rs"]);
        assert_eq!(
            firsts("pkg/sub/a.py", "from ..util import thing\nfrom . import other\nimport os.path\n"),
            ["pkg/util/thing.py", "pkg/sub/other.py", "os/path.py"]
        );
        let places = guesses(
            "web/app/a.ts",
            "import { x } from '../lib/x.js';\nimport React from 'react';\nconst y = require(\"./y\");",
        );
        assert!(places[0].contains(&"web/lib/x.ts".to_owned()) && places[1].contains(&"web/app/y/index.ts".to_owned()));
        assert_eq!(places.len(), 2, "a package is no file of the workspace");
        assert_eq!(firsts("src/a.c", "#include <stdio.h>\n#  include \"sub/b.h\"\n"), ["src/sub/b.h"]);
        assert_eq!(
            firsts("java/org/x/A.java", "import java.util.List;\nimport static org.x.y.B;\n")[1],
            "java/org/x/y/B.java"
        );
        assert_eq!(firsts("lua/p/init.lua", "local u = require('p.util')\n"), ["p/util.lua"]);
        assert!(guesses("a.md", "import x").is_empty());
    }

    #[test]
    fn hostile_imports_lead_nowhere_else_and_cost_little() {
        for (name, text) in [
            ("a.ts", "import x from '../../../../etc/passwd'\n".to_owned()),
            ("a.py", format!("from {} import x\n", ".".repeat(300))),
            ("a.c", "#include \"/etc/passwd\"\n#include \"../../x\"\n#include \"\n#include \"\"\n".to_owned()),
            ("a.rs", format!("use super::{}x;\nmod ;\nuse ;\npub(\nmod a::b;\n", "super::".repeat(40))),
            ("a.lua", "require\nrequire('')\nrequire('....')\n".to_owned()),
            ("a.java", "import ;\nimport a.java;\n".to_owned()),
            ("é.ts", "import 'ü\u{300}\nfrom “x”\nimport './\0'\n".to_owned()),
        ] {
            for place in guesses(name, &text).concat() {
                assert!(!place.starts_with('/') && !place.contains(".."), "{place}");
            }
        }
        let many: String = (0..10_000).map(|n| format!("mod m{n};\n")).collect();
        assert_eq!(guesses("lib.rs", &many).len(), IMPORTS);
        assert!(guesses("lib.rs", &format!("mod {};", "m".repeat(1 << 20))).is_empty());
    }
}
