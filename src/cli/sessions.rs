//! `ropeway sessions`: recorded runs listed, shown, exported and played again.
//!
//! A recording holds texts of models, repositories and commands, and is a file that anybody may have written. For people
//! every control character in it is shown as a sign, also where the output is no terminal now but may be one later.

mod export;
mod list;
mod play;
mod show;
mod when;

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::args::SessionsCommand;
use super::terminal::visible;
use super::{DONE, FAILED, complain, sources};
use crate::config::{Config, EnvSnapshot, load};
use crate::trajectory::read::{Damage, RunHead, Store};

/// Runs that are named where a beginning is not enough.
const NAMED: usize = 5;

pub(super) fn sessions(command: &SessionsCommand, env: EnvSnapshot) -> Result<u8> {
    let config = load(&sources(env)).config;
    let store = open(&config)?;
    if let SessionsCommand::List { json } = command {
        return list::list(store.as_ref(), *json, &nothing(&config));
    }
    let (SessionsCommand::Show { id } | SessionsCommand::Export { id, .. } | SessionsCommand::Replay { id }) = command
    else {
        return Ok(DONE);
    };
    let Some(store) = store else {
        complain(&nothing(&config));
        return Ok(FAILED);
    };
    let runs = store.runs()?;
    let head = match find(&runs, id) {
        Ok(head) => head,
        Err(_) if runs.is_empty() => {
            complain(&nothing(&config));
            return Ok(FAILED);
        }
        Err(why) => {
            complain(&why);
            return Ok(FAILED);
        }
    };
    match command {
        SessionsCommand::List { .. } => Ok(DONE),
        SessionsCommand::Show { .. } => show::show(&store, head),
        SessionsCommand::Export { format, output, .. } => export::export(&store, head, *format, output.as_deref()),
        SessionsCommand::Replay { .. } => play::replay(&store, head),
    }
}

fn open(config: &Config) -> Result<Option<Store>> {
    let Some(dir) = &config.state_dir else { return Ok(None) };
    Store::open(dir).with_context(|| format!("the recordings in {} cannot be read", dir.display()))
}

/// Why there is nothing.
fn nothing(config: &Config) -> String {
    let dir = config.state_dir.as_ref().map_or_else(String::new, |dir| format!(" in {}", dir.display()));
    match (config.recording.enabled, &config.state_dir) {
        (false, _) => {
            format!("nothing is recorded{dir}, and recording is switched off: set `recording.enabled = true`")
        }
        (true, None) => "nothing can be recorded: there is no home directory; set `recording.dir`".into(),
        (true, Some(_)) => format!("nothing is recorded{dir} yet; the next run will be"),
    }
}

/// The run that is meant. The error says which are near.
fn find<'a>(runs: &'a [RunHead], id: &str) -> Result<&'a RunHead, String> {
    if let Some(run) = runs.iter().find(|run| run.run == id) {
        return Ok(run);
    }
    let begins = |run: &&RunHead| {
        let name = &run.run;
        !id.is_empty() && (name.starts_with(id) || name.strip_prefix("run-").is_some_and(|name| name.starts_with(id)))
    };
    let found: Vec<&RunHead> = runs.iter().filter(begins).collect();
    let shown = visible(id);
    match found[..] {
        [run] => Ok(run),
        [] => {
            let mut why = format!("no recorded run is named {shown}");
            if let Some(near) = nearest(runs, id) {
                // Writing to a string cannot fail.
                let _ = write!(why, "; the nearest is {}", visible(&near.run));
            }
            Err(why + "; see ropeway sessions list")
        }
        [..] => {
            let mut names: Vec<_> = found.iter().take(NAMED).map(|run| visible(&run.run)).collect();
            if found.len() > NAMED {
                names.push(format!("and {} more", found.len() - NAMED).into());
            }
            Err(format!("{} runs begin with {shown}: {}", found.len(), names.join(", ")))
        }
    }
}

fn nearest<'a>(runs: &'a [RunHead], id: &str) -> Option<&'a RunHead> {
    let id: String = id.chars().take(100).collect();
    runs.iter().min_by_key(|run| strsim::damerau_levenshtein(&run.run, &id))
}

/// One line, harmless and not longer than `most` characters.
fn line(text: &str, most: usize) -> String {
    let flat: String = text.chars().map(|ch| if ch.is_whitespace() { ' ' } else { ch }).take(most + 1).collect();
    let shown = visible(&flat);
    if shown.chars().count() <= most {
        return shown.into_owned();
    }
    shown.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A damaged place, for people.
fn told(damage: &Damage) -> String {
    visible(&format!("{}, byte {}: {}", damage.part, damage.offset, damage.what)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_harmless_and_short() {
        assert_eq!(line("a\nb\tc", 10), "a b c");
        assert_eq!(line("\x1b[31mred\r\x07", 20), "␛[31mred ␇");
        assert_eq!(line("0123456789", 5), "0123…");
        assert_eq!(line("", 5), "");
    }
}
