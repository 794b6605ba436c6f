//! Whether a command only reads, and only what it may: a known program, known options, files inside the workspace.
//!
//! What is not known is not read-only. `git` is not here at all, whatever its arguments: configuration, attributes and
//! hooks of the repository make it run programs. Nor is what asks a toolchain manager for a version: the repository may
//! say which program that is. What walks folders may show names, never texts: there may be secrets among them.

use super::place::{Place, Want};
use super::programs::Programs;
use super::table::{Operands, PROGRAMS, Program, Takes};
use super::{Part, special};

/// Says why a command is not known to only read.
pub fn check(part: &Part, place: &Place<'_>, programs: &Programs) -> Result<(), String> {
    let Some((name, words)) = part.argv.split_first() else { return Err("there is no command".to_owned()) };
    if name.contains('/') {
        return Err(format!("`{name}` is a path, and only programs of the system are known to be harmless"));
    }
    let special = special::find(name);
    let program = PROGRAMS.iter().find(|program| program.name == name);
    if special.is_none() && program.is_none() {
        return Err(unknown(name));
    }
    programs.trusted(name, place.roots())?;
    match (special, program) {
        (Some(check), _) => check(words, place),
        (None, Some(program)) => program.check(words, place),
        (None, None) => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    format!("`{name}` is not known to only read")
}

impl Program {
    fn check(&self, words: &[String], place: &Place<'_>) -> Result<(), String> {
        // Whatever echo is told, it says.
        if self.name == "echo" {
            return Ok(());
        }
        let mut operands: Vec<&str> = Vec::new();
        let (mut pattern, mut shifted) = (false, false);
        let mut words = words.iter().map(String::as_str);
        let mut open = true;
        while let Some(word) = words.next() {
            if open && word == "--" {
                open = false;
                continue;
            }
            if !open || word == "-" || !word.starts_with('-') {
                operands.push(word);
                continue;
            }
            if !operands.is_empty() {
                // A program of another system may end its options at the first operand, and take this for a file.
                self.operand(word, place, Want::Perhaps)?;
            }
            let option = match word.strip_prefix("--") {
                Some(long) => self.long(long)?,
                None => self.short(&word[1..])?,
            };
            if option.needs_value {
                let Some(value) = words.next() else { return Err(format!("`{word}` lacks its value")) };
                // A program of another system may take a value only where it is attached, and this for an operand.
                self.operand(value, place, Want::Perhaps)?;
                shifted = true;
            }
            pattern |= option.is_pattern;
        }
        if shifted && let Some(first) = operands.first() {
            self.operand(first, place, Want::Perhaps)?;
        }
        self.operands(&operands, pattern, place)
    }

    fn long(&self, long: &str) -> Result<Taken, String> {
        let (name, attached) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let takes = self.longs.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
        let needs_value = match (takes, attached) {
            (Some(Takes::Nothing | Takes::Attached), false) | (Some(Takes::Value | Takes::Attached), true) => false,
            (Some(Takes::Value), false) => true,
            _ => return Err(self.refuse(&format!("--{name}"))),
        };
        Ok(Taken { needs_value, is_pattern: name == "regexp" })
    }

    fn short(&self, bundle: &str) -> Result<Taken, String> {
        if self.numbers && bundle.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Taken::default());
        }
        let mut is_pattern = false;
        for (at, flag) in bundle.char_indices() {
            if self.values.contains(flag) {
                is_pattern |= flag == 'e' && matches!(self.operands, Operands::Pattern(_));
                return Ok(Taken { needs_value: at + flag.len_utf8() == bundle.len(), is_pattern });
            }
            if !self.flags.contains(flag) {
                return Err(self.refuse(&format!("-{flag}")));
            }
        }
        Ok(Taken { needs_value: false, is_pattern })
    }

    fn refuse(&self, option: &str) -> String {
        format!("the option `{option}` of {} is not known to be harmless", self.name)
    }

    fn operands(&self, operands: &[&str], pattern: bool, place: &Place<'_>) -> Result<(), String> {
        let (files, want, least, most) = match self.operands {
            Operands::Files(least, most) => (operands, Want::File, least, most),
            Operands::Paths(least, most) => (operands, Want::Any, least, most),
            Operands::Texts(least, most) => (operands, Want::Perhaps, least, most),
            Operands::Pattern(least) if pattern => (operands, Want::File, least, usize::MAX),
            Operands::Pattern(least) => {
                let [_, files @ ..] = operands else { return Err("there is no pattern".to_owned()) };
                (files, Want::File, least, usize::MAX)
            }
            Operands::Find => (operands.get(1..).unwrap_or_default(), Want::Any, 0, usize::MAX),
        };
        if files.len() < least {
            return Err(format!("{} would look through a whole folder, or at nothing", self.name));
        }
        if files.len() > most {
            return Err(format!("{} takes fewer words than that, or writes the last one", self.name));
        }
        if matches!(self.operands, Operands::Texts(..)) {
            if self.name == "which" && files.iter().any(|word| word.contains('/')) {
                return Err("only names can be looked for".to_owned());
            }
            return Ok(());
        }
        // What some programs take for the number of a line, or for an option from before there were dashes.
        if let Some(odd) = files.iter().find(|word| word.starts_with('+')) {
            return Err(format!("`{odd}` may be an option"));
        }
        files.iter().try_for_each(|word| self.operand(word, place, want))
    }

    fn operand(&self, word: &str, place: &Place<'_>, want: Want) -> Result<(), String> {
        match self.operands {
            Operands::Texts(..) => Ok(()),
            // What is piped in, or nothing.
            _ if word == "-" => Ok(()),
            _ => place.admits(word, want),
        }
    }
}

/// What an option does to the words behind it.
#[derive(Default)]
struct Taken {
    needs_value: bool,
    is_pattern: bool,
}
