//! Names, URIs and links, hostile ones first.

#![expect(clippy::disallowed_methods, reason = "these tests build file trees")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn root(name: &str, path: &Path) -> Arc<Root> {
    fs::create_dir_all(path).unwrap();
    Root::open(name, path).unwrap()
}

fn one() -> (tempfile::TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots::new(vec![root("main", &dir.path().join("main"))]);
    (dir, roots)
}

#[test]
fn plain_words_name_a_file_below_the_only_root() {
    let (dir, roots) = one();
    let top = fs::canonicalize(dir.path().join("main")).unwrap();
    for words in ["src/a.rs", "./src//a.rs", "src/x/../a.rs", " src/a.rs ", "src/a.rs/"] {
        let path = roots.resolve(words).unwrap();
        assert_eq!(path.rel(), "src/a.rs", "{words}");
        assert_eq!(path.absolute(), top.join("src/a.rs"));
        assert_eq!(path.to_string(), "src/a.rs");
    }
    let absolute = top.join("src/a.rs");
    assert_eq!(roots.resolve(absolute.to_str().unwrap()).unwrap().rel(), "src/a.rs");
    assert_eq!(roots.resolve(&file_uri(&absolute)).unwrap().rel(), "src/a.rs");
    for words in ["", ".", "./", "src/.."] {
        assert_eq!(roots.resolve(words).unwrap().to_string(), ".", "{words}");
    }
}

#[test]
fn hostile_words_are_refused_with_a_reason() {
    let (_dir, roots) = one();
    let outside = ["..", "../x", "a/../../x", "/etc/passwd", "/", "//etc/passwd", "file:///etc/passwd", "file://h/x"];
    for words in outside {
        let error = roots.resolve(words).unwrap_err();
        assert!(matches!(error, PathError::Outside { .. }), "{words}: {error}");
        assert!(error.to_string().contains("outside the workspace"), "{error}");
    }
    assert!(matches!(roots.resolve("a\0b"), Err(PathError::Nul)));
    assert!(matches!(roots.resolve("file:///a%00b"), Err(PathError::Outside { .. })));
    assert!(matches!(roots.resolve(&"x/".repeat(4_000)), Err(PathError::TooLong)));
    assert!(matches!(Roots::default().resolve("a"), Err(PathError::NoRoots)));
    let top = roots.resolve(".").unwrap();
    for rel in ["..", "../x", "/etc/passwd", "a/../../x", "a\0"] {
        assert!(top.join(rel).is_err(), "{rel}");
    }
}

#[test]
fn of_several_roots_the_path_names_one() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (root("lib", &dir.path().join("a")), root("lib", &dir.path().join("b")));
    fs::write(dir.path().join("b/only.rs"), "x").unwrap();
    let roots = Roots::new(vec![a, b]);
    assert_eq!(roots.resolve("lib/x.rs").unwrap().absolute(), fs::canonicalize(dir.path()).unwrap().join("a/x.rs"));
    assert_eq!(roots.resolve("lib-2/x.rs").unwrap().to_string(), "lib-2/x.rs");
    assert_eq!(roots.resolve("lib/../lib-2/x.rs").unwrap().to_string(), "lib-2/x.rs");
    assert_eq!(roots.resolve("lib-2").unwrap().to_string(), "lib-2");
    // Only one root has it, so it is clear which is meant.
    assert_eq!(roots.resolve("only.rs").unwrap().to_string(), "lib-2/only.rs");
    let error = roots.resolve("nowhere.rs").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`nowhere.rs` does not say which workspace root it is in; begin it with one of: lib/, lib-2/"
    );
}

#[test]
fn the_deepest_root_wins() {
    let dir = tempfile::tempdir().unwrap();
    let outer = root("outer", &dir.path().join("o"));
    let inner = root("inner", &dir.path().join("o/deep/i"));
    let roots = Roots::new(vec![outer, inner]);
    let by_outer = roots.resolve("outer/deep/i/x").unwrap();
    let by_inner = roots.resolve("inner/x").unwrap();
    assert_eq!(by_outer, by_inner);
    assert_eq!(by_outer.to_string(), "inner/x");
    assert_eq!(roots.of(&dir.path().join("o/deep/x")).unwrap().to_string(), "outer/deep/x");
}

#[test]
fn one_file_has_one_key_however_a_client_spells_it() {
    let spelt =
        ["file:///c%3A/a%20b/x.rs", "file:///c:/a b/x.rs", "file:///C:/a%20b/./x.rs", "FILE:///c%3a/a%20b/y/../x.rs"];
    let keys: Vec<_> = spelt.iter().map(|uri| DocKey::of_uri(uri)).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_ne!(DocKey::of_uri("file:///C"), DocKey::of_uri("file:///c"));
    assert_eq!(DocKey::of_uri("untitled:Untitled-1").as_str(), "untitled:Untitled-1");
}

