//! The smallest set of edits between two texts.
