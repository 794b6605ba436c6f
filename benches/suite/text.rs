//! Buffers in this process: snapshot, rebase.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::DocVersion;
use ropeway::text::{Edit, EditSet, Text, rebase};
use ropeway::workspace::Workspace;

use super::report::{Figure, Random, Report, source_text};

pub fn measure(report: &mut Report) {
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    for n in 0..100 {
        let uri = format!("file:///bench/{n}.rs");
        let _ = workspace.open(&uri, "rust", Some(DocVersion(1)), Text::from(&*source_text(64 << 10)));
    }
    let samples = (0..31).map(|_| {
        let begun = Instant::now();
        for _ in 0..10_000 {
            black_box(workspace.documents());
        }
        begun.elapsed().as_secs_f64() * 1e9 / 10_000.0
    });
    report.alone("snapshot of 100 documents", "ns", Figure::of(samples), "≤ 100 ns");

    let length = 1 << 20;
    let ours = edits(length, 100, 11);
    let theirs = edits(length, 1_000, 13);
    let samples = (0..101).map(|_| {
        let begun = Instant::now();
        black_box(rebase::rebase(black_box(&ours), black_box(&theirs)).expect("for one text"));
        begun.elapsed().as_secs_f64() * 1e6
    });
    report.alone("rebase of 100 edits over 1,000", "µs", Figure::of(samples), "");
}

fn edits(length: usize, count: usize, seed: u64) -> EditSet {
    let mut random = Random(seed);
    let slot = length / count;
    let edits = (0..count)
        .map(|n| {
            let start = n * slot + random.below(slot / 2);
            Edit { range: start..start + random.below(slot / 4), text: "changed".into() }
        })
        .collect();
    EditSet::new(length, edits).expect("disjoint by construction")
}
