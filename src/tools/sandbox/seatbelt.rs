//! The rules of macOS: a profile for `sandbox-exec`. Written after its documentation and what other agents ship; it has
//! not been tested on a Mac, and `ropeway doctor` says so.

use std::path::{Path, PathBuf};

/// The words before the command: it may read all but what is `masked`, write only below `writable`, and reach nobody.
pub(super) fn words(writable: &[PathBuf], masked: &[PathBuf]) -> Vec<String> {
    vec!["-p".to_owned(), profile(writable, masked)]
}

fn profile(writable: &[PathBuf], masked: &[PathBuf]) -> String {
    let mut rules = String::from(
        "(version 1)\n(allow default)\n(deny network*)\n(deny file-write*)\n(deny mach-lookup (global-name-regex \
         #\"^com\\.apple\\.(securityd|SecurityServer|pasteboard)\"))\n(deny appleevent-send)\n(allow file-write* \
         (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\"))\n",
    );
    let mut rule = |verb: &str, paths: &[PathBuf]| {
        for path in paths {
            // A path that cannot be quoted is left out, so nothing may be written there.
            if let Some(quoted) = quoted(path) {
                rules.push_str(&format!("({verb} (subpath {quoted}))\n"));
            }
        }
    };
    rule("allow file-write*", writable);
    // The last rule that fits counts.
    rule("deny file-read* file-write*", masked);
    rules
}

fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control))?;
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_rule() {
        let words = words(&["/a\")(allow network*)(\"".into(), "/b\nc".into()], &["/home/x/.ssh".into()]);
        assert!(words[1].contains(r#"(allow file-write* (subpath "/a\")(allow network*)(\""))"#), "{}", words[1]);
        assert!(!words[1].contains("/b"));
        assert!(words[1].ends_with("(deny file-read* file-write* (subpath \"/home/x/.ssh\"))\n"));
    }
}
