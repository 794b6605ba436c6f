//! Any text as a command line: reading it must neither crash nor hang, and what is simple must stay the same when it is
//! read again from what the user was shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway::tools::command::{Line, rules, show};

fuzz_target!(|line: &str| {
    let read = Line::read(line);
    for words in &read.found {
        rules::tightens("git push --force", words);
    }
    if let Ok(simple) = &read.simple {
        let shown = show::line(simple);
        assert_eq!(Line::read(&shown).simple.as_ref(), Ok(simple), "{shown}");
        assert!(!simple.parts.iter().any(|part| part.argv.is_empty()), "{line}");
    }
    let seen = show::visible(line);
    assert!(!seen.contains(|ch: char| ch.is_control()), "{seen}");
});