#[test]
fn uris_of_other_kinds_name_no_file() {
    for uri in
        ["", "file", "http://x/y", "file://host/x", "untitled:1", "file:///a%FF", "file:///a%00b", "file:x", "fïle:"]
    {
        assert_eq!(file_path(uri), None, "{uri}");
    }
    assert_eq!(file_path("file:///a%2/b%zz#c?d").unwrap(), Path::new("/a%2/b%zz#c?d"));
    assert_eq!(file_path("file:/a").unwrap(), Path::new("/a"));
    assert_eq!(file_path("file://localhost/a").unwrap(), Path::new("/a"));
    assert_eq!(file_uri(Path::new("/a b/ü#?%.rs")), "file:///a%20b/%C3%BC%23%3F%25.rs");
}

proptest! {
    #[test]
    fn a_path_survives_its_uri(path in "(/[^/\0]{1,12}){1,4}") {
        prop_assert_eq!(file_path(&file_uri(Path::new(&path))).unwrap(), Path::new(&path).to_owned());
    }

    #[test]
    fn whatever_the_words_what_resolves_is_inside(words in r"[a-c/.~\\:% \x00é]{0,24}") {
        let (_dir, roots) = one();
        if let Ok(path) = roots.resolve(&words) {
            prop_assert!(path.absolute().starts_with(path.root().path()));
            prop_assert!(path.parts().all(|part| part != ".." && part != "."));
            prop_assert_eq!(roots.of(&path.absolute()).unwrap(), path);
        }
    }
}

#[cfg(unix)]
mod links {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree with links of every kind; the canary stands outside.
    fn tree() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let at = |rel: &str| dir.path().join(rel);
        let roots = Roots::new(vec![root("a", &at("a")), root("b", &at("b"))]);
        fs::create_dir_all(at("a/src")).unwrap();
        fs::create_dir_all(at("out")).unwrap();
        fs::write(at("a/src/x"), "inside").unwrap();
        fs::write(at("b/y"), "other root").unwrap();
        fs::write(at("out/canary"), "secret").unwrap();
        symlink("src/x", at("a/rel")).unwrap();
        symlink("../src", at("a/src/up")).unwrap();
        symlink(at("a/src/x"), at("a/abs")).unwrap();
        symlink(at("b"), at("a/to-b")).unwrap();
        symlink("../b/y", at("a/rel-to-b")).unwrap();
        symlink("../out/canary", at("a/out-rel")).unwrap();
        symlink(at("out"), at("a/out-dir")).unwrap();
        symlink("out-dir", at("a/chain")).unwrap();
        symlink("/proc/self/root/etc", at("a/magic")).unwrap();
        symlink("loop", at("a/loop")).unwrap();
        symlink("nowhere", at("a/dangling")).unwrap();
        (dir, roots)
    }

    fn text(roots: &Roots, words: &str) -> Result<String, PathError> {
        let mut text = String::new();
        beneath::open(&roots.resolve(words)?)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn links_inside_the_workspace_work_absolute_ones_and_to_other_roots_too() {
        let (_dir, roots) = tree();
        for words in ["a/src/x", "a/rel", "a/abs", "a/src/up/x", "a/src/up/up/up/x"] {
            assert_eq!(text(&roots, words).unwrap(), "inside", "{words}");
            assert_eq!(beneath::real(&roots.resolve(words).unwrap()).unwrap().to_string(), "a/src/x", "{words}");
        }
        for words in ["b/y", "a/to-b/y", "a/rel-to-b"] {
            assert_eq!(text(&roots, words).unwrap(), "other root", "{words}");
            assert_eq!(beneath::real(&roots.resolve(words).unwrap()).unwrap().to_string(), "b/y", "{words}");
        }
    }

    #[test]
    fn links_that_leave_the_workspace_are_refused_by_name() {
        let (_dir, roots) = tree();
        for words in ["a/out-rel", "a/out-dir/canary", "a/chain/canary", "a/magic/passwd"] {
            let error = text(&roots, words).unwrap_err();
            assert!(matches!(error, PathError::Link { .. }), "{words}: {error}");
            assert!(error.to_string().contains("leads out of the workspace"), "{error}");
            let path = roots.resolve(words).unwrap();
            assert!(beneath::folder_of(&path, Last::Target, true).is_err(), "{words}");
        }
        assert!(text(&roots, "a/loop").is_err());
        assert!(text(&roots, "a/dangling").unwrap_err().is_missing());
        assert!(beneath::folder_of(&roots.resolve("a/chain/new").unwrap(), Last::Itself, true).is_err());
    }

    #[test]
    fn the_way_without_the_kernels_help_gives_the_same_answers() {
        let (_dir, roots) = tree();
        let a = roots.resolve("a").unwrap();
        assert!(beneath::stepwise(&a, "src/x").is_ok());
        for rel in [
            "rel",
            "abs",
            "src/up/x",
            "out-rel",
            "out-dir/canary",
            "chain",
            "magic/passwd",
            "loop",
            "../b/y",
            "src/../src/x",
        ] {
            assert!(beneath::stepwise(&a, rel).is_err(), "{rel}");
        }
    }
}
