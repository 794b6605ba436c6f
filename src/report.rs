//! The report of a run: one page that shows where its time, tokens and money went, and a trace for profilers.
//!
//! [`story`] is what a run comes to when it is told: [`gather`] folds the records of a trajectory into it, with a bound on
//! everything. [`html`] makes one self-contained page of it and [`chrome`] a trace that Perfetto opens. Both are pure:
//! the same story gives the same bytes, nothing here knows a disk or a clock. What stands in a story was written by
//! models, repositories and users: `markup` is the only way for it into a page.

pub mod chrome;
mod context;
mod figures;
pub mod gather;
pub mod html;
mod lanes;
mod markdown;
mod markup;
mod say;
pub mod story;
mod sums;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;
