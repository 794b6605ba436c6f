//! Globs over workspace paths, as the tools mean them: `*` stays within a name, `**` crosses folders.
//!
//! A glob comes from the model, so its length and the depth of its braces are bounded before it is compiled.

use globset::{GlobBuilder, GlobSet};

use super::tool::ToolError;

/// Longest glob, in bytes.
const MAX_GLOB: usize = 1_000;

/// Deepest nesting of braces. The compiler of globs descends once for each.
const MAX_BRACES: usize = 10;

/// Most alternatives in all braces together.
const MAX_ALTERNATIVES: usize = 100;

/// Chooses paths by a glob.
#[derive(Clone, Debug)]
pub struct PathFilter {
    /// As it was given, without what the flags below say.
    glob: Box<str>,
    /// A set of one: unlike a matcher, it knows the usual forms (`**/*.rs`) and compares an ending for them.
    matcher: GlobSet,
    /// Whether it chooses what does not match (`!` in front).
    negated: bool,
    /// Whether only the last part of a path counts.
    name_only: bool,
}

impl PathFilter {
    /// A glob over whole paths below the folder that is searched.
    pub fn path(glob: &str) -> Result<Self, ToolError> {
        Self::new(glob, false, false)
    }

    /// As [`PathFilter::path`], but a glob without `/` counts in every folder, and `!` in front turns it round.
    pub fn loose(glob: &str) -> Result<Self, ToolError> {
        let (glob, negated) = glob.strip_prefix('!').map_or((glob, false), |rest| (rest, true));
        Self::new(glob, negated, !glob.contains('/'))
    }

    fn new(glob: &str, negated: bool, name_only: bool) -> Result<Self, ToolError> {
        let refuse = |why: String| ToolError::ForModel(format!("the glob `{}` cannot be used: {why}", brief(glob)));
        if glob.len() > MAX_GLOB {
            return Err(refuse(format!("it is longer than {MAX_GLOB} bytes; use a shorter one, or several calls")));
        }
        if glob.contains('\0') {
            return Err(refuse("it holds a NUL byte".to_owned()));
        }
        let (mut depth, mut deepest, mut alternatives) = (0_usize, 0, 0);
        for ch in glob.chars() {
            match ch {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' => alternatives += 1,
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        if deepest > MAX_BRACES || alternatives > MAX_ALTERNATIVES {
            return Err(refuse(format!(
                "it has more than {MAX_ALTERNATIVES} alternatives or {MAX_BRACES} braces in one another; use a wider glob, or several calls"
            )));
        }
        let clean = glob.strip_prefix("./").unwrap_or(glob);
        let built = GlobBuilder::new(clean)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| refuse(error.kind().to_string()))?;
        let matcher = GlobSet::builder().add(built).build().map_err(|error| refuse(error.kind().to_string()))?;
        Ok(Self { glob: clean.into(), matcher, negated, name_only })
    }

    /// Whether it chooses everything.
    pub(super) fn is_all(&self) -> bool {
        &*self.glob == "**" && !self.negated
    }

    /// The one path that it chooses, if there is nothing in it that stands for something else.
    pub(super) fn literal(&self) -> Option<&str> {
        let plain = !self.negated && !self.name_only && !self.glob.contains(['*', '?', '[', ']', '{', '}', '\\']);
        plain.then_some(&*self.glob)
    }

    /// Chooses the folders below which this one chooses everything, if it is of that form (`…/**`).
    pub(super) fn whole_folders(&self) -> Option<Self> {
        let folder = self.glob.strip_suffix("/**").filter(|_| !self.negated && !self.name_only)?;
        // Within braces it is the end of an alternative only.
        let open = folder.matches('{').count() != folder.matches('}').count();
        if open || folder.is_empty() { None } else { Self::path(folder).ok() }
    }

    /// Whether the path `rel` (below the folder that is searched, parts separated by `/`) is chosen.
    pub fn accepts(&self, rel: &str) -> bool {
        let subject = if self.name_only { rel.rsplit('/').next().unwrap_or(rel) } else { rel };
        self.matcher.is_match(subject) != self.negated
    }
}

/// The start of a text that may be long, on one line.
pub(super) fn brief(text: &str) -> String {
    let mut short: String = text.chars().take(80).map(|ch| if ch.is_control() { ' ' } else { ch }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(filter: &PathFilter, paths: &[&'static str]) -> Vec<&'static str> {
        paths.iter().copied().filter(|path| filter.accepts(path)).collect()
    }

    const PATHS: [&str; 5] = ["a.rs", "src/a.rs", "src/deep/b.rs", "src/c.txt", "src/.d.rs"];

    #[test]
    fn a_star_stays_in_its_folder_and_two_cross() {
        assert_eq!(chosen(&PathFilter::path("*.rs").unwrap(), &PATHS), ["a.rs"]);
        assert_eq!(chosen(&PathFilter::path("src/*.rs").unwrap(), &PATHS), ["src/a.rs", "src/.d.rs"]);
        assert_eq!(
            chosen(&PathFilter::path("**/*.rs").unwrap(), &PATHS),
            ["a.rs", "src/a.rs", "src/deep/b.rs", "src/.d.rs"]
        );
        assert_eq!(chosen(&PathFilter::path("src/**").unwrap(), &PATHS).len(), 4);
        assert_eq!(chosen(&PathFilter::path("./src/*.{txt,md}").unwrap(), &PATHS), ["src/c.txt"]);
        assert_eq!(chosen(&PathFilter::path("src/?.rs").unwrap(), &PATHS), ["src/a.rs"]);
    }

    #[test]
    fn a_loose_glob_without_a_slash_counts_in_every_folder() {
        assert_eq!(chosen(&PathFilter::loose("*.rs").unwrap(), &PATHS).len(), 4);
        assert_eq!(chosen(&PathFilter::loose("!*.rs").unwrap(), &PATHS), ["src/c.txt"]);
        assert_eq!(chosen(&PathFilter::loose("src/*.rs").unwrap(), &PATHS), ["src/a.rs", "src/.d.rs"]);
    }

    #[test]
    fn hostile_globs_are_refused_with_a_reason() {
        let alternates = format!("{{{}}}", vec!["a"; 10_000].join(","));
        for glob in [
            alternates.as_str(),
            &"{".repeat(900),
            &"{a,".repeat(300),
            &"x".repeat(1 << 20),
            "[",
            "a\0b",
            "{a,b",
            "[z-a]",
        ] {
            let refusal = PathFilter::path(glob).unwrap_err().to_string();
            assert!(refusal.contains("cannot be used: ") && refusal.len() < 500, "{refusal}");
        }
    }

    #[test]
    fn a_glob_of_many_stars_is_matched_in_reasonable_work() {
        let filter = PathFilter::path(&"**/a*".repeat(100)).unwrap();
        assert!(!filter.accepts(&"aaaaaaaa/".repeat(400)));
    }
}
