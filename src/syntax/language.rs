//! Which language a file is in, by its name or its first line, and the grammar for it.

use std::fmt;

/// A language with a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++, and headers, which may be either.
    Cpp,
    /// Go.
    Go,
    /// Java.
    Java,
    /// JavaScript, with JSX.
    JavaScript,
    /// Lua.
    Lua,
    /// Python.
    Python,
    /// Rust.
    Rust,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::C,
        Self::Cpp,
        Self::Go,
        Self::Java,
        Self::JavaScript,
        Self::Lua,
        Self::Python,
        Self::Rust,
        Self::TypeScript,
        Self::Tsx,
    ];

    /// The language of the file `name`, whose text begins with `first_line`.
    pub fn of(name: &str, first_line: &str) -> Option<Self> {
        let extension = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, end)| end);
        match extension {
            Some(extension) => Self::of_extension(&extension.to_ascii_lowercase()),
            None => Self::of_program(interpreter(first_line)?),
        }
    }

    fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "c" => Self::C,
            "h" | "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "h++" | "ipp" | "inl" | "tpp" => Self::Cpp,
            "go" => Self::Go,
            "java" => Self::Java,
            "js" | "cjs" | "mjs" | "jsx" => Self::JavaScript,
            "lua" => Self::Lua,
            "py" | "pyi" | "pyw" => Self::Python,
            "rs" => Self::Rust,
            "ts" | "cts" | "mts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            _ => return None,
        })
    }

    fn of_program(program: &str) -> Option<Self> {
        Some(match program.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == '.') {
            "lua" | "luajit" => Self::Lua,
            "node" | "nodejs" => Self::JavaScript,
            "deno" | "bun" | "ts-node" | "tsx" => Self::TypeScript,
            "python" | "pypy" => Self::Python,
            _ => return None,
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::JavaScript => "JavaScript",
            Self::Lua => "Lua",
            Self::Python => "Python",
            Self::Rust => "Rust",
            Self::TypeScript | Self::Tsx => "TypeScript",
        }
    }

    /// The names of the languages that this build has grammars for.
    pub fn built_in() -> Vec<&'static str> {
        let mut names: Vec<_> =
            Self::ALL.into_iter().filter(|language| language.grammar().is_some()).map(Self::name).collect();
        // TypeScript has two.
        names.dedup();
        names
    }

    /// The grammar; nothing in a build without grammars.
    #[cfg(feature = "grammars")]
    pub(super) fn grammar(self) -> Option<tree_sitter::Language> {
        let grammar = match self {
            Self::C => tree_sitter_c::LANGUAGE,
            Self::Cpp => tree_sitter_cpp::LANGUAGE,
            Self::Go => tree_sitter_go::LANGUAGE,
            Self::Java => tree_sitter_java::LANGUAGE,
            Self::JavaScript => tree_sitter_javascript::LANGUAGE,
            Self::Lua => tree_sitter_lua::LANGUAGE,
            Self::Python => tree_sitter_python::LANGUAGE,
            Self::Rust => tree_sitter_rust::LANGUAGE,
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
        };
        Some(grammar.into())
    }

    /// The grammar; nothing in a build without grammars.
    #[cfg(not(feature = "grammars"))]
    pub(super) fn grammar(self) -> Option<tree_sitter::Language> {
        None
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The program that a `#!` line names, `env` and its options left out.
fn interpreter(first_line: &str) -> Option<&str> {
    let mut words = first_line.strip_prefix("#!")?.split_whitespace();
    let base = |word: &'static str, path: &str| path.rsplit('/').next().is_some_and(|name| name == word);
    let program = words.next()?;
    let program =
        if base("env", program) { words.find(|word| !word.starts_with('-') && !word.contains('='))? } else { program };
    program.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_language_of_its_extension_or_of_its_first_line() {
        for (name, first_line, language) in [
            ("a.rs", "", Some(Language::Rust)),
            ("A.RS", "", Some(Language::Rust)),
            ("a.test.tsx", "", Some(Language::Tsx)),
            ("a.h", "", Some(Language::Cpp)),
            ("a.pyi", "", Some(Language::Python)),
            ("a.txt", "#!/usr/bin/python3", None),
            (".rs", "", None),
            ("run", "#!/usr/bin/env -S FOO=1 python3.12 -u", Some(Language::Python)),
            ("run", "#!/usr/bin/lua5.4", Some(Language::Lua)),
            ("run", "#! /usr/bin/env node", Some(Language::JavaScript)),
            ("run", "#!/bin/sh", None),
            ("run", "#!", None),
            ("run", "#!/usr/bin/env", None),
            ("", "", None),
        ] {
            assert_eq!(Language::of(name, first_line), language, "{name} {first_line}");
        }
    }

    #[test]
    fn every_language_has_its_grammar_or_none_has() {
        for language in Language::ALL {
            assert_eq!(language.grammar().is_some(), cfg!(feature = "grammars"), "{language}");
        }
    }
}
