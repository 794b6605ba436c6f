//! The doctor's report for people.

use std::io::{self, Write};

use super::report::{Report, State};
use crate::cli::terminal::{Ink, Style, visible};

pub(super) fn report(out: &mut impl Write, report: &Report, style: Style) -> io::Result<()> {
    writeln!(out, "ropeway {} ({}, {})", report.version, report.build, report.platform)?;
    write!(out, "talks to providers of kind {}", report.protocols.join(", "))?;
    match &report.left_out[..] {
        [] => writeln!(out)?,
        kinds => writeln!(out, "; built without {}, which `--features` adds", kinds.join(", "))?,
    }
    match report.grammars.join(", ") {
        none if none.is_empty() => writeln!(out, "built without grammars: no outlines, no check of an edit's syntax")?,
        known => writeln!(out, "has grammars for {known}")?,
    }
    let mut area = "";
    for finding in &report.findings {
        if finding.area != area {
            area = finding.area;
            writeln!(out, "\n{}", style.paint(Ink::Bold, area))?;
        }
        let (sign, ink) = match finding.state {
            State::Ok => ("ok", Ink::Good),
            State::Bad => ("!!", Ink::Bad),
            State::Note => ("--", Ink::Dim),
        };
        writeln!(out, "  {}  {}", style.paint(ink, sign), one_line(&finding.text))?;
        if let Some(mend) = &finding.mend {
            writeln!(out, "      {} {}", style.paint(Ink::Place, "→"), one_line(mend))?;
        }
    }
    Ok(())
}

/// Servers and files have a say in these lines; none may look like a line of ours.
fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}
