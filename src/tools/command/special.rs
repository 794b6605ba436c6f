//! Programs whose words mean more than options and files.

use super::place::{Place, Want};

/// Says why these words are not known to be harmless.
pub(super) type Check = fn(&[String], &Place<'_>) -> Result<(), String>;

/// The check of a program that has one of its own.
pub(super) fn find(name: &str) -> Option<Check> {
    Some(match name {
        "find" => find_files,
        "test" => test,
        "printf" => printf,
        "date" => date,
        _ => return None,
    })
}

/// Expressions of `find` that look at a name, a kind, a size or a time, with the words that each takes.
const EXPRESSIONS: &[(&str, usize)] = &[
    ("-name", 1),
    ("-iname", 1),
    ("-path", 1),
    ("-ipath", 1),
    ("-regex", 1),
    ("-iregex", 1),
    ("-type", 1),
    ("-maxdepth", 1),
    ("-mindepth", 1),
    ("-size", 1),
    ("-mtime", 1),
    ("-mmin", 1),
    ("-ctime", 1),
    ("-atime", 1),
    ("-perm", 1),
    ("-links", 1),
    ("-empty", 0),
    ("-prune", 0),
    ("-print", 0),
    ("-print0", 0),
    ("-depth", 0),
    ("-xdev", 0),
    ("-mount", 0),
    ("-true", 0),
    ("-false", 0),
    ("-quit", 0),
    ("-o", 0),
    ("-a", 0),
    ("-or", 0),
    ("-and", 0),
    ("-not", 0),
    ("!", 0),
    ("(", 0),
    (")", 0),
];

fn find_files(words: &[String], place: &Place<'_>) -> Result<(), String> {
    let begins = |word: &String| word.starts_with(['-', '(', ')', ',', '!']);
    let at = words.iter().position(begins).unwrap_or(words.len());
    let (folders, expression) = words.split_at(at);
    for folder in folders {
        place.admits(folder, Want::Any)?;
    }
    let mut words = expression.iter();
    while let Some(word) = words.next() {
        let Some((_, takes)) = EXPRESSIONS.iter().find(|(known, _)| known == word) else {
            return Err(format!("`{word}` of find is not known to be harmless"));
        };
        for _ in 0..*takes {
            if words.next().is_none() {
                return Err(format!("`{word}` lacks its value"));
            }
        }
    }
    Ok(())
}

/// `-v` looks into an array whose index the shell works out, and so runs what stands in it.
fn test(words: &[String], place: &Place<'_>) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["-e" | "-f" | "-d" | "-r" | "-w" | "-x" | "-s" | "-L" | "-h", path] if !path.starts_with('-') => {
            place.admits(path, Want::Perhaps)
        }
        ["-n" | "-z", _] => Ok(()),
        [a, "=" | "!=", b] if [a, b].iter().all(|word| !word.starts_with(['-', '(', '!'])) => Ok(()),
        _ => Err("this use of test is not known to be harmless".to_owned()),
    }
}

/// `-v` and `%n` set variables, and numbers are worked out by some shells.
fn printf(words: &[String], _: &Place<'_>) -> Result<(), String> {
    let odd = || Err("this use of printf is not known to be harmless".to_owned());
    let Some(format) = words.first().filter(|format| !format.starts_with('-')) else { return odd() };
    let mut chars = format.chars();
    while let Some(ch) = chars.next() {
        if ch != '%' {
            continue;
        }
        let conversion = chars.find(|ch| !ch.is_ascii_digit() && !matches!(ch, '-' | '.'));
        if !matches!(conversion, Some('s' | 'b' | 'c' | '%')) {
            return odd();
        }
    }
    Ok(())
}

/// `-s` sets the clock; so does a plain word, and `-d` on some systems.
fn date(words: &[String], _: &Place<'_>) -> Result<(), String> {
    let harmless = |word: &String| {
        word.starts_with('+') || matches!(word.as_str(), "-u" | "-R" | "-I" | "--utc" | "--iso-8601" | "--rfc-email")
    };
    match words.iter().find(|word| !harmless(word)) {
        None => Ok(()),
        Some(word) => Err(format!("`{word}` of date is not known to be harmless")),
    }
}
