//! The two sources of truth.
