//! Buffers in this process: snapshot, rebase.

use ropeway::cli::bench::text;

use super::report::Report;

pub fn measure(report: &mut Report) {
    let mut snapshot = text::snapshot();
    let figure = snapshot.figure(31).expect("open documents");
    report.alone(&snapshot.name, snapshot.unit, figure, "≤ 100 ns");
    let mut rebase = text::carry().expect("disjoint by construction");
    let figure = rebase.figure(101).expect("edits of one text");
    report.alone(&rebase.name, rebase.unit, figure, "");
}
