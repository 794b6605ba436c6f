//! Counting tokens.

use std::hint::black_box;
use std::num::NonZero;
use std::time::Instant;

use super::figure::{ms, source_text};
use super::measure::Measure;
use crate::tokens::Encoding;
use crate::tokens::counter::Counter;

/// So many bytes of source code counted on one core, in milliseconds. The first sample makes the tables as well.
pub fn count(size: usize) -> Measure {
    let text = [source_text(size)];
    let counter = Counter::on(0, NonZero::<usize>::MIN);
    let name = format!("{} KB of source counted on one core", size >> 10);
    Measure::new("count", name, "ms", 3, move || {
        let begun = Instant::now();
        black_box(counter.count_blocking(Encoding::O200k, &text));
        Ok(ms(begun.elapsed()))
    })
}
